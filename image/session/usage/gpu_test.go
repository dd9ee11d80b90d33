package usage

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// smi is an nvidia-smi that is a shell script.
func smi(t *testing.T, script string) *gpu {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nvidia-smi")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	g := newGPU(path, "GPU-1,GPU-2")
	g.user = nil // who runs the test
	return g
}

// measured takes samples and returns their figures.
func measured(t *testing.T, g *gpu, samples int) (contract.Usage, error) {
	t.Helper()
	for range samples {
		g.err = g.sample(t.Context())
	}
	var u contract.Usage
	err := g.measure(&u, period{elapsed: 30 * time.Second})
	return u, err
}

func TestAGPUIsMeasuredByTheMeanOfItsSamples(t *testing.T) {
	g := smi(t, `
case "$1 $2 $3" in
"--query-gpu=utilization.gpu,memory.used,memory.total,utilization.encoder,encoder.stats.sessionCount,encoder.stats.averageFps,encoder.stats.averageLatency --id=GPU-1 --format=csv,noheader,nounits") ;;
*) echo "unknown: $*"; exit 1 ;;
esac
n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$0.n"
[ $n = 0 ] && echo "40, 4096, 15360, 10, 1, 58, 4000" || echo "60, 4096, 15360, 20, 1, 60, 6000"`)
	u, err := measured(t, g, 2)
	require.NoError(t, err)
	assert.Equal(t, contract.Usage{
		GPUPercent: float(50), GPUMemoryMiB: float(4096), GPUMemoryLimitMiB: float(15360), GPUMemoryPercent: float(4096.0 / 15360 * 100),
		EncoderPercent: float(15), EncoderSessions: float(1), EncoderFrames: float(59), EncoderMilliseconds: float(5),
	}, u)
	u, err = measured(t, g, 0)
	assert.Empty(t, u, "samples count once")
	assert.EqualError(t, err, "it has not answered yet")
}

func TestWhatAGPUDoesNotKnowIsLeftOutAndNamed(t *testing.T) {
	u, err := measured(t, smi(t, `echo "[N/A], 4096, 15360, [Not Supported], 0, 0, 0"`), 2)
	assert.EqualError(t, err, "no value of utilization.gpu, utilization.encoder")
	assert.Nil(t, u.GPUPercent)
	assert.Nil(t, u.EncoderPercent)
	assert.Equal(t, float(4096), u.GPUMemoryMiB)
	assert.Equal(t, float(0), u.EncoderSessions, "0 is a value")
}

func TestADriverThatDoesNotKnowAPropertyIsAskedForTheOthers(t *testing.T) {
	u, err := measured(t, smi(t, `case "$1" in *utilization.encoder*) echo 'Field "utilization.encoder" is not a valid field to query.'; exit 2 ;; esac
echo "7, 4096, 15360, 0, 0, 0"`), 1)
	assert.EqualError(t, err, "no value of utilization.encoder")
	assert.Equal(t, float(7), u.GPUPercent)
	assert.Nil(t, u.EncoderPercent)
}

func TestAnNvidiaSMIThatFailsCostsItsValuesAndHoldsNothingUp(t *testing.T) {
	for name, test := range map[string]struct{ script, fault string }{
		"hangs":                     {"sleep 60", "it did not end within 300ms"},
		"prints nonsense":           {"echo Segmentation fault, or so", `it printed "Segmentation fault, or so" instead of 7 values`},
		"prints nothing":            {"true", `it printed "" instead of 7 values`},
		"prints without an end":     {"yes nonsense, and more", "it did not end within 300ms"},
		"dies":                      {"kill -9 $$", "signal: killed"},
		"finds no driver":           {"echo NVIDIA-SMI has failed; exit 9", "exit code 9: NVIDIA-SMI has failed"},
		"counts more than all":      {`echo "101, -1, nan, inf, 1e400, x, "`, "no value of utilization.gpu, memory.used, memory.total, utilization.encoder, encoder.stats.sessionCount, encoder.stats.averageFps, encoder.stats.averageLatency"},
		"knows none of the queries": {`echo "Field \"${1#--query-gpu=}\" is not a valid field" | sed 's/,.*" is/" is/'; exit 2`, "exit code 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := smi(t, test.script)
			g.limit = 300 * time.Millisecond
			if !strings.Contains(test.fault, "within") {
				g.limit = 20 * time.Second // of a loaded machine
			}
			u, err := measured(t, g, 1)
			assert.ErrorContains(t, err, test.fault)
			assert.Empty(t, u)
		})
	}
}

func TestWithoutADriverThereAreNoCalls(t *testing.T) {
	err := newGPU("/nowhere/nvidia-smi", "").watch(t.Context(), time.Nanosecond)
	assert.ErrorContains(t, err, "there is no /nowhere/nvidia-smi: the host has no NVIDIA driver")
	for _, visible := range []string{"none", "void"} {
		assert.ErrorIs(t, newGPU("/nowhere/nvidia-smi", visible).watch(t.Context(), time.Nanosecond), errNoGPU)
	}
}

func TestAWatchedGPUIsAskedAgainAndAgain(t *testing.T) {
	g := smi(t, `echo "40, 4096, 15360, 10, 1, 58, 4000"`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.watch(ctx, time.Millisecond) }()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.counts["utilization.gpu"] > 2
	}, 20*time.Second, 5*time.Millisecond)
	cancel()
	assert.NoError(t, <-ended)
}
