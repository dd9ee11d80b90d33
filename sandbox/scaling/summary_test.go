package scaling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// minutes makes a session that is submitted after some minutes of the first day.
func minutes(at, length int) Session {
	return Session{At: warmUp + time.Duration(at)*time.Minute, Length: time.Duration(length) * time.Minute, Pull: 4 * time.Minute, Start: time.Minute}
}

// A day that can be calculated by hand: a host takes 3 minutes to start, 4 to pull the image
// and a minute to start a session, and leaves 5 minutes after the last one.
func TestASmallDayIsAsCalculatedByHand(t *testing.T) {
	setup := Setup{Type: "g4dn.xlarge", Need: capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, HourlyUSD: 0.6, MaxVCPUs: 400, HostStart: 3 * time.Minute, HostIdle: 5 * time.Minute}
	run, err := Simulate(setup, []Session{
		minutes(0, 52),   // 3+4+1 minutes; plays from 8 to 60
		minutes(63, 10),  // on the host that is still there: 1 minute; plays from 64 to 74
		minutes(70, 10),  // needs a second host, which is ready at 73; plays from 78 to 88
		minutes(71, 10),  // at 74 the first host is free: 3+0+1 minutes; plays from 75 to 85
		minutes(100, 60), // all hosts have left at 93; plays from 108 to 168
	}, warmUp+3*time.Hour)
	require.NoError(t, err)
	var waits []Wait
	m := func(queue, image int) Wait {
		return Wait{Queue: time.Duration(queue) * time.Minute, Image: time.Duration(image) * time.Minute, Start: time.Minute}
	}
	waits = append(waits, m(3, 4), m(0, 0), m(3, 4), m(3, 0), m(3, 4))
	assert.Equal(t, waits, run.Waits)
	var hosts []Span
	for _, h := range [][2]int{{0, 90}, {70, 93}, {71, 79}, {100, 173}} {
		hosts = append(hosts, Span{warmUp + time.Duration(h[0])*time.Minute, warmUp + time.Duration(h[1])*time.Minute})
	}
	assert.Equal(t, hosts, run.Hosts, "the third host was started for the session that the first one took")

	s := run.Summarize(1)
	assert.Equal(t, Summary{
		Sessions: 5, Days: 1, Total: Percentiles{8 * time.Minute, 8 * time.Minute, 8 * time.Minute}, Queue: Percentiles{3 * time.Minute, 3 * time.Minute, 3 * time.Minute},
		WarmShare: 0.2, PlayedHour: s.PlayedHour, HostHours: s.HostHours, USD: s.USD,
		Peaks: Peaks{Submits: 1, Readies: 1, Placed: 1.0 / 60, HostStarts: 2, Hosts: 3, VCPUs: 12, Sessions: 2, Waiting: 2},
	}, s)
	assert.InDelta(t, 142.0/60, s.PlayedHour, 1e-9)
	assert.InDelta(t, 194.0/60, s.HostHours, 1e-9)
	assert.InDelta(t, 194.0/60*0.6, s.USD, 1e-9)
	assert.InDelta(t, 194.0/142*0.6, s.USDPerHour(), 1e-9)

	levels, playing, _ := run.Levels(1)
	assert.Equal(t, Level{1, 1, 1}, levels[:3])
	assert.Equal(t, Level{0, 0, 1, 1}, playing[:4], "from the first value after its start")
}

func TestASessionThatNoHostCarriesIsAnError(t *testing.T) {
	_, err := Simulate(Setup{Type: "g5.xlarge", Need: capacity.Need{VCPUs: 5, MemoryMiB: 1}}, nil, 0)
	assert.ErrorContains(t, err, "g5.xlarge")
	_, err = Simulate(Setup{Type: "m5.large"}, nil, 0)
	assert.ErrorContains(t, err, "m5.large")
}

func TestTheSameSeedIsTheSameDay(t *testing.T) {
	one, first, err := Default().Run(1000)
	require.NoError(t, err)
	two, second, err := Default().Run(1000)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.Equal(t, one.Hosts, two.Hosts)
	other := Default()
	other.Seed++
	_, third, err := other.Run(1000)
	require.NoError(t, err)
	assert.NotEqual(t, first, third)
}

func TestADayHasItsSessionsItsMeansAndItsCurve(t *testing.T) {
	load := Default().Load
	load.Sessions = 50_000
	var counted, late int
	var length time.Duration
	for _, s := range load.Days(1, 7) {
		if (window{warmUp, warmUp + day}).has(s.At) {
			counted++
			length += s.Length
			if hour := (s.At - warmUp + dayStart) % day; hour >= 20*time.Hour && hour < 22*time.Hour {
				late++
			}
		}
	}
	assert.Equal(t, 50_000, counted)
	assert.InDelta(t, 45, length.Minutes()/50_000, 0.6)
	sum := 0.0
	for _, v := range Evening {
		sum += v
	}
	assert.InDelta(t, ((Evening[20]+Evening[22])/2+Evening[21])/sum, float64(late)/50_000, 0.005)
}

func TestHostsHeldReadyCostMoreAndPlayersWaitLess(t *testing.T) {
	_, cold, err := Default().Run(100)
	require.NoError(t, err)
	_, held, err := Default().Run(100, func(s *Setup) { s.MinVCPUs = 8 * 4 })
	require.NoError(t, err)
	assert.Less(t, held.Total.P95, cold.Total.P95)
	assert.Greater(t, held.USD, cold.USD)
	assert.GreaterOrEqual(t, held.HostHours, 8*24.0)
}

// Each quota has a page, and the first one that a growing load reaches is known.
func TestEachQuotaIsReachedInTheOrderOfLoads(t *testing.T) {
	runs := []Summary{
		{Sessions: 100, Peaks: Peaks{Submits: 1, Hosts: 10, VCPUs: 40}},
		{Sessions: 1000, Peaks: Peaks{Submits: 4, Hosts: 100, VCPUs: 400}},
	}
	for _, q := range Quotas {
		assert.NotEmpty(t, q.Source+q.Beyond+q.Unit, q.Name)
		assert.Regexp(t, `^https://docs\.aws\.amazon\.com/`, q.URL, q.Name)
	}
	q := Quota{Limit: 70, use: func(p Peaks) float64 { return p.Hosts }}
	assert.InDelta(t, 700, q.Reached(runs), 1e-9, "between two runs")
	q.Limit = 300
	assert.InDelta(t, 3000, q.Reached(runs), 1e-9, "beyond the last")
	q.Limit = 0
	assert.Zero(t, q.Reached(runs), "at once")
}
