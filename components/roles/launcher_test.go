package roles_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/roles"
)

var update = flag.Bool("update", false, "write the policy of testdata")

const (
	launcher      = "dcv:roles:LauncherPolicy"
	managedPolicy = "aws:iam/policy:Policy"
)

func launcherArgs() roles.LauncherPolicyArgs {
	return roles.LauncherPolicyArgs{
		Stack: "dev", QueueARN: pulumi.String("arn:aws:batch:us-east-1:123456789012:job-queue/queue-1"),
		LogGroupARN: pulumi.String("arn:aws:logs:us-east-1:123456789012:log-group:/dcv-sessions/dev/sessions-1"), Tags: map[string]string{"team": "games"},
	}
}

func runLauncher(t *testing.T, mode componenttest.Mode, args roles.LauncherPolicyArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := roles.NewLauncherPolicy(ctx, "launcher", &args)
		return err
	}, options...)
}

// A right that is added or taken away is seen in the difference of testdata, which
// sandbox/gateway decides by, too.
func TestALauncherMayStartFindAndEndSessionsOfItsStack(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runLauncher(t, mode, launcherArgs()).Must(t)
		assert.Equal(t, []string{managedPolicy + " launcher", launcher + " launcher"}, r.Names(), "attached to nobody")
		made := r.One(t, managedPolicy)
		assert.Equal(t, "launcher", made.Parent)
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, []byte(made.Inputs["policy"].(string)), "", "  "))
		if *update {
			require.NoError(t, os.WriteFile("testdata/launcher.json", append(pretty.Bytes(), '\n'), 0o644))
		}
		want, err := os.ReadFile("testdata/launcher.json")
		require.NoError(t, err)
		assert.Equal(t, string(want), pretty.String()+"\n")
		delete(made.Inputs, "policy")
		assert.Equal(t, map[string]any{
			"description": "start, find and end DCV sessions of stack dev",
			"tags":        map[string]any{"team": "games"},
		}, made.Inputs)
	})
}

func TestTheLaunchersOutputIsThePolicy(t *testing.T) {
	var given string
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		args := launcherArgs()
		made, err := roles.NewLauncherPolicy(ctx, "launcher", &args)
		if err != nil {
			return err
		}
		ctx.Export("given", made.ARN.ApplyT(func(arn string) string { given = arn; return arn }))
		return nil
	}).Must(t)
	assert.Equal(t, "arn:aws:iam::123456789012:policy/launcher-0a1b2c3", given)
}

func TestALauncherOfAQueueThatIsNotKnownYetKeepsOnlyThePolicyOpen(t *testing.T) {
	args := launcherArgs()
	args.QueueARN, args.LogGroupARN = unknown(), unknown()
	assert.NotContains(t, runLauncher(t, componenttest.Preview, args).Must(t).One(t, managedPolicy).Inputs, "policy")
}

func TestALaunchersARNsAreOfItsPartitionAndRegion(t *testing.T) {
	args := launcherArgs()
	args.QueueARN, args.LogGroupARN = pulumi.String("arn:queue"), pulumi.String("arn:log")
	made := runLauncher(t, componenttest.Update, args, elsewhere...).Must(t).One(t, managedPolicy)
	assert.Contains(t, made.Inputs["policy"], `"arn:aws-us-gov:batch:us-gov-west-1:123456789012:job/*"`)
	assert.NotRegexp(t, `arn:aws:|us-east-1`, made.Inputs["policy"])
}

func TestEveryFaultOfALauncherIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := runLauncher(t, componenttest.Preview, roles.LauncherPolicyArgs{Stack: ""})
	require.Error(t, r.Err)
	for _, fault := range []string{`stack is ""`, `queueArn is not set`, `logGroupArn is not set`, "launcher policy has 3 faults"} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}
