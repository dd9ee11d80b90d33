package local

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sleeping(t *testing.T, script string) Process {
	t.Helper()
	p, err := startProcess("sleeper", filepath.Join(t.TempDir(), "log"), exec.Command("sh", "-c", script))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop() })
	return p
}

func TestAProcessThatIsToldToEndEnds(t *testing.T) {
	p := sleeping(t, "sleep 60")
	assert.True(t, p.Alive())
	require.NoError(t, p.Stop())
	assert.False(t, p.Alive())
	assert.NoError(t, p.Stop(), "and telling it again is no fault")
}

// After a crash and a reboot a pid may be anybody's.
func TestAnotherProcessOfTheSamePidIsLeftAlone(t *testing.T) {
	p := sleeping(t, "sleep 60")
	other := p
	other.Started++
	assert.False(t, other.Alive())
	require.NoError(t, other.Stop())
	assert.True(t, p.Alive())
}

func TestAServiceThatEndsAtOnceIsReportedWithItsLastWords(t *testing.T) {
	p := sleeping(t, "echo the port is taken; sleep 0.3; exit 1")
	err := p.await(5*time.Second, func() bool { return false })
	assert.ErrorContains(t, err, "sleeper ended at once: the port is taken")
}

func TestALongStepShowsThatItGoesOnAndAFailedOneItsOutput(t *testing.T) {
	var out bytes.Buffer
	p := Progress{Out: &out, Every: 10 * time.Millisecond}
	err := p.Step("building", "once a machine", func() error {
		return p.Command(context.Background(), exec.Command("sh", "-c", "echo package one; sleep 0.2; echo it does not compile; exit 3"))
	})
	assert.ErrorContains(t, err, "it does not compile")
	assert.Contains(t, out.String(), "==> building (once a machine)")
	assert.Contains(t, out.String(), "package one")
}

func TestPortsAreChosenOnceAndKept(t *testing.T) {
	tree := Tree{State: t.TempDir()}
	first, err := loadPorts(tree)
	require.NoError(t, err)
	again, err := loadPorts(tree)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first.Gateway, first.Registry)
}
