package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

const buildKey = "builds/game.tar.gz"

// deliver leads a session through a deployment of a game build and a rollback.
// The stack is as base has it, before and after.
func (s *sandbox) deliver(t *testing.T, base config, deployed outputs.Outputs) {
	old := s.session(t, "start", "player1")
	container := s.containersOf(t, deployed.ImageURI)
	require.Len(t, container, 1)
	undisturbed := func(t *testing.T) {
		t.Helper()
		still := s.sessions(t)["player1"]
		assert.Equal(t, old.JobID, still.JobID, "the same job")
		assert.Equal(t, old.Attempt, still.Attempt)
		assert.Equal(t, container, s.containersOf(t, deployed.ImageURI), "the same container")
		assert.True(t, answers(old.URL))
	}
	build := func(version string) config {
		return base.with(map[string]any{"image.gameBuild.key": buildKey, "image.gameBuild.version": version})
	}
	refused := func(t *testing.T, cfg config, why string) {
		t.Helper()
		out, err := s.run(t, "up", "-config", cfg.write(t, s.dir))
		require.Error(t, err)
		assert.Contains(t, out, why)
		undisturbed(t)
	}

	step := steps(t)

	step("a build that can't be checked is refused, and changes nothing", func(t *testing.T) {
		definitions := s.aws(t).revisions(t)
		other := bytes.Repeat([]byte("no archive"), 100)
		refused(t, base.with(map[string]any{"image.gameBuild.key": "builds/none.tar"}), "there is no s3://")
		s.upload(t, deployed, other, "")
		refused(t, build("latest"), "which has to be its SHA-256 in 64 hexadecimal digits")
		s.upload(t, deployed, other, sumOf(other))
		refused(t, build("latest"), "it is neither a zip archive nor a tar archive")
		s.upload(t, deployed, s.gameArchive(t), sumOf(other))
		refused(t, build("latest"), "nothing of it was used")
		assert.Equal(t, definitions, s.aws(t).revisions(t))
	})

	var first, second outputs.Outputs
	var version string
	step("a new build is one new image, one revision a user, and nothing else", func(t *testing.T) {
		archive := s.gameArchive(t)
		version = s.upload(t, deployed, archive, sumOf(archive))
		r := s.deploy(t, "up", build("latest"))
		first = stackOutputs(t, r.Outputs)
		assert.NotEqual(t, deployed.ImageURI, first.ImageURI)
		assert.Equal(t, append(updatedDefinitions(), "update docker:index/image:Image image"), changes(r))
		undisturbed(t)
		s.docker(t, "pull", "--quiet", first.ImageURI)
		labels := s.docker(t, "inspect", "--format", "{{json .Config.Labels}}", first.ImageURI)
		for _, label := range []string{buildKey, version, sumOf(archive)} {
			assert.Contains(t, labels, label)
		}
	})
	step("the same build again changes nothing, by whichever name", func(t *testing.T) {
		assert.Empty(t, changes(s.deploy(t, "up", build("latest"))))
		assert.Empty(t, changes(s.deploy(t, "up", build(version))))
	})
	step("a new session runs it, and the old one goes on", func(t *testing.T) {
		fresh := s.session(t, "start", "player2")
		assert.True(t, answers(fresh.URL))
		assert.Len(t, s.containersOf(t, first.ImageURI), 1)
		undisturbed(t)
		s.session(t, "end", "player2")
	})
	step("of several uploads in a row the newest is the next image", func(t *testing.T) {
		var newest string
		for range 2 {
			archive := s.gameArchive(t)
			newest = s.upload(t, deployed, archive, sumOf(archive))
		}
		r := s.deploy(t, "up", build("latest"))
		second = stackOutputs(t, r.Outputs)
		assert.NotEqual(t, first.ImageURI, second.ImageURI)
		assert.Equal(t, append(updatedDefinitions(), "update docker:index/image:Image image"), changes(r))
		assert.Empty(t, changes(s.deploy(t, "preview", build(newest))))
		undisturbed(t)
	})
	step("rollback goes to the image before and back, and builds nothing", func(t *testing.T) {
		for _, want := range []outputs.Outputs{first, second} {
			s.rollback(t, build("latest"), want)
			undisturbed(t)
		}
	})
	step("the session that ran through it all ends as it should", func(t *testing.T) {
		ended := s.session(t, "end", "player1")
		assert.Equal(t, old.JobID, ended.JobID)
		assert.Equal(t, "SUCCEEDED", ended.State)
		s.deploy(t, "up", base)
	})
}

// rollback finds the image before by the command that `make rollback` runs, and
// deploys it with this test's configuration.
func (s *sandbox) rollback(t *testing.T, cfg config, want outputs.Outputs) {
	t.Helper()
	// It records the commands that it would give the sandbox.
	note := filepath.Join(s.dir, "rollback")
	stand := filepath.Join(s.dir, "stand-in")
	require.NoError(t, os.WriteFile(stand, []byte("#!/bin/sh\necho \"$*\" >> '"+note+"'\n"), 0o755))
	require.NoError(t, os.RemoveAll(note))
	out, err := s.run(t, "exec", s.deliverBinary(t), "-stack", "sandbox", "-by", stand, "rollback")
	require.NoError(t, err, out)
	did, err := os.ReadFile(note)
	require.NoError(t, err)
	assert.Equal(t, "set dcv-sessions:image.use="+want.ImageURI+"\nup\n", string(did))

	r := s.deploy(t, "up", cfg.with(map[string]any{"image.use": want.ImageURI}))
	assert.Equal(t, want.ImageURI, stackOutputs(t, r.Outputs).ImageURI)
	for _, c := range changes(r) { // the image leaves the state, and the registry keeps it
		assert.True(t, strings.HasPrefix(c, "update aws:batch/jobDefinition:JobDefinition ") ||
			c == "delete docker:index/image:Image image" || c == "delete pulumi:providers:docker image", c)
	}
}

// containersOf are the ids of the containers that run an image.
func (s *sandbox) containersOf(t *testing.T, image string) []string {
	t.Helper()
	return strings.Fields(s.docker(t, "ps", "--no-trunc", "--quiet", "--filter", "label="+local.Label+"="+s.tree.State, "--filter", "ancestor="+image))
}

// upload puts a build into the stack's bucket and gives its version.
func (s *sandbox) upload(t *testing.T, of outputs.Outputs, archive []byte, sum string) string {
	t.Helper()
	client := s3.NewFromConfig(s.config(t), func(o *s3.Options) { o.UsePathStyle = true })
	in := &s3.PutObjectInput{Bucket: &of.GameBuildsBucket, Key: aws.String(buildKey), Body: bytes.NewReader(archive)}
	if sum != "" {
		in.Metadata = map[string]string{"sha256": sum}
	}
	put, err := client.PutObject(t.Context(), in)
	require.NoError(t, err)
	require.NotEmpty(t, aws.ToString(put.VersionId))
	return *put.VersionId
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// gameArchive is a build of the sandbox's game that differs from every other.
func (s *sandbox) gameArchive(t *testing.T) []byte {
	t.Helper()
	folder, err := game.Ensure(t.Context(), local.Progress{Out: t.Output()}, s.tree.Cache)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, game.Archive(folder, &out))
	return out.Bytes()
}

// revisions are the active revisions' ARNs.
func (c cloudClients) revisions(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, d := range c.activeDefinitions(t) {
		all = append(all, *d.JobDefinitionArn)
	}
	return all
}
