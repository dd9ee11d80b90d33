// Package usage measures a session's use of its host, and the stream that its player gets.
// Each source has a file. A source that fails, hangs or is not there costs its values and
// one `part` event that names it, never the session.
package usage

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/door"
)

// Config configures a Meter.
type Config struct {
	Interval time.Duration // between two events; 0: nothing is measured
	GPU      string        // NVIDIA_VISIBLE_DEVICES
	// Traffic returns the traffic between the display and its players, and Playing
	// reports whether one is connected: those of door.Door.
	Traffic func() door.Traffic
	Playing func() bool

	Write func(contract.Event)
	Log   func(part, line string)
}

// part is the name of the package's `part` events.
const part = "usage"

// leastMeasured is the shortest time from which a value is made.
const leastMeasured = time.Second

// Meter measures one session. Its times are those of the monotonic clock: if the host's
// clock jumps, no value does.
type Meter struct {
	Config
	began   time.Time
	frames  *frames
	sources []source
	ctx     context.Context // ends with Stop
	stop    context.CancelFunc
	ended   chan struct{} // closed when no event follows

	mu      sync.Mutex
	last    time.Time    // measured
	traffic door.Traffic // then
	missing map[string]bool
	spreads map[string]*spread
	waited  float64 // seconds
}

// source measures a part of a Usage.
type source interface {
	// name returns the source's name for support.
	name() string
	// measure sets the values of a period, which began with its last call or when the
	// source was made. It leaves out those that it does not know, and returns an error
	// for those of them that it should know.
	measure(u *contract.Usage, p period) error
}

// period is the time between two measurements.
type period struct {
	elapsed time.Duration
	traffic door.Traffic // in it
}

// played reports whether a player was connected long enough for a value.
func (p period) played() bool { return p.traffic.Played >= leastMeasured }

// throughout reports whether a player was connected for nearly all of it.
func (p period) throughout() bool { return p.traffic.Played >= p.elapsed/10*9 }

// New returns a Meter of a session that begins now.
func New(began time.Time) *Meter {
	return &Meter{began: began, stop: func() {}, missing: map[string]bool{}, spreads: map[string]*spread{}}
}

// Start begins to measure.
func (m *Meter) Start(c Config) {
	if c.Interval == 0 {
		m.begin(c)
		return
	}
	smi := newGPU(smiPath, c.GPU)
	m.frames = newFrames(c.Playing)
	m.begin(c, newCgroup(cgroupRoot), smi, m.frames, player{})
	go m.guard(smi.name(), func() error { return smi.watch(m.ctx, min(c.Interval, smiInterval)) })
}

// begin begins to measure by sources, without any if there are none.
func (m *Meter) begin(c Config, sources ...source) {
	m.Config, m.sources, m.last, m.traffic = c, sources, time.Now(), c.Traffic()
	if len(sources) == 0 {
		return
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.ended = make(chan struct{})
	go m.run()
}

// Watch counts the frames of the display from now on.
func (m *Meter) Watch(x display.X) {
	if m.frames != nil {
		go m.guard(m.frames.name(), func() error { return m.frames.watch(m.ctx, x) })
	}
}

// Waited notes how long the player waited for the session, in seconds.
func (m *Meter) Waited(seconds float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waited = seconds
}

func (m *Meter) run() {
	defer close(m.ended)
	tick := time.NewTicker(m.Interval)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
			if u, measured := m.measure(); measured {
				m.Write(contract.Event{Event: contract.EventUsage, Usage: &u})
			}
		}
	}
}

// measure asks every source for the time since the last call.
func (m *Meter) measure() (u contract.Usage, measured bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	elapsed := now.Sub(m.last)
	if elapsed < leastMeasured {
		return u, false
	}
	p := period{elapsed, m.Traffic()}
	m.last, m.traffic, p.traffic = now, p.traffic, p.traffic.Since(m.traffic)
	for _, s := range m.sources {
		if err := recovered(func() error { return s.measure(&u, p) }); err != nil {
			m.miss(s.name(), err)
		}
	}
	u.Seconds = round(elapsed.Seconds())
	for name, value := range values(&u) {
		if !sane(*value) {
			*value = nil
			continue
		}
		**value = round(**value)
		s := m.spreads[name]
		if s == nil {
			s = &spread{}
			m.spreads[name] = s
		}
		s.add(**value)
	}
	return u, true
}

// guard runs a part of a source, and logs its error.
func (m *Meter) guard(name string, work func() error) {
	if err := recovered(work); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.miss(name, err)
	}
}

// miss names a source that lacks values, once a session.
func (m *Meter) miss(name string, err error) {
	if !m.missing[name] {
		m.missing[name] = true
		m.Log(part, fmt.Sprintf("%s: %v; usage events have no such values", name, err))
	}
}

// recovered makes a panic an error.
func recovered(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it failed: %v", p)
		}
	}()
	return work()
}

// Stop ends the measuring: the end of a session is no part of its use.
func (m *Meter) Stop() {
	m.stop()
	if m.ended != nil {
		<-m.ended
		m.measure() // the rest since the last event
	}
	if m.Traffic != nil {
		m.traffic = m.Traffic()
	}
}

// Summary returns the summary of a session that ends with an exit code.
func (m *Meter) Summary(code int) contract.Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := contract.Summary{
		Seconds: round(time.Since(m.began).Seconds()), PlayedSeconds: round(m.traffic.Played.Seconds()), WaitSeconds: m.waited,
		Exit: contract.ExitName(code),
	}
	for name, spread := range m.spreads {
		if s.Usage == nil {
			s.Usage = map[string]contract.Spread{}
		}
		s.Usage[name] = spread.described()
	}
	return s
}

// values returns the fields of a Usage that a source may set, by their JSON names.
func values(u *contract.Usage) map[string]**float64 {
	all := map[string]**float64{}
	v := reflect.ValueOf(u).Elem()
	for i := range v.NumField() {
		if value, ok := v.Field(i).Addr().Interface().(**float64); ok {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			all[name] = value
		}
	}
	return all
}

// sane reports whether a value is there and can be one.
func sane(value *float64) bool {
	return value != nil && *value >= 0 && !math.IsInf(*value, 1) // NaN is not at least 0
}

// round keeps about three digits of a value: no more of it is true, and each costs log.
func round(v float64) float64 {
	unit := 1.0
	switch {
	case v < 0.1:
		unit = 10_000
	case v < 10:
		unit = 100
	case v < 100:
		unit = 10
	}
	return math.Round(v*unit) / unit
}
