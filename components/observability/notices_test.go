package observability_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	eventRule   = "aws:cloudwatch/eventRule:EventRule"
	eventTarget = "aws:cloudwatch/eventTarget:EventTarget"
)

func TestABlockedQueueIsToldWithAWSsReason(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runAlarms(t, mode, alarmsArgs()).Must(t)
		rule, target := r.Named(t, eventRule, "alarms-queue-blocked"), r.Named(t, eventTarget, "alarms-queue-blocked")
		assert.Equal(t, "dcv-sessions_dev_queue-blocked", rule.Inputs["name"])
		assert.Equal(t, `{"source":["aws.batch"],"detail-type":["Batch Job Queue Blocked"],"detail":{"jobQueue":["`+queueARN+`"]}}`, rule.Inputs["eventPattern"])
		assert.Equal(t, teamTopic, target.Inputs["arn"])
		assert.Equal(t, map[string]any{
			"inputPaths": map[string]any{"job": "$.detail.jobName", "reason": "$.detail.statusReason", "time": "$.time"},
			"inputTemplate": `"The session <job> can't start since <time>. AWS Batch's reason: <reason>. Its player waits, and so does everybody behind it.` +
				` Stack: dev. Runbook: ` + runbooks + `#alarm-queue-blocked"`,
		}, target.Inputs["inputTransformer"])
	})
}

// The patterns are tried on events in sandbox/events.
func TestASessionThatEndsWithoutItsLastEventIsToldWithAWSsReason(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runAlarms(t, mode, alarmsArgs()).Must(t)
		for name, message := range map[string]string{
			"failed-memory":       "The session <job> was killed at <time>, since it needed more memory than session.memoryMib (exit code <code>). The player lost the game in the middle of it, and has to start again.",
			"failed-otherwise":    "The session <job> failed at <time> with exit code <code> (AWS Batch's reason: <reason>). The player has to start again.",
			"failed-without-code": "The session <job> failed at <time> without an exit code (AWS Batch's reason: <reason>). The player has to start again.",
		} {
			target := r.Named(t, eventTarget, "alarms-"+name)
			assert.Equal(t, []any{teamTopic, "dcv-sessions_dev_" + name}, []any{target.Inputs["arn"], r.Named(t, eventRule, "alarms-"+name).Inputs["name"]})
			transformer := target.Inputs["inputTransformer"].(map[string]any)
			assert.Equal(t, `"`+message+` Stack: dev. Runbook: `+runbooks+`#alarm-`+name+`"`, transformer["inputTemplate"])
			for variable := range transformer["inputPaths"].(map[string]any) {
				assert.Contains(t, message, "<"+variable+">")
			}
			assert.Equal(t, strings.Count(message, "<"), len(transformer["inputPaths"].(map[string]any)), "every variable has its path")
		}
		assert.Len(t, r.OfType(eventRule), 4)
	})
}

// A failure is an alarm or a message, and never both.
func TestEveryExitCodeOfAFailureHasAnAlarmOrAMessage(t *testing.T) {
	r := runAlarms(t, componenttest.Update, alarmsArgs()).Must(t)
	var pattern struct {
		Detail struct {
			JobName      []map[string]string
			Status       []string
			StatusReason []map[string]string
			Container    struct {
				ExitCode []map[string][]int
			}
		}
	}
	text := r.Named(t, eventRule, "alarms-failed-otherwise").Inputs["eventPattern"].(string)
	assert.LessOrEqual(t, len(text), 2048, "PutRule takes no longer pattern")
	require.NoError(t, json.Unmarshal([]byte(text), &pattern))
	excluded := pattern.Detail.Container.ExitCode[0]["anything-but"]
	for _, code := range contract.ExitCodes {
		alarmed := slices.ContainsFunc(r.OfType(metricAlarm), func(made componenttest.Resource) bool { return made.Name == "alarms-failed-"+code.Name })
		assert.Equal(t, alarmed, slices.Contains(excluded, code.Code), code.Name)
	}
	assert.Equal(t, []map[string]string{{"prefix": "dcv-sessions_dev_"}}, pattern.Detail.JobName, "a run of the doctor is no session")
	for _, reason := range pattern.Detail.StatusReason {
		assert.Contains(t, contract.ReasonsNotAsked, reason["prefix"])
	}
	assert.Len(t, pattern.Detail.StatusReason, len(contract.ReasonsNotAsked))
}
