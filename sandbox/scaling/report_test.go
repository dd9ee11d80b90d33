package scaling

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/chart"
)

// The page is current, as far as a simulation takes only seconds. The rows of 100,000 and
// 1,000,000 sessions a day take `make scaling`.
func TestThePageShowsWhatTheSimulationGives(t *testing.T) {
	page, err := os.ReadFile("../../docs/scaling.md")
	require.NoError(t, err)
	study := Default()
	var runs []Summary
	for _, sessions := range Sizes[:4] {
		_, s, err := study.Run(sessions)
		require.NoError(t, err)
		runs = append(runs, s)
	}
	for _, table := range []string{Loads(runs), PeakTable(runs), study.Assumptions()} {
		for _, row := range strings.SplitAfter(table, "\n") {
			assert.Contains(t, string(page), row, "run make scaling")
		}
	}
	for _, q := range Quotas {
		assert.Contains(t, string(page), q.URL, "run make scaling")
	}
}

func TestTheSameRunIsTheSameImage(t *testing.T) {
	run, summary, err := Default().Run(100)
	require.NoError(t, err)
	hosts, playing, waiting := run.Levels(summary.Days)
	for name, c := range map[string]chart.Chart{
		"day": theDay(100, hosts, playing, waiting), "waits": waits([]Summary{summary, {Sessions: 1000, Total: summary.Total}}),
		"cost": costs(100, []string{"a"}, []Level{run.Cost(hosts)}),
	} {
		first, err := chart.PNG(c)
		require.NoError(t, err, name)
		second, err := chart.PNG(c)
		require.NoError(t, err, name)
		assert.Equal(t, first, second, name)
		assert.Equal(t, "\x89PNG", string(first[:4]), name)
	}
}

func TestTablesGoToTheirPlacesAndNoneIsLeftOver(t *testing.T) {
	r := Report{Tables: map[string]string{"a": "| new |\n"}}
	page, err := r.Insert("x\n<!-- scaling: a -->\n| old |\n<!-- end -->\ny\n")
	require.NoError(t, err)
	assert.Equal(t, "x\n<!-- scaling: a -->\n| new |\n<!-- end -->\ny\n", page)
	again, err := r.Insert(page)
	require.NoError(t, err)
	assert.Equal(t, page, again)
	for _, wrong := range []string{"no place", "<!-- scaling: a -->", "<!-- scaling: b -->\n<!-- end -->"} {
		_, err := r.Insert(wrong)
		assert.Error(t, err, wrong)
	}
}

func TestNumbersAndTimesAreWrittenAsPeopleDo(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12.4: "12", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1200: "-1,200"} {
		assert.Equal(t, want, number(v))
	}
	for v, want := range map[float64]string{0: "0", 7: "7", 8349: "8,300", 83490: "83,000", 1249999: "1,200,000"} {
		assert.Equal(t, want, rounded(v))
	}
	for d, want := range map[time.Duration]string{8234 * time.Millisecond: "8.2 s", 45 * time.Second: "45 s", 3 * time.Minute: "3 min", 430 * time.Second: "7 min 10 s"} {
		assert.Equal(t, want, short(d))
	}
}

// The real run of the page: the simulation, which does not know its waits, comes to the
// same ones but for the noise of a machine that starts containers.
func TestTheSimulationAgreesWithTheRealRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/scaling.md")
	require.NoError(t, err)
	measured, err := ReadMeasured("../../docs/scaling-measured.json")
	require.NoError(t, err)
	require.Len(t, measured.Sessions, 200)
	side, _, err := measured.Compare()
	require.NoError(t, err)
	assert.Contains(t, string(page), side, "run make scaling")

	real, simulated, err := measured.Waits()
	require.NoError(t, err)
	for _, share := range []float64{0.5, 0.95, 0.99} {
		assert.InEpsilon(t, quantile(real, share), quantile(simulated, share), 0.2, "%v", share)
	}
	assert.Greater(t, quantile(real, 0.95), 5*mean(measured.Starts), "most of the wait is for hosts, or nothing was compared")
}
