package vnc

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// firstNumber is the display number that tests ask for.
var firstNumber = 300_000 + os.Getpid()%10_000

// started returns a real display of some user.
func started(t *testing.T) (*Server, display.X) {
	t.Helper()
	if err := process.Executable(xtigervnc); err != nil {
		t.Skip("needs Debian's tigervnc-standalone-server: ", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, as the session has it")
	}
	// Not in t.TempDir, which the X server's user may not enter.
	run, err := os.MkdirTemp("", "vnc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	if err := os.Chmod(run, 0o711); err != nil {
		t.Fatal(err)
	}
	s := New(display.Config{
		Account: process.User{UID: 65534, GID: 65534}, RunDir: run, Number: firstNumber, Width: 640, Height: 360,
		Log: func(part, line string) { t.Log(part, line) },
	})
	t.Cleanup(func() { s.Close(context.Background()) })
	x, err := s.StartX(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, x
}

// signedIn is a browser that has gone through RFB's first exchange (RFC 6143,
// 7.1 to 7.3) and may send input.
func signedIn(t *testing.T, s *Server) net.Conn {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	browser := websocket.NetConn(t.Context(), open(t, server.URL+display.Path), websocket.MessageBinary)
	read := func(n int) []byte {
		t.Helper()
		b := make([]byte, n)
		if _, err := io.ReadFull(browser, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(b string) {
		t.Helper()
		if _, err := browser.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	version := string(read(12))
	if !strings.HasPrefix(version, "RFB 003.") {
		t.Fatalf("it says %q", version)
	}
	write(version)
	if types := read(int(read(1)[0])); string(types) != "\x01" {
		t.Fatalf("security types %v, not None alone", types)
	}
	write("\x01")
	if result := read(4); binary.BigEndian.Uint32(result) != 0 {
		t.Fatalf("security result %v", result)
	}
	write("\x01") // shared
	if width, height := binary.BigEndian.Uint16(read(2)), binary.BigEndian.Uint16(read(2)); width != 640 || height != 360 {
		t.Errorf("the screen is %dx%d", width, height)
	}
	return browser
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

func TestInputOfTheBrowserEndsTheIdleTime(t *testing.T) {
	s, _ := started(t)
	browser := signedIn(t, s)
	idle := func() time.Duration {
		t.Helper()
		d, known := s.Idle(t.Context())
		if !known {
			t.Fatal("the idle time is not known")
		}
		return d
	}
	waitFor(t, "idle time", func() bool { return idle() > time.Second })
	if _, err := browser.Write([]byte{4, 1, 0, 0, 0, 0, 0, 'a'}); err != nil { // KeyEvent
		t.Fatal(err)
	}
	waitFor(t, "end of the idle time", func() bool { return idle() < time.Second })
}

func TestGameCanUseTheDisplayAndReachesNothingElseOfIt(t *testing.T) {
	s, x := started(t)
	as := func(path string) error {
		_, err := process.Run(t.Context(), process.Command{Name: "player", Path: "/usr/bin/test", Args: []string{"-r", path}, User: &s.Account})
		return err
	}
	if err := as(x.Authority); err != nil {
		t.Errorf("the game can't read its cookie: %v", err)
	}
	for _, path := range []string{s.authority(), s.socket()} {
		if as(path) == nil {
			t.Errorf("the game can reach %s", path)
		}
	}
	if info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(s.process.PID()))); err != nil || info.Sys().(*syscall.Stat_t).Uid != serverUser.UID {
		t.Errorf("the X server is not its own user's: %v", err)
	}
}

// abstract is the name that clients try before the display's file.
func abstract(display string) string { return "@/tmp/.X11-unix/X" + display[1:] }

// robber is a neighbour that tries all the time to get a display's abstract name, and
// with it a client of the display. The channel has is closed when it has the name.
func robber(t *testing.T, display string) (robbed <-chan string, has <-chan struct{}) {
	t.Helper()
	got, name := make(chan string, 100), make(chan struct{})
	go func() {
		var listener net.Listener
		for err := error(syscall.EADDRINUSE); err != nil; time.Sleep(time.Millisecond) {
			if t.Context().Err() != nil {
				return
			}
			listener, err = net.Listen("unix", abstract(display))
		}
		defer context.AfterFunc(t.Context(), func() { _ = listener.Close() })()
		close(name)
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			said := make([]byte, 256)
			n, _ := client.Read(said)
			_ = client.Close()
			got <- string(said[:n])
		}
	}()
	return got, name
}

// asks has a program of the player's ask the display for its keyboard. The program
// reaches it by libX11 and libxcb, as games do; it comes with every X server.
func asks(t *testing.T, s *Server, x display.X) error {
	t.Helper()
	said, err := process.Run(t.Context(), process.Command{
		Name: "xkbcomp", Path: "/usr/bin/xkbcomp", Args: []string{x.Display, "-"}, User: &s.Account, Env: x.Env(),
	})
	if err == nil && !strings.Contains(said, "xkb_keymap") {
		err = fmt.Errorf("it said %q", said)
	}
	return err
}

func TestANeighbourGetsNoClientOfADisplayAsLongAsItRuns(t *testing.T) {
	s, x := started(t)
	robbed, has := robber(t, x.Display)
	for range 5 {
		if err := asks(t, s, x); err != nil {
			t.Errorf("a program of the player's: %v", err)
		}
	}
	if err := syscall.Kill(s.process.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Failed(); err == nil {
		t.Error("the display's death is no failure")
	}
	if err := asks(t, s, x); err == nil {
		t.Error("a program of the player's reached something after the display's end")
	}
	select {
	case greeting := <-robbed:
		t.Errorf("the neighbour got a client that said %q", greeting)
	case <-has:
		t.Error("the neighbour has the display's name while the session has not ended")
	default:
	}
	s.Close(t.Context())
	<-has // the attack is one
	if err := asks(t, s, x); err == nil || !strings.HasPrefix(<-robbed, "l\x00\x0b\x00") {
		t.Errorf("the neighbour did not get a client where nobody holds the name: %v", err)
	}
}

func TestANeighbourWhoHasTheNameFirstGetsNoClient(t *testing.T) {
	robbed, has := robber(t, ":"+strconv.Itoa(firstNumber))
	<-has
	s, x := started(t)
	if err := asks(t, s, x); err != nil {
		t.Errorf("a program of the player's: %v", err)
	}
	select {
	case greeting := <-robbed:
		t.Errorf("the neighbour got a client that said %q", greeting)
	default:
	}
}

func TestDeathOfTheXServerIsTold(t *testing.T) {
	s, _ := started(t)
	if err := syscall.Kill(s.process.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Failed(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it failed with %v", err)
	}
}

func TestCloseIsNoFailure(t *testing.T) {
	s, x := started(t)
	signedIn(t, s)
	s.Close(t.Context())
	select {
	case err := <-s.Failed():
		t.Errorf("it failed with %v", err)
	default:
	}
	if _, err := os.Stat("/tmp/.X11-unix/X" + x.Display[1:]); !os.IsNotExist(err) {
		t.Errorf("the X server left its socket: %v", err)
	}
}

func TestXServerThatCannotStartIsTold(t *testing.T) {
	first, _ := started(t)
	second := New(first.Config)
	second.Number++
	lock := fmt.Sprintf("/tmp/.X%d-lock", second.Number)
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%10d\n", os.Getpid()), 0o444); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(lock)
	defer second.Close(t.Context())
	second.RunDir = filepath.Join(first.RunDir, "second")
	if err := os.Mkdir(second.RunDir, 0o711); err != nil {
		t.Fatal(err)
	}
	if _, err := second.StartX(t.Context()); err == nil || !strings.Contains(err.Error(), "the X server ended with exit code 1") {
		t.Errorf("one whose display number is locked: %v", err)
	}
}
