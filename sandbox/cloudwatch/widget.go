package cloudwatch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// widget is a metric widget (CloudWatch API reference, "GetMetricWidgetImage: Metric
// Widget Structure and Syntax"), as far as the sandbox draws it.
type widget struct {
	Title       string      `json:"title"`
	View        string      `json:"view"` // timeSeries, singleValue or bar
	Stacked     bool        `json:"stacked"`
	Stat        string      `json:"stat"`
	Period      int         `json:"period"`
	Region      string      `json:"region"`
	WholeRange  bool        `json:"setPeriodToTimeRange"`
	Width       int         `json:"width"`
	Height      int         `json:"height"`
	Start       string      `json:"start"`
	End         string      `json:"end"`
	Timezone    string      `json:"timezone"`
	Metrics     [][]any     `json:"metrics"`
	YAxis       yAxes       `json:"yAxis"`
	Annotations annotations `json:"annotations"`
	Legend      struct {
		Position string `json:"position"`
	} `json:"legend"`
}

type yAxes struct {
	Left yAxis `json:"left"`
}

type yAxis struct {
	Label     string   `json:"label"`
	Min       *float64 `json:"min"`
	Max       *float64 `json:"max"`
	ShowUnits *bool    `json:"showUnits"`
}

type annotations struct {
	Horizontal []annotation `json:"horizontal"`
}

type annotation struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Color string  `json:"color"`
}

// metricOptions are those of one metric.
type metricOptions struct {
	Expression string `json:"expression"`
	ID         string `json:"id"`
	Label      string `json:"label"`
	Stat       string `json:"stat"`
	Period     int    `json:"period"`
	Visible    *bool  `json:"visible"`
	Color      string `json:"color"`
	Region     string `json:"region"`
}

var views = []string{"timeSeries", "singleValue", "bar"}

// parseWidget refuses, by name, everything that the sandbox does not draw.
func parseWidget(text string) (widget, error) {
	w := widget{}
	var raw any
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber()
	if err := in.Decode(&raw); err != nil {
		return w, fmt.Errorf("it is no JSON: %w", err)
	}
	object, is := raw.(map[string]any)
	if !is {
		return w, errors.New("it is no object")
	}
	metrics := object["metrics"]
	delete(object, "metrics")
	if list := gateway.Unknown(object, reflect.TypeOf(w)); len(list) > 0 {
		return w, fmt.Errorf("the sandbox does not draw its %s", strings.Join(list, ", "))
	}
	object["metrics"] = metrics
	known, err := json.Marshal(object)
	if err != nil {
		return w, err
	}
	if err := json.Unmarshal(known, &w); err != nil {
		return w, err
	}
	w.View, w.Stat, w.Period = cmp.Or(w.View, "timeSeries"), cmp.Or(w.Stat, "Average"), cmp.Or(w.Period, 300)
	w.Width, w.Height = cmp.Or(w.Width, 600), cmp.Or(w.Height, 400)
	switch {
	case !slices.Contains(views, w.View):
		return w, fmt.Errorf("the sandbox does not draw the view %s: it draws %s", w.View, strings.Join(views, ", "))
	case w.Width < 1 || w.Width > 2000 || w.Height < 1 || w.Height > 2000:
		return w, fmt.Errorf("width and height are %d and %d: 1 to 2000 are allowed", w.Width, w.Height)
	case len(w.Metrics) > 100:
		return w, fmt.Errorf("it has %d metrics: 100 are allowed", len(w.Metrics))
	}
	return w, nil
}

// shownLine is a line of a graph.
type shownLine struct {
	label  string
	color  color.RGBA
	unit   string
	values line
}

// graph is a widget with its data.
type graph struct {
	widget
	start time.Time
	step  time.Duration
	lines []shownLine
}

// palette are CloudWatch's colours, in its order.
var palette = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"}

// graph computes a widget's data.
func (s *Service) graph(w widget) (graph, error) {
	now := s.config.Now()
	from, err := timeOf(cmp.Or(w.Start, "-PT3H"), now)
	if err != nil {
		return graph{}, fmt.Errorf("start: %w", err)
	}
	to, err := timeOf(cmp.Or(w.End, "PT0H"), now)
	if err != nil {
		return graph{}, fmt.Errorf("end: %w", err)
	}
	if !from.Before(to) {
		return graph{}, errors.New("its start is not before its end")
	}
	step := w.Period
	start, count := span(from, to, step)
	if w.WholeRange {
		step = int(to.Sub(from) / time.Second)
		start, count = from, 1
	}
	list, options, err := w.queries(step)
	if err != nil {
		return graph{}, err
	}
	checked, err := checkQueries(list)
	if err != nil {
		return graph{}, err
	}
	g := graph{widget: w, start: start, step: time.Duration(step) * time.Second}
	lines := checked.compute(&s.store, start, g.step, count)
	for i, q := range list {
		o := options[i]
		if o.Visible != nil && !*o.Visible {
			continue
		}
		shown, err := hex(cmp.Or(o.Color, palette[len(g.lines)%len(palette)]))
		if err != nil {
			return graph{}, err
		}
		g.lines = append(g.lines, shownLine{q.label(), shown, s.unit(q), lines[q.ID]})
	}
	return g, nil
}

// unit is that of a metric's latest sample; "" for an expression.
func (s *Service) unit(q Query) string {
	if q.MetricStat == nil || q.MetricStat.Stat == "SampleCount" {
		return ""
	}
	samples := s.store.between(q.MetricStat.Metric, "", time.Time{}, s.config.Now().Add(time.Hour))
	if len(samples) == 0 || samples[0].Unit == "None" {
		return ""
	}
	return samples[0].Unit
}

// queries returns a query for each metric, with its options.
func (w widget) queries(period int) (list []Query, all []metricOptions, err error) {
	var before []string
	for i, metric := range w.Metrics {
		parts, o, err := readMetric(metric, before)
		if err != nil {
			return nil, nil, fmt.Errorf("metrics[%d]: %w", i, err)
		}
		if strings.Contains(o.Label, "${") {
			return nil, nil, fmt.Errorf("metrics[%d]: the sandbox does not know labels with ${…}: %s", i, o.Label)
		}
		q := Query{ID: cmp.Or(o.ID, fmt.Sprintf("unnamed%d", i)), Expression: o.Expression, Label: o.Label}
		if o.Expression == "" {
			before = parts
			m := Metric{Namespace: parts[0], MetricName: parts[1]}
			for p := 2; p+1 < len(parts); p += 2 {
				m.Dimensions = append(m.Dimensions, Dimension{parts[p], parts[p+1]})
			}
			stat := MetricStat{Metric: m, Period: cmp.Or(o.Period, period), Stat: cmp.Or(o.Stat, w.Stat)}
			if w.WholeRange {
				stat.Period = period
			}
			q.MetricStat = &stat
		}
		list, all = append(list, q), append(all, o)
	}
	return list, all, nil
}

// readMetric reads ["NAMESPACE", "NAME", "DIMENSION", "VALUE", …, {options}]. "." stands
// for the same place of the metric before, "..." for all places before the rest.
func readMetric(metric []any, before []string) (parts []string, o metricOptions, err error) {
	for i, part := range metric {
		switch v := part.(type) {
		case string:
			parts = append(parts, v)
		case map[string]any:
			if i != len(metric)-1 {
				return nil, o, errors.New("its options are not last")
			}
			if list := gateway.Unknown(v, reflect.TypeOf(o)); len(list) > 0 {
				return nil, o, fmt.Errorf("the sandbox does not know its %s", strings.Join(list, ", "))
			}
			text, err := json.Marshal(v)
			if err != nil {
				return nil, o, err
			}
			if err := json.Unmarshal(text, &o); err != nil {
				return nil, o, err
			}
		default:
			return nil, o, fmt.Errorf("%v is neither a text nor options", part)
		}
	}
	if o.Expression != "" {
		return nil, o, nil
	}
	if len(parts) > 0 && parts[0] == "..." {
		rest := parts[1:]
		if len(rest) > len(before) {
			return nil, o, errors.New("... stands for nothing")
		}
		parts = append(slices.Clone(before[:len(before)-len(rest)]), rest...)
	}
	for i, part := range parts {
		if part == "." {
			if i >= len(before) {
				return nil, o, errors.New(". stands for nothing")
			}
			parts[i] = before[i]
		}
	}
	if len(parts) < 2 || len(parts)%2 != 0 {
		return nil, o, fmt.Errorf("%q is no metric: namespace, name, and names and values of dimensions are", parts)
	}
	return parts, o, nil
}

var duration = regexp.MustCompile(`^(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// timeOf returns a time, which is absolute or a duration before now: "-PT3H".
func timeOf(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	m := duration.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, fmt.Errorf("%q is neither a time nor a duration such as -PT3H", text)
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		count, _ := strconv.Atoi(cmp.Or(m[i+2], "0")) // digits
		total += time.Duration(count) * unit
	}
	return now.Add(-total), nil
}

func hex(text string) (color.RGBA, error) {
	value, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 32)
	if err != nil || len(text) != 7 {
		return color.RGBA{}, fmt.Errorf("the colour %q is not known: #rrggbb is", text)
	}
	return color.RGBA{uint8(value >> 16), uint8(value >> 8), uint8(value), 255}, nil
}

// latest returns the last value of a line; NaN without one.
func (l line) latest() float64 {
	for _, v := range slices.Backward(l) {
		if !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

func (s *Service) getMetricWidgetImage(c *gateway.Call) (*http.Response, error) {
	var in struct{ MetricWidget, OutputFormat string }
	if err := needsJSON(c); err != nil {
		return nil, err
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	if cmp.Or(in.OutputFormat, "png") != "png" {
		return nil, gateway.Unsupported("the sandbox does not know the OutputFormat %s", in.OutputFormat)
	}
	w, err := parseWidget(in.MetricWidget)
	if err != nil {
		return nil, gateway.Unsupported("the metric widget: %v", err)
	}
	g, err := s.graph(w)
	if err != nil {
		return nil, gateway.Unsupported("the metric widget: %v", err)
	}
	image, err := g.png()
	if err != nil {
		return nil, err
	}
	return c.Answer(map[string]any{"MetricWidgetImage": image}), nil
}
