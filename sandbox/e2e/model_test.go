package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// allAllowed looks for calls since the cloud's start that AWS's own API models do
// not allow. Every program's count, whether or not it noticed the refusal.
func (s *sandbox) allAllowed(t *testing.T) {
	var health gateway.Health
	require.NoError(t, s.cloud(t).GetJSON(t.Context(), gateway.HealthPath, &health))
	assert.NotEmpty(t, health.Behaviours[gateway.ModelsName], "calls were checked")
	assert.Empty(t, health.Refusals, "by service, operation and refusal")
}
