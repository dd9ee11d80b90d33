package cloudwatch

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// identifier is an id of a query (API reference, MetricDataQuery).
var identifier = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

// Query is a metric or an expression, as in PutMetricAlarm and a widget (API
// reference, MetricDataQuery).
type Query struct {
	ID         string `json:"Id"`
	MetricStat *MetricStat
	Expression string
	Label      string
	ReturnData *bool
	Period     int // of an expression
}

func (q Query) returned() bool { return q.ReturnData == nil || *q.ReturnData }

// queries are checked ones.
type queries struct {
	list        []Query
	expressions map[string]expression
	period      int // seconds, the same for all; 0 if they have several
}

func invalid(format string, args ...any) error {
	return &gateway.Fault{Status: 400, Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

// checkQueries refuses queries that AWS refuses, or that the sandbox can't compute.
func checkQueries(list []Query) (queries, error) {
	all := queries{list: list, expressions: map[string]expression{}}
	var ids, known []string
	periods := map[int]bool{}
	for _, q := range list {
		switch {
		case !identifier.MatchString(q.ID) || slices.Contains(ids, q.ID):
			return all, invalid("The value %q for parameter Id is invalid or not unique.", q.ID)
		case (q.MetricStat == nil) == (q.Expression == ""):
			return all, invalid("Either MetricStat or Expression is needed for %s.", q.ID)
		case q.MetricStat != nil && !knownStatistic(q.MetricStat.Stat):
			return all, gateway.Unsupported("the sandbox does not know the statistic %q", q.MetricStat.Stat)
		case q.MetricStat != nil && q.MetricStat.Period < 1:
			return all, invalid("The parameter Period of %s is invalid.", q.ID)
		}
		if ids = append(ids, q.ID); q.MetricStat != nil {
			periods[q.MetricStat.Period] = true
			known = append(known, q.ID)
		}
	}
	for _, q := range list {
		if q.Expression == "" {
			continue
		}
		e, err := parseMath(q.Expression, known)
		if err != nil {
			return all, gateway.Unsupported("%s: %v", q.ID, err)
		}
		if all.expressions[q.ID] = e; len(periods) > 1 {
			return all, gateway.Unsupported("%s: the sandbox calculates with metrics of one period only", q.ID)
		}
		known = append(known, q.ID)
	}
	if len(periods) == 1 {
		for p := range periods {
			all.period = p
		}
	}
	return all, nil
}

// compute returns the line of each query by its id, of so many periods from a time. period
// is the true length of one, which alarms may shorten.
func (q queries) compute(s *store, from time.Time, period time.Duration, count int) map[string]line {
	of := scope{periods: count, seconds: period.Seconds(), lines: map[string]line{}}
	for _, one := range q.list {
		if one.MetricStat != nil {
			of.lines[one.ID] = s.values(*one.MetricStat, from, period, count)
		}
	}
	for _, one := range q.list {
		if calculate := q.expressions[one.ID]; calculate != nil {
			of.lines[one.ID] = calculate(of)
		}
	}
	return of.lines
}

// span is the time range of a call in whole periods. AWS moves its start down to one.
func span(from, to time.Time, period int) (start time.Time, count int) {
	length := time.Duration(period) * time.Second
	start = from.Truncate(length)
	return start, max(0, int((to.Sub(start)+length-1)/length))
}

func (q Query) label() string {
	switch {
	case q.Label != "":
		return q.Label
	case q.MetricStat != nil:
		return q.MetricStat.Metric.MetricName
	}
	return q.ID
}
