package scaling

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// Values of the tables in textbooks.
func TestErlangsFormulaHasItsKnownValues(t *testing.T) {
	for _, c := range []struct {
		servers   int
		load      float64
		waits, wq float64
	}{
		{1, 0.5, 0.5, 1},          // M/M/1: the probability is the load, the wait load/(1-load)
		{2, 1, 1.0 / 3, 1.0 / 3},  // M/M/2 at half load
		{10, 8, 0.40918, 0.20459}, // 10 servers at 80 %
		{1000, 900, 0.00055, 0},
	} {
		assert.InDelta(t, c.waits, ErlangC(c.servers, c.load), 0.0005, "%d", c.servers)
		assert.InDelta(t, c.wq, ErlangWait(c.servers, c.load), 0.0005, "%d", c.servers)
	}
	for degrees, want := range map[int]float64{9: 3.250, 15: 2.947, 29: 2.756} {
		assert.InDelta(t, want, student(degrees), 0.005)
	}
}

// queueing runs sessions that arrive at random on hosts that are there from the start,
// and returns the mean wait, in mean lengths, and the share of sessions that waited.
func queueing(t *testing.T, hosts int, load float64, seed uint64) (wait, waited float64) {
	t.Helper()
	const warm, counted = 2_000, 15_000
	const mean = float64(time.Hour)
	random := rand.New(rand.NewPCG(seed, 1))
	var at float64
	sessions := make([]Session, warm+counted)
	for i := range sessions {
		at += random.ExpFloat64() * mean / load
		sessions[i] = Session{At: time.Duration(at), Length: time.Duration(random.ExpFloat64() * mean)}
	}
	run, err := Simulate(Setup{Type: "g5.xlarge", Need: capacity.Need{VCPUs: 4, MemoryMiB: 1000, GPUs: 1}, MinVCPUs: 4 * hosts, MaxVCPUs: 4 * hosts}, sessions, 0)
	require.NoError(t, err)
	require.Len(t, run.Hosts, hosts)
	for _, w := range run.Waits[warm:] {
		wait += float64(w.Total()) / mean / counted
		if w.Total() > 0 {
			waited += 1.0 / counted
		}
	}
	return wait, waited
}

// The simulation agrees with the closed form within its interval of confidence, which is
// narrow enough to notice one host more.
func TestTheSimulationAgreesWithErlangsClosedForm(t *testing.T) {
	const runs = 16
	for _, c := range []struct {
		hosts int
		load  float64
	}{{1, 0.7}, {5, 4}, {20, 16}} {
		var waits, shares []float64
		for seed := range uint64(runs) {
			wait, share := queueing(t, c.hosts, c.load, seed)
			waits, shares = append(waits, wait), append(shares, share)
		}
		wait, within := interval(waits)
		assert.InDelta(t, ErlangWait(c.hosts, c.load), wait, within, "the mean wait with %d hosts", c.hosts)
		share, shareWithin := interval(shares)
		assert.InDelta(t, ErlangC(c.hosts, c.load), share, shareWithin, "the share that waits with %d hosts", c.hosts)
		t.Logf("%2d hosts, load %4.1f: wait %.4f ± %.4f (closed form %.4f), %.4f ± %.4f wait (%.4f)",
			c.hosts, c.load, wait, within, ErlangWait(c.hosts, c.load), share, shareWithin, ErlangC(c.hosts, c.load))
		assert.Greater(t, math.Abs(ErlangWait(c.hosts+1, c.load)-wait), within)
	}
}
