package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/compute/sizing"
)

// size measures how many sessions a host of the stack carries, as `make sizing` does, for
// some seconds.
func (n *neighbour) size(t *testing.T) {
	folder := filepath.Join(n.dir, "sizing")
	cmd := exec.Command(n.binary(), "exec", n.program(t, "sizing", "./cmd/sizing"), "-stack", n.stack, "-poll", "200ms",
		"-users", "player1,player2", "-for", "6s", "-warm-up", "0s", "-frames", "1", "-to", folder)
	cmd.Dir = n.tree.Root
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	t.Logf("%s", said)

	text, err := os.ReadFile(filepath.Join(folder, "sizing.json"))
	require.NoError(t, err)
	var report struct {
		InstanceType string
		Levels       []struct {
			Sessions, VCPUs, MemoryMiB int
			Host                       string
			sizing.Figures
			Played []struct{ User, JobID string }
		}
		Recommendation *sizing.Recommendation
	}
	require.NoError(t, json.Unmarshal(text, &report))
	assert.Equal(t, "g4dn.xlarge", report.InstanceType)
	require.Len(t, report.Levels, 2)
	for i, l := range report.Levels {
		assert.Equal(t, i+1, l.Sessions)
		assert.Equal(t, 4/l.Sessions, l.VCPUs)
		assert.Equal(t, 15532/l.Sessions, l.MemoryMiB)
		assert.NotEmpty(t, l.Host)
		if assert.NotNil(t, l.FramesP5) && l.Sessions == 1 { // the second one may be measured while its game loads
			assert.Positive(t, *l.FramesP5)
		}
		for name, v := range map[string]*float64{"cores": l.CoresP95, "memory": l.MemoryPeakMiB, "round trip": l.RoundTripMedian} {
			if assert.NotNil(t, v, "%s of %d sessions", name, l.Sessions) {
				assert.Positive(t, *v, "%s of %d sessions", name, l.Sessions)
			}
		}
		require.Len(t, l.Played, l.Sessions)
		for _, p := range l.Played {
			assert.Equal(t, "SUCCEEDED", n.session(t, "show", p.User).State, "it was asked to end")
		}
	}
	if assert.NotNil(t, report.Recommendation) {
		assert.GreaterOrEqual(t, report.Recommendation.SessionsPerHost, 1)
		assert.NotEmpty(t, report.Recommendation.Thin, "some seconds are too few")
	}
	for _, file := range []string{"sizing.md", "sizing.png"} {
		assert.FileExists(t, filepath.Join(folder, file))
	}
	assert.Empty(t, n.sessions(t))
}
