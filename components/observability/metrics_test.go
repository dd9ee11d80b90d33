package observability_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
)

const metricFilter = "aws:cloudwatch/logMetricFilter:LogMetricFilter"

func runMetrics(t *testing.T, mode componenttest.Mode, group pulumi.StringInput) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := observability.NewMetrics(ctx, "metrics", &observability.MetricsArgs{LogGroupName: group})
		return err
	})
}

func TestEachRowOfTheTableIsAMetricFilter(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runMetrics(t, mode, pulumi.String("/games/sessions")).Must(t)
		assert.Len(t, r.OfType(metricFilter), len(contract.Metrics))
		assert.LessOrEqual(t, len(contract.Metrics), 100, "as many as a log group takes")
		for _, row := range contract.Metrics {
			made := r.Named(t, metricFilter, "metrics-"+row.Name)
			assert.Equal(t, "metrics", made.Parent)
			assert.Equal(t, row.Name, made.Inputs["name"])
			assert.Equal(t, "/games/sessions", made.Inputs["logGroupName"])
			assert.LessOrEqual(t, len(made.Inputs["pattern"].(string)), 1024, "%s: PutMetricFilter takes no longer pattern", row.Name)
			to := made.Inputs["metricTransformation"].(map[string]any)
			assert.Equal(t, []any{"dcv-sessions", row.Name, string(row.Unit)}, []any{to["namespace"], to["name"], to["unit"]})
			assert.NotContains(t, to, "defaultValue", "%s: a filter with dimensions takes none", row.Name)
			assert.Equal(t, "$.stack", to["dimensions"].(map[string]any)["Stack"], row.Name)
		}
	})
}

func TestAPatternTakesTheEventsThatHaveTheMetricsValue(t *testing.T) {
	r := runMetrics(t, componenttest.Update, pulumi.String("/games/sessions")).Must(t)
	for name, want := range map[string]struct {
		pattern, value string
		dimensions     map[string]any
	}{
		"CPUCores": {`{ $.event = "usage" && $.usage.cpuCores = * }`, "$.usage.cpuCores", map[string]any{"Stack": "$.stack"}},
		"StartSeconds": {`{ $.event = "left" && $.seconds = * && ($.state = "user" || $.state = "display" || $.state = "session" || $.state = "game") }`,
			"$.seconds", map[string]any{"Stack": "$.stack", "State": "$.state"}},
	} {
		made := r.Named(t, metricFilter, "metrics-"+name).Inputs
		to := made["metricTransformation"].(map[string]any)
		assert.Equal(t, want.pattern, made["pattern"])
		assert.Equal(t, want.value, to["value"])
		assert.Equal(t, want.dimensions, to["dimensions"])
	}
	ended := r.Named(t, metricFilter, "metrics-SessionsEnded").Inputs
	assert.Equal(t, "1", ended["metricTransformation"].(map[string]any)["value"], "each event counts one")
	assert.Equal(t, len(contract.ExitCodes), strings.Count(ended["pattern"].(string), "$.exit = "), "no other value becomes a metric")
}

// A user, a session or an address would make a paid metric for each.
func TestNoPersonIsADimension(t *testing.T) {
	r := runMetrics(t, componenttest.Update, pulumi.String("/games/sessions")).Must(t)
	for _, made := range r.OfType(metricFilter) {
		for name, from := range made.Inputs["metricTransformation"].(map[string]any)["dimensions"].(map[string]any) {
			assert.Contains(t, []string{"Stack $.stack", "State $.state", "Exit $.exit"}, name+" "+from.(string), made.Name)
		}
	}
}

func TestMetricsNeedALogGroup(t *testing.T) {
	r := runMetrics(t, componenttest.Preview, nil)
	assert.ErrorContains(t, r.Err, "logGroupName is not set; allowed: the log group of the sessions")
	assert.Empty(t, r.Resources)
}
