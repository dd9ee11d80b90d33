package cloudwatch

import (
	"math/rand"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

func (w *world) query(id, metric, stat string, dimensions []types.Dimension) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{Period: aws.Int32(60), Stat: &stat,
		Metric: &types.Metric{Namespace: &w.name, MetricName: &metric, Dimensions: dimensions}}}
}

func (w *world) get(queries ...types.MetricDataQuery) *sdk.GetMetricDataOutput {
	w.t.Helper()
	now := w.config.Now()
	got, err := w.metrics.GetMetricData(ctx, &sdk.GetMetricDataInput{
		StartTime: aws.Time(now.Add(-10 * time.Minute)), EndTime: aws.Time(now.Add(time.Minute)), MetricDataQueries: queries, ScanBy: types.ScanByTimestampAscending,
	})
	require.NoError(w.t, err)
	return got
}

func TestMetricDataHasPercentilesDimensionsAndMath(t *testing.T) {
	w := newWorld(t)
	start := w.config.Now()
	prod := []types.Dimension{{Name: aws.String("Stack"), Value: aws.String("prod")}}
	values := rand.Perm(101)
	var floats []float64
	for _, v := range values {
		floats = append(floats, float64(v))
	}
	w.put(w.name, "Wait", stackDev, floats...)
	w.put(w.name, "Wait", prod, 1000)
	w.put(w.name+"-other", "Wait", stackDev, 5000) // of these moto would add all
	w.set(start.Add(2 * time.Minute))
	w.put(w.name, "Wait", stackDev, 7)

	hidden := w.query("raw", "Wait", "SampleCount", stackDev)
	hidden.ReturnData = aws.Bool(false)
	got := w.get(w.query("p95", "Wait", "p95", stackDev), w.query("most", "Wait", "Maximum", stackDev), w.query("none", "Wait", "Sum", nil), hidden,
		types.MetricDataQuery{Id: aws.String("rate"), Expression: aws.String("raw / PERIOD(raw)"), Label: aws.String("a second")})
	require.Len(t, got.MetricDataResults, 4)
	p95, most, none, rate := got.MetricDataResults[0], got.MetricDataResults[1], got.MetricDataResults[2], got.MetricDataResults[3]
	assert.Equal(t, []float64{95, 7}, p95.Values)
	assert.Equal(t, []float64{100, 7}, most.Values)
	assert.Empty(t, none.Values, "a metric without dimensions is another one")
	assert.Equal(t, "a second", *rate.Label)
	assert.InDeltaSlice(t, []float64{101. / 60, 1. / 60}, rate.Values, 1e-12)
	require.Len(t, p95.Timestamps, 2)
	assert.WithinDuration(t, start, p95.Timestamps[0], 0)
	assert.WithinDuration(t, start.Add(2*time.Minute), p95.Timestamps[1], 0)
	assert.Equal(t, types.StatusCodeComplete, p95.StatusCode)
}

func TestMetricStatisticsAndTheListOfMetrics(t *testing.T) {
	w := newWorld(t)
	w.put(w.name, "Wait", stackDev, 1, 2, 9)
	now := w.config.Now()
	got, err := w.metrics.GetMetricStatistics(ctx, &sdk.GetMetricStatisticsInput{Namespace: &w.name, MetricName: aws.String("Wait"), Dimensions: stackDev,
		StartTime: aws.Time(now.Add(-time.Hour)), EndTime: aws.Time(now.Add(time.Minute)), Period: aws.Int32(300), Statistics: []types.Statistic{"Sum", "Average"}, ExtendedStatistics: []string{"p50"}})
	require.NoError(t, err)
	require.Len(t, got.Datapoints, 1)
	point := got.Datapoints[0]
	assert.Equal(t, []float64{12, 4, 2}, []float64{*point.Sum, *point.Average, point.ExtendedStatistics["p50"]})
	assert.Equal(t, types.StandardUnitSeconds, point.Unit)

	listed, err := w.metrics.ListMetrics(ctx, &sdk.ListMetricsInput{Namespace: &w.name, Dimensions: []types.DimensionFilter{{Name: aws.String("Stack")}}})
	require.NoError(t, err)
	require.Len(t, listed.Metrics, 1)
	assert.Equal(t, stackDev, listed.Metrics[0].Dimensions)
}

func TestQueriesThatCanNotBeComputedAreRefused(t *testing.T) {
	w := newWorld(t)
	get := func(change func(*sdk.GetMetricDataInput), queries ...types.MetricDataQuery) error {
		in := &sdk.GetMetricDataInput{StartTime: aws.Time(w.config.Now().Add(-time.Hour)), EndTime: aws.Time(w.config.Now()), MetricDataQueries: queries}
		change(in)
		_, err := w.metrics.GetMetricData(ctx, in)
		return err
	}
	same := func(*sdk.GetMetricDataInput) {}
	requireUnsupported(t, get(same, w.query("a", "m", "tm90", nil)), `the statistic "tm90"`)
	long := w.query("b", "m", "Sum", nil)
	long.MetricStat.Period = aws.Int32(300)
	requireUnsupported(t, get(same, w.query("a", "m", "Sum", nil), long, types.MetricDataQuery{Id: aws.String("c"), Expression: aws.String("a + b")}), "one period only")
	require.NoError(t, get(same, w.query("a", "m", "Sum", nil), long))
	require.ErrorContains(t, get(same, w.query("a", "m", "Sum", nil), w.query("a", "m", "Sum", nil)), "not unique")
	require.ErrorContains(t, get(func(in *sdk.GetMetricDataInput) { in.StartTime = in.EndTime }, w.query("a", "m", "Sum", nil)), "StartTime must be less")
	require.ErrorContains(t, get(same, types.MetricDataQuery{Id: aws.String("a"), Expression: aws.String("b")}, types.MetricDataQuery{Id: aws.String("b"), Expression: aws.String("a")}), "Period of a is needed")
	circle := types.MetricDataQuery{Id: aws.String("a"), Expression: aws.String("b"), Period: aws.Int32(60)}
	require.ErrorContains(t, get(same, circle, types.MetricDataQuery{Id: aws.String("b"), Expression: aws.String("a")}), "is not computed before it is used")

	form := url.Values{"Action": {"GetMetricData"}, "Version": {"2010-08-01"}, "StartTime": {"2026-01-01T00:00:00Z"}, "EndTime": {"2026-01-02T00:00:00Z"}, "MetricDataQueries.member.1.Id": {"a"}}
	res, err := local.Call(ctx, "AKIDTEST", w.url, "monitoring", http.Header{"Content-Type": {local.Form}}, []byte(form.Encode()))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusNotImplemented, res.StatusCode)
}

// moto keeps dashboards; its answers come in the SDK's protocol, with their times.
func TestADashboardIsReadBack(t *testing.T) {
	w := newWorld(t)
	_, err := w.metrics.PutDashboard(ctx, &sdk.PutDashboardInput{DashboardName: &w.name, DashboardBody: aws.String(`{"widgets":[]}`)})
	require.NoError(t, err)
	got, err := w.metrics.GetDashboard(ctx, &sdk.GetDashboardInput{DashboardName: &w.name})
	require.NoError(t, err)
	require.Equal(t, `{"widgets":[]}`, *got.DashboardBody)
	listed, err := w.metrics.ListDashboards(ctx, &sdk.ListDashboardsInput{DashboardNamePrefix: &w.name})
	require.NoError(t, err)
	require.Len(t, listed.DashboardEntries, 1)
	require.WithinDuration(t, time.Now(), *listed.DashboardEntries[0].LastModified, time.Minute)
	_, err = w.metrics.GetDashboard(ctx, &sdk.GetDashboardInput{DashboardName: aws.String("none-of-that-name")})
	var missing *types.ResourceNotFound
	require.ErrorAs(t, err, &missing)
}

func TestAWSsModelIsAppliedToTheSDKsProtocol(t *testing.T) {
	w := newWorld(t)
	err := w.alarm(func(in *sdk.PutMetricAlarmInput) { in.ComparisonOperator = "More" })
	require.ErrorContains(t, err, "Value 'More' at 'comparisonOperator'")
}
