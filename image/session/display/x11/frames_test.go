package x11

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// counted counts the frames of a display while draw draws.
func counted(t *testing.T, x display.X, draw func()) int64 {
	t.Helper()
	var frames atomic.Int64
	ctx, cancel := context.WithCancelCause(t.Context())
	ended, enough := make(chan error, 1), errors.New("enough")
	go func() { ended <- Frames(ctx, x, func() { frames.Add(1) }) }()
	waitFor(t, "first frame", func() bool {
		if err := Draw(t.Context(), x, 1, time.Millisecond); err != nil {
			t.Fatal(err)
		}
		return frames.Load() > 0
	})
	time.Sleep(5 * frameWindow)
	frames.Store(0)
	draw()
	time.Sleep(5 * frameWindow)
	cancel(enough)
	if err := <-ended; !errors.Is(err, enough) {
		t.Errorf("it ended with %v", err)
	}
	return frames.Load()
}

func TestAFrameOfManyRectanglesCountsOnce(t *testing.T) {
	x := realServer(t)
	const drawn = 60
	got := counted(t, x, func() {
		if err := Draw(t.Context(), x, drawn, 33*time.Millisecond); err != nil { // 30 a second
			t.Error(err)
		}
	})
	if got < drawn*9/10 || got > drawn { // a busy machine may draw two within a window
		t.Errorf("%d frames of %d, each of 8 rectangles", got, drawn)
	}
}

func TestAnythingFasterThanAWindowIsNoFrameOfItsOwn(t *testing.T) {
	x := realServer(t)
	began := time.Now()
	got := counted(t, x, func() {
		if err := Draw(t.Context(), x, 600, time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	if most := int64(time.Since(began)/frameWindow) + 1; got > most || got < 10 {
		t.Errorf("%d frames, at most %d", got, most)
	}
}

func TestAnEmptyScreenHasNoFrames(t *testing.T) {
	x := realServer(t)
	if got := counted(t, x, func() { time.Sleep(300 * time.Millisecond) }); got != 0 {
		t.Errorf("%d frames", got)
	}
}

func TestFramesEndWithTheXServer(t *testing.T) {
	x := authority(t, 1) // nothing is there
	if err := Frames(t.Context(), x, func() {}); err == nil {
		t.Error("frames of no X server")
	}
}
