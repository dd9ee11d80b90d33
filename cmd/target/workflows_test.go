package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/infra/config"
)

type workflow struct {
	On          any               `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]job    `yaml:"jobs"`
}

type job struct {
	If          string            `yaml:"if"`
	Needs       any               `yaml:"needs"`
	Environment string            `yaml:"environment"`
	Permissions map[string]string `yaml:"permissions"`
	RunsOn      any               `yaml:"runs-on"`
	Timeout     int               `yaml:"timeout-minutes"`
	Uses        string            `yaml:"uses"`
	Concurrency struct {
		Group  string `yaml:"group"`
		Cancel bool   `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Env   map[string]string `yaml:"env"`
	Steps []step            `yaml:"steps"`
}

type step struct {
	Name string            `yaml:"name"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
}

const root = "../.."

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	require.NoError(t, err)
	all := map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var w workflow
		require.NoError(t, yaml.Unmarshal(text, &w), file)
		all[strings.TrimSuffix(filepath.Base(file), ".yml")] = w
	}
	return all
}

func TestEachJobHasItsOwnRightsAnEndAndNoMoreThanItNeeds(t *testing.T) {
	read, cloud := map[string]string{"contents": "read"}, map[string]string{"contents": "read", "id-token": "write"}
	want := map[string]map[string]string{
		"preview test": read, "preview preview": cloud, "preview comment": {"pull-requests": "write"},
		"deploy rollout": cloud, "release rollout": cloud,
		"rollout dev": cloud, "rollout prod-preview": cloud, "rollout prod": cloud,
	}
	got := map[string]map[string]string{}
	for name, w := range workflows(t) {
		assert.Equal(t, map[string]string{}, w.Permissions, "%s: none that a job doesn't name", name)
		for id, j := range w.Jobs {
			got[name+" "+id] = j.Permissions
			assert.True(t, j.Timeout > 0 || j.Uses != "", "%s %s: a time limit", name, id)
		}
	}
	assert.Equal(t, want, got)
}

// A change of the hosts waits for the sessions on the old ones. Its job needs the time
// and the credentials for that, and for the steps after it.
func TestADeploymentHasTimeForTheLongestChangeOfTheHosts(t *testing.T) {
	var timeout string
	for _, k := range config.Keys() {
		if k.Name == "compute.updateTimeoutMinutes" {
			timeout = k.Default
		}
	}
	minutes, err := strconv.Atoi(timeout)
	require.NoError(t, err)
	jobs := workflows(t)["rollout"].Jobs
	for _, id := range []string{"dev", "prod"} {
		limit := time.Duration(jobs[id].Timeout) * time.Minute
		assert.GreaterOrEqual(t, limit, compute.LongestUpdate(minutes)+25*time.Minute, "%s: and a session to try", id)
		assert.LessOrEqual(t, limit, 6*time.Hour, "%s: GitHub's own runners end it then", id)
		assert.LessOrEqual(t, limit, time.Duration(githubroles.SessionSeconds["deploy"])*time.Second, "%s: its credentials", id)
	}
}

func TestANewBuildStartsTheReleaseWithTheInputsThatItTakes(t *testing.T) {
	on := workflows(t)["release"].On.(map[string]any)
	inputs := on["workflow_dispatch"].(map[string]any)["inputs"].(map[string]any)
	assert.Equal(t, delivery.WorkflowInputs(), slices.Sorted(maps.Keys(inputs)), "GitHub refuses others")
}

func TestNothingFromAForkGetsCredentialsOrWrites(t *testing.T) {
	preview := workflows(t)["preview"]
	assert.Equal(t, "pull_request", preview.On, "never pull_request_target, which has the repository's rights")
	for id, j := range preview.Jobs {
		if id != "test" {
			assert.Contains(t, j.If, "github.event.pull_request.head.repo.full_name == github.repository", id)
		}
	}
	for _, s := range preview.Jobs["comment"].Steps {
		assert.NotContains(t, s.Uses, "checkout", "what may write runs none of the pull request's code")
	}
}

// The runner within dev's networks outlives a job: somebody else's job on it could
// wait there for the next deployment's credentials. GitHub keeps others away by the group
// (docs/delivery.md, "The runner"); here, nothing else asks for it.
func TestOnlyTheRolloutRunsOnTheRunnerWithDevsRights(t *testing.T) {
	all := workflows(t)
	const hosted, group = "ubuntu-24.04", `${{ vars.DEV_RUNNER_GROUP && fromJSON(format('{{"group":{0}}}', toJSON(vars.DEV_RUNNER_GROUP))) || 'ubuntu-24.04' }}`
	callers := map[string]any{}
	for name, w := range all {
		for id, j := range w.Jobs {
			switch {
			case j.Uses != "":
				assert.Equal(t, "./.github/workflows/rollout.yml", j.Uses, "%s %s", name, id)
				callers[name] = w.On
			case name == "rollout" && id == "dev":
				assert.Equal(t, group, j.RunsOn)
			default:
				assert.Equal(t, hosted, j.RunsOn, "%s %s: GitHub's own runner", name, id)
			}
			assert.True(t, name == "rollout" || j.Environment == "", "%s %s: a job of an environment gets the deploy role", name, id)
		}
		text, err := os.ReadFile(root + "/.github/workflows/" + name + ".yml")
		require.NoError(t, err)
		assert.Equal(t, name == "rollout", strings.Contains(string(text), "DEV_RUNNER"), name)
	}
	assert.Equal(t, []string{"workflow_call"}, triggers(all["rollout"].On), "it starts by itself with nothing")
	assert.Equal(t, []string{"deploy", "release"}, slices.Sorted(maps.Keys(callers)))
	assert.Equal(t, map[string]any{"push": map[string]any{"branches": []any{"main"}}}, callers["deploy"])
	assert.Equal(t, []string{"workflow_dispatch"}, triggers(callers["release"]))
}

// triggers returns the events that start a workflow.
func triggers(on any) []string {
	switch events := on.(type) {
	case string:
		return []string{events}
	case map[string]any:
		return slices.Sorted(maps.Keys(events))
	}
	return nil
}

func TestOneDeploymentOfAStackAtATimeWhichNothingCancels(t *testing.T) {
	jobs := workflows(t)["rollout"].Jobs
	for stack, j := range map[string]job{"dev": jobs["dev"], "prod": jobs["prod"]} {
		assert.Equal(t, "stack-"+stack, j.Concurrency.Group)
		assert.False(t, j.Concurrency.Cancel)
		assert.Equal(t, stack, j.Environment, "its token's subject, and its approval")
		last := j.Steps[len(j.Steps)-1]
		assert.Equal(t, []string{"always()", ".ci/stop-builder"}, []string{last.If, last.Run})
	}
	assert.Empty(t, jobs["prod-preview"].Environment, "it is shown before the approval")
	assert.Equal(t, []any{"dev", "prod-preview"}, []any{jobs["prod-preview"].Needs, jobs["prod"].Needs})
}

func TestProdTakesDevsImageAndDevTriesItFirst(t *testing.T) {
	jobs := workflows(t)["rollout"].Jobs
	var runs []string
	for _, s := range jobs["dev"].Steps {
		if s.Run != "" {
			runs = append(runs, s.Run)
		}
	}
	assert.Equal(t, []string{".ci/deploy", "make acceptance STACK=dev", ".ci/stop-builder"}, runs)
	image := func(id, run string) string {
		for _, s := range jobs[id].Steps {
			if s.Run == run {
				return s.Env["IMAGE"]
			}
		}
		return ""
	}
	assert.Equal(t, "${{ steps.stack.outputs.use || needs.dev.outputs.image }}", image("prod-preview", ".ci/preview"))
	assert.Equal(t, "${{ needs.prod-preview.outputs.image }}", image("prod", ".ci/deploy"), "what was approved")
}

// Credentials are a step's own, and nothing that others write is in a script's text.
func TestStepsGetCredentialsByNameAndNoValueAsCode(t *testing.T) {
	needs := regexp.MustCompile(`^(\.ci/(preview|deploy|stop-builder)|make acceptance STACK=dev)$`)
	for name, w := range workflows(t) {
		for id, j := range w.Jobs {
			for key := range j.Env {
				assert.NotRegexp(t, `^AWS_|TOKEN|SECRET`, key, "%s %s", name, id)
			}
			for _, s := range j.Steps {
				_, has := s.Env["AWS_SECRET_ACCESS_KEY"]
				assert.Equal(t, needs.MatchString(s.Run), has, "%s %s: %s", name, id, s.Name)
				assert.NotContains(t, s.Run, "${{", "%s %s: %s", name, id, s.Name)
			}
		}
	}
}

func TestEveryActionAndTheCLIAreExactReleases(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/*/*")
	require.NoError(t, err)
	nested, err := filepath.Glob(root + "/.github/actions/*/*.yml")
	require.NoError(t, err)
	uses := regexp.MustCompile(`uses: (\S+)`)
	exact := regexp.MustCompile(`^(\./\.github/\S+|[\w-]+/[\w-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40}))$`)
	found := 0
	for _, file := range append(files, nested...) {
		text, err := os.ReadFile(file)
		if err != nil { // a folder
			continue
		}
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			assert.Regexp(t, exact, m[1], file)
			found++
		}
		if strings.Contains(string(text), "pulumi/actions@") {
			assert.Regexp(t, `pulumi-version: \d+\.\d+\.\d+`, string(text))
		}
	}
	assert.Greater(t, found, 10)
}

// script runs one of .ci's scripts with a pulumi that notes its arguments, knows
// two outputs and two settings, and ends previews with a status. The
// result said has the log, the run's summary and a preview's errors.
func script(t *testing.T, name string, env map[string]string) (calls []string, outputs, said string, err error) {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{".ci", "bin"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, part), 0o755))
	}
	for _, file := range []string{name, "host-image"} {
		text, err := os.ReadFile(root + "/.ci/" + file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".ci", file), text, 0o755))
	}
	for program, body := range map[string]string{
		"pulumi": `echo "pulumi $*" >>"$CALLS"
case "$1 ${3:-}" in
"stack imageUri") [ -n "${HAS:-}" ] && echo "$HAS" ;;
"stack gameBuildsBucket") echo games ;;
"stack hostImage") [ -n "${HOSTS:-}" ] && echo "$HOSTS" ;;
"stack builderInstanceId") echo i-1 ;;
"preview "*) echo '{}'; echo why >&2; exit "${PREVIEW:-0}" ;;
"up "*) exit "${UP:-0}" ;;
"config dcv-sessions:image.use") [ "$2" = rm ] || [ -n "${USE:-}" ] && echo "${USE:-}" ;;
"config dcv-sessions:image.gameBuild.key") [ -n "${KEY:-}" ] && echo "$KEY" ;;
esac`,
		"aws": `echo "aws $*" >>"$CALLS"`,
		"go":  `echo "go $*" >>"$CALLS"; exit "${KEEP:-0}"`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", program), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
	}
	cmd := exec.Command(filepath.Join(dir, ".ci", name))
	cmd.Env = []string{
		"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "CALLS=" + filepath.Join(dir, "calls"),
		"GITHUB_OUTPUT=" + filepath.Join(dir, "outputs"), "GITHUB_STEP_SUMMARY=" + filepath.Join(dir, "summary"),
	}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(text)
	}
	return strings.Split(strings.TrimSpace(read("calls")), "\n"), read("outputs"), out.String() + read("summary") + read("preview.err"), err
}

func TestAPreviewsStatusIsAnOutputAndItsErrorsAreKept(t *testing.T) {
	calls, outputs, said, err := script(t, "preview", map[string]string{"STACK": "dev", "PREVIEW": "3"})
	require.NoError(t, err, "the summary comes first, then the failure")
	assert.Equal(t, []string{"pulumi preview --json --non-interactive --stack dev"}, calls)
	assert.Equal(t, "status=3\nimage=\n", outputs)
	assert.Contains(t, said, "why")
}

func TestAPreviewIsWithTheImageThatIsThereOrThatIsComing(t *testing.T) {
	for name, c := range map[string]struct{ image, has, want string }{
		"coming": {"a/b@sha256:1", "a/b@sha256:0", "a/b@sha256:1"}, "there": {"keep", "a/b@sha256:0", "a/b@sha256:0"}, "none yet": {"keep", "", ""},
	} {
		calls, outputs, _, err := script(t, "preview", map[string]string{"STACK": "prod", "IMAGE": c.image, "HAS": c.has})
		require.NoError(t, err, name)
		with := ""
		if c.want != "" {
			with = " --config dcv-sessions:image.use=" + c.want
		}
		assert.Equal(t, "pulumi preview --json --non-interactive --stack prod"+with, calls[len(calls)-1], name)
		assert.Equal(t, "status=0\nimage="+c.want+"\n", outputs, name)
	}
}

func TestADeploymentTakesAnImageOrTheNewestOfABuild(t *testing.T) {
	const up = "pulumi up --yes --skip-preview --non-interactive --stack "
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"as the file says": {map[string]string{"STACK": "dev"}, up + "dev"},
		"an image":         {map[string]string{"STACK": "prod", "IMAGE": "a/b@sha256:1"}, up + "prod --config dcv-sessions:image.use=a/b@sha256:1"},
		"a build": {map[string]string{"STACK": "dev", "BUILD_BUCKET": "games", "BUILD_KEY": "builds/game.tar.zst"},
			up + "dev --config dcv-sessions:image.gameBuild.key=builds/game.tar.zst --config dcv-sessions:image.gameBuild.version=latest"},
	} {
		c.env["HAS"] = "a/b@sha256:1"
		calls, outputs, _, err := script(t, "deploy", c.env)
		require.NoError(t, err, name)
		assert.Contains(t, calls, c.want, name)
		assert.Equal(t, "image=a/b@sha256:1\n", outputs, name)
		assert.Less(t, slices.Index(calls, c.want), slices.Index(calls, "go run ./cmd/deliver -stack "+c.env["STACK"]+" keep"), "what is deployed is kept")
	}
}

// A newer machine image replaces the hosts, which waits for the sessions on them.
func TestAReleaseKeepsTheHostsMachineImageAndAMergeDoesNot(t *testing.T) {
	for name, c := range map[string]struct{ release, has, want string }{
		"a release":                     {"builds/game.tar", "ami-0a", " --config dcv-sessions:compute.image=ami-0a"},
		"of a stack without the output": {"builds/game.tar", "", ""},
		"a merge":                       {"", "ami-0a", ""},
	} {
		env := map[string]string{"STACK": "prod", "IMAGE": "a/b@sha256:1", "HAS": "a/b@sha256:1", "RELEASE": c.release, "HOSTS": c.has}
		const use = " --config dcv-sessions:image.use=a/b@sha256:1"
		calls, _, _, err := script(t, "deploy", env)
		require.NoError(t, err, name)
		assert.Contains(t, calls, "pulumi up --yes --skip-preview --non-interactive --stack prod"+use+c.want, name)
		calls, _, _, err = script(t, "preview", env)
		require.NoError(t, err, name)
		assert.Contains(t, calls, "pulumi preview --json --non-interactive --stack prod"+use+c.want, name)
	}
	jobs := workflows(t)["rollout"].Jobs
	for _, id := range []string{"dev", "prod-preview", "prod"} {
		for _, s := range jobs[id].Steps {
			if s.Run == ".ci/deploy" || s.Run == ".ci/preview" {
				assert.Equal(t, "${{ inputs.key }}", s.Env["RELEASE"], id)
			}
		}
	}
}

func TestABuildGoesForwardWhereAnImageIsHeldAndSaysWhatTheNextMergeDoes(t *testing.T) {
	build := map[string]string{"STACK": "dev", "BUILD_BUCKET": "games", "BUILD_KEY": "builds/game.tar", "HAS": "a/b@sha256:1"}
	with := func(more map[string]string) map[string]string {
		env := maps.Clone(build)
		maps.Copy(env, more)
		return env
	}
	const held, other = "**Note:** Pulumi.dev.yaml holds the image a/b@sha256:0", "**Note:** Pulumi.dev.yaml names "
	let := "pulumi config rm dcv-sessions:image.use --stack dev"

	calls, _, said, err := script(t, "deploy", with(map[string]string{"USE": "a/b@sha256:0", "KEY": "builds/game.tar"}))
	require.NoError(t, err)
	require.Contains(t, calls, let)
	assert.Less(t, slices.Index(calls, let), slices.IndexFunc(calls, func(call string) bool { return strings.HasPrefix(call, "pulumi up ") }))
	assert.Contains(t, said, held)
	assert.NotContains(t, said, other)

	calls, _, said, err = script(t, "deploy", with(map[string]string{"KEY": "builds/chess.tar"}))
	require.NoError(t, err)
	assert.NotContains(t, calls, let)
	assert.Contains(t, said, other+"builds/chess.tar")
	_, _, said, err = script(t, "deploy", build)
	require.NoError(t, err)
	assert.Contains(t, said, other+"no game build")

	calls, _, said, err = script(t, "deploy", map[string]string{"STACK": "dev", "USE": "a/b@sha256:0", "HAS": "a/b@sha256:0"})
	require.NoError(t, err)
	assert.NotContains(t, calls, let, "a merge takes the file as it is")
	assert.NotContains(t, said, "Note")
}

func TestADeploymentThatFailsSaysSoAndHasNoImage(t *testing.T) {
	_, outputs, _, err := script(t, "deploy", map[string]string{"STACK": "dev", "UP": "255", "HAS": "a/b@sha256:0"})
	require.Error(t, err)
	assert.Empty(t, outputs, "prod would take it")

	_, outputs, _, err = script(t, "deploy", map[string]string{"STACK": "dev", "KEEP": "1", "HAS": "a/b@sha256:0"})
	require.Error(t, err)
	assert.Empty(t, outputs, "nobody takes what the repository may expire")

	calls, outputs, said, err := script(t, "deploy", map[string]string{"STACK": "dev", "BUILD_BUCKET": "others", "BUILD_KEY": "builds/game.tar"})
	require.Error(t, err)
	assert.Contains(t, said, "the build is in the bucket others, and dev reads builds from games")
	assert.Empty(t, outputs)
	for _, call := range calls {
		assert.NotContains(t, call, "pulumi up")
	}
}

func TestTheBuilderIsStoppedByItsID(t *testing.T) {
	calls, _, _, err := script(t, "stop-builder", map[string]string{"STACK": "dev"})
	require.NoError(t, err)
	assert.Contains(t, calls, "aws ec2 stop-instances --instance-ids i-1 --query StoppingInstances[].CurrentState.Name --output text")
}
