package launch_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// A session that has played for hours has a log of ten full pages, AWS's pages being
// of up to 10,000 events. Reading it whole would take 11 calls.
func TestALongLogIsReadFromBothEndsOnly(t *testing.T) {
	c := newCloud(t)
	c.page, c.emptyPages = 10_000, 0
	j, _ := c.session(t, "alice")
	c.with(func() {
		for len(c.streams[j.stream]) < 100_000 {
			c.streams[j.stream] = append(c.streams[j.stream], `{"event":"game","line":"frame"}`)
		}
	})
	l := c.launcher(t)
	calls := func(do func()) int {
		before := c.count("GetLogEvents")
		do()
		return c.count("GetLogEvents") - before
	}
	var s launch.Session
	var err error
	for name, test := range map[string]struct {
		most int
		do   func()
	}{
		"show": {2, func() { s, err = l.Show(t.Context(), "alice") }},
		"list": {2, func() {
			var all []launch.Session
			all, err = l.List(t.Context(), launch.ListOptions{})
			s = all[0]
		}},
		"start": {3, func() { s, err = l.Start(t.Context(), "alice", waits) }},
	} {
		assert.Equal(t, test.most, calls(test.do), name)
		require.NoError(t, err, name)
		assert.NotEmpty(t, s.URL, name)
	}
	assert.Equal(t, 3, calls(func() { s, err = l.End(t.Context(), "alice", "support", launch.EndOptions{}) }))
	require.NoError(t, err)
	assert.Equal(t, "the session was asked to end: support", s.Reason)
	assert.Equal(t, 1, calls(func() { s, err = l.Show(t.Context(), "alice") }), "of one that has ended")
	require.NoError(t, err)
	assert.Equal(t, "the session was asked to end: support", s.Reason)
}

func TestEmptyPagesBeforeALogsEventsArePassed(t *testing.T) {
	for _, empty := range []int{0, 1, 5} {
		c := newCloud(t)
		c.page, c.emptyPages = 3, empty
		j, session := c.session(t, "alice")
		c.with(func() {
			for range 20 {
				c.log(j, contract.Event{Event: contract.EventGame})
			}
		})
		s, err := c.launcher(t).Show(t.Context(), "alice")
		require.NoError(t, err)
		assert.Equal(t, session.URL+"/", s.URL)

		c.with(func() { c.log(j, contract.Event{Event: contract.EventEnded, Reason: "over"}) })
		s, err = c.launcher(t).Show(t.Context(), "alice")
		require.NoError(t, err)
		assert.Equal(t, []string{"", "the session is ending"}, []string{s.URL, s.Wait})
	}
}

func TestWaitingNamesTheStateThatTheSessionIsIn(t *testing.T) {
	c := newCloud(t)
	j := c.add("alice")
	c.with(func() { running("1")(c, j) })
	for state, want := range map[contract.State]string{
		contract.StateUser:    "creating the player's account",
		contract.StateDisplay: "starting the X server",
		contract.StateSession: "starting the remote display and the sound",
		contract.StateGame:    "starting the game",
	} {
		c.with(func() {
			c.log(j, contract.Event{Event: contract.EventEntered, State: state})
			c.log(j, contract.Event{Event: contract.EventPart, Line: "a line"})
		})
		s, err := c.launcher(t).Show(t.Context(), "alice")
		require.NoError(t, err)
		assert.Equal(t, want, s.Wait)
	}
}
