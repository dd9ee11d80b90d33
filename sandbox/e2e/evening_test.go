package e2e

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/browser"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// evening are the sessions of a few minutes, on hosts for two: one user has to wait, and
// another's game fails. At its end two are playing.
var evening = map[string][]visit{
	"player1": {{0, 2 * time.Minute, quits}, {20 * time.Second, 90 * time.Second, isEnded}, {30 * time.Second, time.Minute, stays}},
	"player2": {{20 * time.Second, 90 * time.Second, fails}, {40 * time.Second, 2 * time.Minute, quits}, {0, 0, stays}},
	"player3": {{45 * time.Second, 100 * time.Second, quits}, {30 * time.Second, 80 * time.Second, isEnded}},
}

// visit is a session: the time before it, the time that it is played, and its end.
type visit struct {
	after, plays time.Duration
	end          ending
}

type ending int

const (
	stays   ending = iota // until the test ends
	quits                 // its player leaves the game
	isEnded               // by the launcher
	fails                 // its game is killed
)

// playEvening lets players play in browsers at once, with a measurement every few seconds.
func (s *sandbox) playEvening(t *testing.T, base config, out outputs.Outputs) {
	s.deploy(t, "up", base.with(map[string]any{"session.usageSeconds": 5}))
	t.Cleanup(func() { s.deploy(t, "up", base) })
	var players sync.WaitGroup
	for _, user := range slices.Sorted(maps.Keys(evening)) {
		players.Go(func() {
			for _, v := range evening[user] {
				time.Sleep(v.after)
				s.play(t, out, user, v)
			}
		})
	}
	players.Wait()
	require.False(t, t.Failed())
}

// play plays a session.
func (s *sandbox) play(t *testing.T, out outputs.Outputs, user string, v visit) {
	session := s.session(t, "start", user)
	b := browser.Open(t, session.URL, session.Certificate, desktop)
	b.Type("#username", user)
	b.Type("#password", s.aws(t).password(t, out, user))
	b.Click("#form button")
	picture(b)
	for end := time.Now().Add(v.plays); ; {
		race(b)
		if time.Now().After(end) {
			break
		}
	}
	switch v.end {
	case stays:
		t.Cleanup(func() { s.session(t, "end", user) })
		return
	case isEnded:
		s.session(t, "end", user)
	case fails:
		s.containerOf(t, user).kill("gpu-run")
	}
	require.True(t, local.WaitUntil(2*time.Minute, func() bool {
		if v.end == quits {
			b.Press("Escape")
		}
		_, there := s.sessions(t)[user]
		return !there
	}), "%s's session ends", user)
	b.Close()
}

// containerOf returns the container of a user's session.
func (s *sandbox) containerOf(t *testing.T, user string) *container {
	t.Helper()
	id := s.docker(t, "ps", "--quiet", "--filter", "label=com.amazonaws.ecs.task-definition-family="+contract.JobDefinition(s.stack, user))
	require.NotEmpty(t, id)
	return &container{t, s, id}
}
