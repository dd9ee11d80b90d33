package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
	"github.com/intraverse/dcv-sessions/internal/logsquery"
)

// clients are the services that the page's parts come from.
type clients struct {
	metrics *cloudwatch.Client
	logs    *cloudwatchlogs.Client
	poll    time.Duration // between two looks at a query
}

func newClients(cfg aws.Config) clients {
	return clients{metrics: cloudwatch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), poll: 200 * time.Millisecond}
}

// tile is a widget as the page shows it: with one of Image, Table, Text and Fault.
type tile struct {
	dashboard.Widget
	Title string
	Image []byte // PNG
	Table *table
	Text  string // Markdown
	Fault string // why there is nothing else, in words
}

// Small reports whether there is room for two such tiles beside each other on a phone.
func (t tile) Small() bool { return t.Type == dashboard.TypeMetric && t.Width <= 4 }

// table is the result of a query.
type table struct {
	Columns []string
	Rows    [][]string
}

// parallelDraws is the number of widgets that are drawn at once. GetMetricWidgetImage
// takes 20 calls a second (CloudWatch API reference), and Logs Insights runs 30 queries
// at once for an account or more (CloudWatch Logs user guide, "CloudWatch Logs quotas").
const parallelDraws = 4

// draw returns the tiles of widgets, in their order. A widget that can't be drawn has a
// fault, and the others are drawn.
func (c clients) draw(ctx context.Context, widgets []dashboard.Widget, p period) []tile {
	tiles := make([]tile, len(widgets))
	var group errgroup.Group
	group.SetLimit(parallelDraws)
	for i, w := range widgets {
		group.Go(func() error {
			tiles[i] = c.tile(ctx, w, p)
			return nil
		})
	}
	_ = group.Wait()
	return tiles
}

func (c clients) tile(ctx context.Context, w dashboard.Widget, p period) tile {
	t := tile{Widget: w}
	var props struct {
		dashboard.Query
		dashboard.Text
	}
	err := json.Unmarshal(w.Properties, &props)
	t.Title = props.Title
	switch {
	case err != nil:
	case w.Type == dashboard.TypeMetric:
		t.Image, err = c.image(ctx, w, p)
	case w.Type == dashboard.TypeLog:
		t.Table, err = c.query(ctx, props.Query.Query, p)
	case w.Type == dashboard.TypeText:
		t.Text = props.Markdown
	default:
		err = fmt.Errorf("this page has no widgets of type %q: open the dashboard", w.Type)
	}
	if err != nil {
		t.Fault = inWords(err)
	}
	return t
}

// The size of a cell of the grid in a picture, in pixels: as on a page of the usual width,
// since a larger picture has letters of the same size, and would be shown smaller.
// CloudWatch draws up to 2,000 pixels (API reference, "GetMetricWidgetImage: Metric Widget
// Structure and Syntax").
const (
	cellWidth  = 60
	cellHeight = 46
	mostPixels = 2000
)

// image returns a metric's picture. The page itself has the title.
func (c clients) image(ctx context.Context, w dashboard.Widget, p period) ([]byte, error) {
	props := map[string]any{}
	if err := json.Unmarshal(w.Properties, &props); err != nil {
		return nil, err
	}
	delete(props, "title")
	props["width"], props["height"] = min(w.Width*cellWidth, mostPixels), min(w.Height*cellHeight, mostPixels)
	if start, own := props["start"].(string); own {
		from, err := moment(start, p.end)
		if err != nil {
			return nil, err
		}
		p.start = from
	} else if p.steps > 0 && props["period"] != nil {
		props["period"] = p.steps
		if props["view"] == string(dashboard.ViewTimeSeries) {
			p.end = p.whole()
		}
	}
	props["start"], props["end"] = p.start.Format(time.RFC3339), p.end.Format(time.RFC3339)
	text, err := json.Marshal(props)
	if err != nil {
		return nil, err
	}
	answer, err := c.metrics.GetMetricWidgetImage(ctx, &cloudwatch.GetMetricWidgetImageInput{MetricWidget: aws.String(string(text))})
	if err != nil {
		return nil, err
	}
	if len(answer.MetricWidgetImage) == 0 {
		return nil, errors.New("CloudWatch returned no picture")
	}
	return answer.MetricWidgetImage, nil
}

// queryLimit is the longest that a query may run. CloudWatch itself stops it after an
// hour.
const queryLimit = time.Minute

// query returns the results of a log's query as a table.
func (c clients) query(ctx context.Context, text string, p period) (*table, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queryLimit, fmt.Errorf("the query runs for longer than %s", queryLimit))
	defer cancel()
	groups, query, err := splitQuery(text)
	if err != nil {
		return nil, err
	}
	results, err := logsquery.Run(ctx, c.logs, &cloudwatchlogs.StartQueryInput{
		LogGroupNames: groups, QueryString: &query, StartTime: aws.Int64(p.start.Unix()), EndTime: aws.Int64(p.end.Unix()),
	}, c.poll)
	if err != nil {
		return nil, err
	}
	return tableOf(results), nil
}

// tableOf returns the results with their columns in the order of the query's fields.
// Each result has a pointer to its line too, which nobody reads.
func tableOf(results [][]types.ResultField) *table {
	t := &table{}
	place := map[string]int{}
	for _, result := range results {
		for _, field := range result {
			name := aws.ToString(field.Field)
			if _, there := place[name]; !there && name != "@ptr" {
				place[name] = len(t.Columns)
				t.Columns = append(t.Columns, name)
			}
		}
	}
	for _, result := range results {
		row := make([]string, len(t.Columns))
		for _, field := range result {
			if i, there := place[aws.ToString(field.Field)]; there {
				row[i] = rounded(aws.ToString(field.Value))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

var longNumber = regexp.MustCompile(`^-?\d+\.\d{4,}$`)

// rounded returns a number with three places after the point, and any other value as it
// is.
func rounded(value string) string {
	if !longNumber.MatchString(value) {
		return value
	}
	number, _ := strconv.ParseFloat(value, 64)
	return strconv.FormatFloat(number, 'f', 3, 64)
}

// inWords returns an error for a person: AWS's answers without the SDK's history of the
// call.
func inWords(err error) string {
	var answer smithy.APIError
	var call *smithy.OperationError
	if !errors.As(err, &answer) || !errors.As(err, &call) {
		return err.Error()
	}
	if code := answer.ErrorCode(); strings.HasPrefix(code, "AccessDenied") {
		return fmt.Sprintf("AWS denies %s: %s", call.OperationName, answer.ErrorMessage())
	}
	return fmt.Sprintf("%s: %s (%s)", call.OperationName, answer.ErrorMessage(), answer.ErrorCode())
}
