package builder_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watched is a machine on which the watchdog looks; its clock is a file.
type watched struct {
	t   *testing.T
	dir string
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	m := &watched{t, t.TempDir()}
	m.command("systemctl", `echo "$*" >>"$(dirname "$0")/asked"`)
	m.nobody()
	return m
}

// command is a program that the watchdog finds.
func (m *watched) command(name, script string) {
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
}

func (m *watched) nobody() { m.command("pgrep", "exit 1") }

// runs lets pgrep find one process, by its command line and by its name.
func (m *watched) runs(line string) {
	m.command("pgrep", fmt.Sprintf(`case $1 in
-x) [ "$2" = %[1]q ] ;;
-f) echo %[1]q | grep -Eq "$2" ;;
esac`, line))
}

// at runs the watchdog at a minute after the start and reports whether it powers off.
func (m *watched) at(minute int) bool {
	m.t.Helper()
	uptime, asked := filepath.Join(m.dir, "uptime"), filepath.Join(m.dir, "asked")
	require.NoError(m.t, os.WriteFile(uptime, fmt.Appendf(nil, "%d.42 1.00\n", 1000+60*minute), 0o600))
	cmd := exec.Command("sh", "watchdog.sh")
	cmd.Env = []string{"PATH=" + m.dir + ":" + os.Getenv("PATH"), "BUILDER_RUN=" + m.run(), "BUILDER_UPTIME=" + uptime}
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, string(out))
	order, err := os.ReadFile(asked)
	if err != nil {
		assert.Empty(m.t, string(out))
		return false
	}
	assert.Equal(m.t, "poweroff\n", string(order))
	assert.Contains(m.t, string(out), "power off", "it tells why")
	return true
}

func (m *watched) run() string { return filepath.Join(m.dir, "run") }

func TestTheWatchdogEndsAnIdleBuilder(t *testing.T) {
	m := newWatched(t)
	assert.False(t, m.at(0), "it has just started")
	assert.False(t, m.at(14))
	assert.True(t, m.at(15))
}

func TestTheWatchdogLeavesABuildAlone(t *testing.T) {
	for _, sign := range []string{"docker", "sshd: builder [priv]", "sshd: builder@notty", "sshd-session: builder"} {
		m := newWatched(t)
		m.runs(sign)
		for minute := 0; minute <= 90; minute += 10 {
			require.False(t, m.at(minute), "%s, after %d minutes", sign, minute)
		}
		m.nobody()
		assert.False(t, m.at(104), sign)
		assert.True(t, m.at(105), sign)
	}
	m := newWatched(t)
	m.runs("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
	assert.False(t, m.at(0))
	assert.True(t, m.at(15), "nobody is connected")
}

func TestTheWatchdogEndsABuilderThatIsBusyForTooLong(t *testing.T) {
	m := newWatched(t)
	m.runs("docker")
	assert.False(t, m.at(0))
	assert.False(t, m.at(239))
	assert.True(t, m.at(240))
}

func TestTheWatchdogKeepsToTheLimitsOfTheLatestRun(t *testing.T) {
	m := newWatched(t)
	require.NoError(t, os.MkdirAll(m.run(), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(m.run(), "limits"), []byte("IDLE_MINUTES=60\nMAX_HOURS=1\n"), 0o600))
	assert.False(t, m.at(0))
	assert.False(t, m.at(59))
	assert.True(t, m.at(60))
}
