package cloudwatch

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decided returns the state of an alarm above 0 for values from the oldest to the newest:
// "-" is missing, "0" is good, "X" breaches.
func decided(t *testing.T, treat string, n, m int, values string, before State) State {
	t.Helper()
	zero := 0.
	a, err := newAlarm(settings{
		AlarmName: "a", Namespace: "n", MetricName: "m", Statistic: "Sum", Period: 60, EvaluationPeriods: n, DatapointsToAlarm: m,
		Threshold: &zero, ComparisonOperator: "GreaterThanThreshold", TreatMissingData: treat,
	})
	require.NoError(t, err)
	a.state = before
	var l line
	for _, v := range values {
		l = append(l, map[rune]float64{'-': math.NaN(), '0': 0, 'X': 1}[v])
	}
	return a.decide(l, time.Time{}, time.Minute).state
}

// The tables are those of CloudWatch's user guide, "How alarm state is evaluated when
// data is missing".
func TestMissingDataIsTreatedAsInAWSsTables(t *testing.T) {
	const retain = State("")
	order := []string{"missing", "ignore", "breaching", "notBreaching"}
	for _, row := range []struct {
		n, m   int
		values string
		states [4]State
	}{
		{3, 3, "0-X-X", [4]State{OK, OK, OK, OK}},
		{3, 3, "0----", [4]State{OK, OK, OK, OK}},
		{3, 3, "-----", [4]State{InsufficientData, retain, InAlarm, OK}},
		{3, 3, "0XX-X", [4]State{InAlarm, InAlarm, InAlarm, InAlarm}},
		{3, 3, "--X--", [4]State{InAlarm, retain, InAlarm, OK}},
		{3, 2, "0-X-X", [4]State{InAlarm, InAlarm, InAlarm, InAlarm}},
		{3, 2, "00X0X", [4]State{InAlarm, InAlarm, InAlarm, InAlarm}},
		{3, 2, "0-X--", [4]State{OK, OK, InAlarm, OK}},
		{3, 2, "----0", [4]State{OK, OK, InAlarm, OK}},
		{3, 2, "---X-", [4]State{InAlarm, retain, InAlarm, OK}},
	} {
		for i, treat := range order {
			for _, before := range []State{OK, InAlarm} {
				want := row.states[i]
				if want == retain {
					want = before
				}
				assert.Equal(t, want, decided(t, treat, row.n, row.m, row.values, before), "%d of %d, %s, %s, before %s", row.m, row.n, row.values, treat, before)
			}
		}
	}
}

func TestAStatesReasonIsInAWSsWords(t *testing.T) {
	one := 1.
	a, err := newAlarm(settings{
		AlarmName: "a", Namespace: "n", MetricName: "m", Statistic: "Average", Period: 60, EvaluationPeriods: 3, DatapointsToAlarm: 2,
		Threshold: &one, ComparisonOperator: "LessThanThreshold", TreatMissingData: "notBreaching",
	})
	require.NoError(t, err)
	from := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	nan := math.NaN()
	for said, values := range map[string]line{
		"Threshold Crossed: 2 out of the last 3 datapoints [0.25 (28/11/26 12:04:00), 0.5 (28/11/26 12:02:00)] were less than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition).":    {2, 2, 0.5, 3, 0.25},
		"Threshold Crossed: 2 out of the last 3 datapoints [2.5 (28/11/26 12:03:00), 3.0 (28/11/26 12:02:00)] were not less than the threshold (1.0) (minimum 2 datapoints for ALARM -> OK transition).": {2, 2, 3, 2.5, 0},
		"Threshold Crossed: 0 out of the last 3 datapoints [] were not less than the threshold (1.0) (minimum 2 datapoints for ALARM -> OK transition).":                                                 {nan, nan, 0, nan, nan},
		"Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [NonBreaching].":                                                                          {nan, nan, nan, nan, nan},
	} {
		assert.Equal(t, said, a.decide(values, from, time.Minute).reason)
	}
}

func TestStatisticsAreThoseOfCloudWatch(t *testing.T) {
	var samples []Sample
	for v := range 101 {
		samples = append(samples, Single(time.Time{}, "", float64(v)))
	}
	for name, want := range map[string]float64{"SampleCount": 101, "Average": 50, "Sum": 5050, "Minimum": 0, "Maximum": 100, "p50": 50, "p95": 95, "p5": 5, "p99.9": 99.9, "p100": 100} {
		assert.True(t, knownStatistic(name))
		assert.InDelta(t, want, statistic(name, samples), 1e-9, name)
		assert.True(t, math.IsNaN(statistic(name, nil)), name)
	}
	for _, other := range []string{"", "p101", "p", "tm90", "IQM", "sum"} {
		assert.False(t, knownStatistic(other), other)
	}
	assert.Equal(t, 3., statistic("Average", []Sample{{Count: 2, Sum: 4}, {Count: 1, Sum: 5}}))
}

func TestMetricMath(t *testing.T) {
	nan := math.NaN()
	of := scope{periods: 3, seconds: 300, lines: map[string]line{"m1": {1, nan, 3}, "m2": {10, 20, 0}}}
	for text, want := range map[string]line{
		"m1 + m2":                     {11, nan, 3},
		"m1+m2*2":                     {21, nan, 3},
		"(m1+m2)*2":                   {22, nan, 6},
		"9 - m1 - 1":                  {7, nan, 5},
		"m1 / m2":                     {0.1, nan, nan},
		"DIFF(m1)":                    {nan, nan, 2},
		"m2 - DIFF(m2)":               {nan, 10, 20},
		"CEIL(m2 / 3)":                {4, 7, 0},
		"FILL(m1, 0)":                 {1, 0, 3},
		"FILL(m1, 2.5) - FILL(m2, 0)": {-9, -17.5, 3},
		"m2 * 30 / PERIOD(m2)":        {1, 2, 0},
	} {
		e, err := parseMath(text, []string{"m1", "m2"})
		require.NoError(t, err, text)
		got := e(of)
		require.Len(t, got, 3, text)
		for i := range want {
			assert.True(t, math.IsNaN(want[i]) && math.IsNaN(got[i]) || math.Abs(want[i]-got[i]) < 1e-12, "%s: %v", text, got)
		}
	}
}

func TestOtherMetricMathIsRefusedByName(t *testing.T) {
	for text, named := range map[string]string{
		"SEARCH('{a,b}', 'Sum')": "does not know the function SEARCH", "ANOMALY_DETECTION_BAND(m1)": "ANOMALY_DETECTION_BAND", "SUM(METRICS())": "function SUM",
		"m9 + 1": "m9 is no id", "m1 +": "the end is not known", "m1 m1": `"m1" is not known`, "FILL(m1)": "FILL does not have 1 parameters",
		"FILL(m1, REPEAT)": "REPEAT is no id", "m1 % 2": "'%'", "m1 > 2": "'>'", "[m1, m1]": "'['", "-m1": `"-" is not known`,
	} {
		_, err := parseMath(text, []string{"m1"})
		assert.ErrorContains(t, err, named, text)
		assert.ErrorContains(t, err, text)
	}
}
