package scaling

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// Percentiles are of the waits of many sessions.
type Percentiles struct{ P50, P95, P99 time.Duration }

// Summary has the figures of a run's days.
type Summary struct {
	Sessions   int // a day
	Days       int
	Total      Percentiles // of the whole wait
	Queue      Percentiles // of its part for a host
	WarmShare  float64     // of the sessions that found a running host with the image
	PlayedHour float64     // a day
	HostHours  float64     // a day
	USD        float64     // a day, of hosts
	Peaks      Peaks
}

// USDPerHour returns the price of an hour played.
func (s Summary) USDPerHour() float64 { return s.USD / s.PlayedHour }

// Peaks are the busiest moments of a run.
type Peaks struct {
	Submits    float64 // a second, in the busiest one
	Readies    float64 // sessions that become ready, in the busiest second
	Placed     float64 // sessions that a host takes, a second, in the busiest minute
	HostStarts float64 // in the busiest ten minutes
	Hosts      float64 // at once
	VCPUs      float64 // of them
	Sessions   float64 // that play at once
	Waiting    float64 // that wait at once
}

// Summarize counts the whole days of a run.
func (r *Run) Summarize(days int) Summary {
	w := window{warmUp, warmUp + time.Duration(days)*day}
	s := Summary{Days: days}
	var totals, queues []time.Duration
	var submitted, placed, ready, ended []time.Duration
	warm, played := 0, 0.0
	for i, session := range r.Sessions {
		wait := r.Waits[i]
		submitted, placed = append(submitted, session.At), append(placed, session.At+wait.Queue)
		ready, ended = append(ready, session.At+wait.Total()), append(ended, session.At+wait.Total()+session.Length)
		if !w.has(session.At) {
			continue
		}
		totals, queues = append(totals, wait.Total()), append(queues, wait.Queue)
		if wait.Queue == 0 && wait.Image == 0 {
			warm++
		}
		played += session.Length.Hours()
	}
	for _, times := range [][]time.Duration{placed, ready, ended} {
		slices.Sort(times)
	}
	s.Total, s.Queue = percentiles(totals), percentiles(queues)
	s.Sessions, s.WarmShare, s.PlayedHour = len(totals)/days, float64(warm)/float64(len(totals)), played/float64(days)

	var started, left []time.Duration
	for _, h := range r.Hosts {
		if paid := min(h.To, w.to) - max(h.From, w.from); paid > 0 {
			s.HostHours += paid.Hours() / float64(days)
		}
		started, left = append(started, h.From), append(left, h.To)
	}
	slices.Sort(started)
	slices.Sort(left)
	s.USD = s.HostHours * r.Setup.HourlyUSD
	s.Peaks = Peaks{
		Submits: w.busiest(submitted, time.Second), Readies: w.busiest(ready, time.Second), Placed: w.busiest(placed, time.Minute) / 60,
		HostStarts: w.busiest(started, 10*time.Minute), Hosts: w.most(started, left), Sessions: w.most(ready, ended), Waiting: w.most(submitted, ready),
	}
	s.Peaks.VCPUs = s.Peaks.Hosts * float64(capacity.InstanceTypes[r.Setup.Type].VCPUs)
	return s
}

// percentiles takes each as the smallest value that so many are not above.
func percentiles(values []time.Duration) Percentiles {
	sorted := slices.Sorted(slices.Values(values))
	return Percentiles{quantile(sorted, 0.50), quantile(sorted, 0.95), quantile(sorted, 0.99)}
}

func quantile[T any](sorted []T, share float64) T {
	return sorted[max(int(math.Ceil(share*float64(len(sorted))))-1, 0)]
}

// window is the time that counts.
type window struct{ from, to time.Duration }

func (w window) has(t time.Duration) bool { return w.from <= t && t < w.to }

// busiest returns the most of the times, which are sorted, that lie within a span that
// slides over them.
func (w window) busiest(times []time.Duration, span time.Duration) float64 {
	most, first := 0, 0
	for last, t := range times {
		if !w.has(t) {
			continue
		}
		for t-times[first] >= span || !w.has(times[first]) {
			first++
		}
		most = max(most, last-first+1)
	}
	return float64(most)
}

// most returns how many are there at once, given the sorted times at which they come
// and go.
func (w window) most(come, gone []time.Duration) float64 {
	there, top := 0, 0
	for i, j := 0, 0; i < len(come); {
		if j < len(gone) && gone[j] <= come[i] {
			there--
			j++
			continue
		}
		there++
		if w.has(come[i]) {
			top = max(top, there)
		}
		i++
	}
	return float64(top)
}

// Level is a number over the time of day, averaged over the days of a run.
type Level []float64

// step is the time between the values of a level.
const step = 5 * time.Minute

// Levels returns how many hosts there are and how many sessions play and wait, over
// the day.
func (r *Run) Levels(days int) (hosts, playing, waiting Level) {
	var playings, waitings []Span
	for i, session := range r.Sessions {
		ready := session.At + r.Waits[i].Total()
		waitings = append(waitings, Span{session.At, ready})
		playings = append(playings, Span{ready, ready + session.Length})
	}
	return level(r.Hosts, days), level(playings, days), level(waitings, days)
}

func level(spans []Span, days int) Level {
	steps := int(day / step)
	changes := make([]float64, days*steps+1)
	at := func(t time.Duration) int {
		return min(max(int((t-warmUp+step-1)/step), 0), days*steps)
	}
	for _, s := range spans {
		changes[at(s.From)]++
		changes[at(s.To)]--
	}
	l := make(Level, steps)
	now := 0.0
	for i, change := range changes[:days*steps] {
		now += change
		l[i%steps] += now / float64(days)
	}
	return l
}

// Cost returns the dollars an hour that hosts cost over the day.
func (r *Run) Cost(hosts Level) Level {
	cost := slices.Clone(hosts)
	for i := range cost {
		cost[i] *= r.Setup.HourlyUSD
	}
	return cost
}

// enough returns how many days of a load have enough sessions for percentiles.
func enough(sessions int) int { return cmp.Or((3000+sessions-1)/sessions, 1) }
