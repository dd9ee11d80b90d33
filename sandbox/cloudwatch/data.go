package cloudwatch

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// seconds is a time in the JSON protocol.
type seconds struct{ time.Time }

func (s *seconds) UnmarshalJSON(text []byte) error {
	var since json.Number
	if err := json.Unmarshal(text, &since); err != nil {
		return err
	}
	value, err := since.Float64()
	whole, part := math.Modf(value)
	s.Time = time.Unix(int64(whole), int64(math.Round(part*1e3))*1e6)
	return err
}

func (s *Service) putMetricData(c *gateway.Call) (*http.Response, error) {
	var in struct {
		Namespace  string
		MetricData []struct {
			MetricName        string
			Dimensions        []Dimension
			Timestamp         *seconds
			Value             *float64
			Values, Counts    []float64
			StatisticValues   *struct{ SampleCount, Sum, Minimum, Maximum float64 }
			Unit              string
			StorageResolution int
		}
	}
	if err := needsJSON(c); err != nil {
		return nil, err
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	for _, d := range in.MetricData {
		at := s.config.Now()
		if d.Timestamp != nil {
			at = d.Timestamp.Time
		}
		var samples []Sample
		switch {
		case d.StatisticValues != nil:
			v := d.StatisticValues
			samples = []Sample{{at, d.Unit, v.SampleCount, v.Sum, v.Minimum, v.Maximum}}
		case d.Value != nil:
			samples = []Sample{Single(at, d.Unit, *d.Value)}
		case len(d.Counts) > 0 && len(d.Counts) != len(d.Values):
			return nil, invalid("The parameters MetricData.member.Values and MetricData.member.Counts must be of the same size.")
		default:
			for i, v := range d.Values {
				count := 1.
				if len(d.Counts) > 0 {
					count = d.Counts[i]
				}
				samples = append(samples, Sample{at, d.Unit, count, v * count, v, v})
			}
		}
		s.store.put(Metric{in.Namespace, d.MetricName, d.Dimensions}, samples...)
	}
	s.arrived()
	return c.Answer(struct{}{}), nil
}

// span is the time range of a call in whole periods. AWS moves its start down to one.
func span(from, to time.Time, period int) (start time.Time, count int) {
	length := time.Duration(period) * time.Second
	start = from.Truncate(length)
	return start, max(0, int((to.Sub(start)+length-1)/length))
}

// most is the most values of a metric that are computed at once (API reference,
// GetMetricData).
const most = 100_800

// dataResult is as in GetMetricData.
type dataResult struct {
	ID         string `json:"Id"`
	Label      string
	Timestamps []int64
	Values     []float64
	StatusCode string
}

func (s *Service) getMetricData(c *gateway.Call) (*http.Response, error) {
	var in struct {
		MetricDataQueries  []Query
		StartTime, EndTime seconds
		ScanBy             string
		MaxDatapoints      int
		LabelOptions       struct{ Timezone string }
	}
	if err := needsJSON(c); err != nil {
		return nil, err
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	if !in.StartTime.Before(in.EndTime.Time) {
		return nil, invalid("The parameter StartTime must be less than the parameter EndTime.")
	}
	results := []dataResult{}
	groups, err := grouped(in.MetricDataQueries)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		start, count := span(in.StartTime.Time, in.EndTime.Time, g.period)
		if count > most {
			return nil, invalid("You have requested up to %d datapoints, which exceeds the limit of %d.", count, most)
		}
		lines, err := g.compute(&s.store, start, time.Duration(g.period)*time.Second, count)
		if err != nil {
			return nil, err
		}
		for _, q := range g.list {
			for _, values := range lines[q.ID] {
				if q.returned() {
					results = append(results, q.result(values, start, g.period, in.ScanBy != "TimestampAscending"))
				}
			}
		}
	}
	return c.Answer(map[string]any{"MetricDataResults": results, "Messages": []any{}}), nil
}

// grouped returns the queries as one group if they have one period, or else each for
// itself.
func grouped(list []Query) ([]queries, error) {
	all, err := checkQueries(list)
	if err != nil {
		return nil, err
	}
	if len(all.expressions) > 0 && all.period == 0 { // without metrics
		for _, q := range list {
			all.period = max(all.period, q.Period)
		}
		if all.period == 0 {
			return nil, invalid("The parameter Period of %s is needed.", list[0].ID)
		}
	}
	if all.period > 0 {
		return []queries{all}, nil
	}
	var groups []queries
	for _, q := range list {
		groups = append(groups, queries{list: []Query{q}, period: q.MetricStat.Period})
	}
	return groups, nil
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

func (q Query) result(values line, start time.Time, period int, newestFirst bool) dataResult {
	r := dataResult{ID: q.ID, Label: q.label(), Timestamps: []int64{}, Values: []float64{}, StatusCode: "Complete"}
	for i, v := range values {
		if !math.IsNaN(v) {
			r.Timestamps, r.Values = append(r.Timestamps, start.Unix()+int64(i*period)), append(r.Values, v)
		}
	}
	if newestFirst {
		slices.Reverse(r.Timestamps)
		slices.Reverse(r.Values)
	}
	return r
}

func (s *Service) getMetricStatistics(c *gateway.Call) (*http.Response, error) {
	var in struct {
		Namespace, MetricName, Unit    string
		Dimensions                     []Dimension
		StartTime, EndTime             seconds
		Period                         int
		Statistics, ExtendedStatistics []string
	}
	if err := needsJSON(c); err != nil {
		return nil, err
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	if in.Period < 1 || !in.StartTime.Before(in.EndTime.Time) || len(in.Statistics)+len(in.ExtendedStatistics) == 0 {
		return nil, invalid("Period, Statistics or ExtendedStatistics, and a StartTime before EndTime are needed.")
	}
	for _, stat := range slices.Concat(in.Statistics, in.ExtendedStatistics) {
		if !knownStatistic(stat) {
			return nil, gateway.Unsupported("the sandbox does not know the statistic %q", stat)
		}
	}
	start, count := span(in.StartTime.Time, in.EndTime.Time, in.Period)
	points := []map[string]any{}
	for i := range count {
		from := start.Add(time.Duration(i*in.Period) * time.Second)
		samples := s.store.between(Metric{in.Namespace, in.MetricName, in.Dimensions}, in.Unit, from, from.Add(time.Duration(in.Period)*time.Second))
		if len(samples) == 0 {
			continue
		}
		point := map[string]any{"Timestamp": from.Unix(), "Unit": unitOf(samples)}
		for _, stat := range in.Statistics {
			point[stat] = statistic(stat, samples)
		}
		extended := map[string]float64{}
		for _, stat := range in.ExtendedStatistics {
			extended[stat] = statistic(stat, samples)
		}
		if len(extended) > 0 {
			point["ExtendedStatistics"] = extended
		}
		points = append(points, point)
	}
	return c.Answer(map[string]any{"Label": in.MetricName, "Datapoints": points}), nil
}

func unitOf(samples []Sample) string {
	if unit := samples[0].Unit; unit != "" {
		return unit
	}
	return "None"
}

func (s *Service) listMetrics(c *gateway.Call) (*http.Response, error) {
	var in struct {
		Namespace, MetricName string
		Dimensions            []Dimension
	}
	if err := needsJSON(c); err != nil {
		return nil, err
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	found := s.store.list(func(m Metric) bool {
		return (in.Namespace == "" || m.Namespace == in.Namespace) && (in.MetricName == "" || m.MetricName == in.MetricName) &&
			!slices.ContainsFunc(in.Dimensions, func(want Dimension) bool {
				return !slices.ContainsFunc(m.Dimensions, func(d Dimension) bool { return d.Name == want.Name && (want.Value == "" || want.Value == d.Value) })
			})
	})
	if found == nil {
		found = []Metric{}
	}
	return c.Answer(map[string]any{"Metrics": found}), nil
}
