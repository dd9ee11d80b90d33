package door

import (
	"net/netip"
	"sync"
	"time"
)

const (
	freeFailures = 5 // before an address has to wait
	firstWait    = 30 * time.Second
	longestWait  = 15 * time.Minute
	// forgetAfter is when an address that failed begins anew.
	forgetAfter = time.Hour
	// maxAddresses bounds what the guard remembers: over it, it forgets who failed
	// longest ago.
	maxAddresses = 4096
)

// guard slows down who guesses. The zero value has seen nobody.
type guard struct {
	mu     sync.Mutex
	failed map[netip.Addr]failures
}

type failures struct {
	count int
	last  time.Time
}

// try has a sign-in checked, or tells how long its address has to wait first. A
// guess counts before the next one of that address is looked at.
func (g *guard) try(from netip.Addr, check func() bool) (right bool, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from = household(from)
	f := g.failed[from]
	if time.Since(f.last) >= forgetAfter {
		f = failures{}
	}
	if left := waitAfter(f.count) - time.Since(f.last); left > 0 {
		return false, left
	}
	if check() {
		delete(g.failed, from)
		return true, 0
	}
	g.remember(from, failures{f.count + 1, time.Now()})
	return false, 0
}

func (g *guard) remember(from netip.Addr, f failures) {
	if g.failed == nil {
		g.failed = map[netip.Addr]failures{}
	}
	g.failed[from] = f
	if len(g.failed) <= maxAddresses {
		return
	}
	oldest := from
	for address, of := range g.failed {
		if of.last.Before(g.failed[oldest].last) {
			oldest = address
		}
	}
	delete(g.failed, oldest)
}

// waitAfter is 0 for the first failures, then 30 seconds, doubling.
func waitAfter(failed int) time.Duration {
	if failed < freeFailures {
		return 0
	}
	wait := firstWait
	for range failed - freeFailures {
		wait = min(2*wait, longestWait)
	}
	return wait
}

// household is what one player is thought to have: an IPv4 address, or the /64 of
// an IPv6 one, in which a machine may take as many as it likes.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		network, _ := a.Prefix(64) // 64 is no fault
		return network.Addr()
	}
	return a
}
