package observability

import (
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// MetricsArgs name the log group with the sessions' events.
type MetricsArgs struct {
	LogGroupName pulumi.StringInput
}

// Metrics are the metric filters, which make metrics of the sessions' events. They cost
// nothing themselves; each metric does.
type Metrics struct {
	pulumi.ResourceState
}

// NewMetrics declares a metric filter for each row of contract.Metrics. A log group takes
// 100 (CloudWatch Logs user guide, "CloudWatch Logs quotas").
func NewMetrics(ctx *pulumi.Context, name string, args *MetricsArgs, opts ...pulumi.ResourceOption) (*Metrics, error) {
	var f faults.Faults
	f.Required(args.LogGroupName != nil, "logGroupName", "the log group of the sessions")
	if err := f.Err("metrics"); err != nil {
		return nil, err
	}
	m := &Metrics{}
	if err := ctx.RegisterComponentResource("dcv:observability:Metrics", name, m, opts...); err != nil {
		return nil, err
	}
	for _, row := range contract.Metrics {
		_, err := cloudwatch.NewLogMetricFilter(ctx, name+"-"+row.Name, &cloudwatch.LogMetricFilterArgs{
			Name:         pulumi.String(row.Name),
			LogGroupName: args.LogGroupName,
			Pattern:      pulumi.String(pattern(row)),
			// A filter with dimensions may have no default value, so a metric is silent while
			// nobody plays.
			MetricTransformation: cloudwatch.LogMetricFilterMetricTransformationArgs{
				Namespace:  pulumi.String(contract.MetricNamespace),
				Name:       pulumi.String(row.Name),
				Value:      pulumi.String(value(row)),
				Unit:       pulumi.String(string(row.Unit)),
				Dimensions: pulumi.ToStringMap(dimensions(row)),
			},
		}, pulumi.Parent(m))
		if err != nil {
			return nil, err
		}
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

// pattern returns the filter pattern of the events that make a metric. Of CloudWatch's
// syntax for JSON (CloudWatch Logs user guide, "Using filter patterns to match terms in
// JSON log events") it uses: selectors $.a.b, = with a text in quotes, = * for a field
// that is there, &&, ||, and parentheses around alternatives. A dimension has only values
// of the table, however many others an event may have.
func pattern(row contract.Metric) string {
	terms := []string{equals("event", string(row.Event))}
	if row.Field != "" {
		terms = append(terms, selector(row.Field)+" = *")
	}
	if row.Dimension != "" {
		var values []string
		for _, v := range row.Values {
			values = append(values, equals(row.DimensionField, v))
		}
		terms = append(terms, "("+strings.Join(values, " || ")+")")
	}
	return "{ " + strings.Join(terms, " && ") + " }"
}

func selector(field string) string { return "$." + field }

func equals(field, text string) string { return selector(field) + ` = "` + text + `"` }

// value returns the value that an event adds to the metric.
func value(row contract.Metric) string {
	if row.Field == "" {
		return "1"
	}
	return selector(row.Field)
}

// dimensions returns the selectors of the dimensions' values.
func dimensions(row contract.Metric) map[string]string {
	all := map[string]string{contract.DimensionStack: selector("stack")}
	if row.Dimension != "" {
		all[row.Dimension] = selector(row.DimensionField)
	}
	return all
}
