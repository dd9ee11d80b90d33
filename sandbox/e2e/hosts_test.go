package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// changeHosts replaces the hosts while somebody plays for longer than the provider
// waits: 20 minutes, here some seconds.
func (s *sandbox) changeHosts(t *testing.T, base config) {
	t.Setenv("DCV_PROVIDER_WAIT", "5s")
	old := s.session(t, "start", "player1")
	larger := base.with(map[string]any{"compute.rootGib": 101})
	up, out := s.command("up", "-config", larger.write(t, s.dir))
	require.NoError(t, up.Start())
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()

	waits := func() bool {
		return strings.Contains(out.String(), "sessions still run on the hosts from before this update")
	}
	if !assert.True(t, local.WaitUntil(2*time.Minute, waits), "it waits for the session on the old host") {
		s.session(t, "end", "player1")
		t.Fatalf("up: %v\n%s", <-ended, out)
	}
	fresh := s.session(t, "start", "player2")
	assert.NotEqual(t, s.aws(t).hostOf(t, old), s.aws(t).hostOf(t, fresh), "a new session is on a new host")
	assert.True(t, answers(old.URL), "the old one goes on")
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v\n%s", err, out)
	case <-time.After(5 * time.Second):
	}
	s.session(t, "end", "player1")
	require.NoError(t, <-ended, out)
	assert.True(t, answers(fresh.URL), "who is on a new host plays on")
	s.session(t, "end", "player2")

	// The engine remembers that the first attempt failed: that alone is repeated.
	assert.Equal(t, []string{"update aws:batch/computeEnvironment:ComputeEnvironment hosts"}, changes(s.deploy(t, "up", larger)))
	assert.Len(t, changes(s.deploy(t, "up", base)), 2, "back again: the template and the environment")
}
