// Package dashboard describes the body of a CloudWatch dashboard: components/observability
// writes it, cmd/dashboard reads it back from AWS and draws it elsewhere (CloudWatch API
// reference, "Dashboard Body Structure and Syntax").
package dashboard

import (
	"encoding/json"
	"fmt"
)

// Columns is the width of a dashboard.
const Columns = 24

// Body is a dashboard.
type Body struct {
	Start          string   `json:"start,omitempty"`          // of the time range at first: "-PT24H"
	PeriodOverride string   `json:"periodOverride,omitempty"` // "auto": periods follow the time range
	Widgets        []Widget `json:"widgets"`
}

// Type is a widget's type.
type Type string

// The types in use.
const (
	TypeMetric Type = "metric" // its properties are a Graph
	TypeLog    Type = "log"    // a Query
	TypeText   Type = "text"   // a Text
)

// Widget is a part of a dashboard, at a place in its grid of Columns.
type Widget struct {
	Type       Type            `json:"type"`
	X          int             `json:"x"`
	Y          int             `json:"y"`
	Width      int             `json:"width"`
	Height     int             `json:"height"`
	Properties json.RawMessage `json:"properties"`
}

// Parse returns the dashboard of a body.
func Parse(body string) (Body, error) {
	var b Body
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return Body{}, fmt.Errorf("dashboard: %w", err)
	}
	return b, nil
}

// String returns the dashboard's body.
func (b Body) String() string { return string(encode(b)) }

// Row adds widgets side by side below the present ones. They share the width.
func (b *Body) Row(height int, properties ...Properties) {
	y := 0
	for _, w := range b.Widgets {
		y = max(y, w.Y+w.Height)
	}
	width := Columns / len(properties)
	for i, p := range properties {
		b.Widgets = append(b.Widgets, Widget{p.widget(), i * width, y, width, height, encode(p)})
	}
}

// Properties are a widget's properties: a Graph, a Query or a Text.
type Properties interface{ widget() Type }

func (Graph) widget() Type { return TypeMetric }
func (Query) widget() Type { return TypeLog }
func (Text) widget() Type  { return TypeText }

// Graph shows metrics. GetMetricWidgetImage takes the same properties, with a width, a
// height and a time range in addition.
type Graph struct {
	Title   string   `json:"title"`
	Region  string   `json:"region"`
	View    View     `json:"view"`
	Stat    string   `json:"stat,omitempty"`   // of metrics without one of their own
	Period  int      `json:"period,omitempty"` // seconds
	Metrics []Metric `json:"metrics"`
	// Start is the beginning of a time range of the graph's own, which ends now: "-PT15M".
	Start   string `json:"start,omitempty"`
	Stacked bool   `json:"stacked,omitempty"`
	// WholeRange makes one value of the whole time range.
	WholeRange  bool         `json:"setPeriodToTimeRange,omitempty"`
	YAxis       *YAxis       `json:"yAxis,omitempty"`
	Annotations *Annotations `json:"annotations,omitempty"`
}

// View is the form of a graph.
type View string

// The views in use.
const (
	ViewTimeSeries View = "timeSeries"
	ViewNumber     View = "singleValue"
	ViewBar        View = "bar"
)

// YAxis is the left axis.
type YAxis struct {
	Left Axis `json:"left"`
}

// Axis is an axis of values.
type Axis struct {
	Label     string   `json:"label,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	ShowUnits bool     `json:"showUnits"`
}

// Annotations are lines across a graph.
type Annotations struct {
	Horizontal []Line `json:"horizontal"`
}

// Line is a line at a value.
type Line struct {
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Color string  `json:"color,omitempty"` // "#rrggbb"
}

// Metric is a line of a graph: a metric, or a metric math expression over the IDs of
// others.
type Metric struct {
	Namespace, Name string
	Dimensions      []Dimension
	Options         Options
}

// Dimension is a dimension of a metric, with its value.
type Dimension struct{ Name, Value string }

// Options are how a metric is shown.
type Options struct {
	Expression string `json:"expression,omitempty"`
	ID         string `json:"id,omitempty"`
	Label      string `json:"label,omitempty"`
	Color      string `json:"color,omitempty"` // "#rrggbb"
	Stat       string `json:"stat,omitempty"`
	Visible    *bool  `json:"visible,omitempty"`
}

// MarshalJSON returns the list that a dashboard has for a metric: namespace, name, names
// and values of dimensions, and the options.
func (m Metric) MarshalJSON() ([]byte, error) {
	var list []any
	if m.Options.Expression == "" {
		list = append(list, m.Namespace, m.Name)
		for _, d := range m.Dimensions {
			list = append(list, d.Name, d.Value)
		}
	}
	return json.Marshal(append(list, m.Options))
}

// Query shows the result of a CloudWatch Logs Insights query. It begins with the log
// group: "SOURCE 'NAME' | …".
type Query struct {
	Title  string `json:"title"`
	Region string `json:"region"`
	Query  string `json:"query"`
	View   string `json:"view"` // "table"
}

// Text shows Markdown.
type Text struct {
	Markdown   string     `json:"markdown"`
	Background Background `json:"background,omitempty"`
}

// Background is behind a text; without one it is on a tile.
type Background string

// Transparent shows the page.
const Transparent Background = "transparent"

// encode returns JSON. It can't fail: these types have strings, numbers and lists only.
func encode(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("dashboard: %v", err))
	}
	return text
}
