package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/outputs"
)

const token = "github_pat_11AAAAAAA0aaaaaaaaaaaaaa"

type connection struct {
	given *eventbridge.UpdateConnectionInput
	err   error
}

func (c *connection) UpdateConnection(_ context.Context, in *eventbridge.UpdateConnectionInput, _ ...func(*eventbridge.Options)) (*eventbridge.UpdateConnectionOutput, error) {
	c.given = in
	return &eventbridge.UpdateConnectionOutput{}, c.err
}

func TestATokenGoesToTheStacksConnectionOnly(t *testing.T) {
	c := &connection{}
	require.NoError(t, setToken(t.Context(), c, "dev", token))
	assert.Equal(t, "delivery-dev", *c.given.Name)
	assert.Equal(t, eventtypes.ConnectionAuthorizationTypeApiKey, c.given.AuthorizationType)
	assert.Equal(t, &eventtypes.UpdateConnectionApiKeyAuthRequestParameters{ApiKeyName: aws.String("Authorization"), ApiKeyValue: aws.String("Bearer " + token)},
		c.given.AuthParameters.ApiKeyAuthParameters)
}

func TestWhatIsNoTokenIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{"", "short", token + "\n" + token, "two words and twenty letters", strings.Repeat("a", 600)} {
		c := &connection{}
		err := setToken(t.Context(), c, "dev", text)
		require.Error(t, err)
		assert.Nil(t, c.given)
		if text != "" {
			assert.NotContains(t, err.Error(), text)
		}
	}
	assert.ErrorContains(t, setToken(t.Context(), &connection{}, "No", token), `"No"`)
	err := setToken(t.Context(), &connection{err: &eventtypes.ResourceNotFoundException{}}, "dev", token)
	assert.ErrorContains(t, err, "there is no connection delivery-dev: deploy the stack with delivery.repository set first")
	assert.NotContains(t, err.Error(), token)
}

func TestATokenIsOneLineOfStandardInput(t *testing.T) {
	for text, want := range map[string]string{token: token, token + "\n": token, " " + token + " \r\nmore\n": token, "": ""} {
		file := filepath.Join(t.TempDir(), "in")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		in, err := os.Open(file)
		require.NoError(t, err)
		got, err := readToken(in)
		require.NoError(t, errors.Join(err, in.Close()))
		assert.Equal(t, want, got)
	}
}

// definitions are the images of job definitions' revisions, the oldest first.
type definitions map[string][]string

// DescribeJobDefinitions returns one revision a page, the oldest first.
func (d definitions) DescribeJobDefinitions(_ context.Context, in *batch.DescribeJobDefinitionsInput, _ ...func(*batch.Options)) (*batch.DescribeJobDefinitionsOutput, error) {
	images, there := d[*in.JobDefinitionName]
	if !there {
		return nil, errors.New("denied")
	}
	at := len(aws.ToString(in.NextToken))
	out := &batch.DescribeJobDefinitionsOutput{}
	if at < len(images) {
		out.JobDefinitions = []types.JobDefinition{{
			Revision: aws.Int32(int32(at + 1)), ContainerProperties: &types.ContainerProperties{Image: &images[at]}, Status: aws.String("INACTIVE"),
		}}
		out.NextToken = aws.String(strings.Repeat("x", at+1))
	}
	return out, nil
}

func before(t *testing.T, d definitions, now string) (string, error) {
	t.Helper()
	of := outputs.Outputs{ImageURI: now, RepositoryURL: "repository", JobDefinitions: map[string]string{}}
	for name := range d {
		of.JobDefinitions["user-of-"+name] = name
	}
	return imageBefore(t.Context(), d, of)
}

func TestTheImageBeforeIsTheLastOneThatWasDeployed(t *testing.T) {
	for name, c := range map[string]struct {
		revisions definitions
		now, want string
	}{
		"one before":               {definitions{"a": {"one", "two"}}, "two", "one"},
		"other changes in between": {definitions{"a": {"one", "two", "two", "two"}}, "two", "one"},
		"the latest of many":       {definitions{"a": {"one", "two", "three"}}, "three", "two"},
		"there and back":           {definitions{"a": {"one", "two", "one"}}, "one", "two"},
		"a user who is new":        {definitions{"a": {"two"}, "b": {"one", "two"}}, "two", "one"},
	} {
		got, err := before(t, c.revisions, c.now)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
}

func TestWhereNoImageCameBeforeOneIsAskedFor(t *testing.T) {
	for _, d := range []definitions{{}, {"a": {"one", "one"}}} {
		_, err := before(t, d, "one")
		assert.ErrorContains(t, err, "make rollback TO=tag")
		assert.ErrorContains(t, err, "repository")
	}
	_, err := imageBefore(t.Context(), definitions{}, outputs.Outputs{JobDefinitions: map[string]string{"a": "gone"}})
	assert.ErrorContains(t, err, "denied")
}

// shelf is a repository with the manifests of images by digest, and notes its calls.
type shelf struct {
	manifests map[string]string
	put       []*ecr.PutImageInput
	err       error
}

func (s *shelf) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput, _ ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	out := &ecr.BatchGetImageOutput{}
	if manifest, there := s.manifests[*in.ImageIds[0].ImageDigest]; there {
		out.Images = []ecrtypes.Image{{ImageManifest: &manifest, ImageManifestMediaType: aws.String("a type")}}
	}
	return out, nil
}

func (s *shelf) PutImage(_ context.Context, in *ecr.PutImageInput, _ ...func(*ecr.Options)) (*ecr.PutImageOutput, error) {
	s.put = append(s.put, in)
	return &ecr.PutImageOutput{}, s.err
}

func TestADeployedImageGetsTheTagThatKeepsIt(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	of := outputs.Outputs{RepositoryURL: "123456789012.dkr.ecr.us-east-1.amazonaws.com/registry-1"}
	for name, s := range map[string]*shelf{
		"for the first time": {manifests: map[string]string{digest: "{}"}},
		"again":              {manifests: map[string]string{digest: "{}"}, err: &ecrtypes.ImageAlreadyExistsException{}},
	} {
		tag, err := tagReleased(t.Context(), s, of, digest)
		require.NoError(t, err, name)
		assert.Equal(t, registry.ReleasedTag(digest), tag)
		assert.Equal(t, []*ecr.PutImageInput{{
			RepositoryName: aws.String("registry-1"), ImageDigest: &digest, ImageTag: &tag, ImageManifest: aws.String("{}"), ImageManifestMediaType: aws.String("a type"),
		}}, s.put, name)
	}
	_, err := tagReleased(t.Context(), &shelf{}, of, digest)
	assert.ErrorContains(t, err, of.RepositoryURL+"@"+digest+" is gone")
	denied := errors.New("denied")
	_, err = tagReleased(t.Context(), &shelf{manifests: map[string]string{digest: "{}"}, err: denied}, of, digest)
	assert.ErrorIs(t, err, denied)
}

func TestAnImageOfAnotherRepositoryIsNotOursToKeep(t *testing.T) {
	called := pulumi(t, outputs.Outputs{ImageURI: "elsewhere@sha256:1"})
	require.NoError(t, run(t.Context(), options{stack: "prod", args: []string{"keep"}}), "and AWS is not asked")
	assert.Equal(t, "stack output --json --stack prod\n", called())
}

// pulumi puts a program of that name into PATH that notes its arguments.
func pulumi(t *testing.T, answer outputs.Outputs) (called func() string) {
	t.Helper()
	dir := t.TempDir()
	text := `{"contractVersion":1,"region":"us-east-1","imageUri":"` + answer.ImageURI + `"}`
	script := "#!/bin/sh\necho \"$*\" >> " + dir + "/calls\ncase \"$*\" in *output*) echo '" + text + "';; esac\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pulumi"), []byte(script), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("#!/bin/sh\necho other \"$*\" >> "+dir+"/calls\n"), 0o755))
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return func() string {
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		require.NoError(t, err)
		return string(calls)
	}
}

func TestRollbackSetsTheImageAndDeploys(t *testing.T) {
	called := pulumi(t, outputs.Outputs{ImageURI: "now"})
	require.NoError(t, run(t.Context(), options{stack: "dev", yes: true, args: []string{"rollback", "chess-1-0a"}}))
	assert.Equal(t, "stack output --json --stack dev\nconfig set --stack dev dcv-sessions:image.use chess-1-0a\nup --stack dev --yes\nstack output --json --stack dev\n", called())
}

func TestAnotherProgramMaySetAndDeploy(t *testing.T) {
	called := pulumi(t, outputs.Outputs{ImageURI: "now"})
	require.NoError(t, run(t.Context(), options{stack: "local", by: "other", args: []string{"rollback", "chess-1-0a"}}))
	assert.Equal(t, "stack output --json --stack local\nother set dcv-sessions:image.use=chess-1-0a\nother up\nstack output --json --stack local\n", called())
}

func TestWrongUsageDoesNothing(t *testing.T) {
	for _, o := range []options{{}, {stack: "dev"}, {stack: "dev", args: []string{"keep", "a"}}, {args: []string{"token"}}, {stack: "dev", args: []string{"token", token}}, {stack: "dev", args: []string{"rollback", "a", "b"}}} {
		assert.ErrorContains(t, run(t.Context(), o), "wrong usage")
	}
}
