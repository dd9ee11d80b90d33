package cloudwatch

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// The dashboard is that which components/observability declares.
func TestEachWidgetOfTheProgramsDashboardIsDrawnAndEachQueryRuns(t *testing.T) {
	text, err := os.ReadFile("../../components/observability/testdata/dashboard.json")
	require.NoError(t, err)
	body, err := dashboard.Parse(string(text))
	require.NoError(t, err)
	w := newWorld(t)
	w.name = "dcv-sessions"
	w.played()
	drawn, ran := 0, 0
	for i, each := range body.Widgets {
		switch each.Type {
		case dashboard.TypeMetric:
			w.image(fmt.Sprintf("dashboard-%02d", i), string(each.Properties))
			drawn++
		case dashboard.TypeLog:
			var query dashboard.Query
			require.NoError(t, json.Unmarshal(each.Properties, &query))
			_, commands, _ := strings.Cut(query.Query, " | ")
			_, err = ParseInsights(commands)
			require.NoError(t, err)
			ran++
		case dashboard.TypeText:
		default:
			t.Errorf("a widget of the type %s", each.Type)
		}
	}
	require.Positive(t, drawn)
	require.Positive(t, ran)
}

// The period that is under way has a part of its events, and one without a session none.
func TestTheProgramsDashboardCountsTheSessionsOfTheLatestWholeMinute(t *testing.T) {
	text, err := os.ReadFile("../../components/observability/testdata/dashboard.json")
	require.NoError(t, err)
	body, err := dashboard.Parse(string(text))
	require.NoError(t, err)
	i := slices.IndexFunc(body.Widgets, func(w dashboard.Widget) bool { return strings.Contains(string(w.Properties), `"Now"`) })
	tile, err := parseWidget(string(body.Widgets[i].Properties))
	require.NoError(t, err)

	w := newWorld(t)
	minute := w.config.Now().Truncate(time.Minute)
	w.set(minute.Add(20 * time.Second))
	latest := func() (sessions, played float64) {
		g, err := w.graph(tile)
		require.NoError(t, err)
		require.Len(t, g.lines, 2)
		return g.lines[0].values.latest(), g.lines[1].values.latest()
	}
	report := func(metric string, from, to time.Duration) {
		for at := from; at < to; at += 30 * time.Second {
			w.store.put(Metric{"dcv-sessions", metric, []Dimension{{"Stack", "dev"}}}, Single(minute.Add(at), "None", 1))
		}
	}
	sessions, played := latest()
	assert.Equal(t, [2]float64{}, [2]float64{sessions, played}, "no session so far")

	for _, offset := range []time.Duration{3 * time.Second, 17 * time.Second} { // of two sessions, one of which is played
		report("CPUCores", offset-5*time.Minute, 20*time.Second)
	}
	report("MegabitsToPlayer", 3*time.Second-5*time.Minute, 20*time.Second)
	report("CPUCores", -25*time.Second, 0) // a third has just begun
	sessions, played = latest()
	assert.Equal(t, [2]float64{3, 1}, [2]float64{sessions, played})

	w.set(minute.Add(5 * time.Minute))
	sessions, played = latest()
	assert.Equal(t, [2]float64{}, [2]float64{sessions, played}, "they ended")
}
