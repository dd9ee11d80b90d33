// Package status holds how a session stands: its life writes it, its pages read it.
// It has kinds and no sentences; the texts that players read are the door's.
package status

import (
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// Status is how a session stands.
type Status struct {
	State   contract.State
	Warning Warning   // of an end that is near; "": the session goes on
	EndsAt  time.Time // zero if it is not known
	Ended   *Ending   // nil as long as the session goes on
}

// Ending is why a session ended, or could not start.
type Ending struct {
	Code   int    // contract.ExitCodes
	Cause  Cause  // "" if the code says enough
	Reason string // for support: it may name things that no player should read
}

// Cause is why a session ended as it should.
type Cause string

// The causes.
const (
	CauseGame    Cause = "game"    // the game ended
	CauseHost    Cause = "host"    // the host stopped the container
	CauseStudio  Cause = "studio"  // an EndRequest was granted
	CauseLongest Cause = "longest" // the longest time for a session was over
	CauseNobody  Cause = "nobody"  // no player came
	CauseAway    Cause = "away"    // the player did not come back
	CauseIdle    Cause = "idle"    // the player did nothing
)

// Causes lists the causes.
var Causes = []Cause{CauseGame, CauseHost, CauseStudio, CauseLongest, CauseNobody, CauseAway, CauseIdle}

// Warning is the kind of an end that is near.
type Warning string

// The warnings.
const (
	WarningLongest Warning = "longest" // the longest time for a session is nearly over
	WarningIdle    Warning = "idle"    // the player has done nothing for a long time
	WarningEnding  Warning = "ending"  // the session ends now
)

// Warnings lists the warnings.
var Warnings = []Warning{WarningLongest, WarningIdle, WarningEnding}

// Board holds the present status. The zero value is that of a session that begins.
type Board struct {
	mu     sync.Mutex
	status Status
}

// Get returns the present status.
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
