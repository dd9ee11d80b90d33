package e2e

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ingressRule = " aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule network-"
)

// rules returns the steps that an operation on a port range's rules takes.
func rules(op, ports string) []string {
	return []string{op + ingressRule + "tcp-" + ports + "-127.0.0.0/8", op + ingressRule + "udp-" + ports + "-127.0.0.0/8"}
}

// changePorts moves the range of session ports while somebody plays: the old range
// stays admitted as long as it is named, and can't be dropped under a session.
func (s *sandbox) changePorts(t *testing.T, base config) {
	elsewhere := map[string]any{"session.firstPort": 9443}
	played := s.session(t, "start", "player1")
	refused := func() {
		t.Helper()
		out, err := s.run(t, "preview", "-config", base.with(elsewhere).write(t, s.dir))
		require.Error(t, err)
		assert.Contains(t, out, `a list with "8443-8443" too, as long as sessions use these ports (now: player1)`)
	}
	refused()
	got := changes(s.deploy(t, "up", base.with(map[string]any{"session.firstPort": 9443, "session.formerPorts": []string{"8443-8443"}})))
	assert.Equal(t, append(rules("create", "9443-9443"), updatedDefinitions()...), got)
	assert.True(t, answers(played.URL), "the session of the old range can be reached")
	refused()

	s.session(t, "end", "player1")
	assert.Equal(t, rules("delete", "8443-8443"), changes(s.deploy(t, "up", base.with(elsewhere))))
	moved := s.session(t, "start", "player1")
	assert.True(t, answers(moved.URL), "a session of the new range can be reached")
	at, err := url.Parse(moved.URL)
	require.NoError(t, err)
	assert.Equal(t, "9443", at.Port())
	assert.False(t, reaches(t, at.Hostname(), "8443"), "nobody reaches a port of the old range")
	s.session(t, "end", "player1")

	assert.Len(t, changes(s.deploy(t, "up", base)), 7, "back in one step, since nobody plays: the definitions, and the rules of both ranges")
}

// reaches reports whether a server on a host's port can be connected to.
func reaches(t *testing.T, host, port string) bool {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	require.NoError(t, err)
	defer listener.Close()
	connection, err := net.DialTimeout("tcp", listener.Addr().String(), 2*time.Second)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}
