// Package life is the state machine of a session, from its start to its end. It writes an
// event when a state begins and ends. It decides when the states follow each other, how
// long a player may be away, and when the session ends; its caller provides the work.
package life

import (
	"context"
	"fmt"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// Session has the work and the limits of a session.
type Session struct {
	Steps  []Step // of the start, in order
	Limits contract.Limits

	// Ready is called once, when players may connect.
	Ready func()
	// Players receives the number of connected players. Only the latest counts.
	Players <-chan int
	// Idle returns how long the player has done nothing, and reports whether it is known.
	Idle func(context.Context) (time.Duration, bool)

	// Each of these ends the session: a request, with its reason; the end of the
	// game; the failure of a part.
	Asked  <-chan string
	Game   <-chan status.Ending
	Failed <-chan error

	// Save asks the game to save and end, until its context ends.
	Save func(context.Context)
	// Close ends everything else, until its context ends.
	Close func(context.Context)

	Board *status.Board
	Write func(contract.Event)
}

// Step is one state of the start.
type Step struct {
	State contract.State
	Run   func(context.Context) error
	Limit time.Duration
	Code  int // contract.ExitCodes, of an error without one of its own
}

const (
	// warnBefore is how long before a foreseen end the player gets a warning.
	warnBefore = 2 * time.Minute
	// lookEvery is how often idleness and the time left are looked at.
	checkInterval = 2 * time.Second
	// linger is how long the end stays readable: the page asks every two seconds.
	endShownFor = 3 * time.Second
	// margin is left of Limits.Stop for the exit itself.
	exitMargin = time.Second
	// giveUp is how long a step that was called off may take to notice.
	cancelLimit = 2 * time.Second
)

// life is one run of a session.
type life struct {
	*Session
	ends    chan status.Ending
	since   time.Time // the start
	entered time.Time // of the state
	state   contract.State
	players int
}

// Live runs the session until it ends, and says why. ctx is done at SIGTERM.
func (s *Session) Live(ctx context.Context) status.Ending {
	l := &life{Session: s, ends: make(chan status.Ending, 1), since: time.Now()}
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	go l.watch(ctx, watching.Done())
	end, ready := l.start(context.WithoutCancel(ctx))
	if ready {
		end = l.play(context.WithoutCancel(ctx))
	}
	l.finish(end)
	return end
}

// watch waits for the events that end a session in any state.
func (l *life) watch(ctx context.Context, over <-chan struct{}) {
	longest := time.NewTimer(l.Limits.Max)
	defer longest.Stop()
	select {
	case <-over:
	case <-ctx.Done():
		l.ends <- ended(status.CauseHost, "the session was asked to end")
	case reason := <-l.Asked:
		l.ends <- ended(status.CauseStudio, "the session was asked to end: %s", reason)
	case <-longest.C:
		l.ends <- ended(status.CauseLongest, "the longest session, %s, is over", l.Limits.Max)
	case end := <-l.Game:
		l.ends <- end
	case err := <-l.Failed:
		l.ends <- Failure(err, contract.ExitDisplay)
	}
}

// ended returns the ending of a session that ends as it should.
func ended(cause status.Cause, reason string, values ...any) status.Ending {
	return status.Ending{Code: contract.ExitOK, Cause: cause, Reason: fmt.Sprintf(reason, values...)}
}

// Failure returns the ending of a session by an error: with the error's own exit code
// (package fault) if it has one, otherwise with the given one.
func Failure(err error, code int) status.Ending {
	if own, ok := fault.Code(err); ok {
		code = own
	}
	return status.Ending{Code: code, Reason: err.Error()}
}

// start goes through the steps. If the session ends before it is ready, start returns
// its ending and true.
func (l *life) start(ctx context.Context) (status.Ending, bool) {
	for _, step := range l.Steps {
		l.enter(step.State)
		limited, cancel := context.WithTimeoutCause(ctx, step.Limit, fmt.Errorf("it took longer than %s", step.Limit))
		done := make(chan error, 1)
		go func() { done <- step.Run(limited) }()
		select {
		case err := <-done:
			cancel()
			if err != nil {
				end := Failure(err, step.Code)
				end.Reason = string(step.State) + ": " + end.Reason
				return end, false
			}
		case end := <-l.ends:
			cancel()
			select {
			case <-done: //nolint:errcheck // the session ends in any case
			case <-time.After(cancelLimit):
			}
			return end, false
		}
	}
	return status.Ending{}, true
}

// play runs the session from the time at which players may connect.
func (l *life) play(ctx context.Context) status.Ending {
	l.enter(contract.StateReady)
	l.Ready()
	alone := time.NewTimer(l.Limits.FirstConnect)
	defer alone.Stop()
	look := time.NewTicker(checkInterval)
	defer look.Stop()
	for {
		select {
		case end := <-l.ends:
			return end
		case l.players = <-l.Players:
			count := l.players
			l.Write(contract.Event{Event: contract.EventPlayers, Count: &count})
			l.followPlayers(alone)
		case <-alone.C:
			return l.timeout()
		case <-look.C:
			if end, over := l.checkLimits(ctx); over {
				return end
			}
		}
	}
}

// followPlayers enters the state playing or away, by the number of players.
func (l *life) followPlayers(alone *time.Timer) {
	switch {
	case l.players > 0 && l.state != contract.StatePlaying:
		alone.Stop()
		l.enter(contract.StatePlaying)
	case l.players == 0 && l.state == contract.StatePlaying:
		l.enter(contract.StateAway)
		alone.Reset(l.Limits.Grace)
	}
}

func (l *life) timeout() status.Ending {
	if l.state == contract.StateReady {
		return ended(status.CauseNobody, "nobody came within %s", l.Limits.FirstConnect)
	}
	return ended(status.CauseAway, "the player has been away for %s", l.Limits.Grace)
}

// checkLimits warns of an approaching end, and ends the session of an idle player.
func (l *life) checkLimits(ctx context.Context) (status.Ending, bool) {
	if left := l.Limits.Max - time.Since(l.since); left <= min(warnBefore, l.Limits.Max/2) {
		l.warn(status.WarningLongest, time.Now().Add(left))
		return status.Ending{}, false
	}
	if l.state != contract.StatePlaying || l.Limits.Idle == 0 {
		l.unwarn()
		return status.Ending{}, false
	}
	idle, known := l.Idle(ctx)
	switch left := l.Limits.Idle - idle; {
	case !known || left > min(warnBefore, l.Limits.Idle/2):
		l.unwarn()
	case left > 0:
		l.warn(status.WarningIdle, time.Now().Add(left))
	default:
		return ended(status.CauseIdle, "the player did nothing for %s", l.Limits.Idle), true
	}
	return status.Ending{}, false
}

// warningReasons say in a log why a player was warned.
var warningReasons = map[status.Warning]string{
	status.WarningLongest: "the longest session is nearly over",
	status.WarningIdle:    "the player has done nothing for a long time",
	status.WarningEnding:  "the session ends now",
}

// warn warns the player. The event is written once a warning.
func (l *life) warn(warning status.Warning, endsAt time.Time) {
	var first bool
	l.Board.Change(func(s *status.Status) {
		first = s.Warning != warning
		s.Warning, s.EndsAt = warning, endsAt
	})
	if first {
		l.Write(contract.Event{Event: contract.EventWarned, Reason: warningReasons[warning]})
	}
}

// unwarn takes a warning back.
func (l *life) unwarn() {
	l.Board.Change(func(s *status.Status) { s.Warning, s.EndsAt = "", time.Time{} })
}

// finish ends the session in order: the page shows the ending, the game saves,
// everything is closed. It takes no longer than Limits.Stop.
func (l *life) finish(end status.Ending) {
	ctx, cancel := context.WithTimeout(context.Background(), l.Limits.Stop-exitMargin)
	defer cancel()
	l.enter(contract.StateEnding)
	if l.players > 0 {
		l.warn(status.WarningEnding, time.Now())
	}
	l.Save(ctx)
	l.Board.Change(func(s *status.Status) { s.Ended = &end })
	if l.players > 0 || end.Code != contract.ExitOK {
		select {
		case <-ctx.Done():
		case <-time.After(endShownFor):
		}
	}
	l.Close(ctx)
	l.leave()
}

// enter leaves the state of before and goes to the next.
func (l *life) enter(state contract.State) {
	l.leave()
	l.state, l.entered = state, time.Now()
	l.Board.Change(func(s *status.Status) { s.State = state })
	l.Write(contract.Event{Event: contract.EventEntered, State: state})
}

func (l *life) leave() {
	if l.state != "" {
		l.Write(contract.Event{Event: contract.EventLeft, State: l.state, Seconds: time.Since(l.entered).Round(time.Millisecond).Seconds()})
	}
}
