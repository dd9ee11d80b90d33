package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	alarmtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/causes"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// alarmMinute is how long a minute of the alarms' periods is in tests: set it before the
// local AWS starts.
const alarmMinute = "1s"

// alarms are the deployed stack's alarms, with the log that they watch and a mailbox.
type alarms struct {
	cloudClients
	*testing.T
	*mailbox
	out     outputs.Outputs
	metrics *cloudwatch.Client
	logs    *cloudwatchlogs.Client
	stream  string
}

// raisedBySessions are the alarms that the sessions of later steps raise: launchSessions
// and overrideVariables.
var raisedBySessions = []string{"failed-configuration", "failed-game", "failed-software-rendering"}

// raiseAlarms causes every alarm of the stack once, by the event that it waits for.
func (s *sandbox) raiseAlarms(t *testing.T, out outputs.Outputs) {
	a := s.alarms(t, out)
	step := steps(t)
	step("without a cause no alarm is raised", func(t *testing.T) {
		a.T = t
		require.True(t, local.WaitUntil(5*time.Minute, func() bool { return a.states()[alarmtypes.StateValueOk] == len(a.names()) }), "%v", a.states())
		a.mails(t)
		for range 6 {
			a.log(causes.Harmless...)
			time.Sleep(time.Second)
		}
		assert.Equal(t, map[alarmtypes.StateValue]int{alarmtypes.StateValueOk: len(a.names())}, a.states())
		assert.Empty(t, a.mails(t))
	})
	caused := map[string]bool{}
	for _, name := range raisedBySessions {
		caused[contract.NamePrefix(out.Stack)+name] = true
	}
	for _, c := range causes.All() {
		if slices.Contains(raisedBySessions, c.Alarms[0]) {
			continue
		}
		step(c.Name, func(t *testing.T) {
			a.T = t
			for _, name := range c.Alarms {
				caused[contract.NamePrefix(out.Stack)+name] = true
			}
			a.raise(c)
		})
	}
	step("no alarm is left out", func(t *testing.T) {
		a.T = t
		for _, name := range a.names() {
			assert.True(t, caused[name], "nothing causes %s: causes.All lacks it", name)
		}
	})
	step("a session that blocks the queue is reported with AWS's reason", func(t *testing.T) {
		a.T = t
		a.submitTagged(t, out, "")
		t.Cleanup(func() { a.endJobs(t, out, "rights") })
		var said string
		require.True(t, local.WaitUntil(time.Minute, func() bool { said = strings.Join(a.mails(t), "\n"); return said != "" }))
		assert.Contains(t, said, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
		assert.Contains(t, said, "#alarm-queue-blocked")
	})
}

func (s *sandbox) alarms(t *testing.T, out outputs.Outputs) *alarms {
	t.Helper()
	config := s.config(t)
	a := &alarms{cloudClients: s.aws(t), T: t, mailbox: s.mailbox(t, out, "alarms"), out: out,
		metrics: cloudwatch.NewFromConfig(config), logs: cloudwatchlogs.NewFromConfig(config), stream: "alarms/default/0"}
	_, err := a.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &out.LogGroup, LogStreamName: &a.stream})
	require.NoError(t, err)
	return a
}

// log writes events of a session of the stack.
func (a *alarms) log(lines ...string) {
	a.Helper()
	var events []logtypes.InputLogEvent
	for _, line := range lines {
		line = causes.Line(a.out.Stack, line)
		events = append(events, logtypes.InputLogEvent{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: &line})
	}
	_, err := a.logs.PutLogEvents(a.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &a.out.LogGroup, LogStreamName: &a.stream, LogEvents: events})
	require.NoError(a, err)
}

func (a *alarms) all() []alarmtypes.MetricAlarm {
	a.Helper()
	got, err := a.metrics.DescribeAlarms(a.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String(contract.NamePrefix(a.out.Stack))})
	require.NoError(a, err)
	require.NotEmpty(a, got.MetricAlarms)
	return got.MetricAlarms
}

func (a *alarms) names() (names []string) {
	for _, alarm := range a.all() {
		names = append(names, *alarm.AlarmName)
	}
	return names
}

// states counts the alarms by their state.
func (a *alarms) states() map[alarmtypes.StateValue]int {
	count := map[alarmtypes.StateValue]int{}
	for _, alarm := range a.all() {
		count[alarm.StateValue]++
	}
	return count
}

// message is an alarm's.
type message struct{ AlarmName, AlarmDescription, NewStateValue string }

// raise repeats a cause until each of its alarms has sent its message, once.
func (a *alarms) raise(c causes.Cause) {
	a.Helper()
	if c.Retries > 0 {
		a.retry(c.Retries)
	}
	waiting := map[string]bool{}
	present := a.names()
	for _, name := range c.Alarms {
		full := contract.NamePrefix(a.out.Stack) + name
		require.Contains(a, present, full)
		waiting[full] = true
	}
	for limit := time.Now().Add(2 * time.Minute); len(waiting) > 0; time.Sleep(time.Second) {
		require.True(a, time.Now().Before(limit), "no message of %v", waiting)
		if len(c.Lines) > 0 {
			a.log(c.Lines...)
		}
		for _, text := range a.mails(a.T) {
			subject, body, _ := strings.Cut(text, "\n")
			var m message
			require.NoError(a, json.Unmarshal([]byte(body), &m), text)
			require.True(a, waiting[m.AlarmName], "%s: nothing causes it", text)
			delete(waiting, m.AlarmName)
			assert.Equal(a, `ALARM: "`+m.AlarmName+`" in US East (N. Virginia)`, subject)
			assert.Regexp(a, `\. Stack: `+a.out.Stack+`\. Runbook: \S+/operations\.md#alarm-`+strings.TrimPrefix(m.AlarmName, contract.NamePrefix(a.out.Stack))+`$`, m.AlarmDescription)
		}
	}
}

// retry runs a job whose container fails at once, since it lacks a session's variables,
// so that AWS Batch starts it again so many times.
func (a *alarms) retry(times int) {
	a.Helper()
	own := a.activeDefinitions(a.T)[0].ContainerProperties
	made, err := a.batch.RegisterJobDefinition(a.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("again"), Type: types.JobDefinitionTypeContainer, RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(int32(times) + 1)},
		ContainerProperties: &types.ContainerProperties{
			Image: own.Image, ExecutionRoleArn: own.ExecutionRoleArn, LogConfiguration: own.LogConfiguration,
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("256")}},
		},
	})
	require.NoError(a, err)
	defer func() {
		_, err := a.batch.DeregisterJobDefinition(a.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: made.JobDefinitionArn})
		assert.NoError(a, err)
	}()
	_, err = a.batch.SubmitJob(a.Context(), &batch.SubmitJobInput{JobName: aws.String("again"), JobQueue: &a.out.QueueARN, JobDefinition: made.JobDefinitionArn})
	require.NoError(a, err)
}
