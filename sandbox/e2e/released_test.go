package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/outputs"
)

// keepReleased tags the deployed image as `make keep-image` does, and pushes more
// images than the repository keeps: earlier ones are gone, and sessions still start
// from the released one.
func (s *sandbox) keepReleased(t *testing.T, cfg config) {
	of := stackOutputs(t, s.deploy(t, "up", cfg.with(map[string]any{"registry.keep": 2})).Outputs)
	out, err := s.run(t, "exec", s.deliverBinary(t), "-stack", "sandbox", "keep")
	require.NoError(t, err, out)
	_, digest, _ := strings.Cut(of.ImageURI, "@")
	kept := registry.ReleasedTag(digest)
	assert.Contains(t, out, kept)

	repository, err := name.NewRepository(of.RepositoryURL)
	require.NoError(t, err)
	for _, tag := range []string{"later-1", "later-2", "later-3"} {
		s.aws(t).login(t)
		image, err := random.Image(100, 1)
		require.NoError(t, err)
		require.NoError(t, remote.Write(repository.Tag(tag), image))
	}
	s.aws(t).login(t)
	tags, err := remote.List(repository)
	require.NoError(t, err)
	assert.Contains(t, tags, kept)
	assert.NotContains(t, tags, "later-1", "the repository keeps two that were not released")
	s.plays(t, of)
}

// plays starts a session, and ends it.
func (s *sandbox) plays(t *testing.T, of outputs.Outputs) {
	t.Helper()
	assert.True(t, answers(s.session(t, "start", "player1").URL))
	assert.Len(t, s.containersOf(t, of.ImageURI), 1)
	s.session(t, "end", "player1")
}

// login asks ECR for a login, as every push and pull begins.
func (c cloudClients) login(t *testing.T) {
	t.Helper()
	_, err := c.ecr.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	require.NoError(t, err)
}
