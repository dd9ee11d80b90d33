package roles_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/roles"
)

const (
	launcher      = "dcv:roles:LauncherPolicy"
	managedPolicy = "aws:iam/policy:Policy"
)

func launcherArgs() roles.LauncherPolicyArgs {
	return roles.LauncherPolicyArgs{
		Stack: "dev", QueueARN: pulumi.String("arn:queue"), LogGroupARN: pulumi.String("arn:log"), Tags: map[string]string{"team": "games"},
	}
}

func runLauncher(t *testing.T, mode componenttest.Mode, args roles.LauncherPolicyArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := roles.NewLauncherPolicy(ctx, "launcher", &args)
		return err
	}, options...)
}

func TestALauncherMayStartFindAndEndSessionsOfItsStack(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runLauncher(t, mode, launcherArgs()).Must(t)
		assert.Equal(t, []string{managedPolicy + " launcher", launcher + " launcher"}, r.Names(), "attached to nobody")
		made := r.One(t, managedPolicy)
		assert.Equal(t, "launcher", made.Parent)
		const batch = "arn:aws:batch:us-east-1:123456789012:"
		assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [
			{"Sid": "Submit", "Effect": "Allow", "Action": "batch:SubmitJob",
			 "Resource": ["`+batch+`job-definition/dcv-sessions_dev_*", "`+batch+`job/*", "arn:queue"]},
			{"Sid": "TagWhatIsSubmitted", "Effect": "Allow", "Action": "batch:TagResource", "Resource": "`+batch+`job/*",
			 "Condition": {"StringEquals": {"aws:RequestTag/dcv-sessions:stack": "dev"},
			               "StringEqualsIfExists": {"aws:ResourceTag/dcv-sessions:stack": "dev"}}},
			{"Sid": "End", "Effect": "Allow", "Action": ["batch:CancelJob", "batch:TerminateJob"], "Resource": "`+batch+`job/*",
			 "Condition": {"StringEquals": {"aws:ResourceTag/dcv-sessions:stack": "dev"}}},
			{"Sid": "Find", "Effect": "Allow", "Action": ["batch:DescribeJobs", "batch:ListJobs"], "Resource": "*"},
			{"Sid": "ReadLog", "Effect": "Allow", "Action": ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
			 "Resource": ["arn:log", "arn:log:*"]}]}`, made.Inputs["policy"].(string))
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
	made := runLauncher(t, componenttest.Update, launcherArgs(), elsewhere...).Must(t).One(t, managedPolicy)
	assert.Contains(t, made.Inputs["policy"], `"arn:aws-us-gov:batch:us-gov-west-1:123456789012:job/*"`)
	assert.NotRegexp(t, `arn:aws:|us-east-1`, made.Inputs["policy"])
}

func TestEveryFaultOfALauncherIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := runLauncher(t, componenttest.Preview, roles.LauncherPolicyArgs{Stack: ""})
	require.Error(t, r.Err)
	for _, fault := range []string{`stack: ""`, `queueArn: "nothing"`, `logGroupArn: "nothing"`, "launcher policy has 3 faults"} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}
