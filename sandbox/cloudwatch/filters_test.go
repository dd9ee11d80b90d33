package cloudwatch

import (
	"math"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPatternsMatchAsCloudWatchsDo(t *testing.T) {
	const event = `{"event":"usage","exit":"ok","code":0,"live":true,"empty":"","usage":{"cpuCores":1.5,"n":null},"path":"/a/b.txt"}`
	for pattern, matches := range map[string]bool{
		"":                                   true,
		`{ $.event = "usage" }`:              true,
		`{ $.event = usage }`:                true,
		`{ $.event = "ended" }`:              false,
		`{ $.event != "ended" }`:             true,
		`{ $.none != "ended" }`:              false,
		`{ $.usage.cpuCores = * }`:           true,
		`{ $.usage.none = * }`:               false,
		`{ $.usage.cpuCores > 1 }`:           true,
		`{ $.usage.cpuCores <= 1.4 }`:        false,
		`{ $.code = 0 }`:                     true,
		`{ $.code != 0 }`:                    false,
		`{ $.event = 0 }`:                    false,
		`{ $.event = "us*" && $.code = 0 }`:  true,
		`{ $.path = "/a/*.txt" }`:            true,
		`{ $.path = "/b/*" }`:                false,
		`{ $.event = "x" || $.exit = "ok" }`: true,
		`{ $.event = "usage" && $.exit = "x" || $.code = 0 }`:   true,
		`{ $.event = "usage" && ($.exit = "x" || $.code = 1) }`: false,
	} {
		p, err := ParsePattern(pattern)
		require.NoError(t, err, pattern)
		assert.Equal(t, matches, p.Matches(decoded(event)), pattern)
	}
	p, err := ParsePattern(`{ $.event = * }`)
	require.NoError(t, err)
	assert.False(t, p.Matches(decoded("no JSON")))
	assert.False(t, p.Matches(decoded(`["a"]`)))
}

func TestAnyOtherPatternIsRefusedByName(t *testing.T) {
	for pattern, named := range map[string]string{
		"ERROR":                 "patterns for JSON only",
		`[ip, user, status=4*]`: `'['`,
		`{ $.list[0] = 1 }`:     `'['`,
		`{ $.x IS NULL }`:       `"IS" is not known`,
		`{ $.x NOT EXISTS }`:    `"NOT" is not known`,
		`{ $.x = %reg% }`:       `'%'`,
		`{ $.x > "a" }`:         `"a" is no number`,
		`{ $.x = "a }`:          `closing "`,
		`{ x = 1 }`:             `"x" is no selector`,
		`{ $.x = 1 } and more`:  `"and"`,
		`{ $.x = 1 && }`:        `"}" is no selector`,
		`{ ($.x = 1 }`:          `")" is`,
	} {
		_, err := ParsePattern(pattern)
		assert.ErrorContains(t, err, named, pattern)
	}
}

// The filters are those that components/observability declares.
func TestLogLinesBecomeMetricsAsTheyArrive(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	require.NoError(t, w.filter(group, `{ $.event = "usage" && $.usage.cpuCores = * }`, types.MetricTransformation{
		MetricNamespace: &w.name, MetricName: aws.String("CPUCores"), MetricValue: aws.String("$.usage.cpuCores"), Unit: types.StandardUnitNone,
		Dimensions: map[string]string{"Stack": "$.stack"},
	}))
	require.NoError(t, w.filter(group, `{ $.event = "ended" && ($.exit = "ok" || $.exit = "lost") }`, types.MetricTransformation{
		MetricNamespace: &w.name, MetricName: aws.String("SessionsEnded"), MetricValue: aws.String("1"), Unit: types.StandardUnitCount,
		Dimensions: map[string]string{"Stack": "$.stack", "Exit": "$.exit"},
	}))
	w.log(group, usageLine(1.5, 50), usageLine(2, 60), usageLine(`"much"`, 60), "plain text",
		`{"event":"ended","stack":"dev","exit":"ok"}`, `{"event":"ended","stack":"dev","exit":"other"}`, `{"event":"ended","exit":"lost"}`)

	cores := Metric{w.name, "CPUCores", []Dimension{{"Stack", "dev"}}}
	require.Equal(t, 3.5, w.sum(cores))
	require.Equal(t, "None", w.store.samples[cores.key()][0].Unit)
	require.Equal(t, 1., w.sum(Metric{w.name, "SessionsEnded", []Dimension{{"Exit", "ok"}, {"Stack", "dev"}}}))
	require.Len(t, w.store.samples, 2, "neither a value that is no number, nor a value outside the table, nor a missing dimension makes a metric")

	_, err := w.logs.DeleteMetricFilter(ctx, &cloudwatchlogs.DeleteMetricFilterInput{FilterName: aws.String("CPUCores"), LogGroupName: &group})
	require.NoError(t, err)
	w.log(group, usageLine(4, 50))
	require.Equal(t, 3.5, w.sum(cores))
}

func TestAChangedFilterReplacesTheFormer(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	for _, value := range []string{"1", "10"} {
		require.NoError(t, w.filter(group, `{ $.event = "usage" }`, types.MetricTransformation{MetricNamespace: &w.name, MetricName: aws.String("Events"), MetricValue: &value}))
	}
	w.log(group, usageLine(1, 1))
	require.Equal(t, 10., w.sum(Metric{Namespace: w.name, MetricName: "Events"}))
	got, err := w.logs.DescribeMetricFilters(ctx, &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: &group})
	require.NoError(t, err)
	require.Len(t, got.MetricFilters, 1)
	require.Equal(t, "10", *got.MetricFilters[0].MetricTransformations[0].MetricValue)
}

func TestADefaultValueStandsForEventsThatDoNotMatch(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	require.NoError(t, w.filter(group, `{ $.event = "ended" }`, types.MetricTransformation{
		MetricNamespace: &w.name, MetricName: aws.String("Ended"), MetricValue: aws.String("1"), DefaultValue: aws.Float64(0)}))
	m := Metric{Namespace: w.name, MetricName: "Ended"}
	require.True(t, math.IsNaN(w.sum(m)))
	w.log(group, usageLine(1, 1))
	require.Equal(t, 0., w.sum(m))
}

func TestFiltersThatAWSRefusesAreRefused(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	good := types.MetricTransformation{MetricNamespace: &w.name, MetricName: aws.String("M"), MetricValue: aws.String("1")}
	for said, change := range map[string]func(*types.MetricTransformation){
		"dimensions and default value are mutually exclusive": func(m *types.MetricTransformation) {
			m.Dimensions, m.DefaultValue = map[string]string{"Stack": "$.stack"}, aws.Float64(0)
		},
		"4 dimensions: at most 3": func(m *types.MetricTransformation) {
			m.Dimensions = map[string]string{"a": "$.a", "b": "$.b", "c": "$.c", "d": "$.d"}
		},
		`the dimension Stack is "dev"`: func(m *types.MetricTransformation) { m.Dimensions = map[string]string{"Stack": "dev"} },
		`metricValue is "one"`:         func(m *types.MetricTransformation) { m.MetricValue = aws.String("one") },
	} {
		bad := good
		change(&bad)
		err := w.filter(group, `{ $.event = "usage" }`, bad)
		var refused *types.InvalidParameterException
		require.ErrorAs(t, err, &refused, said)
		require.ErrorContains(t, err, said)
	}
	var missing *types.ResourceNotFoundException
	require.ErrorAs(t, w.filter("/no/such/group", "", good), &missing)
	requireUnsupported(t, w.filter(group, "ERROR", good), "metric filter M", "patterns for JSON only")
}
