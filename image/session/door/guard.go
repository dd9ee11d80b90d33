package door

import (
	"net/netip"
	"sync"
	"time"
)

const (
	freeFailures = 5 // allowed before an address has to wait
	firstWait    = 30 * time.Second
	longestWait  = 15 * time.Minute
	// forgetAfter is the time after which an address's failures no longer count.
	forgetAfter = time.Hour
	// maxAddresses bounds the memory of a guard: above it, the address with the oldest
	// failure is forgotten.
	maxAddresses = 4096
)

// signInGuard slows down the guessing of passwords. The zero value is ready to use.
type signInGuard struct {
	mu     sync.Mutex
	failed map[netip.Addr]failures
}

type failures struct {
	count int
	last  time.Time
}

// try checks a sign-in, or returns how long its address has to wait first. Attempts are
// checked one at a time, so each failure counts for the next attempt.
func (g *signInGuard) try(from netip.Addr, check func() bool) (right bool, wait time.Duration) {
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

func (g *signInGuard) remember(from netip.Addr, f failures) {
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

// waitAfter returns the wait after a number of failures: 0 at first, then 30 seconds,
// doubling.
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

// household returns the addresses that count as one player's: the IPv4 address itself,
// or the /64 network of an IPv6 address, in which a machine can use any number.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		network, _ := a.Prefix(64) // 64 is no fault
		return network.Addr()
	}
	return a
}
