package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// previewSummary compares the summaries that a reviewer gets with the stack: the
// recorded summary of one more user and another instance type, and a preview
// that fails.
func (s *sandbox) previewSummary(t *testing.T, base config) {
	users := maps.Clone(base["config"].(map[string]any)["dcv-sessions:users"].(map[string]any))
	users["player4"] = map[string]any{}
	changed := base.with(map[string]any{"users": users, "compute.instanceTypes": []string{"g5.xlarge"}})
	got, err := s.summary(t, changed)
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(s.tree.Root, "cmd", "summary", "testdata", "instance-type-and-user.md"))
	require.NoError(t, err)
	assert.Equal(t, string(want), got)

	got, err = s.summary(t, base.with(map[string]any{"session.firstPort": 80, "registry.keep": 0}))
	require.Error(t, err)
	assert.Contains(t, got, "**The preview failed")
	assert.Contains(t, got, "dcv-sessions:session.firstPort")
	assert.Contains(t, got, "dcv-sessions:registry.keep")
}

// summary previews a configuration and returns the summary of the CLI's output, and
// the preview's error.
func (s *sandbox) summary(t *testing.T, cfg config) (string, error) {
	t.Helper()
	file := filepath.Join(s.dir, "preview.json")
	require.NoError(t, os.RemoveAll(file))
	_, failed := s.run(t, "preview", "-config", cfg.write(t, s.dir), "-json", file)
	status := 0
	if failed != nil {
		status = 1
	}
	cmd := exec.Command("go", "run", "./cmd/summary", "--stack", "sandbox", "--status", fmt.Sprint(status), file)
	cmd.Dir = s.tree.Root
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out), failed
}
