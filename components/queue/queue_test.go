package queue_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/queue"
)

const jobQueue = "aws:batch/jobQueue:JobQueue"

func run(t *testing.T, mode componenttest.Mode, args queue.QueueArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		made, err := queue.NewQueue(ctx, "queue", &args)
		if err != nil {
			return err
		}
		ctx.Export("arn", made.ARN)
		return nil
	})
}

func environments(arns ...string) []pulumi.StringInput {
	var list []pulumi.StringInput
	for _, arn := range arns {
		list = append(list, pulumi.String(arn))
	}
	return list
}

func TestTheQueueTriesEnvironmentsInTheOrderGivenAndCancelsWhatIsStuck(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, queue.QueueArgs{
			EnvironmentARNs: environments("arn:on-demand", "arn:spot"), MaxWaitMinutes: 30, Tags: map[string]string{"team": "games"},
		}).Must(t)
		assert.Equal(t, []string{jobQueue + " queue", "dcv:queue:Queue queue"}, r.Names())
		made := r.One(t, jobQueue)
		assert.Equal(t, "queue", made.Parent)
		limit := func(reason string) any {
			return map[string]any{"action": "CANCEL", "state": "RUNNABLE", "reason": reason, "maxTimeSeconds": 1800.}
		}
		assert.Equal(t, map[string]any{
			"state":    "ENABLED",
			"priority": 1.,
			"computeEnvironmentOrders": []any{
				map[string]any{"computeEnvironment": "arn:on-demand", "order": 1.},
				map[string]any{"computeEnvironment": "arn:spot", "order": 2.},
			},
			"jobStateTimeLimitActions": []any{
				limit("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
				limit("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"),
				limit("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
			},
			"tags": map[string]any{"team": "games"},
		}, made.Inputs, "nothing more: no scheduling policy, which could never be removed, and no fixed name")
	})
}

func TestAQueueTakesOneToThreeEnvironments(t *testing.T) {
	for count, good := range map[int]bool{0: false, 1: true, 3: true, 4: false} {
		args := queue.QueueArgs{EnvironmentARNs: environments("a", "b", "c", "d")[:count], MaxWaitMinutes: 10}
		r := run(t, componenttest.Preview, args)
		assert.Equal(t, good, r.Err == nil, "%d: %v", count, r.Err)
	}
}

func TestTheWaitIsWithinAWSBatchsLimits(t *testing.T) {
	for minutes, good := range map[int]bool{0: false, 9: false, 10: true, 1440: true, 1441: false} {
		r := run(t, componenttest.Preview, queue.QueueArgs{EnvironmentARNs: environments("a"), MaxWaitMinutes: minutes})
		assert.Equal(t, good, r.Err == nil, "%d: %v", minutes, r.Err)
	}
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := run(t, componenttest.Preview, queue.QueueArgs{EnvironmentARNs: []pulumi.StringInput{nil}, MaxWaitMinutes: 9})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, `environmentArns[0] is not set; allowed: an ARN`)
	assert.ErrorContains(t, r.Err, "maxWaitMinutes is 9; allowed: a whole number from 10 to 1440")
	assert.Empty(t, r.Resources)
}
