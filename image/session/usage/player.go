package usage

import (
	"errors"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// player measures the proxy's connections to the player.
type player struct{}

func (player) name() string { return "round trip (TCP_INFO)" }

func (player) measure(u *contract.Usage, p period) error {
	if !p.played() {
		return nil
	}
	t := p.traffic
	u.MegabitsToPlayer, u.MegabitsFromPlayer = megabits(t.ToPlayer, t.Played), megabits(t.FromPlayer, t.Played)
	switch {
	case t.Known:
		u.RoundTripMilliseconds = float(float64(t.RoundTrip) / float64(time.Millisecond))
	case p.throughout(): // and has not just left
		return errors.New("the kernel has no estimate for the player's connection")
	}
	return nil
}

// megabits returns bytes in so much time as Mbit/s.
func megabits(bytes uint64, in time.Duration) *float64 {
	return float(float64(bytes) * 8 / 1e6 / in.Seconds())
}
