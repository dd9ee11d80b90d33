package cloudwatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// filter is a metric filter of a log group.
type filter struct {
	name       string
	pattern    Pattern
	metric     Metric // without dimensions
	unit       string
	value      string            // a number or a selector
	dimensions map[string]string // selectors by name
	otherwise  *float64          // the value when no event matches
}

// transformation has the members of a metric filter's one transformation.
type transformation struct {
	MetricName      string            `json:"metricName"`
	MetricNamespace string            `json:"metricNamespace"`
	MetricValue     string            `json:"metricValue"`
	DefaultValue    *float64          `json:"defaultValue"`
	Dimensions      map[string]string `json:"dimensions"`
	Unit            string            `json:"unit"`
}

// AWS's limits (CloudWatch Logs user guide, "CloudWatch Logs quotas", and API reference,
// MetricTransformation).
const (
	filtersOfGroup     = 100
	dimensionsOfFilter = 3
)

func parameter(format string, args ...any) error {
	return &gateway.Fault{Status: http.StatusBadRequest, Code: "InvalidParameterException", Message: fmt.Sprintf(format, args...)}
}

// putMetricFilter forwards a filter that the sandbox can evaluate. moto keeps the filter
// of that name beside the new one, so it is deleted there first.
func (s *Service) putMetricFilter(c *gateway.Call) (*http.Response, error) {
	var in struct {
		FilterName            string           `json:"filterName"`
		FilterPattern         string           `json:"filterPattern"`
		LogGroupName          string           `json:"logGroupName"`
		MetricTransformations []transformation `json:"metricTransformations"`
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	if len(in.MetricTransformations) != 1 {
		return nil, parameter("metricTransformations has %d elements: 1 is allowed", len(in.MetricTransformations))
	}
	f, err := newFilter(in.FilterName, in.FilterPattern, in.MetricTransformations[0])
	if err != nil {
		return nil, err
	}
	if err := s.groupExists(c, in.LogGroupName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.filters[in.LogGroupName])
	at := slices.IndexFunc(all, func(have *filter) bool { return have.name == f.name })
	switch {
	case at >= 0:
		all[at] = f
		if err := c.Ask("DeleteMetricFilter", map[string]string{"filterName": f.name, "logGroupName": in.LogGroupName}, nil); err != nil {
			return nil, err
		}
	case len(all) == filtersOfGroup:
		return nil, &gateway.Fault{Status: http.StatusBadRequest, Code: "LimitExceededException", Message: "Resource limit exceeded."}
	default:
		all = append(all, f)
	}
	res, err := c.Forward()
	if err == nil && res.StatusCode/100 == 2 {
		s.filters[in.LogGroupName] = all
	}
	return res, err
}

// newFilter refuses a filter that AWS refuses: a default value beside dimensions, too many
// dimensions, a value that is neither a number nor a selector.
func newFilter(name, text string, t transformation) (*filter, error) {
	pattern, err := ParsePattern(text)
	if err != nil {
		return nil, gateway.Unsupported("metric filter %s: %v", name, err)
	}
	if _, err := strconv.ParseFloat(t.MetricValue, 64); err != nil && !strings.HasPrefix(t.MetricValue, "$.") {
		return nil, parameter("Invalid metric transformation: metricValue is %q: a number or a selector is allowed", t.MetricValue)
	}
	if len(t.Dimensions) > dimensionsOfFilter {
		return nil, parameter("Invalid metric transformation: %d dimensions: at most %d are allowed", len(t.Dimensions), dimensionsOfFilter)
	}
	if len(t.Dimensions) > 0 && t.DefaultValue != nil {
		return nil, parameter("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	}
	for dimension, selector := range t.Dimensions {
		if !strings.HasPrefix(selector, "$.") {
			return nil, parameter("Invalid metric transformation: the dimension %s is %q: a selector is allowed", dimension, selector)
		}
	}
	return &filter{name, pattern, Metric{Namespace: t.MetricNamespace, MetricName: t.MetricName}, t.Unit, t.MetricValue, t.Dimensions, t.DefaultValue}, nil
}

func (s *Service) groupExists(c *gateway.Call, name string) error {
	var found struct {
		LogGroups []struct {
			LogGroupName string `json:"logGroupName"`
		} `json:"logGroups"`
	}
	if err := c.Ask("DescribeLogGroups", map[string]string{"logGroupNamePrefix": name}, &found); err != nil {
		return err
	}
	for _, group := range found.LogGroups {
		if group.LogGroupName == name {
			return nil
		}
	}
	return &gateway.Fault{Status: http.StatusBadRequest, Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
}

func (s *Service) deleteMetricFilter(c *gateway.Call) (*http.Response, error) {
	var in struct {
		FilterName   string `json:"filterName"`
		LogGroupName string `json:"logGroupName"`
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filters[in.LogGroupName] = slices.DeleteFunc(slices.Clone(s.filters[in.LogGroupName]), func(f *filter) bool { return f.name == in.FilterName })
	return c.Forward()
}

func (s *Service) deleteLogGroup(c *gateway.Call) (*http.Response, error) {
	var in struct {
		LogGroupName string `json:"logGroupName"`
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.filters, in.LogGroupName)
	return c.Forward()
}

// logEvent is an event of PutLogEvents.
type logEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// putLogEvents makes the metrics of the events that moto has taken.
func (s *Service) putLogEvents(c *gateway.Call) (*http.Response, error) {
	var in struct {
		LogGroupName string     `json:"logGroupName"`
		LogEvents    []logEvent `json:"logEvents"`
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil || res.StatusCode/100 != 2 {
		return res, err
	}
	s.mu.Lock()
	filters := s.filters[in.LogGroupName]
	s.mu.Unlock()
	if len(filters) > 0 {
		s.measure(filters, in.LogEvents)
	}
	return res, nil
}

func (s *Service) measure(filters []*filter, events []logEvent) {
	matched := map[*filter]bool{}
	for _, e := range events {
		event := decoded(e.Message)
		for _, f := range filters {
			if !f.pattern.Matches(event) {
				continue
			}
			matched[f] = true
			if m, value, has := f.datum(event); has {
				s.store.put(m, Single(time.UnixMilli(e.Timestamp), f.unit, value))
			}
		}
	}
	for _, f := range filters {
		if f.otherwise != nil && !matched[f] && len(events) > 0 {
			s.store.put(f.metric, Single(time.UnixMilli(events[len(events)-1].Timestamp), f.unit, *f.otherwise))
		}
	}
	s.arrived()
}

// decoded returns a line as JSON; nil if it is none.
func decoded(line string) any {
	in := json.NewDecoder(strings.NewReader(line))
	in.UseNumber()
	event := map[string]any{}
	if in.Decode(&event) != nil || in.More() {
		return nil
	}
	return event
}

// datum returns the metric and the value of a matching event. An event without the
// value, or without a dimension, has none.
func (f *filter) datum(event any) (m Metric, value float64, has bool) {
	m = f.metric
	for _, name := range slices.Sorted(maps.Keys(f.dimensions)) {
		found, has := Select(event, f.dimensions[name])
		if !has || textOf(found) == "" {
			return m, 0, false
		}
		m.Dimensions = append(slices.Clip(m.Dimensions), Dimension{name, textOf(found)})
	}
	if !strings.HasPrefix(f.value, "$.") {
		value, _ = strconv.ParseFloat(f.value, 64) // newFilter has checked it
		return m, value, true
	}
	found, _ := Select(event, f.value)
	number, is := found.(json.Number)
	value, err := number.Float64()
	return m, value, is && err == nil
}
