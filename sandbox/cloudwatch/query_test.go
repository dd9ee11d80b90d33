package cloudwatch

import (
	"math/rand"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func stat(id, namespace, statistic string, dimensions ...Dimension) Query {
	return Query{ID: id, MetricStat: &MetricStat{Metric{namespace, "Wait", dimensions}, 60, statistic, ""}}
}

func TestQueriesHavePercentilesDimensionsAndMath(t *testing.T) {
	start := time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)
	dev, prod := Dimension{"Stack", "dev"}, Dimension{"Stack", "prod"}
	s := store{samples: map[string][]Sample{}}
	for _, v := range rand.Perm(101) {
		s.put(Metric{"own", "Wait", []Dimension{dev}}, Single(start, "Seconds", float64(v)))
	}
	s.put(Metric{"own", "Wait", []Dimension{prod}}, Single(start, "Seconds", 1000))
	s.put(Metric{"other", "Wait", []Dimension{dev}}, Single(start, "Seconds", 5000)) // moto would add all of these
	s.put(Metric{"own", "Wait", []Dimension{dev}}, Single(start.Add(time.Minute), "Seconds", 7))

	checked, err := checkQueries([]Query{
		stat("p95", "own", "p95", dev), stat("most", "own", "Maximum", dev), stat("none", "own", "SampleCount"), stat("raw", "own", "SampleCount", dev),
		{ID: "rate", Expression: "raw / PERIOD(raw)"}, {ID: "nothing", Expression: "FILL(none, 0)"}, {ID: "minute", Expression: "rate * 60"},
	})
	require.NoError(t, err)
	lines := checked.compute(&s, start, time.Minute, 2)
	assert.Equal(t, line{95, 7}, lines["p95"])
	assert.Equal(t, line{100, 7}, lines["most"])
	assert.Equal(t, line{0, 0}, lines["nothing"], "a metric without dimensions is another one")
	assert.InDeltaSlice(t, line{101. / 60, 1. / 60}, lines["rate"], 1e-12)
	assert.InDeltaSlice(t, line{101, 1}, lines["minute"], 1e-12)
}

func TestQueriesThatCanNotBeComputedAreRefused(t *testing.T) {
	one, long := stat("a", "own", "Sum"), stat("b", "own", "Sum")
	long.MetricStat.Period = 300
	for fault, list := range map[string][]Query{
		`the statistic "tm90"`:         {stat("a", "own", "tm90")},
		"one period only":              {one, long, {ID: "c", Expression: "a + b"}},
		"not unique":                   {one, one},
		`"A" for parameter Id`:         {stat("A", "own", "Sum")},
		"MetricStat or Expression":     {{ID: "a"}},
		"Period of a is invalid":       {{ID: "a", MetricStat: &MetricStat{Stat: "Sum"}}},
		"c: expression d + 1: d is no": {one, {ID: "c", Expression: "d + 1"}, {ID: "d", Expression: "a"}},
	} {
		_, err := checkQueries(list)
		assert.ErrorContains(t, err, fault)
	}
	_, err := checkQueries([]Query{one, long})
	assert.NoError(t, err)
}

// moto would answer without the sessions' metrics.
func TestCallsThatReadOrWriteMetricsAreRefusedByName(t *testing.T) {
	w := newWorld(t)
	_, err := w.metrics.ListMetrics(ctx, &sdk.ListMetricsInput{})
	requireUnsupported(t, err, "ListMetrics")
	_, err = w.metrics.PutMetricData(ctx, &sdk.PutMetricDataInput{Namespace: &w.name, MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1)}}})
	requireUnsupported(t, err, "PutMetricData")
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
