package browser

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

// Moment is how long a key or a button is pressed for once: more than a frame of a slow
// game, which looks at its keys and its pointer once a frame.
const Moment = 250 * time.Millisecond

// releaseLimit is how long the release of a key or a button may take, even if the press
// was given up.
const releaseLimit = 5 * time.Second

// Hold presses a key for a time.
func (b *Browser) Hold(ctx context.Context, key keyboard.Key, d time.Duration) error {
	event := func(kind input.DispatchKeyEventType) step {
		return command(input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: kind, Key: key.Value, Code: key.Code, WindowsVirtualKeyCode: key.Number, NativeVirtualKeyCode: key.Number,
		})
	}
	return b.press(ctx, event(input.DispatchKeyEventTypeRawKeyDown), d, event(input.DispatchKeyEventTypeKeyUp))
}

// MoveTo moves the pointer to a point of the page.
func (b *Browser) MoveTo(ctx context.Context, x, y float64) error {
	return b.do(ctx, chromedp.MouseEvent(chromedp.MouseMoved, x, y))
}

// ClickAt clicks at a point of the page.
func (b *Browser) ClickAt(ctx context.Context, x, y float64) error {
	if err := b.do(ctx, chromedp.MouseEvent(chromedp.MouseMoved, x, y), chromedp.Sleep(Moment)); err != nil {
		return err
	}
	return b.press(ctx,
		chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)), Moment,
		chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
}

// press presses something for a time, and releases it even if ctx ends.
func (b *Browser) press(ctx context.Context, down step, d time.Duration, up step) error {
	err := b.do(ctx, down, chromedp.Sleep(d))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	return errors.Join(err, b.do(last, up))
}
