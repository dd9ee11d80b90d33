package cloudwatch

import (
	"fmt"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// Query is a metric or an expression, as in GetMetricData and PutMetricAlarm (API
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
	var ids []string
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
		if q.MetricStat != nil {
			periods[q.MetricStat.Period] = true
		}
		ids = append(ids, q.ID)
	}
	for _, q := range list {
		if q.Expression == "" {
			continue
		}
		e, err := parseMath(q.Expression, ids)
		if err != nil {
			return all, gateway.Unsupported("%s: %v", q.ID, err)
		}
		if all.expressions[q.ID] = e; len(periods) > 1 {
			return all, gateway.Unsupported("%s: the sandbox calculates with metrics of one period only", q.ID)
		}
	}
	if len(periods) == 1 {
		for p := range periods {
			all.period = p
		}
	}
	return all, nil
}

// compute returns the lines of each query, of so many periods from a time. period is
// the true length of one, which alarms may shorten.
func (q queries) compute(s *store, from time.Time, period time.Duration, count int) (map[string][]line, error) {
	of := scope{periods: count, seconds: period.Seconds(), lines: map[string]line{}}
	results := map[string][]line{}
	var waiting []string
	for _, one := range q.list {
		if one.MetricStat == nil {
			waiting = append(waiting, one.ID)
			continue
		}
		of.lines[one.ID] = s.values(*one.MetricStat, from, period, count)
		of.metrics = append(of.metrics, of.lines[one.ID])
		results[one.ID] = []line{of.lines[one.ID]}
	}
	for len(waiting) > 0 { // an expression may refer to others
		var later []string
		var failed error
		for _, id := range waiting {
			value, err := q.expressions[id](of)
			if err != nil {
				later, failed = append(later, id), err
				continue
			}
			if lines, several := value.([]line); several {
				results[id] = lines
				continue
			}
			of.lines[id] = of.widen(value)
			results[id] = []line{of.lines[id]}
		}
		if len(later) == len(waiting) {
			return nil, invalid("%v", failed)
		}
		waiting = later
	}
	return results, nil
}
