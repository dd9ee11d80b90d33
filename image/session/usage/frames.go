package usage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
)

// Frames are counted for a second in every five: an event, a request and the switches
// between them take about a third of a millisecond of a core a frame, which would be 2 %
// of a core at 60 frames a second (TestMeasuringTakesLessThanOnePercentOfACore).
const (
	framesWindow = time.Second
	framesPause  = 4 * time.Second
)

// provenFrames is how many frames show that the display reports its updates. A window that
// opens makes a few on any display; a driver that shows a game's pictures by exchanging
// buffers may report none of them (see the doctor). Then frames are not known, not 0.
const provenFrames = 20

// frames counts the updates of the screen.
type frames struct {
	playing func() bool

	mu      sync.Mutex
	all     int // since the start
	seen    int // since the last measure, in windows with a player
	windows int // with a player
}

func newFrames(playing func() bool) *frames { return &frames{playing: playing} }

func (f *frames) name() string { return "frames (X's DAMAGE)" }

// watch counts until ctx ends, and returns an error if it can't.
func (f *frames) watch(ctx context.Context, x display.X) error {
	err := x11.Frames(ctx, x, framesWindow, framesPause, f.count)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// count adds the frames of a window. They are on the screen whether somebody looks or not.
func (f *frames) count(frames int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all += frames
	if f.playing() {
		f.seen += frames
		f.windows++
	}
}

func (f *frames) measure(u *contract.Usage, p period) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, windows := f.seen, f.windows
	f.seen, f.windows = 0, 0
	switch {
	case windows == 0:
		return nil
	case f.all >= provenFrames:
		u.FramesPerSecond = float(float64(seen) / (float64(windows) * framesWindow.Seconds()))
	case p.throughout():
		return fmt.Errorf("the display has reported %d updates so far", f.all)
	}
	return nil
}
