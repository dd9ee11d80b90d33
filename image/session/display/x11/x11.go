// Package x11 is what the session asks an X server, as a client of it.
package x11

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/screensaver"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// SocketDir is where X servers listen, each on X and its number.
const SocketDir = "/tmp/.X11-unix"

// A window of that many pixels is more than a probe or a message of a toolkit.
const (
	windowWidth  = 200
	windowHeight = 150
)

// xgb would write to the session's stderr.
func init() { xgb.Logger = log.New(io.Discard, "", 0) }

// Answers tells whether the X server takes clients, in words where not.
func Answers(ctx context.Context, x display.X) error {
	_, _, err := Size(ctx, x)
	return err
}

// Size is the screen's, in pixels.
func Size(ctx context.Context, x display.X) (width, height int, err error) {
	err = ask(ctx, x, func(c *xgb.Conn) error {
		root, err := xproto.GetGeometry(c, xproto.Drawable(screen(c).Root)).Reply()
		if err == nil {
			width, height = int(root.Width), int(root.Height)
		}
		return err
	})
	return width, height, err
}

// Idle is for how long no key, button or movement has come from the player (the
// extension MIT-SCREEN-SAVER, request QueryInfo).
func Idle(ctx context.Context, x display.X) (idle time.Duration, err error) {
	err = ask(ctx, x, func(c *xgb.Conn) error {
		if err := useScreenSaver(c); err != nil {
			return err
		}
		info, err := screensaver.QueryInfo(c, xproto.Drawable(screen(c).Root)).Reply()
		if err == nil {
			idle = time.Duration(info.MsSinceUserInput) * time.Millisecond
		}
		return err
	})
	return idle, err
}

// Window tells whether a window is on the screen that is large enough to be a
// game's.
func Window(ctx context.Context, x display.X) (shown bool, err error) {
	err = ask(ctx, x, func(c *xgb.Conn) error {
		tree, err := xproto.QueryTree(c, screen(c).Root).Reply()
		if err != nil {
			return err
		}
		for _, window := range tree.Children {
			if isPicture(c, window) {
				shown = true
				break
			}
		}
		return nil
	})
	return shown, err
}

// isPicture says no of a window that has gone meanwhile.
func isPicture(c *xgb.Conn, window xproto.Window) bool {
	is, err := xproto.GetWindowAttributes(c, window).Reply()
	if err != nil || is.MapState != xproto.MapStateViewable || is.Class != xproto.WindowClassInputOutput {
		return false
	}
	size, err := xproto.GetGeometry(c, xproto.Drawable(window)).Reply()
	return err == nil && size.Width >= windowWidth && size.Height >= windowHeight
}

func screen(c *xgb.Conn) *xproto.ScreenInfo { return xproto.Setup(c).DefaultScreen(c) }

// useScreenSaver does what screensaver.Init does, but for its events: it would
// change a map that connections of this moment read.
func useScreenSaver(c *xgb.Conn) error {
	const name = "MIT-SCREEN-SAVER"
	extension, err := xproto.QueryExtension(c, uint16(len(name)), name).Reply()
	if err != nil {
		return err
	}
	if !extension.Present {
		return errors.New("the X server has no extension " + name)
	}
	c.ExtLock.Lock()
	defer c.ExtLock.Unlock()
	c.Extensions[name] = extension.MajorOpcode
	return nil
}

// ask has a connection for one question. It is cut when ctx ends.
func ask(ctx context.Context, x display.X, question func(*xgb.Conn) error) error {
	number, err := number(x.Display)
	if err != nil {
		return err
	}
	cookie, err := readCookie(x.Authority, number)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("%s/X%d", SocketDir, number))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	c, err := xgb.NewConnNet(&greeted{Conn: socket, greeting: greeting(cookie)})
	if err != nil {
		_ = socket.Close()
		return ended(ctx, x, err)
	}
	defer c.Close()
	return ended(ctx, x, question(c))
}

// ended names the reason where a connection was cut.
func ended(ctx context.Context, x display.X, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("display %s: %w", x.Display, err)
}

// number reads ":7" or ":7.0".
func number(name string) (int, error) {
	text, local := strings.CutPrefix(name, ":")
	text, _, _ = strings.Cut(text, ".")
	n, err := strconv.Atoi(text)
	if !local || err != nil || n < 0 {
		return 0, fmt.Errorf("display %q: it is to be of the form :7", name)
	}
	return n, nil
}

// greeted is a connection whose first message is ours: xgb would look for the
// cookie where the environment says, and the session's own has nothing of it.
type greeted struct {
	net.Conn
	greeting []byte // nil: it was sent
}

func (g *greeted) Write(b []byte) (int, error) {
	if g.greeting == nil {
		return g.Conn.Write(b)
	}
	_, err := g.Conn.Write(g.greeting)
	g.greeting = nil
	return len(b), err
}

// greeting is a client's first message (X Window System Protocol, "Connection
// Setup"): the lowest byte first, version 11.0, and its cookie.
func greeting(cookie []byte) []byte {
	b := make([]byte, 12+xgb.Pad(len(method))+xgb.Pad(len(cookie)))
	b[0] = 'l'
	xgb.Put16(b[2:], 11)
	xgb.Put16(b[6:], uint16(len(method)))
	xgb.Put16(b[8:], uint16(len(cookie)))
	copy(b[12:], method)
	copy(b[12+xgb.Pad(len(method)):], cookie)
	return b
}
