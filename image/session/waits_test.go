package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// first returns the first event of a session with an environment.
func first(t *testing.T, environ []string) contract.Event {
	t.Helper()
	var out bytes.Buffer
	run(t.Context(), boot.Choose(environ), &out, func(context.Context, settings, *events.Writer) status.Ending { return status.Ending{} })
	for line := range strings.Lines(out.String()) {
		var e contract.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e.Event == contract.EventStarting {
			return e
		}
	}
	t.Fatal("it did not start")
	return contract.Event{}
}

// ago returns a time as an event has it.
func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(contract.TimeFormat) }

func TestTheWaitIsThatSinceTheSubmission(t *testing.T) {
	for submitted, want := range map[string]float64{ago(90 * time.Second): 90, ago(6 * 24 * time.Hour): 6 * 24 * 3600} {
		got := first(t, overridden(job(), contract.EnvSubmitted+"="+submitted)).SinceSubmit
		require.NotNil(t, got, submitted)
		assert.InDelta(t, want, *got, 10)
	}
	assert.Nil(t, first(t, job()).SinceSubmit, "a launcher may leave it out")
}

// A clock that is wrong, or a submitter who writes anything, makes no wait and ends no
// session.
func TestASubmissionThatCantBeMakesNoWait(t *testing.T) {
	for _, submitted := range []string{
		ago(-time.Minute), ago(-1000 * 24 * time.Hour), ago(8 * 24 * time.Hour), "1970-01-01T00:00:00.000Z", "0000-00-00T00:00:00.000Z",
		"", "now", "1764320000", "NaN", "9999-12-31T23:59:59.999Z", strings.Repeat("9", 100_000), "2026-11-28T09:00:00.000Z\n{}", `"},"exitCode":0`,
	} {
		environ := overridden(job(), contract.EnvSubmitted+"="+submitted)
		assert.Nil(t, first(t, environ).SinceSubmit, submitted[:min(len(submitted), 40)])
		_, err := read(environ)
		assert.NoError(t, err)
	}
}

// agent answers a task's metadata as the ECS agent does, with a body.
func agent(t *testing.T, code int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v4/task"
}

func TestTheStartOfTheContainerIsMeasuredByTheAgent(t *testing.T) {
	created := func(at time.Time) string {
		return `{"DockerId":"1","Name":"default","KnownStatus":"RUNNING","CreatedAt":"` + at.UTC().Format(time.RFC3339Nano) + `","StartedAt":"` + at.UTC().Format(time.RFC3339Nano) + `"}`
	}
	since := func(code int, body string) *float64 {
		return sinceCreated(t.Context(), agent(t, code, body), events.New(io.Discard, contract.Event{}))
	}
	got := since(http.StatusOK, created(time.Now().Add(-3*time.Second)))
	require.NotNil(t, got)
	assert.InDelta(t, 3, *got, 2)
	for body, code := range map[string]int{
		created(time.Now().Add(time.Minute)): http.StatusOK, `{"Name":"default"}`: http.StatusOK, "{": http.StatusOK, "": http.StatusOK, "[]": http.StatusOK,
		`{"CreatedAt":"soon"}`: http.StatusOK, created(time.Now()): http.StatusInternalServerError,
	} {
		assert.Nil(t, since(code, body), body)
	}
	assert.Nil(t, sinceCreated(t.Context(), "", nil), "outside of ECS")
	assert.Nil(t, sinceCreated(t.Context(), "http://127.0.0.1:1", events.New(io.Discard, contract.Event{})))
}

func TestAnAgentThatHangsHoldsUpASessionForASecond(t *testing.T) {
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	defer close(hold)
	began := time.Now()
	assert.Nil(t, sinceCreated(t.Context(), server.URL, events.New(io.Discard, contract.Event{})))
	assert.Less(t, time.Since(began), 10*time.Second)
}

// Where the environment has faults, the agent's address may be a stranger's.
func TestNobodyIsAskedBeforeTheEnvironmentIsChecked(t *testing.T) {
	asked := make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- true }))
	defer server.Close()
	first(t, overridden(job(), envTaskMetadata+"="+server.URL))
	assert.Empty(t, asked)
}
