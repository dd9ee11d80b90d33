package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// attackHost goes, from inside a session, for the host's and the session's
// credentials: the player may not even connect, and the supervisor may.
func (s *sandbox) attackHost(t *testing.T) {
	s.session(t, "start", "player1")
	container := s.containerOf(t, "player1").id
	services := map[string]string{} // their addresses, by the variable that the session reads
	for _, line := range strings.Split(s.docker(t, "inspect", "--format", `{{join .Config.Env "\n"}}`, container), "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "ECS_CONTAINER_METADATA_URI_V4":
			at, err := url.Parse(value)
			require.NoError(t, err)
			services[name] = "/dev/tcp/" + at.Hostname() + "/" + at.Port()
		}
	}
	require.Len(t, services, 3)
	for name, at := range services {
		for user, refused := range map[string]bool{"player1": true, "nobody": true, "root": false} {
			out, err := local.Docker(t.Context(), s.cloud(t).DockerHost, "exec", "--user", user, container, "timeout", "5", "bash", "-c", "exec 3<>"+at).CombinedOutput()
			assert.Equal(t, refused, err != nil, "%s, %s: %s", user, name, out)
			assert.Equal(t, refused, strings.Contains(string(out), "Connection refused"), "%s, %s: %s", user, name, out)
		}
	}
	s.session(t, "end", "player1")
}
