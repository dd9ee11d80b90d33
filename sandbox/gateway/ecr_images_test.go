package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// games is a repository, made for one test.
type games struct {
	*ecr.Client
	t    *testing.T
	uri  name.Repository
	name *string
}

func newGames(t *testing.T, repository string) games {
	t.Helper()
	s := newSandbox(t)
	client := ecr.NewFromConfig(s.Config)
	created, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(repository)})
	require.NoError(t, err)
	uri, err := name.NewRepository(*created.Repository.RepositoryUri)
	require.NoError(t, err)
	return games{client, t, uri, aws.String(repository)}
}

// push pushes a new image under tags, straight to the registry, as Docker does.
func (g games) push(tags ...string) (v1.Image, string) {
	g.t.Helper()
	image, err := random.Image(1000, 2)
	require.NoError(g.t, err)
	for _, tag := range tags {
		require.NoError(g.t, remote.Write(g.uri.Tag(tag), image))
	}
	digest, err := image.Digest()
	require.NoError(g.t, err)
	return image, digest.String()
}

func (g games) tags() []string {
	g.t.Helper()
	tags, err := remote.List(g.uri)
	require.NoError(g.t, err)
	return tags
}

func (g games) describe(ids ...types.ImageIdentifier) []types.ImageDetail {
	g.t.Helper()
	described, err := g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: g.name, ImageIds: ids})
	require.NoError(g.t, err)
	return described.ImageDetails
}

func byTag(tag string) types.ImageIdentifier { return types.ImageIdentifier{ImageTag: aws.String(tag)} }
func byDigest(digest string) types.ImageIdentifier {
	return types.ImageIdentifier{ImageDigest: aws.String(digest)}
}

func TestAPushedImageIsDescribed(t *testing.T) {
	g := newGames(t, "described")
	require.Empty(t, g.describe())
	before := time.Now().Add(-time.Second)
	image, digest := g.push("v1", "latest")
	manifest, err := image.Manifest()
	require.NoError(t, err)
	mediaType, err := image.MediaType()
	require.NoError(t, err)

	for _, ids := range [][]types.ImageIdentifier{nil, {byTag("latest")}, {byDigest(digest)}, {{ImageDigest: aws.String(digest), ImageTag: aws.String("v1")}}} {
		details := g.describe(ids...)
		require.Len(t, details, 1)
		got := details[0]
		require.Equal(t, digest, *got.ImageDigest)
		require.Equal(t, []string{"latest", "v1"}, got.ImageTags)
		require.Equal(t, manifest.Config.Size+manifest.Layers[0].Size+manifest.Layers[1].Size, *got.ImageSizeInBytes)
		require.Equal(t, string(mediaType), *got.ImageManifestMediaType)
		require.Equal(t, types.ImageStatusActive, got.ImageStatus)
		require.WithinRange(t, *got.ImagePushedAt, before, time.Now())
		require.Equal(t, "described", *got.RepositoryName)
		require.Equal(t, "123456789012", *got.RegistryId)
	}
}

func TestAnImageForSeveralPlatformsHasTheSizeOfTheLargest(t *testing.T) {
	g := newGames(t, "platforms")
	index, err := random.Index(1000, 3, 2)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(g.uri.Tag("v1"), index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	var largest int64
	for _, child := range manifest.Manifests {
		image, err := index.Image(child.Digest)
		require.NoError(t, err)
		m, err := image.Manifest()
		require.NoError(t, err)
		size := m.Config.Size
		for _, layer := range m.Layers {
			size += layer.Size
		}
		largest = max(largest, size)
	}
	require.Equal(t, largest, *g.describe(byTag("v1"))[0].ImageSizeInBytes)
}

func TestAMissingImageOrRepositoryIsRefusedAsByECR(t *testing.T) {
	g := newGames(t, "missing")
	_, digest := g.push("v1")
	for _, id := range []types.ImageIdentifier{
		byTag("v2"), byDigest("sha256:" + strings.Repeat("0", 64)), byDigest("nonsense"),
		{ImageDigest: aws.String(digest), ImageTag: aws.String("v2")},
	} {
		_, err := g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: g.name, ImageIds: []types.ImageIdentifier{id}})
		var notFound *types.ImageNotFoundException
		require.ErrorAs(t, err, &notFound)
		require.Contains(t, *notFound.Message, "imageTag:'"+aws.ToString(orNull(id.ImageTag))+"'")
	}
	var noRepository *types.RepositoryNotFoundException
	_, err := g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("absent")})
	require.ErrorAs(t, err, &noRepository)
	_, err = g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: g.name, RegistryId: aws.String("210987654321")})
	require.ErrorAs(t, err, &noRepository)
}

func orNull(s *string) *string {
	if s == nil {
		return aws.String("null")
	}
	return s
}

func TestAnImageThatLosesItsTagIsStillThere(t *testing.T) {
	g := newGames(t, "untagged")
	_, first := g.push("latest")
	require.Len(t, g.describe(), 1)
	g.push("latest")
	require.Len(t, g.describe(), 2)
	require.Empty(t, g.describe(byDigest(first))[0].ImageTags)
}

func TestAnImageCallThatTheSandboxDoesNotKnowIsRefusedByItsName(t *testing.T) {
	g := newGames(t, "unknown")
	_, list := g.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: g.name})
	_, remove := g.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: g.name, ImageIds: []types.ImageIdentifier{byTag("v1")}})
	_, filter := g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: g.name, Filter: &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged}})
	_, page := g.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: g.name, MaxResults: aws.Int32(1)})
	for part, err := range map[string]error{"ListImages": list, "BatchDeleteImage": remove, "filter of DescribeImages": filter, "maxResults of DescribeImages": page} {
		requireCode(t, err, "NotImplemented")
		require.ErrorContains(t, err, part)
	}
}

func TestAnImageIsGotAsItWasPushed(t *testing.T) {
	g := newGames(t, "got")
	image, digest := g.push("v1")
	raw, err := image.RawManifest()
	require.NoError(t, err)
	got, err := g.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: g.name, ImageIds: []types.ImageIdentifier{byTag("v1"), byTag("v2")}})
	require.NoError(t, err)
	require.Len(t, got.Images, 1)
	require.Equal(t, string(raw), *got.Images[0].ImageManifest)
	require.Equal(t, types.ImageIdentifier{ImageDigest: aws.String(digest), ImageTag: aws.String("v1")}, *got.Images[0].ImageId)
	require.Len(t, got.Failures, 1)
	require.Equal(t, byTag("v2"), *got.Failures[0].ImageId)
	require.Equal(t, types.ImageFailureCodeImageNotFound, got.Failures[0].FailureCode)

	_, err = g.PutImage(ctx, &ecr.PutImageInput{RepositoryName: g.name, ImageManifest: got.Images[0].ImageManifest, ImageTag: aws.String("stable")})
	require.NoError(t, err)
	require.Equal(t, []string{"stable", "v1"}, g.describe(byDigest(digest))[0].ImageTags, "PutImage gives it a further tag")
	_, err = g.PutImage(ctx, &ecr.PutImageInput{RepositoryName: g.name, ImageManifest: got.Images[0].ImageManifest, ImageTag: aws.String("stable")})
	var exists *types.ImageAlreadyExistsException
	require.ErrorAs(t, err, &exists)
}

func TestARepositoryWithImagesIsDeletedOnlyByForceAndThenWithThem(t *testing.T) {
	g := newGames(t, "full")
	_, first := g.push("latest")
	require.Len(t, g.describe(), 1)
	_, second := g.push("latest", "v2")
	_, err := g.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: g.name})
	var notEmpty *types.RepositoryNotEmptyException
	require.ErrorAs(t, err, &notEmpty)
	require.Len(t, g.tags(), 2, "refused, it keeps its images")

	_, err = g.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: g.name, Force: true})
	require.NoError(t, err)
	require.Empty(t, g.tags())
	for _, digest := range []string{first, second} {
		_, err = remote.Head(g.uri.Digest(digest))
		require.Error(t, err)
	}
	var none *types.RepositoryNotFoundException
	_, err = g.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*g.name}})
	require.ErrorAs(t, err, &none)
}
