package observability_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	metricAlarm = "aws:cloudwatch/metricAlarm:MetricAlarm"

	teamTopic = "arn:aws:sns:us-east-1:123456789012:team"
	queueARN  = "arn:aws:batch:us-east-1:123456789012:job-queue/queue"
	runbooks  = "https://github.com/studio/dcv-sessions/blob/main/docs/operations.md"
)

func alarmsArgs() observability.AlarmsArgs {
	return observability.AlarmsArgs{
		Stack: "dev", QueueName: pulumi.String("queue"), QueueARN: pulumi.String(queueARN), TeamTopicARN: pulumi.String(teamTopic),
		WaitMinutes: 10, FramesPerSecond: 15, Runbooks: runbooks, Tags: map[string]string{"team": "games"},
	}
}

func runAlarms(t *testing.T, mode componenttest.Mode, args observability.AlarmsArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := observability.NewAlarms(ctx, "alarms", &args)
		return err
	})
}

func TestThereAreTheseAlarms(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		var names []string
		for _, made := range runAlarms(t, mode, alarmsArgs()).Must(t).OfType(metricAlarm) {
			names = append(names, made.Inputs["name"].(string))
			assert.Equal(t, "alarms", made.Parent)
		}
		slices.Sort(names)
		assert.Equal(t, []string{
			"dcv-sessions_dev_encoder-full", "dcv-sessions_dev_failed-configuration", "dcv-sessions_dev_failed-display", "dcv-sessions_dev_failed-game",
			"dcv-sessions_dev_failed-image", "dcv-sessions_dev_failed-internal", "dcv-sessions_dev_failed-software-rendering", "dcv-sessions_dev_few-frames",
			"dcv-sessions_dev_gpu-memory-full", "dcv-sessions_dev_memory-full", "dcv-sessions_dev_retried", "dcv-sessions_dev_waited",
		}, names)
	})
}

// A session that another host may save is counted by its retries.
func TestEachWayToFailForGoodIsAnAlarm(t *testing.T) {
	r := runAlarms(t, componenttest.Update, alarmsArgs()).Must(t)
	for _, code := range contract.ExitCodes {
		alarmed := slices.ContainsFunc(r.OfType(metricAlarm), func(made componenttest.Resource) bool { return made.Name == "alarms-failed-"+code.Name })
		assert.Equal(t, code.Code != contract.ExitOK && !code.Retry, alarmed, code.Name)
		if !alarmed {
			continue
		}
		made := r.Named(t, metricAlarm, "alarms-failed-"+code.Name).Inputs
		assert.Equal(t, map[string]any{"Stack": "dev", "Exit": code.Name}, made["dimensions"])
		assert.Equal(t, []any{"dcv-sessions", "SessionsEnded", "Sum", 1., "GreaterThanOrEqualToThreshold"},
			[]any{made["namespace"], made["metricName"], made["statistic"], made["threshold"], made["comparisonOperator"]})
	}
}

func TestAnAlarmComparesItsMetricWithTheConfiguredLimit(t *testing.T) {
	args := alarmsArgs()
	args.WaitMinutes, args.FramesPerSecond = 7, 24
	r := runAlarms(t, componenttest.Update, args).Must(t)
	for name, want := range map[string][]any{
		"waited":          {"dcv-sessions", "WaitSeconds", map[string]any{"Stack": "dev"}, "Maximum", 300., 1., "GreaterThanOrEqualToThreshold", 420.},
		"retried":         {"AWS/Batch", "JobsRetried", map[string]any{"JobQueueName": "queue"}, "Sum", 3600., 1., "GreaterThanOrEqualToThreshold", 3.},
		"memory-full":     {"dcv-sessions", "MemoryPercent", map[string]any{"Stack": "dev"}, "Maximum", 300., 3., "GreaterThanOrEqualToThreshold", 90.},
		"gpu-memory-full": {"dcv-sessions", "GPUMemoryPercent", map[string]any{"Stack": "dev"}, "Maximum", 300., 3., "GreaterThanOrEqualToThreshold", 95.},
		"encoder-full":    {"dcv-sessions", "EncoderPercent", map[string]any{"Stack": "dev"}, "Maximum", 300., 3., "GreaterThanOrEqualToThreshold", 90.},
		"few-frames":      {"dcv-sessions", "FramesPerSecond", map[string]any{"Stack": "dev"}, "Average", 300., 3., "LessThanThreshold", 24.},
	} {
		made := r.Named(t, metricAlarm, "alarms-"+name).Inputs
		assert.Equal(t, want, []any{made["namespace"], made["metricName"], made["dimensions"], made["statistic"], made["period"], made["evaluationPeriods"],
			made["comparisonOperator"], made["threshold"]}, name)
	}
	args.FramesPerSecond = 0
	for _, made := range runAlarms(t, componenttest.Update, args).Must(t).OfType(metricAlarm) {
		assert.NotEqual(t, "alarms-few-frames", made.Name, "0 is no limit")
	}
}

// The metric of an alarm comes from the table, with the dimensions that the table gives
// it; else the alarm would wait for ever.
func TestEveryAlarmWatchesAMetricThatThereIs(t *testing.T) {
	for _, made := range runAlarms(t, componenttest.Update, alarmsArgs()).Must(t).OfType(metricAlarm) {
		if made.Inputs["namespace"] != contract.MetricNamespace {
			continue
		}
		i := slices.IndexFunc(contract.Metrics, func(m contract.Metric) bool { return m.Name == made.Inputs["metricName"] })
		if !assert.GreaterOrEqual(t, i, 0, made.Name) {
			continue
		}
		row, dimensions := contract.Metrics[i], made.Inputs["dimensions"].(map[string]any)
		if row.Dimension == "" {
			assert.Len(t, dimensions, 1, made.Name)
			continue
		}
		assert.Contains(t, row.Values, dimensions[row.Dimension], made.Name)
	}
}

func TestAStackWithoutPlayersRaisesNoAlarm(t *testing.T) {
	for _, made := range runAlarms(t, componenttest.Update, alarmsArgs()).Must(t).OfType(metricAlarm) {
		assert.Equal(t, "notBreaching", made.Inputs["treatMissingData"], made.Name)
	}
}

func TestAMessageReadsWellAndNamesItsRunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	r := runAlarms(t, componenttest.Update, alarmsArgs()).Must(t)
	var texts []string
	for _, made := range r.OfType(eventTarget) {
		texts = append(texts, made.Inputs["inputTransformer"].(map[string]any)["inputTemplate"].(string))
	}
	for _, made := range r.OfType(metricAlarm) {
		text := made.Inputs["alarmDescription"].(string)
		assert.LessOrEqual(t, len(text), 1024, "PutMetricAlarm takes no longer description")
		assert.Equal(t, []any{teamTopic}, made.Inputs["alarmActions"], made.Name)
		texts = append(texts, text)
	}
	for _, text := range texts {
		before, anchor, found := strings.Cut(strings.Trim(text, `"`), " Stack: dev. Runbook: "+runbooks+"#")
		require.True(t, found, text)
		assert.Contains(t, string(page), `<a id="`+anchor+`"></a>`, "docs/operations.md has the runbook of each alarm")
		assert.Regexp(t, `^[A-Z].+\. [A-Z].+\.$`, before, "the event and its meaning for players, in sentences")
	}
	assert.Equal(t, "A session ended with exit code 66, game: the game failed: see its last lines in the log. The player saw an error page, and has to start again."+
		" Stack: dev. Runbook: "+runbooks+"#alarm-failed-game", r.Named(t, metricAlarm, "alarms-failed-game").Inputs["alarmDescription"])
}

func TestEveryFaultOfAlarmsIsNamedAtOnce(t *testing.T) {
	r := runAlarms(t, componenttest.Preview, observability.AlarmsArgs{Stack: "No", FramesPerSecond: 241})
	require.Error(t, r.Err)
	for _, fault := range []string{
		"waitMinutes is 0; allowed: a whole number from 1 to 1440", "framesPerSecond is 241; allowed: a whole number from 0 to 240", `stack is "No"`,
		"queueName is not set", "queueArn is not set", "teamTopicArn is not set", "runbooks is not set",
	} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
}
