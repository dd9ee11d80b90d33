package gameimage_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	component  = "dcv:gameimage:GameImage"
	image      = "docker:index/image:Image"
	provider   = "pulumi:providers:docker"
	lookUp     = "aws:ecr/getImage:getImage"
	login      = "aws:ecr/getAuthorizationToken:getAuthorizationToken"
	repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/game"
)

var digest = "sha256:" + strings.Repeat("1", 64) // as the mock answers

// made is a run with what the component gave: an empty URI is one that isn't known.
type made struct {
	*componenttest.Run
	uri, tag string
}

func run(t *testing.T, mode componenttest.Mode, args gameimage.GameImageArgs, options ...componenttest.Option) *made {
	t.Helper()
	t.Setenv("DOCKER_HOST", "") // Docker's provider reads it
	os.Unsetenv("DOCKER_HOST")
	m := &made{}
	m.Run = componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		g, err := gameimage.NewGameImage(ctx, "image", &args)
		if err != nil {
			return err
		}
		ctx.Export("uri", g.URI.ApplyT(func(uri string) string { m.uri = uri; return uri })) // an export is waited for
		if args.Use == "" {
			ctx.Export("tag", g.Tag.ApplyT(func(tag string) string { m.tag = tag; return tag }))
		}
		return nil
	}, options...)
	return m
}

func using(use string) gameimage.GameImageArgs {
	return gameimage.GameImageArgs{
		Use:            use,
		BuildOn:        gameimage.BuildOnLocal,
		Hooks:          &pulumi.ResourceHookBinding{},
		BaseImage:      "ubuntu:24.04",
		Version:        "1.2.3",
		DisplayServer:  contract.DCV,
		DCVSource:      "https://example.com/dcv",
		StopSeconds:    30,
		MaxGiB:         40,
		Game:           "game",
		Branding:       "branding",
		RepositoryURL:  pulumi.String(repository),
		RepositoryName: pulumi.String("game"),
		RegistryID:     pulumi.String(componenttest.Account),
	}
}

func unknown() pulumi.StringInput {
	return pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "never" }).(pulumi.StringOutput)
}

func TestAnImageThatExistsIsTakenByItsDigestAndNothingIsBuilt(t *testing.T) {
	other := "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/game@" + digest
	elsewhere := "localhost:5000/game@" + digest
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		for use, want := range map[string]struct {
			uri  string
			args map[string]any
		}{
			"v1.2":    {repository + "@" + digest, map[string]any{"repositoryName": "game", "registryId": componenttest.Account, "imageTag": "v1.2"}},
			other:     {other, map[string]any{"repositoryName": "team/game", "registryId": "210987654321", "imageDigest": digest}},
			elsewhere: {elsewhere, map[string]any{"repositoryName": "game", "imageDigest": digest}},
		} {
			var asked map[string]any
			r := run(t, mode, using(use), componenttest.WithCall(lookUp, func(args map[string]any) (map[string]any, error) {
				asked = args
				return map[string]any{"imageDigest": digest}, nil
			}))
			r.Must(t)
			assert.Equal(t, want.uri, r.uri)
			assert.Equal(t, want.args, asked)
			assert.Equal(t, []string{component + " image"}, r.Names(), "no Docker, no staging")
			assert.Equal(t, []string{lookUp}, r.Calls)
			assert.Empty(t, r.tag)
		}
	})
}

func TestAMissingImageFailsThePreviewAndNamesItsKey(t *testing.T) {
	missing := componenttest.WithCall(lookUp, func(map[string]any) (map[string]any, error) { return nil, errors.New("ImageNotFoundException") })
	for _, use := range []string{"v1.2", repository + "@" + digest} {
		r := run(t, componenttest.Preview, using(use), missing)
		require.Error(t, r.Err, use)
		for _, part := range []string{"image.use", "there is no image " + use, "ImageNotFoundException"} {
			assert.ErrorContains(t, r.Err, part)
		}
	}
}

func TestATagOfARepositoryThatIsNotThereYetIsLookedUpInTheUpdate(t *testing.T) {
	args := using("v1.2")
	args.RepositoryURL, args.RepositoryName, args.RegistryID = unknown(), unknown(), unknown()
	r := run(t, componenttest.Preview, args)
	r.Must(t)
	assert.Empty(t, r.uri)
	assert.Empty(t, r.Calls)
}

func TestABuildIsOfTheStagedFolderAndPushesToTheRepository(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := checkout(t)
		r := run(t, mode, args)
		r.Must(t)
		assert.Equal(t, []string{component + " image", image + " image", provider + " image"}, r.Names())
		assert.Equal(t, []string{login}, r.Calls)
		assert.Regexp(t, `^[0-9a-f]{16}$`, r.tag)

		built := r.One(t, image)
		assert.Equal(t, "image", built.Parent)
		assert.Contains(t, built.Provider, "$"+provider+"::image::", "its own provider")
		assert.Equal(t, map[string]any{
			"imageName": repository + ":" + r.tag,
			"build": map[string]any{
				"context":        args.StagingDir,
				"dockerfile":     args.StagingDir + "/Dockerfile",
				"platform":       "linux/amd64",
				"builderVersion": "BuilderBuildKit",
				"network":        "host",
				"args": map[string]any{
					"BASE_IMAGE": "ubuntu:24.04", "DISPLAY_SERVER": "dcv", "DCV_SOURCE": "https://example.com/dcv", "VERSION": "1.2.3",
					"GAME_SOURCE": "folder", "GAME": "Chess 1", "STOP_SECONDS": "30", "GAME_MAX_GIB": "40",
				},
			},
			"registry": map[string]any{
				"server":   "https://123456789012.dkr.ecr.us-east-1.amazonaws.com",
				"username": "AWS",
				"password": componenttest.Secret{Value: "ecr-token"},
			},
			"buildOnPreview": false,
			"skipPush":       false,
		}, built.Inputs)

		docker := r.One(t, provider)
		assert.Equal(t, "image", docker.Parent)
		assert.Equal(t, map[string]any{"disableDockerDaemonCheck": true}, docker.Inputs, "a preview needs no Docker")
		if mode == componenttest.Preview {
			assert.Empty(t, r.uri, "known once it is pushed")
		} else {
			assert.Equal(t, repository+"@"+digest, r.uri)
		}
	})
}

func TestAFreeDisplayNeedsNothingOfDCVs(t *testing.T) {
	args := checkout(t)
	args.DisplayServer = contract.VNC
	built := run(t, componenttest.Update, args).Must(t).One(t, image).Inputs["build"].(map[string]any)["args"]
	assert.Equal(t, "vnc", built.(map[string]any)["DISPLAY_SERVER"])
	assert.NotContains(t, built, "DCV_SOURCE")
}

func TestAPushThatGaveNoDigestFails(t *testing.T) {
	r := run(t, componenttest.Update, checkout(t), componenttest.WithType(image, func(string, map[string]any) map[string]any {
		return map[string]any{"repoDigest": repository + ":latest"}
	}))
	assert.ErrorContains(t, r.Err, `the push of image "`+repository+`:latest" gave no digest`, "nothing consumes a tag")
}

func TestABuilderIsReachedAsAsked(t *testing.T) {
	args := checkout(t)
	args.Host, args.SSHOptions = pulumi.String("ssh://builder"), []string{"-F", "config"}
	assert.Equal(t, map[string]any{"disableDockerDaemonCheck": true}, run(t, componenttest.Update, args).One(t, provider).Inputs, "not where one builds locally")
	args.BuildOn = gameimage.BuildOnBuilder
	assert.Equal(t, map[string]any{"disableDockerDaemonCheck": true, "host": "ssh://builder", "sshOpts": []any{"-F", "config"}},
		run(t, componenttest.Update, args).One(t, provider).Inputs)
}

func TestTheBuilderIsStartedAndStoppedForItsImagesOnly(t *testing.T) {
	bound := func(change func(*gameimage.GameImageArgs)) []string {
		args := checkout(t)
		args.Host = pulumi.String("ssh://builder")
		change(&args)
		r := componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
			hook, err := ctx.RegisterResourceHook("start", func(*pulumi.ResourceHookArgs) error { return nil }, nil)
			if err != nil {
				return err
			}
			args.Hooks = &pulumi.ResourceHookBinding{BeforeCreate: []*pulumi.ResourceHook{hook}, BeforeUpdate: []*pulumi.ResourceHook{hook}}
			_, err = gameimage.NewGameImage(ctx, "image", &args)
			return err
		}).Must(t)
		return r.One(t, image).Hooks
	}
	assert.Equal(t, []string{"start", "start"}, bound(func(a *gameimage.GameImageArgs) { a.BuildOn = gameimage.BuildOnBuilder }))
	assert.Empty(t, bound(func(*gameimage.GameImageArgs) {}), "a local build needs no builder")

	args := checkout(t)
	args.BuildOn, args.Host, args.Hooks = gameimage.BuildOnBuilder, pulumi.String("ssh://builder"), nil
	assert.ErrorContains(t, run(t, componenttest.Preview, args).Err, `hooks is not set; allowed: the hooks that start and stop the builder`)
}

func TestAPreviewOfARepositoryAndABuilderThatAreNotThereYet(t *testing.T) {
	args := checkout(t)
	args.BuildOn = gameimage.BuildOnBuilder
	args.RepositoryURL, args.RepositoryName, args.RegistryID, args.Host = unknown(), unknown(), unknown(), unknown()
	r := run(t, componenttest.Preview, args)
	r.Must(t)
	assert.Empty(t, r.uri)
	assert.Empty(t, r.Calls)
	assert.NotContains(t, r.One(t, image).Inputs, "imageName", "the mock leaves out what isn't known")
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := run(t, componenttest.Preview, gameimage.GameImageArgs{Use: "not a tag", BuildOn: "moon"})
	require.Error(t, r.Err)
	for _, fault := range []string{
		`use is "not a tag"; allowed: a tag, or repository@sha256: and 64 hexadecimal digits`,
		`buildOn is "moon"; allowed: builder or local`,
		`baseImage is ""; allowed`,
		`displayServer is ""; allowed: dcv or vnc`,
		`maxGib is 0; allowed`,
		`stopSeconds is 0; allowed`,
		`version is ""; allowed`,
		`game is not set; allowed`,
		`branding is not set; allowed`,
		`repositoryUrl is not set; allowed: a repository`,
		"image has 10 faults",
	} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}

func TestAnImageInUseIsNamedByATagOrADigest(t *testing.T) {
	for use, valid := range map[string]bool{
		"v1.2": true, "_": true, strings.Repeat("a", 128): true, repository + "@" + digest: true, "localhost:5000/a/b@" + digest: true,
		"": true, "-v1": false, "a b": false, strings.Repeat("a", 129): false, digest: false, "game@" + digest: false,
		repository + ":v1": false, repository + ":v1@" + digest: false, repository + "@" + digest + "0": false, repository + "@sha256:11": false,
	} {
		assert.Equal(t, valid, len(componenttest.FaultsOf(&gameimage.GameImageArgs{Use: use}, "use")) == 0, use)
	}
}
