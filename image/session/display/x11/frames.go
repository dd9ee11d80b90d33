package x11

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/damage"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// frameTime is how long drawing belongs to the frame that it began. X has no frames: a
// game that draws one in many rectangles damages the screen as many times. DCV streams at
// most 60 frames a second, and so many are counted one by one; of a faster game at most
// 100.
const frameTime = 10 * time.Millisecond

// Frames counts the updates of the screen during a window, pauses, and so on, until ctx
// ends or the X server closes the connection. It calls counted at the end of each window.
//
// It uses the DAMAGE extension (X.Org, damageproto.txt) at the level NonEmpty: the server
// reports the first damage, and then none until the client has subtracted what there is.
// So a frame costs one event and one request, however much is drawn in it, and a pause
// one event.
func Frames(ctx context.Context, x display.X, window, pause time.Duration, counted func(frames int)) error {
	return withConn(ctx, x, func(c *xgb.Conn) error {
		d, err := newDamaged(c)
		if err != nil {
			return err
		}
		over := make(chan struct{})
		defer close(over)
		go d.listen(over)
		for {
			frames := 0
			err := d.during(ctx, window, func() {
				frames++
				time.Sleep(frameTime)
				d.subtract()
			})
			if err != nil {
				return err
			}
			counted(frames)
			drawn := false
			if err := d.during(ctx, pause, func() { drawn = true }); err != nil {
				return err
			}
			if drawn {
				d.subtract()
			}
		}
	})
}

// damaged is the damage of the screen.
type damaged struct {
	conn    *xgb.Conn
	id      damage.Damage
	notify  extensionEvent
	updates chan error // nil: the screen has changed; else there are no more
}

func newDamaged(c *xgb.Conn) (*damaged, error) {
	notify, err := useDamage(c)
	if err != nil {
		return nil, err
	}
	id, err := damage.NewDamageId(c)
	if err != nil {
		return nil, err
	}
	// Damage of the root window is damage of all windows on the screen.
	root := xproto.Drawable(defaultScreen(c).Root)
	if err := damage.CreateChecked(c, id, root, damage.ReportLevelNonEmpty).Check(); err != nil {
		return nil, err
	}
	return &damaged{c, id, notify, make(chan error)}, nil
}

// subtract makes the server report the next damage.
func (d *damaged) subtract() { damage.Subtract(d.conn, d.id, 0, 0) }

// listen passes the events on until there are no more, or nobody listens any more.
func (d *damaged) listen(over <-chan struct{}) {
	for {
		event, fault := d.conn.WaitForEvent()
		var update error
		switch {
		case fault != nil:
			update = fmt.Errorf("DAMAGE: %w", fault)
		case event == nil:
			update = errors.New("the X server has closed the connection")
		case event != d.notify:
			continue // MappingNotify, which every client gets
		}
		select {
		case d.updates <- update:
		case <-over:
			return
		}
		if update != nil {
			return
		}
	}
}

// during calls update for each update in a time.
func (d *damaged) during(ctx context.Context, length time.Duration, update func()) error {
	end := time.NewTimer(length)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			return nil
		case err := <-d.updates:
			if err != nil {
				return err
			}
			update()
		}
	}
}

// useDamage makes the extension usable, and returns its event. The server refuses other
// requests of a client that has not asked for the version.
func useDamage(c *xgb.Conn) (notify extensionEvent, err error) {
	extension, err := useExtension(c, "DAMAGE")
	if err != nil {
		return 0, err
	}
	if _, err := damage.QueryVersion(c, 1, 1).Reply(); err != nil {
		return 0, err
	}
	return extensionEvent(extension.FirstEvent + damage.Notify), nil
}

// extensionEvent is the number of an extension's event. Nothing else of one is used.
type extensionEvent byte

// Bytes implements xgb.Event, for events that a client sends. None sends this one.
func (extensionEvent) Bytes() []byte { return nil }

// String implements xgb.Event.
func (e extensionEvent) String() string { return fmt.Sprintf("extension event %d", byte(e)) }

// The X server chooses the numbers of extensions' events from 64 to 127 (X Window System
// Protocol, "Event Format"). damage.Init would register its own in a map that other
// connections read meanwhile; so all numbers are registered before any connection.
func init() {
	for number := 64; number < 128; number++ {
		xgb.NewEventFuncs[number] = func([]byte) xgb.Event { return extensionEvent(number) }
	}
}

// useExtension does the same as an extension's Init except for its events and errors:
// Init would change maps that other connections read.
func useExtension(c *xgb.Conn, name string) (*xproto.QueryExtensionReply, error) {
	extension, err := xproto.QueryExtension(c, uint16(len(name)), name).Reply()
	if err != nil {
		return nil, err
	}
	if !extension.Present {
		return nil, errors.New("the X server has no extension " + name)
	}
	c.ExtLock.Lock()
	defer c.ExtLock.Unlock()
	c.Extensions[name] = extension.MajorOpcode
	return extension, nil
}
