package x11

import (
	"context"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// Draw draws a number of frames on an area of the screen's background, each in several
// rectangles, as `session doctor` needs them to see that frames are counted.
func Draw(ctx context.Context, x display.X, frames int, every time.Duration) error {
	return withConn(ctx, x, func(c *xgb.Conn) error {
		screen := defaultScreen(c)
		pen, err := xproto.NewGcontextId(c)
		if err != nil {
			return err
		}
		root := xproto.Drawable(screen.Root)
		if err := xproto.CreateGCChecked(c, pen, root, 0, nil).Check(); err != nil {
			return err
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for frame := range frames {
			colour := []uint32{screen.WhitePixel, screen.BlackPixel}[frame%2]
			xproto.ChangeGC(c, pen, xproto.GcForeground, []uint32{colour})
			for strip := range int16(8) {
				xproto.PolyFillRectangle(c, root, pen, []xproto.Rectangle{{Y: strip * 8, Width: 64, Height: 8}})
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
		}
		// A round trip: all of it is drawn.
		_, err = xproto.GetInputFocus(c).Reply()
		return err
	})
}
