package builder_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/componenttest"
)

// cloud is EC2 and Systems Manager with one instance, which takes its time. It
// records the changes that it is asked for.
type cloud struct {
	t       *testing.T
	hostKey string

	mu         sync.Mutex
	state      ec2types.InstanceStateName
	since      time.Time // of the state
	calls      []string
	scripts    []string
	faults     map[string]error // by operation
	dockerDead bool
	onlineIn   time.Duration
}

func newCloud(t *testing.T, state ec2types.InstanceStateName) *cloud {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return &cloud{t: t, hostKey: string(ssh.MarshalAuthorizedKey(key)), state: state, since: time.Now(), faults: map[string]error{}, onlineIn: 40 * time.Second}
}

// takes is how long a state lasts that is on the way to another.
const takes = 30 * time.Second

// called lets a call in; the machine's state is looked at anew.
func (c *cloud) called(operation string, ids []string) (unlock func(), err error) {
	c.mu.Lock()
	if time.Since(c.since) >= takes {
		switch c.state {
		case ec2types.InstanceStateNamePending:
			c.state, c.since = ec2types.InstanceStateNameRunning, time.Now()
		case ec2types.InstanceStateNameStopping:
			c.state, c.since = ec2types.InstanceStateNameStopped, time.Now()
		}
	}
	assert.Equal(c.t, []string{"i-1"}, ids, operation)
	return c.mu.Unlock, c.faults[operation]
}

func (c *cloud) DescribeInstances(_ context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	unlock, err := c.called("DescribeInstances", in.InstanceIds)
	defer unlock()
	return &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{{Instances: []ec2types.Instance{{State: &ec2types.InstanceState{Name: c.state}}}}}}, err
}

func (c *cloud) StartInstances(_ context.Context, in *ec2.StartInstancesInput, _ ...func(*ec2.Options)) (*ec2.StartInstancesOutput, error) {
	unlock, err := c.called("StartInstances", in.InstanceIds)
	defer unlock()
	assert.Equal(c.t, ec2types.InstanceStateNameStopped, c.state, "IncorrectInstanceState")
	c.calls = append(c.calls, "start")
	c.state, c.since = ec2types.InstanceStateNamePending, time.Now()
	return &ec2.StartInstancesOutput{}, err
}

func (c *cloud) StopInstances(ctx context.Context, in *ec2.StopInstancesInput, _ ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error) {
	unlock, err := c.called("StopInstances", in.InstanceIds)
	defer unlock()
	_, bounded := ctx.Deadline()
	assert.True(c.t, bounded)
	c.calls = append(c.calls, "stop")
	c.state, c.since = ec2types.InstanceStateNameStopping, time.Now()
	return &ec2.StopInstancesOutput{}, err
}

func (c *cloud) DescribeInstanceInformation(_ context.Context, in *ssm.DescribeInstanceInformationInput, _ ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error) {
	unlock, err := c.called("DescribeInstanceInformation", in.Filters[0].Values)
	defer unlock()
	out := &ssm.DescribeInstanceInformationOutput{}
	if time.Since(c.since) >= c.onlineIn {
		out.InstanceInformationList = []ssmtypes.InstanceInformation{{PingStatus: ssmtypes.PingStatusOnline}}
	}
	return out, err
}

func (c *cloud) SendCommand(_ context.Context, in *ssm.SendCommandInput, _ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	unlock, err := c.called("SendCommand", in.InstanceIds)
	defer unlock()
	assert.Equal(c.t, "AWS-RunShellScript", *in.DocumentName)
	c.scripts = append(c.scripts, in.Parameters["commands"][0])
	return &ssm.SendCommandOutput{Command: &ssmtypes.Command{CommandId: aws.String(fmt.Sprint(len(c.scripts)))}}, err
}

// GetCommandInvocation: the first command finds no Docker yet.
func (c *cloud) GetCommandInvocation(_ context.Context, in *ssm.GetCommandInvocationInput, _ ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error) {
	unlock, err := c.called("GetCommandInvocation", []string{*in.InstanceId})
	defer unlock()
	if c.dockerDead || *in.CommandId == "1" {
		return &ssm.GetCommandInvocationOutput{Status: ssmtypes.CommandInvocationStatusFailed, StandardErrorContent: aws.String("…\nCannot connect to the Docker daemon\n")}, err
	}
	return &ssm.GetCommandInvocationOutput{Status: ssmtypes.CommandInvocationStatusSuccess, StandardOutputContent: &c.hostKey}, err
}

func (c *cloud) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, what)
}

const builderURN = "urn:pulumi:dev::dcv-sessions::dcv:builder:Builder$aws:ec2/instance:Instance::builder"

func loginDir(t *testing.T) string { return filepath.Join(t.TempDir(), "build", "login-test") }

// hooks gives a builder's hooks to a test, which calls them as the engine does,
// by a clock of its own.
func hooks(t *testing.T, mode componenttest.Mode, c *cloud, dir string, test func(*pulumi.ResourceHookBinding)) {
	t.Helper()
	var bound *pulumi.ResourceHookBinding
	componenttest.Execute(t, mode, func(ctx *pulumi.Context) (err error) {
		bound, err = builder.Hooks(ctx, "builder", &builder.HooksArgs{
			EC2: c, SSM: c, InstanceID: pulumi.String("i-1"), InstanceURN: pulumi.String(builderURN), LoginDir: dir, IdleMinutes: 7, MaxHours: 3,
		})
		return err
	}).Must(t)
	synctest.Test(t, func(*testing.T) {
		c.since = time.Now()
		test(bound)
	})
}

// image is one that is built as the engine does it.
func (c *cloud) image(bound *pulumi.ResourceHookBinding, name string, build error) error {
	urn := pulumi.URN(name)
	if err := bound.BeforeCreate[0].Callback(&pulumi.ResourceHookArgs{URN: urn}); err != nil {
		return err
	}
	c.note("build " + name)
	if build != nil {
		again, err := bound.OnError[0].Callback(&pulumi.ErrorHookArgs{URN: urn, FailedOperation: "create", Errors: []string{build.Error()}})
		assert.False(c.t, again)
		assert.NoError(c.t, err)
		return build
	}
	return bound.AfterCreate[0].Callback(&pulumi.ResourceHookArgs{URN: urn})
}

func TestTheBuilderRunsWhileAnImageIsBuiltAndNoLonger(t *testing.T) {
	for name, from := range map[string]ec2types.InstanceStateName{
		"stopped": ec2types.InstanceStateNameStopped, "still stopping": ec2types.InstanceStateNameStopping,
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := newCloud(t, from), loginDir(t)
			hooks(t, componenttest.Update, c, dir, func(bound *pulumi.ResourceHookBinding) {
				require.NoError(t, c.image(bound, "image", nil))
			})
			assert.Equal(t, []string{"start", "build image", "stop"}, c.calls)
			assert.NoDirExists(t, dir, "the key ends with the run")
		})
	}
	t.Run("new, and so running", func(t *testing.T) {
		c := newCloud(t, ec2types.InstanceStateNamePending)
		hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
			require.NoError(t, c.image(bound, "image", nil))
		})
		assert.Equal(t, []string{"build image", "stop"}, c.calls)
	})
}

func TestABuildThatFailsStopsTheBuilderToo(t *testing.T) {
	c, dir := newCloud(t, ec2types.InstanceStateNameStopped), loginDir(t)
	hooks(t, componenttest.Update, c, dir, func(bound *pulumi.ResourceHookBinding) {
		require.EqualError(t, c.image(bound, "image", errors.New("exit code 100")), "exit code 100", "and keeps its own words")
		c.faults["StopInstances"] = errors.New("no right")
		require.EqualError(t, c.image(bound, "image", errors.New("exit code 100")), "exit code 100", "though the stop fails")
	})
	assert.Equal(t, []string{"start", "build image", "stop", "start", "build image", "stop"}, c.calls)
	assert.NoDirExists(t, dir)
}

func TestAStopThatFailsFailsTheRun(t *testing.T) {
	c := newCloud(t, ec2types.InstanceStateNameStopped)
	c.faults["StopInstances"] = errors.New("no right")
	hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		assert.EqualError(t, c.image(bound, "image", nil), "builder i-1 may still run, until its watchdog ends it: no right")
	})
}

func TestAStartThatFailsStopsWhatItStarted(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*cloud)
		calls  []string
		fault  string
	}{
		"no capacity":      {func(c *cloud) { c.faults["StartInstances"] = errors.New("InsufficientInstanceCapacity") }, []string{"start", "stop"}, "builder i-1: InsufficientInstanceCapacity"},
		"the agent is off": {func(c *cloud) { c.onlineIn = time.Hour }, []string{"start", "stop"}, "waited until Systems Manager reaches it, for 19m29s (its agent has not reported): context deadline exceeded"},
		"Docker is dead":   {func(c *cloud) { c.dockerDead = true }, []string{"start", "stop"}, "(Cannot connect to the Docker daemon): context deadline exceeded"},
		"no host key":      {func(c *cloud) { c.hostKey = "nothing" }, []string{"start", "stop"}, `its host key, "nothing"`},
		"it is gone":       {func(c *cloud) { c.state = ec2types.InstanceStateNameTerminated }, []string{"stop"}, "it is terminated and can't be started"},
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := newCloud(t, ec2types.InstanceStateNameStopped), loginDir(t)
			test.change(c)
			hooks(t, componenttest.Update, c, dir, func(bound *pulumi.ResourceHookBinding) {
				assert.ErrorContains(t, c.image(bound, "image", nil), test.fault)
			})
			assert.Equal(t, test.calls, c.calls, "and nothing was built")
			assert.NoDirExists(t, dir)
		})
	}
}

// A machine may be beyond repair, such as one whose distribution has no package of
// Docker any more.
func TestAMachineThatDoesNotGetReadyIsReplacedByTheCommandThatTheErrorNames(t *testing.T) {
	c := newCloud(t, ec2types.InstanceStateNameStopped)
	c.dockerDead = true
	hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		assert.ErrorContains(t, c.image(bound, "image", nil), "pulumi up --stack "+componenttest.Stack+" --replace '"+builderURN+"'")
	})
}

// The watchdog's limit of idle minutes is shorter than the time that a run waits.
func TestAMachineThatARunWaitsForIsNotIdle(t *testing.T) {
	c, root := newCloud(t, ec2types.InstanceStateNameStopped), t.TempDir()
	hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		require.NoError(t, c.image(bound, "image", nil))
	})
	busy := filepath.Join(root, "run/builder/busy")
	require.NoError(t, os.MkdirAll(filepath.Dir(busy), 0o755))
	require.NoError(t, os.WriteFile(busy, []byte("1"), 0o644))
	script := strings.NewReplacer("/run/", root+"/run/", "/var/", root+"/var/").Replace(c.scripts[0])
	said, err := exec.Command("sh", "-c", script).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), "the machine is still being set up")
	assert.NoFileExists(t, busy)
	limits, err := os.ReadFile(filepath.Join(root, "run/builder/limits"))
	require.NoError(t, err)
	assert.Equal(t, "IDLE_MINUTES=7\nMAX_HOURS=3\n", string(limits))
}

func TestTwoImagesShareOneBuilder(t *testing.T) {
	c := newCloud(t, ec2types.InstanceStateNameStopped)
	hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		before, after := bound.BeforeCreate[0].Callback, bound.AfterUpdate[0].Callback
		require.NoError(t, before(&pulumi.ResourceHookArgs{URN: "one"}))
		require.NoError(t, before(&pulumi.ResourceHookArgs{URN: "two"}))
		require.NoError(t, after(&pulumi.ResourceHookArgs{URN: "one"}))
		assert.Equal(t, []string{"start"}, c.calls, "the other one is at work")
		_, err := bound.OnError[0].Callback(&pulumi.ErrorHookArgs{URN: "two", FailedOperation: "update"})
		require.NoError(t, err)
		assert.Equal(t, []string{"start", "stop"}, c.calls)
		_, err = bound.OnError[0].Callback(&pulumi.ErrorHookArgs{URN: "three", FailedOperation: "delete"})
		require.NoError(t, err)
		assert.Equal(t, []string{"start", "stop"}, c.calls, "who did not build stops nothing")
		require.NoError(t, c.image(bound, "three", nil))
	})
	assert.Equal(t, []string{"start", "stop", "start", "build three", "stop"}, c.calls)
}

func TestAPreviewCallsNothing(t *testing.T) {
	c := newCloud(t, ec2types.InstanceStateNameStopped)
	c.faults["StopInstances"] = errors.New("called")
	hooks(t, componenttest.Preview, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		again, err := bound.OnError[0].Callback(&pulumi.ErrorHookArgs{URN: "image", FailedOperation: "create"})
		assert.False(t, again)
		assert.NoError(t, err)
	})
	assert.Empty(t, c.calls)
}

func TestHooksAreBoundToCreateAndUpdateAndNeverToDelete(t *testing.T) {
	c := newCloud(t, ec2types.InstanceStateNameStopped)
	hooks(t, componenttest.Update, c, loginDir(t), func(bound *pulumi.ResourceHookBinding) {
		assert.Equal(t, bound.BeforeCreate, bound.BeforeUpdate)
		assert.Equal(t, bound.AfterCreate, bound.AfterUpdate)
		assert.Equal(t, []string{"builder-start", "builder-stop", "builder-failed"}, []string{bound.BeforeCreate[0].Name, bound.AfterCreate[0].Name, bound.OnError[0].Name})
		assert.Empty(t, bound.BeforeDelete)
		assert.Empty(t, bound.AfterDelete)
	})
}

func TestARunsLoginIsItsOwnAndKnowsItsHost(t *testing.T) {
	c, dir := newCloud(t, ec2types.InstanceStateNameStopped), loginDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "left by a run that was killed"), 0o755))
	hooks(t, componenttest.Update, c, dir, func(bound *pulumi.ResourceHookBinding) {
		require.NoError(t, bound.BeforeUpdate[0].Callback(&pulumi.ResourceHookArgs{URN: "image"}))
		for file, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, dir + "/key": 0o600} {
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode(), file)
		}
		hosts, err := os.ReadFile(dir + "/known_hosts")
		require.NoError(t, err)
		assert.Equal(t, "i-1 "+c.hostKey, string(hosts))

		text, err := os.ReadFile(dir + "/key")
		require.NoError(t, err)
		private, err := ssh.ParsePrivateKey(text)
		require.NoError(t, err)
		public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(private.PublicKey())))
		for _, script := range c.scripts {
			assert.Contains(t, script, `echo "restrict,command=\"docker system dial-stdio\",expiry-time=\"$until\" `+public+`" >/run/builder/authorized_keys`)
			assert.Contains(t, script, `IDLE_MINUTES=7\nMAX_HOURS=3\n`)
			assert.NotContains(t, script, "PRIVATE KEY")
		}
		require.NoError(t, bound.AfterUpdate[0].Callback(&pulumi.ResourceHookArgs{URN: "image"}))
	})
	assert.NoDirExists(t, dir)
}

func TestSSHAsksNobodyAndTrustsTheKnownHostOnly(t *testing.T) {
	options := strings.Join(builder.SSHOptions("../.build/login-dev", builder.SessionManager("eu-west-1", "games")), " ")
	for _, want := range []string{
		"-F none", "StrictHostKeyChecking=yes", "UserKnownHostsFile=../.build/login-dev/known_hosts", "GlobalKnownHostsFile=none",
		"IdentityFile=../.build/login-dev/key", "IdentitiesOnly=yes", "BatchMode=yes", "ServerAliveInterval=15",
		"ProxyCommand=aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p --region eu-west-1 --profile games",
	} {
		assert.Contains(t, options, want)
	}
	assert.NotContains(t, builder.SessionManager("eu-west-1", ""), "profile")
}

func TestHooksTellEveryFaultAtOnce(t *testing.T) {
	r := componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		_, err := builder.Hooks(ctx, "builder", &builder.HooksArgs{})
		return err
	})
	assert.ErrorContains(t, r.Err, "builder hooks has 6 faults")
}
