package x11

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// counted counts the frames of a display while draw draws, in windows without a pause.
func counted(t *testing.T, x display.X, draw func()) int64 {
	t.Helper()
	const window = 5 * frameTime
	var frames, windows atomic.Int64
	ctx, cancel := context.WithCancelCause(t.Context())
	ended, enough := make(chan error, 1), errors.New("enough")
	go func() {
		ended <- Frames(ctx, x, window, 0, func(n int) {
			frames.Add(int64(n))
			windows.Add(1)
		})
	}()
	settled := func() {
		t.Helper()
		now := windows.Load()
		waitFor(t, "end of two windows", func() bool { return windows.Load() > now+1 })
	}
	settled()
	frames.Store(0)
	draw()
	settled()
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
	if most := int64(time.Since(began)/frameTime) + 10; got > most || got < 10 {
		t.Errorf("%d frames, at most %d", got, most)
	}
}

func TestAnEmptyScreenHasNoFrames(t *testing.T) {
	x := realServer(t)
	if got := counted(t, x, func() { time.Sleep(300 * time.Millisecond) }); got != 0 {
		t.Errorf("%d frames", got)
	}
}

func TestNothingIsCountedInAPause(t *testing.T) {
	x := realServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	const window, pause = 200 * time.Millisecond, 400 * time.Millisecond
	var counts []int
	ended := make(chan error, 1)
	go func() {
		ended <- Frames(ctx, x, window, pause, func(n int) {
			if counts = append(counts, n); len(counts) == 5 {
				cancel()
			}
		})
	}()
	drawing, drawn := context.WithCancel(t.Context())
	defer drawn()
	go func() { _ = Draw(drawing, x, 1<<20, 20*time.Millisecond) }() // 50 a second
	if err := <-ended; err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	if len(counts) != 5 {
		t.Fatalf("%d windows", len(counts))
	}
	for _, n := range counts[1:] {
		if most := int(window/(20*time.Millisecond)) + 1; n > most || n < most/3 {
			t.Errorf("windows of %v frames, each has at most %d", counts, most)
		}
	}
}

func TestFramesEndWithTheXServer(t *testing.T) {
	x := authority(t, 1) // nothing is there
	if err := Frames(t.Context(), x, time.Second, 0, func(int) {}); err == nil {
		t.Error("frames of no X server")
	}
}
