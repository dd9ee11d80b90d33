// Package status is what a session tells who looks at it: written by its life,
// read by its pages.
package status

import (
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// Status is how a session stands.
type Status struct {
	State contract.State
	// Warning is why the session is about to end, in words for its player; "":
	// it goes on. EndsAt is when, where that is known.
	Warning string
	EndsAt  time.Time
	// Ended is set once the session is over, or could not start.
	Ended *Ended
}

// Ended is why a session is over.
type Ended struct {
	Code   int    // contract.ExitCodes
	Reason string // in words for support; may name what no player should read
	Words  string // in words for the player; "" where the code says enough
}

// Board holds the status of this moment. The zero value is a session that begins.
type Board struct {
	mu     sync.Mutex
	status Status
}

// Get is the status of this moment.
func (b *Board) Get() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// Change changes the status.
func (b *Board) Change(change func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
}
