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

// erlangC returns the probability that a customer has to wait if they arrive at random,
// offer as many servers' work at a time as load says, and are served for exponential
// times by so many servers (A. K. Erlang, "Solution of some problems in the theory of
// probabilities of significance in automatic telephone exchanges", 1917). It is the
// closed form of the simulation without starts, pulls and days.
func erlangC(servers int, load float64) float64 {
	blocked := 1.0 // Erlang's B by its recursion, which stays in range for any number
	for n := 1; n <= servers; n++ {
		blocked = load * blocked / (float64(n) + load*blocked)
	}
	busy := load / float64(servers)
	return blocked / (1 - busy*(1-blocked))
}

// erlangWait returns the mean wait, in units of the mean service time.
func erlangWait(servers int, load float64) float64 {
	return erlangC(servers, load) / (float64(servers) - load)
}

// interval returns the mean of independent results, and half the width of its interval of
// confidence of 99 % by Student's t distribution.
func interval(results []float64) (mean, half float64) {
	n := float64(len(results))
	for _, r := range results {
		mean += r / n
	}
	variance := 0.0
	for _, r := range results {
		variance += (r - mean) * (r - mean) / (n - 1)
	}
	return mean, student(len(results)-1) * math.Sqrt(variance/n)
}

// student returns the 99.5 % quantile of Student's t distribution, by Cornish and
// Fisher's expansion from the normal one (Abramowitz and Stegun, 26.7.5), which is right
// to two decimals for 9 degrees of freedom and more.
func student(degrees int) float64 {
	const z = 2.575829
	v := float64(degrees)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) + (3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}

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
		assert.InDelta(t, c.waits, erlangC(c.servers, c.load), 0.0005, "%d", c.servers)
		assert.InDelta(t, c.wq, erlangWait(c.servers, c.load), 0.0005, "%d", c.servers)
	}
	for degrees, want := range map[int]float64{9: 3.250, 15: 2.947, 29: 2.756} {
		assert.InDelta(t, want, student(degrees), 0.005)
	}
}

// queueing runs sessions that arrive at random on hosts that are there from the start,
// and returns the mean wait, in mean lengths, and the share of sessions that waited.
func queueing(t *testing.T, hosts int, load float64, seed uint64) (wait, waited float64) {
	t.Helper()
	const warm, counted = 1_000, 5_000
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
		assert.InDelta(t, erlangWait(c.hosts, c.load), wait, within, "the mean wait with %d hosts", c.hosts)
		share, shareWithin := interval(shares)
		assert.InDelta(t, erlangC(c.hosts, c.load), share, shareWithin, "the share that waits with %d hosts", c.hosts)
		t.Logf("%2d hosts, load %4.1f: wait %.4f ± %.4f (closed form %.4f), %.4f ± %.4f wait (%.4f)",
			c.hosts, c.load, wait, within, erlangWait(c.hosts, c.load), share, shareWithin, erlangC(c.hosts, c.load))
		assert.Greater(t, math.Abs(erlangWait(c.hosts+1, c.load)-wait), within)
	}
}
