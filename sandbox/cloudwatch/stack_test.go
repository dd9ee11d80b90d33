package cloudwatch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/causes"
)

// deployed puts the metric filters and alarms that the program declares.
func (w *world) deployed(topic, group, queue string) (alarms []string) {
	w.t.Helper()
	run := componenttest.Execute(w.t, componenttest.Update, func(ctx *pulumi.Context) error {
		if _, err := observability.NewMetrics(ctx, "metrics", &observability.MetricsArgs{LogGroupName: pulumi.String(group)}); err != nil {
			return err
		}
		_, err := observability.NewAlarms(ctx, "alarms", &observability.AlarmsArgs{
			Stack: w.name, QueueName: pulumi.String(queue), QueueARN: pulumi.String("arn:queue"), TeamTopicARN: pulumi.String(topic),
			WaitMinutes: 10, FramesPerSecond: 15, Runbooks: "https://example.com/operations.md",
		})
		return err
	}).Must(w.t)
	for _, r := range run.OfType("aws:cloudwatch/logMetricFilter:LogMetricFilter") {
		var t logtypes.MetricTransformation
		copied(w.t, r.Inputs["metricTransformation"], map[string]string{"name": "metricName", "namespace": "metricNamespace", "value": "metricValue"}, &t)
		require.NoError(w.t, w.filter(group, r.Inputs["pattern"].(string), t))
	}
	for _, r := range run.OfType("aws:cloudwatch/metricAlarm:MetricAlarm") {
		in := sdk.PutMetricAlarmInput{}
		dimensions, _ := r.Inputs["dimensions"].(map[string]any)
		delete(r.Inputs, "dimensions")
		delete(r.Inputs, "tags")
		copied(w.t, r.Inputs, map[string]string{"name": "alarmName"}, &in)
		for name, value := range dimensions {
			in.Dimensions = append(in.Dimensions, types.Dimension{Name: &name, Value: aws.String(value.(string))})
		}
		_, err := w.metrics.PutMetricAlarm(ctx, &in)
		require.NoError(w.t, err, r.Name)
		alarms = append(alarms, *in.AlarmName)
	}
	return alarms
}

// copied copies a resource's inputs to a call of AWS. Their names are the same, but for
// some and for their first letter.
func copied(t *testing.T, inputs any, names map[string]string, into any) {
	t.Helper()
	call := map[string]any{}
	for name, value := range inputs.(map[string]any) {
		if other, differs := names[name]; differs {
			name = other
		}
		call[name] = value
	}
	text, err := json.Marshal(call)
	require.NoError(t, err)
	strict := json.NewDecoder(strings.NewReader(string(text)))
	strict.DisallowUnknownFields() // every input reaches CloudWatch
	require.NoError(t, strict.Decode(into))
}

// raised returns how many messages came of each alarm, without the stack's prefix.
func (w *world) raised(mailbox string) map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for _, m := range w.mails(mailbox) {
		var said struct{ AlarmName, AlarmDescription, NewStateValue string }
		require.NoError(w.t, json.Unmarshal([]byte(m.Message), &said))
		name := strings.TrimPrefix(said.AlarmName, contract.NamePrefix(w.name))
		assert.Equal(w.t, "ALARM", said.NewStateValue)
		assert.Equal(w.t, `ALARM: "`+said.AlarmName+`" in US East (N. Virginia)`, m.Subject)
		assert.True(w.t, strings.HasSuffix(said.AlarmDescription, " Runbook: https://example.com/operations.md#alarm-"+name), said.AlarmDescription)
		count[name]++
	}
	return count
}

func TestEveryAlarmOfAStackIsRaisedOnceByItsCauseAndByNothingElse(t *testing.T) {
	w := newWorld(t)
	topic, mailbox := w.topic()
	group, queue := w.group(), w.name
	left := map[string]bool{}
	for _, name := range w.deployed(topic, group, queue) {
		left[strings.TrimPrefix(name, contract.NamePrefix(w.name))] = true
	}
	// In one call, since the gateway takes its time for each.
	log := func(minutes int, lines []string) {
		var own []string
		for _, line := range lines {
			own = append(own, causes.Line(w.name, line))
		}
		w.logEach(minutes, group, own...)
	}
	log(30, causes.Harmless)
	for range 30 {
		w.after(time.Minute)
	}
	require.Empty(t, w.raised(mailbox))
	for name := range left {
		state, reason := w.state(contract.NamePrefix(w.name) + name)
		require.Equal(t, types.StateValueOk, state, "%s: %s", name, reason)
	}

	for _, c := range causes.All() {
		want := map[string]int{}
		for _, name := range c.Alarms {
			require.True(t, left[name], "%s is no alarm of the stack, or is raised twice", name)
			want[name] = 1
			delete(left, name)
		}
		for range c.Retries {
			w.Put(Metric{batch.Namespace, "JobsRetried", []Dimension{{batch.QueueDimension, queue}}}, Single(w.config.Now(), "Count", 1))
		}
		if len(c.Lines) > 0 {
			log(20, c.Lines)
		}
		for range 20 {
			w.after(time.Minute)
		}
		assert.Equal(t, want, w.raised(mailbox), c.Name)
		w.after(4 * time.Hour)
		state, _ := w.state(contract.NamePrefix(w.name) + c.Alarms[0])
		assert.Equal(t, types.StateValueOk, state, c.Name)
		assert.Empty(t, w.raised(mailbox), "its end is no message")
	}
	assert.Empty(t, left, "alarms that nothing raises")
}
