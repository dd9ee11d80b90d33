package usage

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
)

// provenFrames is how many frames show that the display reports its updates. A window that
// opens makes a few on any display; a driver that shows a game's pictures by exchanging
// buffers may report none of them (see the doctor). Then frames are not known, not 0.
const provenFrames = 100

// frames counts the updates of the screen.
type frames struct {
	playing   func() bool
	all, seen atomic.Int64 // in all, and while a player is connected

	counted int64 // of seen, at the last call
}

func newFrames(playing func() bool) *frames { return &frames{playing: playing} }

func (f *frames) name() string { return "frames (X's DAMAGE)" }

// watch counts until ctx ends, and returns an error if it can't.
func (f *frames) watch(ctx context.Context, x display.X) error {
	err := x11.Frames(ctx, x, f.count)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *frames) count() {
	f.all.Add(1)
	if f.playing() {
		f.seen.Add(1)
	}
}

// measure returns the frames of the time with a player.
func (f *frames) measure(u *contract.Usage, p period) error {
	now := f.seen.Load()
	n := now - f.counted
	f.counted = now
	switch {
	case f.all.Load() < provenFrames && p.throughout():
		return fmt.Errorf("the display has reported %d updates so far", f.all.Load())
	case f.all.Load() >= provenFrames && p.played():
		u.FramesPerSecond = float(float64(n) / p.traffic.Played.Seconds())
	}
	return nil
}
