// Package gameimage declares the session image: built from the image folder and pushed,
// or an existing one. Both are known by their digest.
package gameimage

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// The places at which images are built.
const (
	BuildOnBuilder = "builder" // the stack's builder instance, over SSH through SSM
	BuildOnLocal   = "local"   // the Docker of the machine that runs pulumi
)

// GameImageArgs are plain values, which decide whether and how to build, and the outputs
// of other components.
type GameImageArgs struct {
	// Use takes an image that exists instead of building: a tag of the repository,
	// or repository@sha256:… of any account that lets this one pull. A repository of
	// Amazon ECR is looked up in the provider's Region, so it has to be there: see
	// UsedRepository.
	Use string
	// BuildOn is BuildOnBuilder or BuildOnLocal.
	BuildOn string
	// Host is the address of the builder's Docker ("ssh://…"), SSHOptions are ssh's
	// options for it, and Hooks start and stop the builder; for BuildOnBuilder only.
	Host       pulumi.StringInput
	SSHOptions []string
	Hooks      *pulumi.ResourceHookBinding
	// RepositoryURL, RepositoryName and RegistryID are the repository's.
	RepositoryURL, RepositoryName, RegistryID pulumi.StringInput
	// BaseImage is the image that the session image is made from. Version and Revision
	// are its labels; without Revision it has no such label.
	BaseImage, Version, Revision string
	DisplayServer                contract.DisplayServer
	// DCVSource is the address that DCV's server is downloaded from; contract.DCV
	// alone needs it.
	DCVSource string
	// StopSeconds is the time between SIGTERM and SIGKILL of a session: a game that needs
	// more for saving is refused.
	StopSeconds int
	// MaxGiB is the largest size of the unpacked game in GiB, 1 to unpack.MostGiB.
	MaxGiB int
	// Build is a game build in S3, which takes the place of Game.
	Build *GameBuild
	// Game is a game's folder or archive, Branding the folder of the pages' looks,
	// ModuleDir the Go module with the session, SourceDir the image folder, and
	// StagingDir the folder of the build context. All are absolute or
	// relative to the program's working directory, infra/.
	Game, Branding                   string
	ModuleDir, SourceDir, StagingDir string
}

// GameImage is the image.
type GameImage struct {
	pulumi.ResourceState

	URI pulumi.StringOutput // repository@sha256:…
	Tag pulumi.StringOutput // of the built image: the name of the game build, and a hash of all that the image is built from
}

// platform is that of the GPU instance types.
const platform = "linux/amd64"

func (a GameImageArgs) defaults() GameImageArgs {
	for _, d := range []struct {
		value    *string
		fallback string
	}{{&a.ModuleDir, ".."}, {&a.SourceDir, "../image"}, {&a.StagingDir, "../.build/image"}} {
		if *d.value == "" {
			*d.value = d.fallback
		}
	}
	return a
}

// NewGameImage declares the image.
func NewGameImage(ctx *pulumi.Context, name string, args *GameImageArgs, opts ...pulumi.ResourceOption) (*GameImage, error) {
	a := args.defaults()
	if err := a.validate(); err != nil {
		return nil, err
	}
	g := &GameImage{}
	if err := ctx.RegisterComponentResource("dcv:gameimage:GameImage", name, g, opts...); err != nil {
		return nil, err
	}
	var err error
	if a.Use != "" {
		err = g.take(ctx, a)
	} else {
		err = g.build(ctx, name, a)
	}
	if err != nil {
		return nil, err
	}
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"uri": g.URI})
}

// take looks an existing image up. If it does not exist, the preview fails.
func (g *GameImage) take(ctx *pulumi.Context, a GameImageArgs) error {
	if m := digestPattern.FindStringSubmatch(a.Use); m != nil {
		repository, digest := m[1], m[2]
		_, name, _ := strings.Cut(repository, "/")
		lookup := &ecr.GetImageArgs{RepositoryName: name, ImageDigest: pulumi.StringRef(digest)}
		if account, _, _ := UsedRepository(a.Use); account != "" {
			lookup.RegistryId = pulumi.StringRef(account)
		}
		found, err := ecr.GetImage(ctx, lookup, pulumi.Parent(g))
		if err != nil {
			return missing(a.Use, err)
		}
		g.URI = pulumi.String(repository + "@" + found.ImageDigest).ToStringOutput()
		return nil
	}
	g.URI = pulumi.All(a.RepositoryURL, a.RepositoryName, a.RegistryID).ApplyT(func(repository []any) (string, error) {
		found, err := ecr.GetImage(ctx, &ecr.GetImageArgs{
			RepositoryName: repository[1].(string), RegistryId: pulumi.StringRef(repository[2].(string)), ImageTag: &a.Use,
		}, pulumi.Parent(g))
		if err != nil {
			return "", missing(a.Use, err)
		}
		return repository[0].(string) + "@" + found.ImageDigest, nil
	}).(pulumi.StringOutput)
	return nil
}

func missing(use string, err error) error {
	return fmt.Errorf("image.use: there is no image %s, or this account may not see it: %w", use, err)
}

// build stages the build context and declares the image's build and push.
func (g *GameImage) build(ctx *pulumi.Context, name string, a GameImageArgs) error {
	staged, err := stage(a)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	var args pulumi.StringMapOutput
	g.Tag, args = g.game(ctx, a, staged)
	where := &docker.ProviderArgs{DisableDockerDaemonCheck: pulumi.Bool(true)} // a builder that is stopped must not fail a preview
	onBuilder := []pulumi.ResourceOption{}
	if a.BuildOn == BuildOnBuilder {
		where.Host, where.SshOpts = a.Host.ToStringOutput().ToStringPtrOutput(), pulumi.ToStringArray(a.SSHOptions)
		onBuilder = append(onBuilder, pulumi.ResourceHooks(a.Hooks))
	}
	provider, err := docker.NewProvider(ctx, name, where, pulumi.Parent(g))
	if err != nil {
		return err
	}
	login := ecr.GetAuthorizationTokenOutput(ctx, ecr.GetAuthorizationTokenOutputArgs{
		RegistryId: a.RegistryID.ToStringOutput().ToStringPtrOutput(),
	}, pulumi.Parent(g))
	image, err := docker.NewImage(ctx, name, &docker.ImageArgs{
		ImageName: pulumi.Sprintf("%s:%s", a.RepositoryURL, g.Tag),
		Build: docker.DockerBuildArgs{
			Context:        pulumi.String(a.StagingDir),
			Dockerfile:     pulumi.String(a.StagingDir + "/Dockerfile"),
			Platform:       pulumi.String(platform),
			BuilderVersion: docker.BuilderVersionBuilderBuildKit,
			Args:           args,
			// The build downloads by the machine's own network.
			Network: pulumi.String("host"),
		},
		Registry: docker.RegistryArgs{
			Server:   login.ProxyEndpoint(),
			Username: login.UserName(),
			// The SDK marks it no secret, and it would stand in the state.
			Password: pulumi.ToSecret(login.Password()).(pulumi.StringOutput),
		},
	}, append(onBuilder, pulumi.Parent(g), pulumi.Provider(provider))...)
	if err != nil {
		return err
	}
	g.URI = image.RepoDigest.ApplyT(func(digest string) (string, error) {
		if !strings.Contains(digest, "@sha256:") {
			return "", fmt.Errorf("the push of image %q gave no digest", digest)
		}
		return digest, nil
	}).(pulumi.StringOutput)
	return nil
}

// game completes tag and build arguments by those of the game build in S3, if there is
// one.
func (g *GameImage) game(ctx *pulumi.Context, a GameImageArgs, staged staged) (tag pulumi.StringOutput, args pulumi.StringMapOutput) {
	if a.Build == nil {
		return pulumi.String(staged.tag).ToStringOutput(), pulumi.ToStringMap(staged.args).ToStringMapOutput()
	}
	build := a.Build.Bucket.ToStringOutput().ApplyT(func(bucket string) (found, error) {
		f, err := a.Build.find(ctx, bucket, a.MaxGiB, pulumi.Parent(g))
		if err != nil {
			return f, err
		}
		return f, ctx.Log.Info("game build: "+f.String(), &pulumi.LogArgs{Resource: g})
	})
	tag = build.ApplyT(func(f any) string { return f.(found).tag(staged.tag) }).(pulumi.StringOutput)
	args = build.ApplyT(func(f any) map[string]string { return a.Build.buildArgs(staged.args, f.(found)) }).(pulumi.StringMapOutput)
	return tag, args
}
