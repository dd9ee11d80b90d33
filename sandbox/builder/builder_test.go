package builder

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

var _ gateway.Machines = (*Machines)(nil)

func TestWhatIsNoMachineHasNoStateAndNoConnection(t *testing.T) {
	m := New(Config{Log: io.Discard})
	state, err := m.State(t.Context(), "i-1")
	require.NoError(t, err)
	assert.Empty(t, state, "moto knows")
	assert.False(t, m.Online("i-1"))
	m.Stop("i-1")
	m.Remove("i-1")
	answer := httptest.NewRecorder()
	m.RelayPage(answer, httptest.NewRequest(http.MethodGet, RelayPath+"?instance=i-1", nil))
	assert.Equal(t, http.StatusBadRequest, answer.Code)
	assert.Contains(t, answer.Body.String(), `"i-1" is not connected`)
}

// A machine's user data runs with every capability of this machine's.
func TestNoMachineStartsThatTheConfigurationDoesNotAskFor(t *testing.T) {
	m := New(Config{Log: io.Discard, Allowed: func() error { return errors.New("not configured") }})
	require.ErrorContains(t, m.Start("i-1", []byte("#!/bin/sh\ntouch /root-was-here")), "not configured")
	state, err := m.State(t.Context(), "i-1")
	require.NoError(t, err)
	assert.Empty(t, state, "nothing was made")
}

func TestAMachineAsksForNoCapabilityThatThisOneLacks(t *testing.T) {
	const all, without = "CapBnd:\t000001ffffffffff\n", "Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n"
	assert.False(t, slices.Contains(privileges(all), "--cap-drop"))
	assert.Equal(t, []string{"--cap-drop", "SYS_RESOURCE"}, privileges(without)[len(privileges(without))-2:])
}
