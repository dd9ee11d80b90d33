package door

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// proofsPerHousehold is how many refused proofs a household may send in proofWindow.
	proofsPerHousehold = 5
	proofWindow        = time.Minute
	// proofsOfRefused is how many second and further proofs, of all households together,
	// are checked in a second.
	proofsOfRefused = 5
	// maxHouseholds bounds the memory of a proofLimiter: above it, the household with
	// the oldest refusal is forgotten.
	maxHouseholds = 4096
)

// proofLimiter limits how often requests to end the session make it call AWS. A proof
// counts as refused until AWS has accepted it. The first proof of a household is always
// checked, so forged proofs of others can't block a real one; the connection limits
// bound how many arrive at once. The zero value is ready to use.
type proofLimiter struct {
	mu      sync.Mutex
	refused map[netip.Addr][]time.Time
	further []time.Time
}

// admit reports whether a household's proof may be checked now, and counts it.
func (p *proofLimiter) admit(from netip.Addr, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := timesAfter(p.refused[from], now.Add(-proofWindow))
	p.further = timesAfter(p.further, now.Add(-time.Second))
	if len(own) >= proofsPerHousehold || len(own) > 0 && len(p.further) >= proofsOfRefused {
		return false
	}
	if len(own) > 0 {
		p.further = append(p.further, now)
	}
	if p.refused == nil {
		p.refused = map[netip.Addr][]time.Time{}
	}
	p.refused[from] = append(own, now)
	if len(p.refused) > maxHouseholds {
		delete(p.refused, p.longestAgo())
	}
	return true
}

// forget removes a household's refusals.
func (p *proofLimiter) forget(from netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.refused, from)
}

// longestAgo returns the household with the oldest last proof.
func (p *proofLimiter) longestAgo() (oldest netip.Addr) {
	var when time.Time
	for household, times := range p.refused {
		if last := times[len(times)-1]; !oldest.IsValid() || last.Before(when) {
			oldest, when = household, last
		}
	}
	return oldest
}

// timesAfter returns the times after a moment, of an ascending list.
func timesAfter(times []time.Time, from time.Time) []time.Time {
	return slices.DeleteFunc(times, func(at time.Time) bool { return !at.After(from) })
}
