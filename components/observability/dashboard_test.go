package observability_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

const dashboardType = "aws:cloudwatch/dashboard:Dashboard"

var update = flag.Bool("update", false, "write the dashboard of testdata")

func dashboardArgs() observability.DashboardArgs {
	return observability.DashboardArgs{
		Stack: "dev", Region: "us-east-1", QueueName: pulumi.String("queue-0a1b2c3"), LogGroupName: pulumi.String("/dcv-sessions/dev/sessions-0a1b2c"),
		UsageSeconds: 30, SessionVCPUs: 3, WaitMinutes: 10, FramesPerSecond: 15, Runbooks: runbooks,
	}
}

func runDashboard(t *testing.T, mode componenttest.Mode, args observability.DashboardArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := observability.NewDashboard(ctx, "dashboard", &args)
		return err
	})
}

func boardOf(t *testing.T, args observability.DashboardArgs) (text string, parsed dashboard.Body) {
	t.Helper()
	text = runDashboard(t, componenttest.Update, args).Must(t).One(t, dashboardType).Inputs["dashboardBody"].(string)
	parsed, err := dashboard.Parse(text)
	require.NoError(t, err)
	return text, parsed
}

func TestTheDashboardIsAsReviewed(t *testing.T) {
	text, _ := boardOf(t, dashboardArgs())
	assert.Less(t, len(text), 100_000, "a dashboard that anybody can read")
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, []byte(text), "", " "))
	pretty.WriteByte('\n')
	const path = "testdata/dashboard.json"
	if *update {
		require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), pretty.String(), "after a review: go test ./components/observability -update")
	again, _ := boardOf(t, dashboardArgs())
	assert.Equal(t, text, again, "a second up changes nothing")
}

func TestWidgetsLieSideBySideWithinTheGrid(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	taken := map[[2]int]string{}
	for _, w := range body.Widgets {
		assert.LessOrEqual(t, w.X+w.Width, dashboard.Columns)
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s", w.Properties)
				taken[[2]int{x, y}] = string(w.Properties)
			}
		}
	}
}

// shown are the lists of the metrics that the graphs have.
func shown(t *testing.T, body dashboard.Body) (all [][]any) {
	t.Helper()
	for _, w := range body.Widgets {
		if w.Type != dashboard.TypeMetric {
			continue
		}
		var graph struct{ Metrics [][]any }
		require.NoError(t, json.Unmarshal(w.Properties, &graph))
		require.NotEmpty(t, graph.Metrics)
		all = append(all, graph.Metrics...)
	}
	return all
}

// A graph of a metric that nobody makes stays empty, and a metric in no graph is paid for
// and never seen.
func TestTheDashboardShowsTheMetricsThatThereAre(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	values := map[string]map[string]bool{}
	for _, row := range contract.Metrics {
		values[row.Name] = map[string]bool{}
		for _, v := range row.Values {
			values[row.Name][row.Dimension+" "+v] = true
		}
	}
	seen := map[string]bool{}
	for _, m := range shown(t, body) {
		if m[0] != contract.MetricNamespace {
			continue
		}
		name := m[1].(string)
		seen[name] = true
		require.Contains(t, values, name)
		assert.Equal(t, []any{"Stack", "dev"}, m[2:4])
		if len(m) > 5 {
			assert.True(t, values[name][m[4].(string)+" "+m[5].(string)], "%v", m)
		} else {
			assert.Empty(t, values[name], "%s has a further dimension", name)
		}
	}
	for _, row := range contract.Metrics {
		assert.True(t, seen[row.Name], row.Name)
	}
}

// Every id of an expression is a metric's of the same graph.
func TestExpressionsAreOverTheGraphsOwnMetrics(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	for _, w := range body.Widgets {
		if w.Type != dashboard.TypeMetric {
			continue
		}
		var graph struct{ Metrics [][]any }
		require.NoError(t, json.Unmarshal(w.Properties, &graph))
		ids, expressions := map[string]bool{}, []string{}
		for _, m := range graph.Metrics {
			options := m[len(m)-1].(map[string]any)
			if id, ok := options["id"].(string); ok {
				assert.Regexp(t, `^[a-z][A-Za-z0-9_]*$`, id, "GetMetricData, MetricDataQuery")
				assert.False(t, ids[id], "%s is there twice", id)
				ids[id] = true
			}
			if math, ok := options["expression"].(string); ok {
				expressions = append(expressions, math)
			}
		}
		for _, math := range expressions {
			used := strings.FieldsFunc(math, func(r rune) bool { return strings.ContainsRune("()+-*/, 0123456789", r) })
			for _, word := range used {
				assert.True(t, slices.Contains([]string{"FILL", "PERIOD", "DIFF", "CEIL"}, word) || ids[word], "%s in %q", word, math)
			}
		}
	}
}

// A graph without data would look like one that is broken.
func TestADashboardWithoutUsageEventsHasNoGraphsOfThem(t *testing.T) {
	args := dashboardArgs()
	args.UsageSeconds = 0
	_, body := boardOf(t, args)
	usage := map[string]bool{}
	for _, row := range contract.Metrics {
		usage[row.Name] = row.Event == contract.EventUsage
	}
	for _, m := range shown(t, body) {
		if m[0] == contract.MetricNamespace {
			assert.False(t, usage[m[1].(string)], "%v", m)
		}
	}
}

// CloudWatch draws an annotation's label at its line: two that are close cover each other.
func TestAGraphHasOneLimit(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	for _, w := range body.Widgets {
		var graph struct{ Annotations dashboard.Annotations }
		require.NoError(t, json.Unmarshal(w.Properties, &graph))
		assert.LessOrEqual(t, len(graph.Annotations.Horizontal), 1, "%s", w.Properties)
	}
}

func TestQueriesAreOverTheSessionsLog(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	queries := 0
	for _, w := range body.Widgets {
		if w.Type != dashboard.TypeLog {
			continue
		}
		var q dashboard.Query
		require.NoError(t, json.Unmarshal(w.Properties, &q))
		assert.True(t, strings.HasPrefix(q.Query, "SOURCE '/dcv-sessions/dev/sessions-0a1b2c' | "), q.Query)
		queries++
	}
	assert.Equal(t, 2, queries)
}

func TestConsumersGetTheDashboardsNameAndItsAddressInThePartitionsConsole(t *testing.T) {
	for region, want := range map[string]struct{ partition, console string }{
		"us-east-1":     {"aws", "https://us-east-1.console.aws.amazon.com/"},
		"us-gov-west-1": {"aws-us-gov", "https://us-gov-west-1.console.amazonaws-us-gov.com/"},
		"cn-north-1":    {"aws-cn", "https://cn-north-1.console.amazonaws.cn/"},
	} {
		var given []any
		componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
			args := dashboardArgs()
			args.Region = region
			made, err := observability.NewDashboard(ctx, "dashboard", &args)
			if err != nil {
				return err
			}
			ctx.Export("given", pulumi.All(made.Name, made.URL).ApplyT(func(all []any) []any { given = all; return all }))
			return nil
		}, inPartition(want.partition)).Must(t)
		assert.Equal(t, []any{"dcv-sessions_dev_sessions", want.console + "cloudwatch/home?region=" + region + "#dashboards/dashboard/dcv-sessions_dev_sessions"}, given)
	}
}

func TestAPartitionWithoutAKnownConsoleIsRefusedAtPreview(t *testing.T) {
	r := componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		args := dashboardArgs()
		args.Region = "us-iso-east-1"
		_, err := observability.NewDashboard(ctx, "dashboard", &args)
		return err
	}, inPartition("aws-iso"))
	assert.ErrorContains(t, r.Err, `region is "us-iso-east-1"; allowed: a Region of the partitions aws, aws-cn, aws-us-gov,`)
	assert.ErrorContains(t, r.Err, "this one is of aws-iso")
	assert.Empty(t, r.OfType(dashboardType))
}

// inPartition makes the mock answer for a partition.
func inPartition(name string) componenttest.Option {
	return componenttest.WithCall("aws:index/getPartition:getPartition", func(map[string]any) (map[string]any, error) {
		return map[string]any{"partition": name, "id": name}, nil
	})
}

func TestEveryFaultOfADashboardIsNamedAtOnce(t *testing.T) {
	r := runDashboard(t, componenttest.Preview, observability.DashboardArgs{Stack: "No"})
	for _, fault := range []string{`stack is "No"`, "region is not set", "queueName is not set", "logGroupName is not set", "runbooks is not set"} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
}
