package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// changeHosts replaces the hosts of a configuration while somebody plays for longer than
// the provider waits: 20 minutes, here two seconds. Then it deploys base.
func (s *sandbox) changeHosts(t *testing.T, now, base config) {
	old := s.session(t, "start", "player1")
	larger := now.with(map[string]any{"compute.rootGib": 101})
	up, out := s.command("up", "-config", larger.write(t, s.dir))
	up.Env = append(os.Environ(), "DCV_PROVIDER_WAIT=2s")
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
	default: // while a host and a session started
	}
	s.session(t, "end", "player1")
	require.NoError(t, <-ended, out)
	assert.True(t, answers(fresh.URL), "who is on a new host plays on")
	s.session(t, "end", "player2")

	// The engine remembers that the first attempt failed: that alone is repeated.
	assert.Equal(t, []string{"update aws:batch/computeEnvironment:ComputeEnvironment hosts"}, changes(s.deploy(t, "up", larger)))
	assert.Len(t, changes(s.deploy(t, "up", base)), 2, "back again: the template and the environment")
}
