package usage

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/events"
)

// record has the events and lines of a Meter.
type record struct {
	mu     sync.Mutex
	events []contract.Event
	lines  []string
}

// config returns the configuration of a Meter that writes to the record. Of the session's
// time, played returns that with a player.
func (r *record) config(interval time.Duration, traffic func() door.Traffic) Config {
	return Config{
		Interval: interval, Traffic: traffic, Playing: func() bool { return true },
		Write: func(e contract.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
		Log: func(part, line string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines = append(r.lines, part+": "+line)
		},
	}
}

func nobody() door.Traffic { return door.Traffic{} }

// fake is a source.
type fake struct {
	title string
	work  func(*contract.Usage, period) error
}

func (f fake) name() string                              { return f.title }
func (f fake) measure(u *contract.Usage, p period) error { return f.work(u, p) }

func TestUsageIsWrittenEveryIntervalAndSummedUpAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		m := New(time.Now())
		time.Sleep(5 * time.Second) // the session's port
		cores := 0.0
		m.begin(r.config(30*time.Second, nobody), fake{"cpu", func(u *contract.Usage, p period) error {
			cores++
			u.CPUCores = &cores
			return nil
		}})
		time.Sleep(100 * time.Second)
		m.Waited(12.5)
		m.Stop()
		require.Len(t, r.events, 3)
		for _, e := range r.events {
			assert.Equal(t, contract.EventUsage, e.Event)
			assert.Equal(t, 30.0, e.Usage.Seconds)
		}
		time.Sleep(5 * time.Second) // the game saves
		assert.Len(t, r.events, 3, "the end is not measured")
		s := m.Summary(contract.ExitGame)
		assert.Equal(t, "game", s.Exit)
		assert.Equal(t, 110.0, s.Seconds)
		assert.Equal(t, 12.5, s.WaitSeconds)
		require.Contains(t, s.Usage, "cpuCores")
		assert.Len(t, s.Usage, 1, "of what was measured")
		assert.Equal(t, 2.5, s.Usage["cpuCores"].Mean, "the last ten seconds too, which no event has")
		assert.Equal(t, 4.0, s.Usage["cpuCores"].Max)
	})
}

func TestWithoutAnIntervalThereIsASummaryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		began := time.Now()
		m := New(began)
		m.Start(r.config(0, func() door.Traffic { return door.Traffic{Played: time.Since(began) / 2} }))
		m.Watch(display.X{})
		time.Sleep(time.Hour)
		m.Stop()
		assert.Empty(t, r.events)
		assert.Empty(t, r.lines)
		assert.Equal(t, contract.Summary{Seconds: 3600, PlayedSeconds: 1800, Exit: "ok"}, m.Summary(contract.ExitOK))
	})
}

func TestASessionThatNeverBeganToMeasureHasASummary(t *testing.T) {
	m := New(time.Now())
	m.Stop()
	assert.Equal(t, "no-port", m.Summary(contract.ExitNoPort).Exit)
}

func TestASourceThatFailsIsNamedOnceAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		m := New(time.Now())
		m.begin(r.config(30*time.Second, nobody),
			fake{"broken", func(*contract.Usage, period) error { return errors.New("no such file") }},
			fake{"worse", func(*contract.Usage, period) error { panic("index out of range") }},
			fake{"good", func(u *contract.Usage, _ period) error { u.GPUPercent = float(50); return nil }},
		)
		go m.guard("watched", func() error { panic("and again") })
		time.Sleep(24 * time.Hour)
		m.Stop()
		assert.Len(t, r.events, 2880)
		assert.Equal(t, float(50), r.events[2879].Usage.GPUPercent)
		assert.ElementsMatch(t, []string{
			"usage: broken: no such file; usage events have no such values",
			"usage: worse: it failed: index out of range; usage events have no such values",
			"usage: watched: it failed: and again; usage events have no such values",
		}, r.lines)
	})
}

func TestAValueThatCantBeIsLeftOut(t *testing.T) {
	for _, absurd := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		synctest.Test(t, func(t *testing.T) {
			var r record
			m := New(time.Now())
			m.begin(r.config(5*time.Second, nobody), fake{"wild", func(u *contract.Usage, _ period) error {
				u.MemoryMiB, u.CPUCores = float(absurd), float(0)
				return nil
			}})
			time.Sleep(6 * time.Second)
			m.Stop()
			require.Len(t, r.events, 1)
			assert.Equal(t, contract.Usage{Seconds: 5, CPUCores: float(0)}, *r.events[0].Usage)
			assert.NotContains(t, m.Summary(0).Usage, "memoryMib")
		})
	}
}

// during measures windows of frames, and the traffic, of half a minute.
func during(f *frames, traffic door.Traffic, windows ...int) (contract.Usage, error) {
	var u contract.Usage
	for _, n := range windows {
		f.count(n)
	}
	p := period{elapsed: 30 * time.Second, traffic: traffic}
	return u, errors.Join(f.measure(&u, p), player{}.measure(&u, p))
}

func always() bool { return true }

func TestAPlayersFiguresAreOfTheTimeWithAPlayer(t *testing.T) {
	f := newFrames(always)
	u, err := during(f, door.Traffic{Played: 10 * time.Second, ToPlayer: 12_500_000, FromPlayer: 125_000, RoundTrip: 25 * time.Millisecond, Known: true}, 20, 40)
	require.NoError(t, err)
	assert.Equal(t, contract.Usage{
		FramesPerSecond: float(30), MegabitsToPlayer: float(10), MegabitsFromPlayer: float(0.1), RoundTripMilliseconds: float(25),
	}, u)
	u, err = during(f, door.Traffic{ToPlayer: 1000})
	require.NoError(t, err)
	assert.Empty(t, u, "nobody played")
	u, err = during(f, door.Traffic{Played: 30 * time.Second, Known: true, RoundTrip: time.Millisecond}, 0, 0, 0, 0, 0, 0)
	require.NoError(t, err)
	assert.Equal(t, float(0), u.FramesPerSecond, "a game that stands still, on a display that reports frames")
}

func TestADisplayThatReportsNoFramesHasNoFrameRate(t *testing.T) {
	u, err := during(newFrames(always), door.Traffic{Played: 30 * time.Second, Known: true}, 3, 0, 0, 0, 0, 0)
	assert.EqualError(t, err, "the display has reported 3 updates so far")
	assert.Nil(t, u.FramesPerSecond)
}

func TestAPlayerWithoutARoundTripIsNamed(t *testing.T) {
	f := newFrames(always)
	u, err := during(f, door.Traffic{Played: 30 * time.Second}, 60)
	assert.ErrorContains(t, err, "no estimate")
	assert.Nil(t, u.RoundTripMilliseconds)
	_, err = during(f, door.Traffic{Played: 20 * time.Second}, 60)
	assert.NoError(t, err, "the player has left")
}

func TestAWindowWithoutAPlayerIsSeenByNobody(t *testing.T) {
	playing := false
	f := newFrames(func() bool { return playing })
	f.count(60)
	u, err := during(f, door.Traffic{Played: 5 * time.Second, Known: true})
	assert.NoError(t, err)
	assert.Nil(t, u.FramesPerSecond, "no window ended while the player was there")
	playing = true
	u, _ = during(f, door.Traffic{Played: 5 * time.Second, Known: true}, 30)
	assert.Equal(t, float(30), u.FramesPerSecond)
}

func TestNumbersKeepAboutThreeDigits(t *testing.T) {
	for value, want := range map[float64]float64{0: 0, 0.00004: 0, 0.00451: 0.0045, 0.0512: 0.0512, 0.1049: 0.1, 1.2345: 1.23, 9.999: 10, 59.94: 59.9, 99.96: 100, 1234.5: 1235, 14999.6: 15000} {
		assert.InDelta(t, want, round(value), 1e-9, value)
	}
}

func TestThePageDescribesEveryFieldOfUsage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/session.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(page), "\n## Usage\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for name := range values(&contract.Usage{}) {
		assert.Contains(t, section, "`"+name+"`")
	}
}

// A day of the longest events: 24 hours of Settings.Usage at its default, with every field.
func TestADaysUsageIsLessThanTwoMegabytesOfLog(t *testing.T) {
	var u contract.Usage
	for _, value := range values(&u) {
		*value = float(99.9)
	}
	u.MemoryMiB, u.MemoryPeakMiB, u.MemoryLimitMiB = float(123456), float(123456), float(123456)
	u.GPUMemoryMiB, u.GPUMemoryLimitMiB = float(23028), float(23028)
	u.Seconds = 30
	var out bytes.Buffer
	events.New(&out, contract.Event{
		Session: "5f9f4f2e-1a8c-4b43-9a52-0f1f3f5c9d11", Stack: "s" + strings.Repeat("x", 20), User: "u" + strings.Repeat("x", 30),
		Image: "123456789012.dkr.ecr.us-east-1.amazonaws.com/dcv-sessions/production@sha256:" + strings.Repeat("0", 64),
	}).Write(contract.Event{Event: contract.EventUsage, Usage: &u})
	perDay := int(24 * time.Hour / contract.DefaultSettings().Usage)
	t.Logf("%d bytes an event, %d events, %.2f MB a day", out.Len(), perDay, float64(out.Len()*perDay)/1e6)
	assert.LessOrEqual(t, out.Len()*perDay, 2_000_000)
}
