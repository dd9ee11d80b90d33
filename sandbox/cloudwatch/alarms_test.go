package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

func (w *world) alarm(change func(*sdk.PutMetricAlarmInput)) error {
	in := &sdk.PutMetricAlarmInput{
		AlarmName: &w.name, AlarmDescription: aws.String("A session ended. Runbook: https://example.com/operations.md#alarm-failed"),
		Namespace: &w.name, MetricName: aws.String("SessionsEnded"), Dimensions: []types.Dimension{{Name: aws.String("Stack"), Value: aws.String("dev")}},
		Statistic: types.StatisticSum, Period: aws.Int32(300), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1),
		ComparisonOperator: types.ComparisonOperatorGreaterThanOrEqualToThreshold, TreatMissingData: aws.String("notBreaching"),
	}
	change(in)
	_, err := w.metrics.PutMetricAlarm(ctx, in)
	return err
}

var stackDev = []types.Dimension{{Name: aws.String("Stack"), Value: aws.String("dev")}}

func TestAnAlarmSendsItsMessageOnceAndIsQuietAgain(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) { in.AlarmActions, in.OKActions = []string{topic}, []string{topic} }))
	state, reason := w.state(w.name)
	require.Equal(t, types.StateValueInsufficientData, state)
	require.Equal(t, "Unchecked: Initial alarm creation", reason)

	w.after(time.Minute)
	state, _ = w.state(w.name)
	require.Equal(t, types.StateValueOk, state, "without data it is OK")
	require.Len(t, w.mails(queue), 1, "it had insufficient data before")

	w.put(w.name, "SessionsEnded", stackDev, 1)
	w.after(time.Second)
	w.after(time.Second)
	state, reason = w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)
	require.Regexp(t, `^Threshold Crossed: 1 out of the last 1 datapoints \[1\.0 \(\d\d/\d\d/\d\d \d\d:\d\d:\d\d\)\] was greater than or equal to the threshold \(1\.0\) \(minimum 1 datapoint for OK -> ALARM transition\)\.$`, reason)
	mails := w.mails(queue)
	require.Len(t, mails, 1)
	require.Equal(t, `ALARM: "`+w.name+`" in US East (N. Virginia)`, mails[0].Subject)
	var message map[string]any
	require.NoError(t, json.Unmarshal([]byte(mails[0].Message), &message))
	require.Equal(t, "A session ended. Runbook: https://example.com/operations.md#alarm-failed", message["AlarmDescription"])
	require.Equal(t, []any{"OK", "ALARM", reason, local.Account}, []any{message["OldStateValue"], message["NewStateValue"], message["NewStateReason"], message["AWSAccountId"]})
	require.Equal(t, map[string]any{
		"MetricName": "SessionsEnded", "Namespace": w.name, "StatisticType": "Statistic", "Statistic": "SUM", "Unit": nil,
		"Dimensions": []any{map[string]any{"name": "Stack", "value": "dev"}}, "Period": 300., "EvaluationPeriods": 1., "DatapointsToAlarm": 1.,
		"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 1., "TreatMissingData": "notBreaching", "EvaluateLowSampleCountPercentile": "",
	}, message["Trigger"])

	w.after(20 * time.Minute)
	state, _ = w.state(w.name)
	require.Equal(t, types.StateValueOk, state)
	mails = w.mails(queue)
	require.Len(t, mails, 1)
	require.Equal(t, `OK: "`+w.name+`" in US East (N. Virginia)`, mails[0].Subject)
}

func TestOnlyEnoughPeriodsInARowAreAnAlarm(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) {
		in.MetricName, in.Statistic, in.EvaluationPeriods, in.Threshold = aws.String("MemoryPercent"), types.StatisticMaximum, aws.Int32(3), aws.Float64(90)
	}))
	for _, step := range []struct {
		value float64
		state types.StateValue
	}{{95, "OK"}, {50, "OK"}, {95, "OK"}, {96, "OK"}, {97, "ALARM"}, {98, "ALARM"}, {10, "OK"}} {
		w.put(w.name, "MemoryPercent", stackDev, 5, step.value)
		w.after(time.Second)
		state, reason := w.state(w.name)
		require.Equal(t, step.state, state, "%v: %s", step.value, reason)
		w.after(5*time.Minute - time.Second)
	}
}

func TestAnAlarmOverMetricMathAndAPercentile(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	stat := func(id, name, stat string) types.MetricDataQuery {
		return types.MetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{Period: aws.Int32(60), Stat: &stat,
			Metric: &types.Metric{Namespace: &w.name, MetricName: &name}}}
	}
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) {
		in.MetricName, in.Namespace, in.Dimensions, in.Statistic, in.Period, in.Threshold = nil, nil, nil, "", nil, aws.Float64(3)
		in.AlarmActions = []string{topic}
		in.Metrics = []types.MetricDataQuery{
			{Id: aws.String("total"), Expression: aws.String("FILL(m1, 0) + FILL(m2, 0)"), Label: aws.String("both"), ReturnData: aws.Bool(true)},
			stat("m1", "A", "Sum"), stat("m2", "B", "Sum"),
		}
	}))
	w.put(w.name, "A", nil, 1, 1)
	w.after(time.Second)
	state, _ := w.state(w.name)
	require.Equal(t, types.StateValueOk, state)
	w.put(w.name, "B", nil, 1)
	w.after(time.Second)
	state, _ = w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)
	mails := w.mails(queue)
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].Message, `"Metrics":[{"Id":"total","Expression":"FILL(m1, 0) + FILL(m2, 0)","Label":"both","ReturnData":true},{"Id":"m1","MetricStat":`)

	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) {
		in.AlarmName, in.MetricName, in.Dimensions = aws.String(w.name+"-p"), aws.String("Wait"), nil
		in.Statistic, in.ExtendedStatistic, in.Threshold = "", aws.String("p90"), aws.Float64(100)
	}))
	w.put(w.name, "Wait", nil, 1, 2, 3, 4, 5, 6, 7, 8, 9, 500)
	w.after(time.Second)
	state, _ = w.state(w.name + "-p")
	require.Equal(t, types.StateValueOk, state)
	w.put(w.name, "Wait", nil, 500, 500)
	w.after(time.Second)
	state, _ = w.state(w.name + "-p")
	require.Equal(t, types.StateValueAlarm, state)
}

// The provider puts alarms in the query protocol.
func TestAnAlarmOfTheQueryProtocolIsEvaluatedToo(t *testing.T) {
	w := newWorld(t)
	form := url.Values{
		"Action": {"PutMetricAlarm"}, "Version": {"2010-08-01"}, "AlarmName": {w.name}, "EvaluationPeriods": {"1"}, "Threshold": {"1"}, "ComparisonOperator": {"GreaterThanOrEqualToThreshold"},
		"Namespace": {w.name}, "MetricName": {"A"}, "Statistic": {"Sum"}, "Period": {"60"}, "ActionsEnabled": {"true"},
		"Dimensions.member.1.Name": {"Stack"}, "Dimensions.member.1.Value": {"dev"}, "Tags.member.1.Key": {"team"}, "Tags.member.1.Value": {"games"},
	}
	send := func() *http.Response {
		res, err := local.Call(ctx, "AKIDTEST", w.url, "monitoring", http.Header{"Content-Type": {local.Form}}, []byte(form.Encode()))
		require.NoError(t, err)
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	require.Equal(t, http.StatusOK, send().StatusCode)
	w.put(w.name, "A", stackDev, 1)
	w.after(time.Second)
	state, _ := w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)

	require.Equal(t, http.StatusOK, send().StatusCode)
	state, _ = w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state, "a change leaves the state as it is")
	form.Set("ThresholdMetricId", "band")
	require.Equal(t, http.StatusNotImplemented, send().StatusCode)
}

func TestAlarmsThatTheSandboxCanNotEvaluateAreRefusedByName(t *testing.T) {
	w := newWorld(t)
	for named, change := range map[string]func(*sdk.PutMetricAlarmInput){
		"ThresholdMetricId": func(in *sdk.PutMetricAlarmInput) { in.ThresholdMetricId = aws.String("band") },
		"LessThanLowerThreshold": func(in *sdk.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorLessThanLowerThreshold
		},
		`the statistic "tm90"`:                    func(in *sdk.PutMetricAlarmInput) { in.Statistic, in.ExtendedStatistic = "", aws.String("tm90") },
		"arn:aws:lambda:us-east-1:1:f":            func(in *sdk.PutMetricAlarmInput) { in.AlarmActions = []string{"arn:aws:lambda:us-east-1:1:f"} },
		"EvaluateLowSampleCountPercentile ignore": func(in *sdk.PutMetricAlarmInput) { in.EvaluateLowSampleCountPercentile = aws.String("ignore") },
		"function SEARCH": func(in *sdk.PutMetricAlarmInput) {
			in.MetricName, in.Namespace, in.Dimensions, in.Statistic, in.Period = nil, nil, nil, "", nil
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("e"), Expression: aws.String("SEARCH('x', 'Sum', 300)"), ReturnData: aws.Bool(true)}}
		},
	} {
		requireUnsupported(t, w.alarm(change), named)
	}
	err := w.alarm(func(in *sdk.PutMetricAlarmInput) { in.TreatMissingData = aws.String("no") })
	require.ErrorContains(t, err, "TreatMissingData is invalid")
	_, err = w.metrics.PutCompositeAlarm(ctx, &sdk.PutCompositeAlarmInput{AlarmName: aws.String("c"), AlarmRule: aws.String("TRUE")})
	requireUnsupported(t, err, "PutCompositeAlarm")
	got, err := w.metrics.DescribeAlarms(ctx, &sdk.DescribeAlarmsInput{AlarmNamePrefix: &w.name})
	require.NoError(t, err)
	require.Empty(t, got.MetricAlarms)
}

func TestATopicWhosePolicyDoesNotAdmitCloudWatchGetsNoMessage(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	var asked []string
	w.config.Admits = func(_ context.Context, service, source, action, resource string) error {
		asked = []string{service, source, action, resource}
		return errors.New("its policy does not allow it")
	}
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) { in.AlarmActions = []string{topic} }))
	w.put(w.name, "SessionsEnded", stackDev, 1)
	w.after(time.Second)
	state, _ := w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)
	require.Equal(t, []string{"cloudwatch.amazonaws.com", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:" + w.name, "sns:Publish", topic}, asked)
	require.Empty(t, w.mails(queue))
}

func TestAStateThatIsSetByHandHoldsUntilTheNextEvaluation(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) { in.AlarmActions = []string{topic} }))
	w.after(time.Second)
	_, err := w.metrics.SetAlarmState(ctx, &sdk.SetAlarmStateInput{AlarmName: &w.name, StateValue: types.StateValueAlarm, StateReason: aws.String("a drill")})
	require.NoError(t, err)
	state, reason := w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)
	require.Equal(t, "a drill", reason)
	mails := w.mails(queue)
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].Message, `"NewStateReason":"a drill"`)
	w.after(time.Second)
	state, _ = w.state(w.name)
	require.Equal(t, types.StateValueOk, state)
}

func TestAlarmsWithoutActionsEnabledSendNothing(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) {
		in.AlarmActions, in.ActionsEnabled = []string{topic}, aws.Bool(false)
	}))
	w.put(w.name, "SessionsEnded", stackDev, 1)
	w.after(time.Second)
	state, _ := w.state(w.name)
	require.Equal(t, types.StateValueAlarm, state)
	require.Empty(t, w.mails(queue))
}

// Run evaluates when data arrives, and later by its clock.
func TestAlarmsAreEvaluatedWhenDataArrivesAndEveryMinute(t *testing.T) {
	w := newWorld(t)
	w.config.Minute, w.config.Now = 200*time.Millisecond, time.Now
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { w.Run(run); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) {}))
	becomes := func(want types.StateValue) {
		require.Eventually(t, func() bool { state, _ := w.state(w.name); return state == want }, 30*time.Second, 20*time.Millisecond)
	}
	becomes(types.StateValueOk)
	w.put(w.name, "SessionsEnded", stackDev, 1)
	becomes(types.StateValueAlarm)
	becomes(types.StateValueOk)
}

func TestADeletedAlarmIsGone(t *testing.T) {
	w := newWorld(t)
	topic, queue := w.topic()
	require.NoError(t, w.alarm(func(in *sdk.PutMetricAlarmInput) { in.AlarmActions = []string{topic} }))
	_, err := w.metrics.DeleteAlarms(ctx, &sdk.DeleteAlarmsInput{AlarmNames: []string{w.name}})
	require.NoError(t, err)
	w.put(w.name, "SessionsEnded", stackDev, 1)
	w.after(time.Second)
	require.Empty(t, w.mails(queue))
	_, err = w.metrics.DeleteAlarms(ctx, &sdk.DeleteAlarmsInput{AlarmNames: []string{w.name}})
	var missing *types.ResourceNotFound
	require.ErrorAs(t, err, &missing)
}
