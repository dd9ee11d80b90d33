package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

var common = contract.Event{Session: "job-1", Stack: "dev", User: "player1", Image: "repo@sha256:1"}

// written returns the events in a writer's output.
func written(t *testing.T, out *bytes.Buffer) []contract.Event {
	t.Helper()
	var all []contract.Event
	for line := range strings.Lines(out.String()) {
		var e contract.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		all = append(all, e)
	}
	return all
}

func TestEveryEventTellsWhenAndWhose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(&out, common)
		w.Write(contract.Event{Event: contract.EventReady, URL: "https://198.51.100.7:8443/", User: "somebody"})
		assert.Equal(t, `{"event":"ready","time":"2000-01-01T00:00:00.000Z","session":"job-1","stack":"dev","user":"player1","image":"repo@sha256:1","url":"https://198.51.100.7:8443/"}`+"\n", out.String())
	})
}

func TestUsageIsWithoutTheImageWhichTheOtherEventsHave(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, common)
	w.Write(contract.Event{Event: contract.EventUsage, Usage: &contract.Usage{Seconds: 30}})
	w.Write(contract.Event{Event: contract.EventSummary, Summary: &contract.Summary{Exit: "ok"}})
	all := written(t, &out)
	assert.Empty(t, all[0].Image)
	assert.Equal(t, common.User, all[0].User)
	assert.Equal(t, common.Image, all[1].Image)
}

func TestLinesOfManyAtOnceStayWhole(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, common)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { w.Write(contract.Event{Event: contract.EventPlayers, Count: &i}) })
	}
	all.Wait()
	assert.Len(t, written(t, &out), 50)
}

func TestAGameThatTalksTooMuchIsCutAndItsLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(&out, common)
		for i := range 120 {
			w.Game(fmt.Sprint("line ", i))
			time.Sleep(5 * time.Millisecond) // 200 a second, 600 ms in all
		}
		assert.Len(t, written(t, &out), 50)
		time.Sleep(time.Second)
		w.Game("afterwards")
		w.Game("and again")
		all := written(t, &out)
		assert.Equal(t, []string{"line 49", "afterwards", "and again"}, []string{all[49].Line, all[50].Line, all[51].Line})
		assert.Equal(t, []int{0, 70, 0}, []int{all[49].Dropped, all[50].Dropped, all[51].Dropped}, "told once")
		assert.Equal(t, contract.EventGame, all[50].Event)
		assert.Equal(t, "game", all[50].Part)
	})
}

func TestNoSecondHoldsMoreLinesThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(&out, common)
		for range 1000 { // 3 s
			w.Game("x")
			time.Sleep(3 * time.Millisecond)
		}
		var times []time.Time
		for _, e := range written(t, &out) {
			at, err := time.Parse(time.RFC3339, e.Time)
			require.NoError(t, err)
			times = append(times, at)
		}
		require.Greater(t, len(times), 100)
		for i := gameLinesPerSecond; i < len(times); i++ {
			assert.GreaterOrEqual(t, times[i].Sub(times[i-gameLinesPerSecond]), time.Second)
		}
	})
}

func TestAPartThatTalksTooMuchSilencesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(&out, common)
		for range 30 {
			w.Part("Xorg", "x")
		}
		w.Part("dcvserver", "y")
		w.Game("z")
		w.Write(contract.Event{Event: contract.EventReady})
		all := written(t, &out)
		require.Len(t, all, 13)
		assert.Equal(t, contract.Event{Event: contract.EventPart, Part: "dcvserver", Line: "y"}, ownPart(all[10]))
	})
}

// ownPart returns an event without the fields that all events have.
func ownPart(e contract.Event) contract.Event {
	e.Time, e.Session, e.Stack, e.User, e.Image = "", "", "", "", ""
	return e
}

func TestWhatWasDroppedAtTheEndIsToldByFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(&out, common)
		for range 60 {
			w.Game("x")
		}
		for range 11 {
			w.Part("Xorg", "x")
		}
		w.Flush()
		all := written(t, &out)
		require.Len(t, all, 62)
		assert.Equal(t, contract.Event{Event: contract.EventPart, Part: "Xorg", Dropped: 1}, ownPart(all[60]))
		assert.Equal(t, contract.Event{Event: contract.EventGame, Part: "game", Dropped: 10}, ownPart(all[61]))
		w.Flush()
		assert.Len(t, written(t, &out), 62, "nothing twice")
	})
}

func TestNoSecretIsEverWritten(t *testing.T) {
	const password, key = "correct-horse<&>", "-----BEGIN KEY-----\nQUJDREVG\r\nR0hJSktM\n-----END KEY-----\n"
	var out bytes.Buffer
	w := New(&out, common)
	w.Hide("", password, "correct", key)
	w.Game("the password is " + password + ", yes, " + password)
	w.Part("dcvserver", "GET /?token="+password)
	for line := range strings.Lines(key) {
		w.Part("Xorg", line)
	}
	check := &contract.Check{Found: password, Change: password + password}
	w.Write(contract.Event{Event: contract.EventDoctor, Check: check})
	w.Write(contract.Event{Event: contract.EventEnded, Reason: "the player's " + password + "\nwas " + key})
	all := written(t, &out)
	assert.Equal(t, "the password is ***, yes, ***", all[0].Line)
	assert.Equal(t, password, check.Found, "the caller's is left alone")
	for _, e := range all {
		texts := fmt.Sprint(e, e.Check)
		for _, secret := range []string{password, "correct", "horse", "QUJDREVG", "R0hJSktM"} {
			assert.NotContains(t, texts, secret)
		}
	}
	assert.NotContains(t, out.String(), "horse", "in any form that JSON may give it")
}

func TestALineThatIsCutWithinASecretTellsNoPartOfIt(t *testing.T) {
	const password = "correct-hörse"
	for length := range len(password) {
		var out bytes.Buffer
		w := New(&out, common)
		w.Hide(password, "corridor")
		filler := strings.Repeat("x", process.LongestLine-len(process.Cut)-length)
		w.Game(process.Shorten(filler + password + " and much more")) // as a child's output is
		line := written(t, &out)[0].Line
		assert.NotContains(t, line, "c", "cut after %d bytes", length)
		assert.True(t, strings.HasPrefix(line, filler) && strings.HasSuffix(line, process.Cut))
	}
}

func TestAnEndlessLineIsCutBetweenTwoCharacters(t *testing.T) {
	for shift := range 4 {
		var out bytes.Buffer
		New(&out, common).Part("Xorg", strings.Repeat("x", shift)+strings.Repeat("ö", 5000))
		line := written(t, &out)[0].Line
		assert.LessOrEqual(t, len(line), 2000)
		assert.NotContains(t, line, "\uFFFD")
		assert.True(t, strings.HasSuffix(line, "ö…"))
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, assert.AnError }

func TestALogThatCannotBeWrittenEndsNothing(t *testing.T) {
	assert.NotPanics(t, func() { New(brokenPipe{}, common).Game("x") })
}
