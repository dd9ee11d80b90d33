package cloudwatch

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// State is an alarm's state.
type State string

// The states of an alarm.
const (
	OK               State = "OK"
	InAlarm          State = "ALARM"
	InsufficientData State = "INSUFFICIENT_DATA"
)

// settings are the members of PutMetricAlarm that the sandbox knows.
type settings struct {
	AlarmName, AlarmDescription                      string
	ActionsEnabled                                   *bool
	AlarmActions, OKActions, InsufficientDataActions []string
	Namespace, MetricName                            string
	Dimensions                                       []Dimension
	Statistic, ExtendedStatistic, Unit               string
	Period                                           int
	Metrics                                          []Query
	EvaluationPeriods, DatapointsToAlarm             int
	Threshold                                        *float64
	ComparisonOperator, TreatMissingData             string
	EvaluateLowSampleCountPercentile                 string
	Tags                                             []struct{ Key, Value string }
}

// comparisons are ComparisonOperators in the words of a state's reason.
var comparisons = map[string]struct {
	operator, words string
}{
	"GreaterThanThreshold":          {">", "greater than"},
	"GreaterThanOrEqualToThreshold": {">=", "greater than or equal to"},
	"LessThanThreshold":             {"<", "less than"},
	"LessThanOrEqualToThreshold":    {"<=", "less than or equal to"},
}

var treatments = []string{"breaching", "notBreaching", "ignore", "missing"}

// alarm is a checked alarm and its state.
type alarm struct {
	settings
	queries queries
	watched string // the id of the query that returns data

	configured, changed time.Time
	state               State
	reason              string
}

// newAlarm refuses an alarm that AWS refuses, or that the sandbox would evaluate
// otherwise.
func newAlarm(in settings) (*alarm, error) {
	a := &alarm{settings: in, state: InsufficientData, reason: "Unchecked: Initial alarm creation"}
	a.DatapointsToAlarm = cmp.Or(a.DatapointsToAlarm, a.EvaluationPeriods)
	a.TreatMissingData = cmp.Or(a.TreatMissingData, "missing")
	_, known := comparisons[a.ComparisonOperator]
	switch {
	case !known:
		return nil, gateway.Unsupported("the sandbox does not know the ComparisonOperator %s: it knows alarms with a static threshold", a.ComparisonOperator)
	case a.Threshold == nil:
		return nil, invalid("The parameter Threshold is required.")
	case a.EvaluationPeriods < 1 || a.DatapointsToAlarm > a.EvaluationPeriods:
		return nil, invalid("The value %d for parameter DatapointsToAlarm is greater than EvaluationPeriods, %d.", a.DatapointsToAlarm, a.EvaluationPeriods)
	case !slices.Contains(treatments, a.TreatMissingData):
		return nil, invalid("The value %q for parameter TreatMissingData is invalid: %s are valid.", a.TreatMissingData, strings.Join(treatments, ", "))
	case a.EvaluateLowSampleCountPercentile == "ignore":
		return nil, gateway.Unsupported("the sandbox does not know the EvaluateLowSampleCountPercentile ignore")
	}
	for _, action := range slices.Concat(a.AlarmActions, a.OKActions, a.InsufficientDataActions) {
		if !strings.HasPrefix(action, "arn:aws:sns:") {
			return nil, gateway.Unsupported("the sandbox does not know the alarm action %s: it knows SNS topics", action)
		}
	}
	return a, a.watch()
}

// watch sets the alarm's queries.
func (a *alarm) watch() (err error) {
	list := a.Metrics
	if len(list) == 0 {
		stat := MetricStat{Metric{a.Namespace, a.MetricName, a.Dimensions}, a.Period, cmp.Or(a.Statistic, a.ExtendedStatistic), a.Unit}
		list = []Query{{ID: "metric", MetricStat: &stat}}
	} else if a.MetricName != "" {
		return invalid("Metrics and MetricName are mutually exclusive.")
	}
	if a.queries, err = checkQueries(list); err != nil {
		return err
	}
	for _, q := range list {
		if q.returned() && a.watched != "" {
			return invalid("Exactly one of Metrics returns data: %s and %s do.", a.watched, q.ID)
		} else if q.returned() {
			a.watched = q.ID
		}
	}
	if a.watched == "" {
		return invalid("Exactly one of Metrics returns data.")
	}
	if a.queries.period == 0 {
		a.queries.period = a.period()
	}
	return nil
}

// period is that of an alarm of expressions without metrics.
func (a *alarm) period() int {
	for _, q := range a.Metrics {
		if q.Period > 0 {
			return q.Period
		}
	}
	return 60
}

// further is how many periods before its EvaluationPeriods an alarm also looks at if
// data is missing. AWS does not say how many it takes; its examples have two (CloudWatch
// user guide, "How alarm state is evaluated when data is missing").
const further = 2

// evaluated is the result of an evaluation.
type evaluated struct {
	state  State
	reason string
}

// evaluate evaluates the alarm at a time. minute is the length of a minute. Periods end
// at that time, as AWS's do, which evaluates each alarm every minute.
func (a *alarm) evaluate(s *store, now time.Time, minute time.Duration) evaluated {
	period := time.Duration(a.queries.period) * minute / 60
	count := a.EvaluationPeriods + further
	from := now.Add(time.Nanosecond).Add(-time.Duration(count) * period)
	return a.decide(a.queries.compute(s, from, period, count)[a.watched], from, period)
}

// point is a value with the beginning of its period.
type point struct {
	at        time.Time
	value     float64
	breaching bool
}

// decide returns the state for the values of the evaluation range, the oldest first. It
// follows the tables of "How alarm state is evaluated when data is missing".
func (a *alarm) decide(values line, from time.Time, period time.Duration) evaluated {
	points := a.points(values, from, period)
	bad := 0
	for _, p := range points {
		if p.breaching {
			bad++
		}
	}
	missing := a.EvaluationPeriods - len(points)
	counted := bad
	if a.TreatMissingData == "breaching" {
		counted += missing
	}
	switch {
	case counted >= a.DatapointsToAlarm:
		return evaluated{InAlarm, a.crossed(points, missing, true)}
	case a.TreatMissingData == "ignore" && bad == len(points): // all values that there are breach, or there are none
		return evaluated{a.state, a.reason}
	case a.TreatMissingData == "missing" && len(points) == 0:
		return evaluated{InsufficientData, fmt.Sprintf("Insufficient Data: %d datapoint%s unknown.", a.EvaluationPeriods, plural(a.EvaluationPeriods, " was", "s were"))}
	case a.TreatMissingData == "missing" && bad == len(points):
		return evaluated{InAlarm, a.crossed(points, missing, true)}
	}
	return evaluated{OK, a.crossed(points, missing, false)}
}

// points returns the latest values that there are, at most EvaluationPeriods, the newest
// first.
func (a *alarm) points(values line, from time.Time, period time.Duration) []point {
	var points []point
	for i, v := range slices.Backward(values) {
		if !math.IsNaN(v) && len(points) < a.EvaluationPeriods {
			breaching := compared(comparisons[a.ComparisonOperator].operator, v, *a.Threshold)
			points = append(points, point{from.Add(time.Duration(i) * period), v, breaching})
		}
	}
	return points
}

// crossed returns a state's reason in AWS's words.
func (a *alarm) crossed(points []point, missing int, inAlarm bool) string {
	words, not := comparisons[a.ComparisonOperator].words, ""
	if len(points) == 0 {
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %d period%s and %d missing datapoint%s treated as [%s].",
			a.EvaluationPeriods, plural(a.EvaluationPeriods, "", "s"), missing, plural(missing, " was", "s were"), treated[a.TreatMissingData])
	}
	var shown []string
	for _, p := range points {
		if p.breaching == inAlarm {
			shown = append(shown, fmt.Sprintf("%s (%s)", javaNumber(p.value), p.at.UTC().Format("02/01/06 15:04:05")))
		}
	}
	transition, needed := "OK -> ALARM", a.DatapointsToAlarm
	if !inAlarm {
		not, transition, needed = "not ", "ALARM -> OK", a.EvaluationPeriods-a.DatapointsToAlarm+1
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints [%s] %s %s%s the threshold (%s) (minimum %d datapoint%s for %s transition).",
		len(shown), a.EvaluationPeriods, strings.Join(shown, ", "), plural(len(shown), "was", "were"), not, words, javaNumber(*a.Threshold),
		needed, plural(needed, "", "s"), transition)
}

var treated = map[string]string{"breaching": "Breaching", "notBreaching": "NonBreaching", "ignore": "Ignored", "missing": "Missing"}

func plural(count int, one, several string) string {
	if count == 1 {
		return one
	}
	return several
}

// javaNumber writes a whole number with ".0", as AWS does.
func javaNumber(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
