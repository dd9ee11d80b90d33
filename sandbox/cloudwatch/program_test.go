package cloudwatch

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

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
