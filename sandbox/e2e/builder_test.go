package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// builderMinute is how long a minute of the builder's watchdog is in tests: set
// it before the local AWS starts.
const builderMinute = "1s"

// buildOnBuilder builds on the stack's builder: a container with an ssh daemon and
// a Docker of its own, made the builder by the instance's own user data. The stack
// stays as its last image made it.
func (s *sandbox) buildOnBuilder(t *testing.T, base config, out outputs.Outputs) {
	on := base.with(map[string]any{"image.buildOn": "builder", "builder.idleMinutes": 20, "builder.maxHours": 8})
	version := func(v string) config { return on.with(map[string]any{"image.version": v}) }
	login := filepath.Join(s.tree.Root, ".build", "login-sandbox")

	step := steps(t)
	// up deploys and returns the command's output.
	up := func(t *testing.T, cfg config) string {
		t.Helper()
		said, err := s.run(t, "up", "-config", cfg.write(t, s.dir))
		require.NoError(t, err, said)
		return said
	}
	stopped := func(t *testing.T, within time.Duration) {
		t.Helper()
		require.True(t, local.WaitUntil(within, func() bool { return s.builderState(t, out) == "stopped" }), "the builder is %s", s.builderState(t, out))
		assert.Empty(t, s.docker(t, "ps", "--quiet", "--filter", "name=builder-"))
		assert.NoDirExists(t, login)
	}

	step("an image is built on a builder that is made ready before and stopped behind", func(t *testing.T) {
		said := up(t, version("on-the-builder"))
		inOrder(t, said, "is ready after", "digest: sha256:", out.BuilderInstanceID+" stops")
		assert.Empty(t, s.docker(t, "images", "--quiet", "--filter", "label=org.opencontainers.image.version=on-the-builder"), "the machine that runs pulumi built nothing")
		stopped(t, 90*time.Second)
	})

	step("an installation that failed at the first start was tried again by itself", func(t *testing.T) {
		log := s.docker(t, "cp", "builder-"+out.BuilderInstanceID+":/var/log/builder-setup.log", "-")
		assert.Contains(t, log, "the mirror does not answer")
	})

	step("preview, refresh and an up without changes work while it is stopped, leave it so, and find no drift", func(t *testing.T) {
		for _, command := range []string{"preview", "refresh", "up"} {
			r := s.deploy(t, command, version("on-the-builder"))
			assert.Empty(t, changes(r), command)
			for _, step := range r.Steps {
				assert.Empty(t, step.Diffs, "%s: %s drifted", command, step.URN)
			}
		}
		stopped(t, 0)
	})

	archive := s.gameArchive(t)
	delivered := version("delivered").with(map[string]any{"image.gameBuild.key": buildKey, "image.gameBuild.version": s.upload(t, out, archive, sumOf(archive))})
	step("it is started for a game build in S3, which it reads with its own role, and finds its cache", func(t *testing.T) {
		inOrder(t, up(t, delivered), out.BuilderInstanceID+" starts", "is ready after", "CACHED", "digest: sha256:", out.BuilderInstanceID+" stops")
		stopped(t, 90*time.Second)
	})

	step("a build that fails stops it, and nothing else changes", func(t *testing.T) {
		nowhere := on.with(map[string]any{"image.displayServer": "dcv", "image.dcvSource": "http://127.0.0.1:1/dcv"})
		said, err := s.run(t, "up", "-config", nowhere.write(t, s.dir))
		require.Error(t, err, said)
		inOrder(t, said, out.BuilderInstanceID+" starts", "is ready after", "exit code", out.BuilderInstanceID+" stops")
		stopped(t, 90*time.Second)
		assert.Empty(t, changes(s.deploy(t, "up", delivered)), "the stack is as it was")
	})

	step("a run that is killed leaves it to the watchdog", func(t *testing.T) {
		impatient := version("killed").with(map[string]any{"builder.idleMinutes": 5})
		s.killUp(t, "when the builder was ready", "is ready after", "-config", impatient.write(t, s.dir))
		require.True(t, local.WaitUntil(time.Minute, func() bool { return s.builderState(t, out) == "stopped" }), "the watchdog powers it off")
		log := s.docker(t, "cp", "builder-"+out.BuilderInstanceID+":/var/log/builder-watchdog.log", "-")
		assert.Regexp(t, "nobody has built for ([5-9]|1[0-4]) minutes: power off", log, "as the configuration says: otherwise it is 15 minutes")
		inOrder(t, up(t, version("killed")), out.BuilderInstanceID+" starts", "digest: sha256:", out.BuilderInstanceID+" stops")
		stopped(t, 90*time.Second)
	})
}

// builderState is EC2's word for it.
func (s *sandbox) builderState(t *testing.T, out outputs.Outputs) string {
	t.Helper()
	found, err := s.aws(t).ec2.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{InstanceIds: []string{out.BuilderInstanceID}})
	require.NoError(t, err)
	return string(found.Reservations[0].Instances[0].State.Name)
}

// inOrder finds signs in a text, each behind the one before.
func inOrder(t *testing.T, text string, signs ...string) {
	t.Helper()
	rest := text
	for _, sign := range signs {
		_, behind, found := strings.Cut(rest, sign)
		require.True(t, found, "%q is not where it should be in:\n%s", sign, text)
		rest = behind
	}
}
