package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
)

// inspectState looks for the users' and the registry's passwords, which must be
// nowhere but in Secrets Manager.
func (s *sandbox) inspectState(t *testing.T, c cloudClients, out outputs.Outputs) {
	secrets := map[string]string{}
	for user := range out.JobDefinitions {
		secrets[c.password(t, out, user)] = "the password of " + user
	}
	secrets[c.registryPassword(t)] = "the registry's password"
	s.inNoFile(t, secrets)
}

// inNoFile looks for secrets in the state with its history and in every file that
// the sandbox wrote. It takes each secret with its description.
func (s *sandbox) inNoFile(t *testing.T, secrets map[string]string) {
	t.Helper()
	cloud := s.cloud(t)
	files := 0
	for _, dir := range []string{cloud.StateDir(), filepath.Join(s.tree.Root, ".build"), cloud.Dir()} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.Contains(path, "/registry/") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for secret, whose := range secrets {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s is in %s", whose, path)
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	assert.Greater(t, files, 3, "the state was looked at")
}
