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
func game(t testing.TB) display.X {
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
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// overhead measures a session of 60 frames a second for a time, six times as often as by
// default. It returns the processor time in percent of a core, and the last event. The
// calls of nvidia-smi are other processes, whose time is not in it.
func overhead(t testing.TB, length time.Duration) (float64, contract.Usage) {
	t.Helper()
	x := game(t)
	began := time.Now()
	var r record
	m := New(began)
	before := used(t)
	m.Start(r.config(5*time.Second, func() door.Traffic {
		return door.Traffic{Played: time.Since(began), Known: true, RoundTrip: time.Millisecond}
	}))
	m.Watch(x)
	time.Sleep(length)
	m.Stop()
	share := 100 * (used(t) - before).Seconds() / time.Since(began).Seconds()
	require.NotEmpty(t, r.events)
	return share, *r.events[len(r.events)-1].Usage
}

func TestMeasuringTakesLessThanOnePercentOfACore(t *testing.T) {
	share, last := overhead(t, 11*time.Second)
	t.Logf("%.2f %% of a core, at 60 frames a second", share)
	assert.Less(t, share, 1.0)
	if assert.NotNil(t, last.FramesPerSecond) {
		assert.InDelta(t, 60, *last.FramesPerSecond, 20, "so much was counted meanwhile")
	}
}

// BenchmarkMeasuring prints the share of a core that measuring takes.
func BenchmarkMeasuring(b *testing.B) {
	for b.Loop() {
		share, _ := overhead(b, 26*time.Second)
		b.ReportMetric(share, "%-of-a-core")
	}
}
