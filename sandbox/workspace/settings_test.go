package workspace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// aStart is a work tree with a configuration, and a start of the local AWS in it.
func aStart(t *testing.T) *Workspace {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("Pulumi.sandbox.yaml", []byte("config:\n  dcv-sessions:image.use: committed\n  dcv-sessions:users: {a: {}}\n"), 0o644))
	cloud := &local.Cloud{ID: "now"}
	require.NoError(t, os.MkdirAll(cloud.Dir(), 0o755))
	return &Workspace{Tree: local.Tree{Root: "."}, Cloud: cloud, Progress: local.Progress{Out: t.Output()}}
}

func TestWhatIsSetStandsBesideTheRepositorysConfiguration(t *testing.T) {
	w := aStart(t)
	committed, err := os.ReadFile("Pulumi.sandbox.yaml")
	require.NoError(t, err)
	file, err := w.Settled()
	require.NoError(t, err)
	assert.Equal(t, "Pulumi.sandbox.yaml", filepath.Clean(file), "as it is, where nothing is set")

	require.NoError(t, w.Set(Settings{"dcv-sessions:image.use": "first", "dcv-sessions:image.gameBuild.key": "game.tar"}))
	require.NoError(t, w.Set(Settings{"dcv-sessions:image.use": ""}))
	file, err = w.Settled()
	require.NoError(t, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var got map[string]map[string]any
	require.NoError(t, yaml.Unmarshal(text, &got))
	assert.Equal(t, map[string]any{
		"dcv-sessions:image.use": "", "dcv-sessions:image.gameBuild.key": "game.tar", "dcv-sessions:users": map[string]any{"a": map[string]any{}},
	}, got["config"])

	still, err := os.ReadFile("Pulumi.sandbox.yaml")
	require.NoError(t, err)
	assert.Equal(t, committed, still)
}
