package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// envListen makes this program one that listens at an address.
const envListen = "TEST_LISTEN_AT"

// Orphans come to this process as they come to process 1 of a container.
func TestMain(m *testing.M) {
	if at := os.Getenv(envListen); at != "" {
		_, err := net.Listen("tcp", at)
		fmt.Println(err)
		os.Exit(0)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// patience is for a machine that does much else.
const patience = 30 * time.Second

var path = []string{"PATH=/usr/bin:/bin"}

func shell(script string) Command {
	return Command{Name: "test", Path: "/bin/sh", Args: []string{"-c", script}, Env: path}
}

// heard are the lines of a child.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) line(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.lines...)
}

func started(t *testing.T, c Command) *Process {
	t.Helper()
	p, err := Start(c)
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(syscall.SIGKILL, 0) })
	return p
}

// lives reports whether a process exists and is no zombie.
func lives(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// numbers waits until a file holds so many process ids.
func numbers(t *testing.T, file string, count int) []int {
	t.Helper()
	var pids []int
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(file)
		fields := strings.Fields(string(b))
		if len(fields) < count || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		pids = nil
		for _, field := range fields {
			pid, err := strconv.Atoi(field)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
		return true
	}, patience, 10*time.Millisecond)
	return pids
}

func TestStoppingAChildEndsAllThatItStarted(t *testing.T) {
	for name, script := range map[string]string{
		"who obeys":        "(sh -c 'echo $$ >> PIDS; sleep 300' & sleep 300) & echo $$ >> PIDS; wait",
		"who does not":     "trap '' TERM; (trap '' TERM; sh -c 'echo $$ >> PIDS; sleep 300; sleep 300') & echo $$ >> PIDS; wait; sleep 300",
		"a leader only":    "trap 'exit 0' TERM; (trap '' TERM; sh -c 'echo $$ >> PIDS; sleep 300; sleep 300') & echo $$ >> PIDS; while :; do sleep 0.01; done",
		"who is suspended": "sh -c 'echo $$ >> PIDS; kill -STOP $$' & echo $$ >> PIDS; kill -STOP $$; wait",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			p := started(t, shell(strings.ReplaceAll(script, "PIDS", file)))
			pids := numbers(t, file, 2)
			p.Stop(syscall.SIGTERM, time.Second)
			for _, pid := range pids {
				assert.Eventually(t, func() bool { return !lives(pid) }, patience, 10*time.Millisecond)
			}
		})
	}
}

func TestAChildThatDiesLeavesNothingInTheWayOfTheNext(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	p := started(t, shell("sh -c 'echo $$ >> "+file+"; sleep 300' & while [ ! -s "+file+" ]; do sleep 0.01; done; exit 3"))
	assert.Equal(t, Exit{Code: 3}, p.Exit())
	pid := numbers(t, file, 1)[0]
	assert.Eventually(t, func() bool { return !lives(pid) }, patience, 10*time.Millisecond)
}

func TestAChildThatHasEndedIsSignalledNoMore(t *testing.T) {
	p := started(t, shell("exit 0"))
	p.Exit()
	p.cmd.Process.Pid = syscall.Getpgrp() // its number is another's by now
	p.Signal(syscall.SIGKILL)
	assert.Equal(t, Exit{}, p.Stop(syscall.SIGKILL, time.Hour), "and is not waited for")
}

func TestAChildEndsAsItEnds(t *testing.T) {
	assert.Equal(t, "exit code 7", started(t, shell("exit 7")).Exit().String())
	assert.Equal(t, "signal: killed", started(t, shell("kill -KILL $$")).Exit().String())
	p := started(t, shell("trap 'exit 5' TERM; while :; do sleep 0.01; done"))
	time.Sleep(100 * time.Millisecond) // until the trap stands, else it is the signal
	assert.Contains(t, []Exit{{Code: 5}, {Signal: syscall.SIGTERM}}, p.Stop(syscall.SIGTERM, patience))
}

func TestAProgramThatIsNotThereIsToldByItsName(t *testing.T) {
	_, err := Start(Command{Name: "Xorg", Path: "/nowhere/Xorg"})
	assert.ErrorContains(t, err, "Xorg: ")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestBothStreamsComeAsWholeLines(t *testing.T) {
	var h heard
	c := shell(`printf 'out be'; printf 'error\n' >&2; sleep 0.1; printf 'gun\r\n\n  \n'; printf 'the end' >&2; printf '\377bytes\n'`)
	c.Lines = h.line
	started(t, c).Exit()
	assert.ElementsMatch(t, []string{"out begun", "error", "the end", "?bytes"}, h.all())
}

func TestLinesOfBothStreamsComeOneAtATime(t *testing.T) {
	lines := 0 // the race detector watches it
	c := shell(`for i in $(seq 500); do echo out; done & for i in $(seq 500); do echo error >&2; done; wait`)
	c.Lines = func(string) { lines++ }
	started(t, c).Exit()
	assert.Equal(t, 1000, lines)
}

func TestAnEndlessLineIsCutAt2000Bytes(t *testing.T) {
	var h heard
	c := shell(`head -c 1000000 /dev/zero | tr '\0' x; echo; echo next; head -c 2000 /dev/zero | tr '\0' y`)
	c.Lines = h.line
	started(t, c).Exit()
	assert.Equal(t, []string{strings.Repeat("x", 1997) + "…", "next", strings.Repeat("y", 2000)}, h.all())
}

func TestALineIsCutBetweenTwoCharacters(t *testing.T) {
	for _, text := range []string{"x", "ö", "€", "🎮"} {
		for shift := range 4 {
			line := Shorten(strings.Repeat("x", shift) + strings.Repeat(text, 3000))
			assert.LessOrEqual(t, len(line), LongestLine)
			assert.True(t, strings.HasSuffix(line, text+Cut))
		}
	}
	assert.Len(t, Shorten(strings.Repeat("\x80", 3000)), LongestLine-utf8.UTFMax+1, "what is no text is cut anywhere")
}

func TestAChildWhoseOutputIsHeldByAStrangerEndsAllTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	p := started(t, shell("setsid sh -c 'echo $$ > "+file+"; exec sleep 300' & while [ ! -s "+file+" ]; do sleep 0.01; done"))
	pid := numbers(t, file, 1)[0]
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("the child's end is not noticed")
	}
	assert.True(t, lives(pid), "who has left the group is left alone")
}

func TestNothingOfTheSupervisorsEnvironmentReachesAChild(t *testing.T) {
	t.Setenv("DCV_CREDENTIALS", "correct-horse")
	out, err := Run(context.Background(), Command{Name: "env", Path: "/usr/bin/env"})
	require.NoError(t, err)
	assert.Empty(t, out)
	out, err = Run(context.Background(), Command{Name: "env", Path: "/usr/bin/env", Env: []string{"A=1"}})
	require.NoError(t, err)
	assert.Equal(t, "A=1\n", out)
}

func TestAChildIsItsUsersAndNobodyElses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root starts children of other users")
	}
	c := shell("id -u; id -g; id -G; pwd")
	c.User = &User{UID: 12345, GID: 12346, Groups: []uint32{12347}}
	out, err := Run(context.Background(), c)
	require.NoError(t, err)
	assert.Equal(t, "12345\n12346\n12346 12347\n/\n", out)
	c.User.Groups = nil
	c.Args[1] = "id -G"
	out, err = Run(context.Background(), c)
	require.NoError(t, err)
	assert.Equal(t, "12346\n", out, "none of the supervisor's groups")
}

func TestTheErrorOfAShortCommandHoldsTheEndOfItsOutput(t *testing.T) {
	_, err := Run(context.Background(), shell("head -c 5000 /dev/zero | tr '\\0' x | fold; echo no space left >&2; exit 4"))
	require.Error(t, err)
	assert.Contains(t, err.Error(), "test: exit code 4: ")
	assert.Contains(t, err.Error(), "no space left")
	assert.Less(t, len(err.Error()), 1100)
}

func TestAShortCommandThatTakesTooLongIsKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	enough := errors.New("that is enough")
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, shell("echo $$ > "+file+"; trap '' TERM; sleep 300; sleep 300"))
		done <- err
	}()
	pid := numbers(t, file, 1)[0]
	cancel(enough)
	select {
	case err := <-done:
		assert.ErrorIs(t, err, enough)
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
	assert.False(t, lives(pid))
}

func TestAProgramIsAFileThatMayBeRun(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	require.NoError(t, os.WriteFile(text, nil, 0o644))
	assert.NoError(t, Executable("/bin/sh"))
	assert.ErrorContains(t, Executable(text), "is no program")
	assert.ErrorContains(t, Executable(folder), "is no program")
	assert.ErrorIs(t, Executable(folder+"/none"), os.ErrNotExist)
}

// A host gives the ports of sessions to root alone.
func TestAnAccountTakesAPortOfRootsOnlyWithTheCapability(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: it takes root to start a process of another user")
	}
	for _, test := range []struct {
		capabilities []uintptr
		says         string
	}{
		{nil, "permission denied"},
		{[]uintptr{unix.CAP_NET_BIND_SERVICE}, "<nil>"},
	} {
		var h heard
		p := started(t, Command{
			Name: "test", Path: "/proc/self/exe", Env: []string{envListen + "=127.0.0.1:1"},
			User: &User{UID: 65534, GID: 65534}, Capabilities: test.capabilities, Lines: h.line,
		})
		assert.Zero(t, p.Exit().Code)
		require.Len(t, h.all(), 1)
		assert.Contains(t, h.all()[0], test.says)
	}
}
