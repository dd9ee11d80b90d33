package gameimage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/gameimage"
)

const getObject = "aws:s3/getObject:getObject"

var checksum = strings.Repeat("ab", 32)

// ofBuild is a checkout whose game lies in S3.
func ofBuild(t *testing.T, version string) gameimage.GameImageArgs {
	t.Helper()
	args := checkout(t)
	args.Game = ""
	args.BuildOn, args.Host = gameimage.BuildOnBuilder, pulumi.String("ssh://builder")
	args.Build = &gameimage.GameBuild{Bucket: pulumi.String("games"), Key: "builds/chess-2.tar.zst", Version: version, Region: "us-east-1"}
	return args
}

// answering is S3 with one object.
func answering(asked *map[string]any, version string, metadata map[string]any) componenttest.Option {
	return componenttest.WithCall(getObject, func(args map[string]any) (map[string]any, error) {
		if asked != nil {
			*asked = args
		}
		return map[string]any{"versionId": version, "metadata": metadata}, nil
	})
}

// sized is S3 with an object of so many bytes.
func sized(bytes int) componenttest.Option {
	return componenttest.WithCall(getObject, func(map[string]any) (map[string]any, error) {
		return map[string]any{"versionId": "v7", "metadata": map[string]any{"sha256": checksum}, "contentLength": bytes}, nil
	})
}

func argsOf(t *testing.T, r *made) map[string]any {
	t.Helper()
	return r.One(t, image).Inputs["build"].(map[string]any)["args"].(map[string]any)
}

func TestTheNewestGameBuildIsNamedByItsVersionAtPreview(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		var asked map[string]any
		r := run(t, mode, ofBuild(t, gameimage.Latest), answering(&asked, "v7", map[string]any{"sha256": strings.ToUpper(checksum)}))
		r.Must(t)
		assert.Equal(t, map[string]any{"bucket": "games", "key": "builds/chess-2.tar.zst"}, asked, "the newest, whichever it is")
		assert.Equal(t, map[string]any{
			"BASE_IMAGE": "ubuntu:24.04", "DISPLAY_SERVER": "dcv", "DCV_SOURCE": "https://example.com/dcv", "VERSION": "1.2.3", "STOP_SECONDS": "30", "GAME_MAX_GIB": "40",
			"GAME": "chess-2.tar.zst", "GAME_SOURCE": "s3", "GAME_BUCKET": "games", "GAME_KEY": "builds/chess-2.tar.zst", "GAME_VERSION": "v7", "GAME_SHA256": checksum,
			"AWS_REGION": "us-east-1",
		}, argsOf(t, r))
		assert.Regexp(t, `^chess-2-[0-9a-f]{16}$`, r.tag)
		assert.Equal(t, repository+":"+r.tag, r.One(t, image).Inputs["imageName"])
	})
}

func TestAGivenVersionIsTheOneThatIsBuilt(t *testing.T) {
	var asked map[string]any
	r := run(t, componenttest.Preview, ofBuild(t, "v3"), answering(&asked, "v3", map[string]any{"sha256": checksum}))
	r.Must(t)
	assert.Equal(t, "v3", asked["versionId"])
	assert.Equal(t, "v3", argsOf(t, r)["GAME_VERSION"])
}

func TestTheGameDoesNotPassThroughTheMachineThatRunsPulumi(t *testing.T) {
	args := ofBuild(t, gameimage.Latest)
	run(t, componenttest.Preview, args, answering(nil, "v7", map[string]any{"sha256": checksum})).Must(t)
	staged, err := os.ReadDir(filepath.Join(args.StagingDir, "game"))
	require.NoError(t, err, "the Dockerfile mounts it")
	assert.Empty(t, staged)
	info, err := os.Stat(filepath.Join(args.StagingDir, "game"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), info.Mode().Perm())
}

func TestEndpointsOfOnesOwnReachTheBuild(t *testing.T) {
	args := ofBuild(t, gameimage.Latest)
	args.BuildOn, args.Build.Endpoint, args.Build.MetadataEndpoint = gameimage.BuildOnLocal, "http://127.0.0.1:1", "http://127.0.0.1:2"
	r := run(t, componenttest.Update, args, answering(nil, "v7", map[string]any{"sha256": checksum}))
	r.Must(t)
	assert.Equal(t, "http://127.0.0.1:1", argsOf(t, r)["AWS_ENDPOINT_URL"])
	assert.Equal(t, "http://127.0.0.1:2", argsOf(t, r)["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
}

func TestABuildMadeHereNeedsAMetadataEndpoint(t *testing.T) {
	args := ofBuild(t, gameimage.Latest)
	args.BuildOn = gameimage.BuildOnLocal
	r := run(t, componenttest.Preview, args)
	assert.ErrorContains(t, r.Err, "build.metadataEndpoint")
	assert.Empty(t, r.Resources)
}

func TestEachVersionOfABuildIsAnImageOfItsOwn(t *testing.T) {
	tag := func(version, sum, bucket string) string {
		args := ofBuild(t, gameimage.Latest)
		args.Build.Bucket = pulumi.String(bucket)
		return run(t, componenttest.Preview, args, answering(nil, version, map[string]any{"sha256": sum})).tag
	}
	first := tag("v1", checksum, "games")
	assert.NotEqual(t, first, tag("v2", checksum, "games"))
	assert.NotEqual(t, first, tag("v1", strings.Repeat("0", 64), "games"))
	assert.Equal(t, first, tag("v1", checksum, "other"), "wherever it lies")
}

func TestABuildThatCannotBeCheckedIsRefusedAtPreview(t *testing.T) {
	for name, c := range map[string]struct {
		answer componenttest.Option
		want   []string
	}{
		"gone": {componenttest.WithCall(getObject, func(map[string]any) (map[string]any, error) { return nil, errors.New("NotFound") }),
			[]string{"there is no s3://games/builds/chess-2.tar.zst version latest", "NotFound"}},
		"without checksum":   {answering(nil, "v7", nil), []string{"version v7", `sha256=""`, "docs/delivery.md"}},
		"with another's sum": {answering(nil, "v7", map[string]any{"sha256": "abc-3"}), []string{`sha256="abc-3"`}},
		"too large":          {sized(41 << 30), []string{"more than 40 GiB", "image.gameMaxGib"}},
		"without versions":   {answering(nil, "null", map[string]any{"sha256": checksum}), []string{"the bucket needs versioning"}},
		"without a version":  {answering(nil, "", map[string]any{"sha256": checksum}), []string{"the bucket needs versioning"}},
	} {
		r := run(t, componenttest.Preview, ofBuild(t, gameimage.Latest), c.answer)
		require.Error(t, r.Err, name)
		for _, part := range append(c.want, "image.gameBuild") {
			assert.ErrorContains(t, r.Err, part, name)
		}
		assert.Empty(t, r.OfType(image), name)
	}
}

func TestABucketThatIsNotThereYetIsAskedInTheUpdate(t *testing.T) {
	args := ofBuild(t, gameimage.Latest)
	args.Build.Bucket = unknown()
	r := run(t, componenttest.Preview, args)
	r.Must(t)
	assert.NotContains(t, r.Calls, getObject)
	assert.Empty(t, r.tag)
}

func TestABuildIsNamedByAPlainKeyOfAnArchive(t *testing.T) {
	for key, valid := range map[string]bool{
		"game.tar": true, "builds/game-1.4_x.tar.zst": true, "a/b/c.tgz": true, "game.zip": true,
		"": false, "/game.tar": false, "builds/": false, "builds//game.tar": false, "../game.tar": false, "game.7z": false,
		"builds/my game.tar": false, "builds/spiel-ä.tar": false, strings.Repeat("a", 600) + ".tar": false,
	} {
		assert.Equal(t, valid, key != "" && len(componenttest.FaultsOf(&gameimage.GameBuild{Key: key}, "key")) == 0, key)
	}
	for version, valid := range map[string]bool{"latest": true, "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY_x": true, "": false, "null": false, "a b": false} {
		assert.Equal(t, valid, len(componenttest.FaultsOf(&gameimage.GameBuild{Version: version}, "version")) == 0, version)
	}
}
