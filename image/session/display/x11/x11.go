// Package x11 has the session's requests to an X server, and the names of X displays.
package x11

import (
	"context"
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

// SocketDir is the folder of X servers' sockets: X and the display's number.
const SocketDir = "/tmp/.X11-unix"

// The least size of a game's window, in pixels: probes and messages of toolkits are
// smaller.
const (
	windowWidth  = 200
	windowHeight = 150
)

// By default, xgb writes to the session's stderr.
func init() { xgb.Logger = log.New(io.Discard, "", 0) }

// Answers returns an error if the X server does not accept clients.
func Answers(ctx context.Context, x display.X) error {
	_, _, err := Size(ctx, x)
	return err
}

// Size returns the size of the screen, in pixels.
func Size(ctx context.Context, x display.X) (width, height int, err error) {
	err = withConn(ctx, x, func(c *xgb.Conn) error {
		root, err := xproto.GetGeometry(c, xproto.Drawable(defaultScreen(c).Root)).Reply()
		if err == nil {
			width, height = int(root.Width), int(root.Height)
		}
		return err
	})
	return width, height, err
}

// Idle returns the time since the last key, button or movement of the player (extension
// MIT-SCREEN-SAVER, request QueryInfo).
func Idle(ctx context.Context, x display.X) (idle time.Duration, err error) {
	err = withConn(ctx, x, func(c *xgb.Conn) error {
		if _, err := useExtension(c, "MIT-SCREEN-SAVER"); err != nil {
			return err
		}
		info, err := screensaver.QueryInfo(c, xproto.Drawable(defaultScreen(c).Root)).Reply()
		if err == nil {
			idle = time.Duration(info.MsSinceUserInput) * time.Millisecond
		}
		return err
	})
	return idle, err
}

// Window reports whether the screen shows a window that is large enough for a game.
func Window(ctx context.Context, x display.X) (shown bool, err error) {
	err = withConn(ctx, x, func(c *xgb.Conn) error {
		tree, err := xproto.QueryTree(c, defaultScreen(c).Root).Reply()
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

// isPicture reports whether a window is visible and large enough; a window that no longer
// exists is not.
func isPicture(c *xgb.Conn, window xproto.Window) bool {
	is, err := xproto.GetWindowAttributes(c, window).Reply()
	if err != nil || is.MapState != xproto.MapStateViewable || is.Class != xproto.WindowClassInputOutput {
		return false
	}
	size, err := xproto.GetGeometry(c, xproto.Drawable(window)).Reply()
	return err == nil && size.Width >= windowWidth && size.Height >= windowHeight
}

func defaultScreen(c *xgb.Conn) *xproto.ScreenInfo { return xproto.Setup(c).DefaultScreen(c) }

// withConn connects to the X server and calls question. The connection is closed when ctx
// ends.
func withConn(ctx context.Context, x display.X, question func(*xgb.Conn) error) error {
	number, err := displayNumber(x.Display)
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
	c, err := xgb.NewConnNet(&setupConn{Conn: socket, request: setupRequest(cookie)})
	if err != nil {
		_ = socket.Close()
		return withCause(ctx, x, err)
	}
	defer c.Close()
	return withCause(ctx, x, question(c))
}

// withCause adds the display to an error, and replaces it by the cause if ctx has ended.
func withCause(ctx context.Context, x display.X, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("display %s: %w", x.Display, err)
}

// displayNumber returns the number of ":7" or ":7.0".
func displayNumber(name string) (int, error) {
	text, local := strings.CutPrefix(name, ":")
	text, _, _ = strings.Cut(text, ".")
	n, err := strconv.Atoi(text)
	if !local || err != nil || n < 0 {
		return 0, fmt.Errorf("display %q is not of the form :7", name)
	}
	return n, nil
}

// setupConn is a connection that replaces the client's first message by request: xgb takes
// the cookie from the file in the environment, and the session's environment has none.
type setupConn struct {
	net.Conn
	request []byte // nil: already sent
}

func (g *setupConn) Write(b []byte) (int, error) {
	if g.request == nil {
		return g.Conn.Write(b)
	}
	_, err := g.Conn.Write(g.request)
	g.request = nil
	return len(b), err
}

// setupRequest returns a client's first message (X Window System Protocol, "Connection
// Setup"): little-endian, version 11.0, and its cookie.
func setupRequest(cookie []byte) []byte {
	b := make([]byte, 12+xgb.Pad(len(authMethod))+xgb.Pad(len(cookie)))
	b[0] = 'l'
	xgb.Put16(b[2:], 11)
	xgb.Put16(b[6:], uint16(len(authMethod)))
	xgb.Put16(b[8:], uint16(len(cookie)))
	copy(b[12:], authMethod)
	copy(b[12+xgb.Pad(len(authMethod)):], cookie)
	return b
}
