package life

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// scene is a session of fakes on synctest's clock.
type scene struct {
	*Session
	asked   chan string
	game    chan status.Ending
	failed  chan error
	players chan int
	idle    time.Duration
	known   bool

	did    []string // the calls, in order
	events []contract.Event
	began  time.Time
	stop   context.CancelFunc
	ended  chan status.Ending
}

func newScene() *scene {
	s := &scene{
		asked: make(chan string, 1), game: make(chan status.Ending, 1), failed: make(chan error, 1), players: make(chan int, 1),
		began: time.Now(), known: true,
	}
	s.Session = &Session{
		Limits: contract.Limits{FirstConnect: 15 * time.Minute, Grace: 5 * time.Minute, Idle: 30 * time.Minute, Max: 8 * time.Hour, Stop: 30 * time.Second},
		Ready:  func() { s.do("ready") }, Players: s.players, Asked: s.asked, Game: s.game, Failed: s.failed,
		Idle: func(context.Context) (time.Duration, bool) { return s.idle, s.known },
		Save: func(context.Context) { s.do("save") }, Close: func(context.Context) { s.do("close") },
		Board: &status.Board{}, Write: func(e contract.Event) { s.events = append(s.events, e) },
	}
	for _, state := range contract.Steps {
		s.Steps = append(s.Steps, Step{State: state, Limit: time.Minute, Code: contract.ExitHost, Run: func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		}})
	}
	return s
}

func (s *scene) do(what string) { s.did = append(s.did, what) }

// step replaces one step of the start.
func (s *scene) step(state contract.State, run func(context.Context) error) {
	for i := range s.Steps {
		if s.Steps[i].State == state {
			s.Steps[i].Run = run
		}
	}
}

func (s *scene) begin() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended = stop, make(chan status.Ending, 1)
	go func() { s.ended <- s.Live(ctx) }()
	synctest.Wait()
}

// after lets time pass.
func (s *scene) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *scene) connect(players int) {
	s.players <- players
	synctest.Wait()
}

func (s *scene) state() contract.State { return s.Board.Get().State }

// states are those that the session went through.
func (s *scene) states() string {
	var list []string
	for _, e := range s.events {
		if e.Event == contract.EventEntered {
			list = append(list, string(e.State))
		}
	}
	return strings.Join(list, " ")
}

func (s *scene) told(name contract.EventName) (found []contract.Event) {
	for _, e := range s.events {
		if e.Event == name {
			found = append(found, e)
		}
	}
	return found
}

func TestASessionGoesThroughItsStatesAndEachIsToldWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.begin()
		assert.Equal(t, contract.StateUser, s.state())
		s.after(4 * time.Second)
		assert.Equal(t, contract.StateReady, s.state())
		s.connect(1)
		assert.Equal(t, contract.StatePlaying, s.state())
		s.connect(0)
		assert.Equal(t, contract.StateAway, s.state())
		s.connect(2)
		s.game <- status.Ending{Code: contract.ExitOK, Reason: "the game ended"}
		assert.Equal(t, status.Ending{Code: contract.ExitOK, Reason: "the game ended"}, <-s.ended)
		assert.Equal(t, "user display session game ready playing away playing ending", s.states())
		assert.Equal(t, []string{"ready", "save", "close"}, s.did)

		var open contract.State
		for _, e := range s.events {
			switch e.Event {
			case contract.EventEntered:
				assert.Empty(t, open, "a state is left before the next begins")
				open = e.State
			case contract.EventLeft:
				assert.Equal(t, open, e.State)
				open = ""
			}
		}
		assert.Empty(t, open, "the last is left too")
		assert.Equal(t, 1.0, s.told(contract.EventLeft)[0].Seconds)
	})
}

func TestAStepThatFailsEndsTheSessionWithItsCodeAndClosesEverything(t *testing.T) {
	for _, state := range contract.Steps {
		for name, c := range map[string]struct {
			err  error
			code int
		}{
			"an error":              {errors.New("no space"), contract.ExitHost},
			"a fault with its code": {fmt.Errorf("wrapped: %w", fault.New(contract.ExitGPU, errors.New("no GPU"))), contract.ExitGPU},
		} {
			t.Run(string(state)+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene()
					s.step(state, func(context.Context) error { return c.err })
					s.begin()
					end := <-s.ended
					assert.Equal(t, status.Ending{Code: c.code, Reason: string(state) + ": " + c.err.Error()}, end)
					assert.Equal(t, []string{"save", "close"}, s.did, "what was started is ended, and it was never ready")
					assert.Equal(t, c.code, s.Board.Get().Ended.Code, "the page can tell it")
				})
			})
		}
	}
}

func TestAStepThatHangsEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.step(contract.StateDisplay, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		s.begin()
		end := <-s.ended
		assert.Equal(t, "display: it took longer than 1m0s", end.Reason)
	})
}

func TestWhatEndsASessionEndsItInEveryState(t *testing.T) {
	ways := map[string]struct {
		end    func(*scene)
		code   int
		reason string
	}{
		"SIGTERM":       {func(s *scene) { s.stop() }, contract.ExitOK, "the session was asked to end"},
		"a launcher":    {func(s *scene) { s.asked <- "ticket 4711" }, contract.ExitOK, "the session was asked to end: ticket 4711"},
		"the game":      {func(s *scene) { s.game <- status.Ending{Code: contract.ExitGame, Reason: "exit code 3"} }, contract.ExitGame, "exit code 3"},
		"a part":        {func(s *scene) { s.failed <- errors.New("Xorg ended") }, contract.ExitDisplay, "Xorg ended"},
		"a part's code": {func(s *scene) { s.failed <- fault.New(contract.ExitGPU, errors.New("x")) }, contract.ExitGPU, "x"},
	}
	reach := map[contract.State]func(*scene){
		contract.StateUser:    func(*scene) {},
		contract.StateGame:    func(s *scene) { s.after(3500 * time.Millisecond) },
		contract.StateReady:   func(s *scene) { s.after(5 * time.Second) },
		contract.StatePlaying: func(s *scene) { s.after(5 * time.Second); s.connect(1) },
		contract.StateAway:    func(s *scene) { s.after(5 * time.Second); s.connect(1); s.connect(0) },
	}
	for state, bring := range reach {
		for name, way := range ways {
			t.Run(string(state)+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene()
					s.begin()
					bring(s)
					assert.Equal(t, state, s.state())
					asked := time.Now()
					way.end(s)
					end := <-s.ended
					assert.Equal(t, way.code, end.Code)
					assert.Equal(t, way.reason, end.Reason)
					assert.Contains(t, strings.Join(s.did, " "), "save close")
					assert.Less(t, time.Since(asked), s.Limits.Stop, "within the host's patience")
				})
			})
		}
	}
}

func TestAStepThatDoesNotNoticeIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.step(contract.StateUser, func(context.Context) error { time.Sleep(time.Hour); return nil })
		s.begin()
		s.stop()
		<-s.ended
		assert.LessOrEqual(t, time.Since(s.began), cancelLimit+endShownFor)
		time.Sleep(2 * time.Hour) // let the step's goroutine end with the test's clock
	})
}

func TestASessionThatNobodyComesToEndsAfterFirstConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.begin()
		end := <-s.ended
		assert.Equal(t, contract.ExitOK, end.Code)
		assert.Equal(t, "nobody came within 15m0s", end.Reason)
		assert.Equal(t, 15*time.Minute+4*time.Second, time.Since(s.began), "counted from when a player could come, and without a pause for readers")
	})
}

func TestAPlayerWhoComesBackWithinTheGraceTimeFindsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.begin()
		s.after(10 * time.Second)
		for range 5 {
			s.connect(1)
			s.after(time.Minute)
			s.connect(0)
			s.after(s.Limits.Grace - time.Second)
			assert.Equal(t, contract.StateAway, s.state())
		}
		s.connect(1)
		s.after(20 * time.Minute)
		assert.Equal(t, contract.StatePlaying, s.state(), "no earlier absence ends it")
		s.connect(0)
		left := time.Now()
		end := <-s.ended
		assert.Equal(t, "the player has been away for 5m0s", end.Reason)
		assert.Equal(t, contract.ExitOK, end.Code)
		assert.Equal(t, s.Limits.Grace, time.Since(left))
	})
}

func TestAnIdlePlayerIsWarnedAndThenTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.begin()
		s.after(10 * time.Second)
		s.connect(1)
		s.idle = 29 * time.Minute
		s.after(2 * checkInterval)
		assert.Equal(t, status.WarningIdle, s.Board.Get().Warning)
		assert.WithinDuration(t, time.Now().Add(time.Minute), s.Board.Get().EndsAt, 2*checkInterval)
		s.idle = 0 // a key
		s.after(2 * checkInterval)
		assert.Empty(t, s.Board.Get().Warning, "a key takes the warning back")
		s.idle = 30 * time.Minute
		end := <-s.ended
		assert.Equal(t, "the player did nothing for 30m0s", end.Reason)
		assert.Equal(t, contract.ExitOK, end.Code)
		assert.Len(t, s.told(contract.EventWarned), 2, "told once a warning: idle, and the end")
	})
}

func TestIdlenessEndsNothingWhereItIsOffUnknownOrNobodyIsThere(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"off":     func(s *scene) { s.Limits.Idle = 0; s.idle = 99 * time.Hour },
		"unknown": func(s *scene) { s.known = false; s.idle = 99 * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene()
				change(s)
				s.begin()
				s.after(10 * time.Second)
				s.connect(1)
				s.after(2 * time.Hour)
				assert.Equal(t, contract.StatePlaying, s.state())
				assert.Empty(t, s.Board.Get().Warning)
				s.stop()
				<-s.ended
			})
		})
	}
	t.Run("nobody is there yet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			s.idle = 99 * time.Hour
			s.begin()
			s.after(10 * time.Minute)
			assert.Equal(t, contract.StateReady, s.state())
			s.stop()
			<-s.ended
		})
	})
}

func TestTheLongestSessionIsWarnedOfAndEndsEvenWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.Limits.Max, s.Limits.Idle = time.Hour, 0
		s.begin()
		s.after(10 * time.Second)
		s.connect(1)
		s.after(58*time.Minute - 10*time.Second + checkInterval)
		assert.Equal(t, status.WarningLongest, s.Board.Get().Warning)
		assert.WithinDuration(t, s.began.Add(time.Hour), s.Board.Get().EndsAt, checkInterval)
		end := <-s.ended
		assert.Equal(t, "the longest session, 1h0m0s, is over", end.Reason)
		assert.Equal(t, contract.ExitOK, end.Code)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.Limits.Max = time.Minute
		s.step(contract.StateGame, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		s.Steps[3].Limit = time.Hour
		s.begin()
		assert.Equal(t, "the longest session, 1m0s, is over", (<-s.ended).Reason)
	})
}

func TestAPlayerWhoIsThereCanReadTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.begin()
		s.after(10 * time.Second)
		s.connect(1)
		s.stop()
		s.after(time.Second)
		assert.Equal(t, contract.StateEnding, s.state())
		assert.NotNil(t, s.Board.Get().Ended)
		assert.Equal(t, []string{"ready", "save"}, s.did, "the page is still served")
		<-s.ended
	})
}

func TestAGameThatSavesForEverDoesNotKeepTheSessionFromEndingInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.Save = func(ctx context.Context) { <-ctx.Done() }
		s.Close = func(ctx context.Context) { <-ctx.Done() }
		s.begin()
		s.after(10 * time.Second)
		s.connect(1)
		asked := time.Now()
		s.stop()
		<-s.ended
		assert.LessOrEqual(t, time.Since(asked), s.Limits.Stop-exitMargin)
	})
}

func TestEveryWarningHasAReason(t *testing.T) {
	for _, warning := range status.Warnings {
		assert.NotEmpty(t, warningReasons[warning], warning)
	}
}
