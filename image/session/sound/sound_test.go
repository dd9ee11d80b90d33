package sound

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/account"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// envDouble makes this program a PulseAudio that listens on its script's socket.
const envDouble = "TEST_PULSEAUDIO"

func TestMain(m *testing.M) {
	if os.Getenv(envDouble) != "" {
		double()
	}
	os.Exit(m.Run())
}

func double() {
	script, err := os.ReadFile(os.Args[3]) // -n -F FILE
	if err != nil {
		panic(err)
	}
	socket := regexp.MustCompile(`socket=(\S+)`).FindSubmatch(script)[1]
	_ = os.Remove(string(socket)) // as PulseAudio does with one of before
	l, err := net.Listen("unix", string(socket))
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		conn.Close()
	}
}

// patience is for a machine that does much else.
const patience = 30 * time.Second

// program is a script in a folder of its own.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pulseaudio")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

func doubled(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return program(t, envDouble+"=1 exec "+self+` "$@"`)
}

// sessionLog has the lines about sound in a session's log.
type sessionLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *sessionLog) add(part, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, part+": "+line)
}

func (l *sessionLog) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// config is of a session of this test's own user.
func config(t *testing.T) (Config, *sessionLog) {
	t.Helper()
	log := &sessionLog{}
	folder, err := os.MkdirTemp("", "sound") // a socket's name is at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	return Config{
		Account: account.Account{
			Name: "player1", UID: uid, GID: gid, Home: folder, RuntimeDir: folder, User: process.User{UID: uid, GID: gid},
		},
		RunDir: folder, Log: log.add,
	}, log
}

func started(t *testing.T, c Config, program string) *Sound {
	t.Helper()
	s, err := startProgram(context.Background(), c, program, "nobody-listens")
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func speaks(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestTheServersScriptIsAsWritten(t *testing.T) {
	want, err := os.ReadFile("testdata/sound.pa")
	require.NoError(t, err)
	f := soundFilesIn("/run/dcv-session")
	assert.Equal(t, string(want), pulseScript{socket: f.socket, sink: "game", rate: 48000, channels: 2}.text())
	assert.Equal(t, "/run/dcv-session/sound/native", f.socket)
}

func TestTheSoundAnswersBeforeTheGameStartsAndItsDeathIsSurvived(t *testing.T) {
	c, log := config(t)
	s := started(t, c, doubled(t))
	socket := filepath.Join(c.RunDir, "sound/native")
	assert.True(t, speaks(socket))
	assert.Equal(t, []string{"PULSE_SERVER=unix:" + socket}, s.Env())
	info, err := os.Stat(filepath.Dir(socket))
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o710, info.Mode(), "the player's and the listener's alone")

	first := s.kept.Process()
	first.Signal(syscall.SIGKILL)
	first.Exit()
	assert.Eventually(t, func() bool { return s.kept.Process() != first && speaks(socket) }, patience, 10*time.Millisecond)
	assert.Contains(t, log.all(), "pulseaudio: ended with signal: killed")

	s.Stop()
	s.Stop() // twice is no harm
	assert.False(t, speaks(socket))
	assert.NotContains(t, log.all(), "no sound")
}

func TestASessionWhosePulseAudioIsNotInstalledGoesOn(t *testing.T) {
	c, log := config(t)
	s := started(t, c, "/nowhere/pulseaudio")
	assert.Empty(t, s.Env())
	assert.Contains(t, log.all(), "pulseaudio: the session has no sound: ")
	s.Stop()
}

func TestASessionWhoseSoundIsGivenUpGoesOnAndSupportIsTold(t *testing.T) {
	c, log := config(t)
	ctx, stop := context.WithCancel(context.Background())
	stop() // it does not wait
	s, err := startProgram(ctx, c, program(t, "echo no such module >&2; exit 1"), "nobody-listens")
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	assert.Contains(t, log.all(), "does not answer yet")
	assert.Eventually(t, func() bool { return strings.Contains(log.all(), "no sound any more: pulseaudio ended 5 times") }, patience, 20*time.Millisecond)
	assert.Contains(t, log.all(), "pulseaudio: no such module")
	assert.NotEmpty(t, s.Env())
}

func TestTheDisplayServersAccountReachesTheSoundAndNoOtherDoes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives a folder to others")
	}
	games, err := user.Lookup("games") // every Debian has it
	require.NoError(t, err)
	c, _ := config(t)
	c.Account.UID, c.Account.GID = 12345, 12345
	folder := func(listener string) string {
		f := soundFilesIn(c.RunDir)
		require.NoError(t, f.make(c.Account, listener))
		info, err := os.Stat(f.folder)
		require.NoError(t, err)
		of := info.Sys().(*syscall.Stat_t)
		return fmt.Sprint(info.Mode(), " ", of.Uid, " ", of.Gid)
	}
	assert.Equal(t, "drwx--x--- 12345 "+games.Gid, folder("games"))
	assert.Equal(t, "drwx--x--- 12345 12345", folder("nobody-listens"))
}

func TestFoldersThatCannotBeMadeAreTheHostsFault(t *testing.T) {
	c, _ := config(t)
	c.RunDir = "/nowhere"
	_, err := startProgram(context.Background(), c, "/bin/true", "nobody-listens")
	code, _ := fault.Code(err)
	assert.Equal(t, contract.ExitHost, code, "%v", err)
}

// TestARealPulseAudioPlaysToTheMonitorThatIsRecorded needs the Debian packages
// pulseaudio and pulseaudio-utils.
func TestARealPulseAudioPlaysToTheMonitorThatIsRecorded(t *testing.T) {
	if process.Executable(pulseaudio) != nil || process.Executable("/usr/bin/pactl") != nil {
		t.Skip("PulseAudio is not installed")
	}
	c, log := config(t)
	if os.Getuid() == 0 { // PulseAudio does not run as root
		c.Account.UID, c.Account.GID = 12345, 12345
		c.Account.User = process.User{UID: 12345, GID: 12345}
		require.NoError(t, os.Chmod(c.RunDir, 0o711))
		c.Account.Home = filepath.Join(c.RunDir, "home")
		c.Account.RuntimeDir = c.Account.Home
		require.NoError(t, os.Mkdir(c.Account.Home, 0o700))
		require.NoError(t, os.Chown(c.Account.Home, 12345, 12345))
	}
	s := started(t, c, pulseaudio)
	ask := func(args ...string) string {
		cmd := exec.Command("/usr/bin/pactl", args...)
		cmd.Env = append(s.Env(), "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LANG=C") // another account's, without a cookie
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", out, log.all())
		return string(out)
	}
	info := ask("info")
	assert.Contains(t, info, "Default Sink: game\n")
	assert.Contains(t, info, "Default Source: game.monitor\n")
	assert.Contains(t, ask("list", "short", "sinks"), "s16le 2ch 48000Hz")

	// The display server records the monitor while the game plays.
	record := exec.Command("/usr/bin/parec", "--device=game.monitor", "--raw", "--latency-msec=20")
	record.Env = append(s.Env(), "PATH=/usr/bin:/bin", "HOME=/nonexistent")
	out, err := record.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, record.Start())
	defer func() { _ = record.Process.Kill(); _ = record.Wait() }()
	play := exec.Command("/usr/bin/pacat", "--playback", "--raw", "--latency-msec=20")
	play.Env = record.Env
	play.Stdin = endless{}
	require.NoError(t, play.Start())
	defer func() { _ = play.Process.Kill(); _ = play.Wait() }()
	heard := make(chan bool, 1)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := out.Read(b)
			if strings.ContainsRune(string(b[:n]), 'A') || err != nil {
				heard <- err == nil
				return
			}
		}
	}()
	select {
	case yes := <-heard:
		assert.True(t, yes, "the recording ended")
	case <-time.After(patience):
		t.Error("nothing is heard of what is played")
	}
	s.Stop()
	assert.False(t, speaks(s.socket))
}

// endless is a tone.
type endless struct{}

var _ io.Reader = endless{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'A'
	}
	return len(b), nil
}
