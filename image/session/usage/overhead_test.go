package usage

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// envDraw makes this program a game that draws 60 frames a second on a display.
const envDraw = "TEST_DRAW"

func TestMain(m *testing.M) {
	if authority := os.Getenv(envDraw); authority != "" {
		if err := x11.Draw(context.Background(), display.X{Display: os.Getenv("DISPLAY"), Authority: authority}, 1<<30, time.Second/60); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// game starts an X server and a game on it.
func game(t *testing.T) display.X {
	t.Helper()
	const program = "/usr/bin/Xtigervnc"
	if err := process.Executable(program); err != nil {
		t.Skip("SKIPPED: it takes Debian's tigervnc-standalone-server: ", err)
	}
	number := 300_000 + os.Getpid()%10_000
	dir := t.TempDir()
	x := display.X{Display: ":" + strconv.Itoa(number), Authority: filepath.Join(dir, "authority")}
	require.NoError(t, x11.WriteAuthority(x.Authority, number, []byte("sixteen bytes it"), os.Getuid(), os.Getgid()))
	start := func(c process.Command) {
		p, err := process.Start(c)
		require.NoError(t, err)
		t.Cleanup(func() { p.Stop(syscall.SIGTERM, 5*time.Second) })
	}
	start(process.Command{Name: "Xtigervnc", Path: program, Args: []string{
		x.Display, "-auth", x.Authority, "-geometry", "640x360", "-noreset", "-nolisten", "tcp", "-nolisten", "local",
		"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", filepath.Join(dir, "rfb"),
	}})
	require.Eventually(t, func() bool { return x11.Answers(t.Context(), x) == nil }, time.Minute, 20*time.Millisecond)
	self, err := exec.LookPath("/proc/self/exe")
	require.NoError(t, err)
	start(process.Command{Name: "game", Path: self, Env: []string{envDraw + "=" + x.Authority, "DISPLAY=" + x.Display}})
	return x
}

// used returns the processor time of this process.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A session of 60 frames a second is measured six times as often as by default. The calls
// of nvidia-smi are other processes: they are not in it.
func TestMeasuringTakesLessThanOnePercentOfACore(t *testing.T) {
	x := game(t)
	began := time.Now()
	var r record
	c := r.config(5*time.Second, func() door.Traffic {
		return door.Traffic{Played: time.Since(began), Known: true, RoundTrip: time.Millisecond}
	})
	log := events.New(os.Stderr, contract.Event{})
	if testing.Verbose() {
		keep := c.Write
		c.Write = func(e contract.Event) { keep(e); log.Write(e) }
	}
	before := used(t)
	m := New(began)
	m.Start(c)
	m.Watch(x)
	time.Sleep(11 * time.Second)
	m.Stop()
	took := used(t) - before
	share := 100 * took.Seconds() / time.Since(began).Seconds()
	t.Logf("%.2f %% of a core, at 60 frames a second", share)
	assert.Less(t, share, 1.0)
	require.Len(t, r.events, 2)
	if fps := r.events[1].Usage.FramesPerSecond; assert.NotNil(t, fps) {
		assert.InDelta(t, 60, *fps, 20, "so much was counted meanwhile")
	}
}
