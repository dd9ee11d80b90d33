package door

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// A household may send this many proofs in a minute that AWS does not accept.
	proofsPerHousehold = 5
	proofWindow        = time.Minute
	// proofsOfRefused is for the second and further proofs of all households
	// together, in a second.
	proofsOfRefused = 5
	// maxHouseholds bounds what proofs remembers: over it, it forgets the household
	// that was refused longest ago.
	maxHouseholds = 4096
)

// proofs bounds how often the session calls AWS for requests to end it. A proof
// counts as refused until AWS has accepted it. The first proof of a household is
// always checked, whatever others do, so that forged proofs hold up no real one;
// how many come at once the door's limit of connections bounds. The zero value has
// seen nobody.
type proofs struct {
	mu      sync.Mutex
	refused map[netip.Addr][]time.Time
	further []time.Time
}

// admit reports whether a proof of a household is checked now, and counts it.
func (p *proofs) admit(from netip.Addr, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := since(p.refused[from], now.Add(-proofWindow))
	p.further = since(p.further, now.Add(-time.Second))
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

// forget forgets that a household was ever refused.
func (p *proofs) forget(from netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.refused, from)
}

// longestAgo returns the household whose last proof is the oldest.
func (p *proofs) longestAgo() (oldest netip.Addr) {
	var when time.Time
	for household, times := range p.refused {
		if last := times[len(times)-1]; !oldest.IsValid() || last.Before(when) {
			oldest, when = household, last
		}
	}
	return oldest
}

// since returns the times from a moment on, of an ascending list.
func since(times []time.Time, from time.Time) []time.Time {
	return slices.DeleteFunc(times, func(at time.Time) bool { return !at.After(from) })
}
