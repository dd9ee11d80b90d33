package scaling

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Session is one player's session as it is planned. All random figures are part of the
// plan, so that the same sessions can be run with other settings.
type Session struct {
	At     time.Duration // when it is submitted, since the simulation's start
	Length time.Duration // from ready to its end
	Pull   time.Duration // how long the image takes to pull if the host has none
	Start  time.Duration // from the pulled image to ready
}

// Spread is a distribution of durations by its mean and its coefficient of variation,
// the standard deviation divided by the mean: log-normal, as are the lengths of many
// human activities; with a variation of 0 always the mean.
type Spread struct {
	Mean      time.Duration
	Variation float64
}

// draw returns one duration.
func (s Spread) draw(random *rand.Rand) time.Duration {
	if s.Variation == 0 {
		return s.Mean
	}
	sigma2 := math.Log(1 + s.Variation*s.Variation)
	return time.Duration(float64(s.Mean) * math.Exp(math.Sqrt(sigma2)*random.NormFloat64()-sigma2/2))
}

// Curve is how the sessions of a day are spread over its hours, in any unit; between
// the hours it is a straight line.
type Curve [24]float64

// Evening is the curve of players in one time zone: four times as many arrive at
// nine in the evening as at seven in the morning, and the busiest hour has 1.8 times
// the average. It is an assumption: each game has its own.
var Evening = Curve{
	0: 1.00, 1: 0.80, 2: 0.62, 3: 0.50, 4: 0.44, 5: 0.42, 6: 0.43, 7: 0.45, 8: 0.50, 9: 0.57, 10: 0.65, 11: 0.74,
	12: 0.83, 13: 0.90, 14: 0.96, 15: 1.04, 16: 1.15, 17: 1.30, 18: 1.48, 19: 1.66, 20: 1.78, 21: 1.80, 22: 1.62, 23: 1.30,
}

// at returns the curve's value at an hour.
func (c Curve) at(hour float64) float64 {
	whole, part := math.Modf(math.Mod(hour, 24))
	i := int(whole)
	return c[i]*(1-part) + c[(i+1)%24]*part
}

// draw returns a time of day by the curve: it takes one at random and keeps it with the
// curve's probability (rejection sampling).
func (c Curve) draw(random *rand.Rand) time.Duration {
	for top := slices.Max(c[:]); ; {
		hour := 24 * random.Float64()
		if random.Float64()*top <= c.at(hour) {
			return time.Duration(hour * float64(time.Hour))
		}
	}
}

// Load is the sessions of a day.
type Load struct {
	Sessions            int // a day
	Curve               Curve
	Length, Pull, Start Spread
}

// The days are measured from the quietest hour. What happens before is simulated so that
// the first day begins with hosts and sessions, and not counted.
const (
	dayStart = 5 * time.Hour // 05:00
	warmUp   = 8 * time.Hour
	day      = 24 * time.Hour
)

// Days plans the sessions of some days, and those of the hours before.
func (l Load) Days(days int, seed uint64) []Session {
	random := rand.New(rand.NewPCG(seed, uint64(l.Sessions)))
	var sessions []Session
	add := func(at time.Duration) {
		sessions = append(sessions, Session{
			At: at, Length: l.Length.draw(random), Pull: l.Pull.draw(random), Start: l.Start.draw(random),
		})
	}
	for d := -1; d < days; d++ {
		for range l.Sessions {
			sinceStart := (l.Curve.draw(random) - dayStart + day) % day
			at := warmUp + time.Duration(d)*day + sinceStart
			if at >= 0 {
				add(at)
			}
		}
	}
	slices.SortStableFunc(sessions, func(a, b Session) int { return cmp.Compare(a.At, b.At) })
	return sessions
}
