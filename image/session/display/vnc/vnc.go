// Package vnc is the remote display that needs no GPU: Xtigervnc, which renders with
// the processor and speaks RFB (RFC 6143) on a Unix socket, and noVNC in the browser,
// to which the session bridges it.
package vnc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// xtigervnc is the program of Debian's tigervnc-standalone-server.
const xtigervnc = "/usr/bin/Xtigervnc"

// serverUser runs the X server. It has no account: it can't read the player's files, and
// the game can neither stop it nor open its RFB socket.
var serverUser = process.User{UID: 65533, GID: 65533}

const (
	framesPerSecond = 30
	// pollInterval is the time between two checks of a starting server.
	pollInterval = 100 * time.Millisecond
	// stopLimit is how long the server may take to end.
	stopLimit = 3 * time.Second
)

// Server is a display.Display.
type Server struct {
	display.Config
	// NoVNC is the folder of noVNC's core and vendor. image/packages/novnc makes it.
	NoVNC string

	x       display.X
	name    *x11.Name
	process *process.Process
	closing atomic.Bool
	failed  chan error
}

var _ display.Display = (*Server)(nil)

// New returns a display that has not started.
func New(c display.Config) *Server {
	return &Server{Config: c, NoVNC: "/usr/share/novnc", failed: make(chan error, 1)}
}

// dir returns the X server's folder. Only the server and root have access.
func (s *Server) dir() string { return filepath.Join(s.RunDir, "vnc") }

// authority returns the file with the X server's cookie.
func (s *Server) authority() string { return filepath.Join(s.dir(), "authority") }

// socket returns the socket of the X server's RFB.
func (s *Server) socket() string { return filepath.Join(s.dir(), "socket") }

// StartX starts the X server, which is the VNC server too.
func (s *Server) StartX(ctx context.Context) (display.X, error) {
	name, err := x11.Hold(s.Number)
	if err != nil {
		return display.X{}, err
	}
	s.name, s.Number = name, name.Number
	x := display.X{Display: ":" + strconv.Itoa(s.Number), Authority: filepath.Join(s.RunDir, "xauthority")}
	if err := s.prepare(x); err != nil {
		return x, err
	}
	p, err := process.Start(process.Command{
		Name: "Xtigervnc", Path: xtigervnc, Args: s.args(), User: &serverUser, Dir: s.dir(),
		Lines: func(line string) { s.Log("vnc", line) },
	})
	if err != nil {
		return x, err
	}
	s.x, s.process = x, p
	go s.watch()
	return x, s.waitFor(ctx, "takes no clients", func(ctx context.Context) error { return x11.Answers(ctx, x) })
}

// prepare makes the folders, and the files with the cookie: one for the server, one for
// the player's programs.
func (s *Server) prepare(x display.X) error {
	// As systemd-tmpfiles makes it: everybody may add a socket, and remove only their own.
	if err := os.MkdirAll(x11.SocketDir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(x11.SocketDir, 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir(), 0o700); err != nil {
		return err
	}
	if err := os.Chown(s.dir(), int(serverUser.UID), int(serverUser.GID)); err != nil {
		return err
	}
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails
	return errors.Join(
		x11.WriteAuthority(s.authority(), s.Number, cookie, int(serverUser.UID), int(serverUser.GID)),
		x11.WriteAuthority(x.Authority, s.Number, cookie, int(s.Account.UID), int(s.Account.GID)),
	)
}

// args returns the arguments of Xtigervnc 1.12; see Xvnc(1) and Xserver(1).
func (s *Server) args() []string {
	return []string{
		":" + strconv.Itoa(s.Number),
		"-auth", s.authority(),
		"-geometry", fmt.Sprintf("%dx%d", s.Width, s.Height), "-depth", "24",
		// X clients use the socket in x11.SocketDir only: x11.Name holds the abstract
		// name.
		"-nolisten", "tcp", "-nolisten", "local",
		"-noreset",         // otherwise the server resets when its last client leaves
		"-s", "0", "-dpms", // no screen saver
		"-rfbunixpath", s.socket(), "-rfbunixmode", "0600", "-rfbport", "-1",
		"-SecurityTypes", "None", "-UseBlacklist=0", // the door has checked the sign-in
		"-FrameRate", strconv.Itoa(framesPerSecond), "-AlwaysShared", "-AcceptSetDesktopSize=0",
		"-desktop", "session",
	}
}

// watch fails the session when the X server has ended, since the game's windows are gone.
func (s *Server) watch() {
	exit := s.process.Exit()
	if !s.closing.Load() {
		s.failed <- fmt.Errorf("the X server ended with %s", exit)
	}
}

// StartServer waits until the X server speaks RFB.
func (s *Server) StartServer(ctx context.Context) error {
	return s.waitFor(ctx, "does not speak RFB", s.speaks)
}

func (s *Server) speaks(ctx context.Context) error {
	rfb, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer rfb.Close()
	defer context.AfterFunc(ctx, func() { _ = rfb.Close() })()
	const greeting = "RFB 003."
	got := make([]byte, len(greeting))
	if _, err := io.ReadFull(rfb, got); err != nil {
		return err
	}
	if !strings.HasPrefix(string(got), greeting) {
		return fmt.Errorf("it sends %q instead of %q", got, greeting)
	}
	return nil
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", s.socket())
}

// waitFor waits until check succeeds. ill is the fault in the error otherwise.
func (s *Server) waitFor(ctx context.Context, ill string, check func(context.Context) error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("the X server ended with %s; its output is in the log", s.process.Exit())
		case <-ctx.Done():
			return fmt.Errorf("the X server %s: %w", ill, err)
		case <-tick.C:
		}
	}
}

// Entry returns the client's page, which needs no token.
func (s *Server) Entry(string) string { return display.Path + clientPage }

// SessionID returns "": nothing asks the verifier.
func (s *Server) SessionID() string { return "" }

// Licence returns "": the server is free.
func (s *Server) Licence(context.Context) (string, error) { return "", nil }

// Idle returns the time since the last key, button or movement of the player.
func (s *Server) Idle(ctx context.Context) (time.Duration, bool) {
	idle, err := x11.Idle(ctx, s.x)
	return idle, err == nil
}

// Failed receives one error, when the X server has ended.
func (s *Server) Failed() <-chan error { return s.failed }

// Close ends the X server, and with it all bridges to it.
func (s *Server) Close(ctx context.Context) {
	s.closing.Store(true)
	defer s.name.Release()
	if s.process == nil {
		return
	}
	left := stopLimit
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	s.process.Stop(syscall.SIGTERM, left)
}
