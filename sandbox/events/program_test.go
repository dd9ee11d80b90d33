package events_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/events"
)

const jobQueue = "arn:aws:batch:us-east-1:123456789012:job-queue/queue"

// notice is a rule of the program that notifies the team, with its target's transformer.
type notice struct {
	events.Pattern
	pattern     string
	transformer map[string]any
}

// notices are the program's rules about sessions, by name without the stack's prefix.
func notices(t *testing.T) map[string]notice {
	t.Helper()
	run := componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		_, err := observability.NewAlarms(ctx, "alarms", &observability.AlarmsArgs{
			Stack: "dev", QueueName: pulumi.String("queue"), QueueARN: pulumi.String(jobQueue), TeamTopicARN: pulumi.String(topics + "team"),
			WaitMinutes: 10, FramesPerSecond: 15, Runbooks: "operations.md",
		})
		return err
	}).Must(t)
	all := map[string]notice{}
	for _, rule := range run.OfType("aws:cloudwatch/eventRule:EventRule") {
		to := run.Named(t, "aws:cloudwatch/eventTarget:EventTarget", rule.Name).Inputs["inputTransformer"].(map[string]any)
		n := notice{pattern: rule.Inputs["eventPattern"].(string), transformer: map[string]any{"InputPathsMap": to["inputPaths"], "InputTemplate": to["inputTemplate"]}}
		var err error
		n.Pattern, err = events.ParsePattern(n.pattern)
		require.NoError(t, err, rule.Name)
		all[strings.TrimPrefix(rule.Inputs["name"].(string), contract.NamePrefix("dev"))] = n
	}
	return all
}

// ended is a job's last event. changes replace parts of it.
func ended(t *testing.T, changes map[string]any) events.Event {
	t.Helper()
	detail := map[string]any{
		"jobName": contract.JobName("dev", "player1"), "jobQueue": jobQueue, "status": "FAILED", "statusReason": contract.ReasonExited,
		"isCancelled": false, "isTerminated": false, "container": map[string]any{"exitCode": 137},
	}
	maps.Copy(detail, changes)
	text, err := json.Marshal(detail)
	require.NoError(t, err)
	return events.Event{Version: "0", ID: newID(), Source: "aws.batch", DetailType: "Batch Job State Change", Time: "2026-11-28T21:40:11Z", Detail: text}
}

func exit(code int) map[string]any { return map[string]any{"exitCode": code} }

// The texts are those of AWS Batch and of the ECS agent.
func TestASessionThatEndsWithoutItsLastEventIsOneMessageAndAnyOtherEndIsNone(t *testing.T) {
	c, all := newCloud(t), notices(t)
	topic := c.mailbox(t, "team")
	for name, n := range all {
		c.rule(t, name, n.pattern, map[string]any{"Arn": topic, "InputTransformer": n.transformer})
	}
	none := map[string]any{}
	for name, test := range map[string]struct {
		changes map[string]any
		message string // "" is none
		rule    string
	}{
		"out of memory": {map[string]any{"container": map[string]any{"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}},
			"was killed at 2026-11-28T21:40:11Z, since it needed more memory than session.memoryMib (exit code 137).", "failed-memory"},
		"killed": {nil, "failed at 2026-11-28T21:40:11Z with exit code 137 (AWS Batch's reason: Essential container in task exited).", "failed-otherwise"},
		"killed, of an agent that gives a reason": {map[string]any{"container": map[string]any{"exitCode": 139, "reason": `"x"`}},
			"with exit code 139", "failed-otherwise"},
		"after the last attempt": {map[string]any{"container": exit(contract.ExitGPU)}, "with exit code 82", "failed-otherwise"},
		"AWS Batch's timeout, and it ended in order": {map[string]any{"statusReason": "Job attempt duration exceeded timeout", "container": exit(0)},
			"with exit code 0 (AWS Batch's reason: Job attempt duration exceeded timeout)", "failed-otherwise"},
		"a description without isTerminated": {map[string]any{"isTerminated": nil}, "with exit code 137", "failed-otherwise"},
		"no image": {map[string]any{"statusReason": "Task failed to start", "container": map[string]any{"reason": `CannotPullContainerError: Get "https://registry/v2/": denied`}},
			"failed at 2026-11-28T21:40:11Z without an exit code (AWS Batch's reason: Task failed to start).", "failed-without-code"},
		"no secret": {map[string]any{"statusReason": "ResourceInitializationError: The task can't retrieve the secret", "container": none}, "without an exit code", "failed-without-code"},
		"no role":   {map[string]any{"statusReason": "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided", "container": none}, "without an exit code", "failed-without-code"},
		"no host": {map[string]any{"statusReason": "Host EC2 (instance i-0123) terminated.", "container": none},
			"(AWS Batch's reason: Host EC2 (instance i-0123) terminated.)", "failed-without-code"},
		"waited too long": {map[string]any{"statusReason": "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "isCancelled": true, "container": none},
			"without an exit code", "failed-without-code"},

		"its game failed, which is an alarm":                 {map[string]any{"container": exit(contract.ExitGame)}, "", ""},
		"its game needed too much memory, which is an alarm": {map[string]any{"container": map[string]any{"exitCode": contract.ExitGame, "reason": "OutOfMemoryError: Container killed due to memory usage"}}, "", ""},
		"it succeeded":                     {map[string]any{"status": "SUCCEEDED", "container": exit(0)}, "", ""},
		"it is tried again":                {map[string]any{"status": "RUNNABLE", "container": exit(contract.ExitGPU)}, "", ""},
		"somebody ended it":                {map[string]any{"statusReason": "support did it", "isTerminated": true}, "", ""},
		"somebody ended it before it ran":  {map[string]any{"statusReason": "no reason was given", "isCancelled": true, "container": none}, "", ""},
		"somebody ended it in AWS's words": {map[string]any{"isTerminated": true}, "", ""},
		"its queue was deleted":            {map[string]any{"statusReason": "Job queue deleted", "container": none}, "", ""},
		"the doctor's":                     {map[string]any{"jobName": contract.DoctorName("dev", "player1")}, "", ""},
		"another stack's":                  {map[string]any{"jobName": contract.JobName("dev-2", "player1")}, "", ""},
		"another queue's":                  {map[string]any{"jobQueue": jobQueue + "2"}, "", ""},
	} {
		e := ended(t, test.changes)
		if strings.HasPrefix(name, "a description without") {
			e.Detail = json.RawMessage(strings.Replace(string(e.Detail), `"isTerminated":null,`, "", 1))
		}
		var matched []string
		for rule, n := range all {
			if n.Matches(e) {
				matched = append(matched, rule)
			}
		}
		if test.message == "" {
			require.Empty(t, matched, name)
			continue
		}
		require.Equal(t, []string{test.rule}, matched, name)
		c.Publish(e)
		message := c.published(t, "team")
		require.Contains(t, message, `"The session dcv-sessions_dev_player1 `, name)
		require.Contains(t, message, test.message, name)
		require.Contains(t, message, "Stack: dev. Runbook: operations.md#alarm-"+test.rule, name)
	}
}
