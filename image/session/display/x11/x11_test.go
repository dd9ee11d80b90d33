package x11

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

var cookie = []byte("sixteen bytes it")

// authority writes a file for a display of the test's own user.
func authority(t *testing.T, number int) display.X {
	t.Helper()
	x := display.X{Display: ":" + strconv.Itoa(number), Authority: filepath.Join(t.TempDir(), "authority")}
	if err := WriteAuthority(x.Authority, number, cookie, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestOnlyItsOwnerReadsTheCookie(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	path := filepath.Join(t.TempDir(), "authority")
	for _, uid := range []int{65533, 1234} { // the second replaces the first
		if err := WriteAuthority(path, 7, cookie, uid, 99); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		is := info.Sys().(*syscall.Stat_t)
		if info.Mode() != 0o400 || int(is.Uid) != uid || is.Gid != 99 {
			t.Errorf("mode %s of %d:%d, not -r-------- of %d:99", info.Mode(), is.Uid, is.Gid, uid)
		}
	}
}

func TestCookieIsFoundByItsDisplay(t *testing.T) {
	x := authority(t, 7)
	got, err := readCookie(x.Authority, 7)
	if err != nil || !bytes.Equal(got, cookie) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := readCookie(x.Authority, 8); err == nil || !strings.Contains(err.Error(), "no cookie of display :8") {
		t.Errorf("of another display: %v", err)
	}
	whole, err := os.ReadFile(x.Authority)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(cut, whole[:5], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readCookie(cut, 7); err == nil || !strings.Contains(err.Error(), "no Xauthority file") {
		t.Errorf("of a file that is cut off: %v", err)
	}
}

func TestAnAuthorityThatAPlayerReplacedIsNotRead(t *testing.T) {
	x := authority(t, 7)
	linked, pipe := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "pipe")
	if err := errors.Join(os.Symlink(x.Authority, linked), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{linked, pipe, "/dev/zero"} {
		if _, err := readCookie(path, 7); err == nil {
			t.Errorf("a cookie was read from %s", path)
		}
	}
}

func TestDisplayOfAnotherFormIsRefused(t *testing.T) {
	for name, want := range map[string]int{":0": 0, ":8443": 8443, ":7.0": 7, "host:1": -1, ":": -1, ":-1": -1, "": -1, "7": -1} {
		got, err := displayNumber(name)
		if (err == nil) != (want >= 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v", name, got, err)
		}
	}
}

// fakeServer is an X server for one client; serve gets the client's connection and its
// first message.
func fakeServer(t *testing.T, serve func(client net.Conn, greeting []byte)) display.X {
	t.Helper()
	if err := os.MkdirAll(SocketDir, 0o1777); err != nil {
		t.Fatal(err)
	}
	number := 100_000 + os.Getpid()
	listener, err := net.Listen("unix", filepath.Join(SocketDir, "X"+strconv.Itoa(number)))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		said := make([]byte, 12+20+16)
		if _, err := io.ReadFull(client, said); err == nil {
			serve(client, said)
		}
	}()
	return authority(t, number)
}

func TestCookieOfTheFileIsShownWhateverTheEnvironmentSays(t *testing.T) {
	t.Setenv("XAUTHORITY", authority(t, 1).Authority)
	t.Setenv("DISPLAY", ":1")
	greetings := make(chan []byte, 1)
	x := fakeServer(t, func(client net.Conn, greeting []byte) {
		greetings <- greeting
		const reason = "not you." // 8 bytes: two units of 4
		_, _ = client.Write(append([]byte{0, byte(len(reason)), 11, 0, 0, 0, 2, 0}, reason...))
	})
	err := Answers(t.Context(), x)
	if err == nil || !strings.Contains(err.Error(), "not you.") || !strings.Contains(err.Error(), x.Display) {
		t.Errorf("a refusal became %v", err)
	}
	got := <-greetings
	if want := "l\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00\x00MIT-MAGIC-COOKIE-1\x00\x00" + string(cookie); string(got) != want {
		t.Errorf("it greeted with\n%q, not\n%q", got, want)
	}
}

func TestServerThatHangsIsGivenUpWithTheContext(t *testing.T) {
	given, end := make(chan struct{}), errors.New("enough")
	x := fakeServer(t, func(_ net.Conn, _ []byte) { <-given })
	defer close(given)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, end)
	defer cancel()
	if err := Answers(ctx, x); !errors.Is(err, end) {
		t.Errorf("got %v, not why the context ended", err)
	}
}

func TestNoServerIsAnError(t *testing.T) {
	x := authority(t, 100_000+os.Getpid())
	if err := Answers(t.Context(), x); err == nil {
		t.Error("an X server that isn't there answered")
	}
}

// realServer is an X server of 640x360.
func realServer(t *testing.T) display.X {
	t.Helper()
	const program = "/usr/bin/Xtigervnc"
	if err := process.Executable(program); err != nil {
		t.Skip("needs Debian's tigervnc-standalone-server: ", err)
	}
	x := authority(t, 200_000+os.Getpid()%10_000)
	dir := t.TempDir()
	p, err := process.Start(process.Command{
		Name: "Xtigervnc", Path: program, Lines: func(line string) { t.Log(line) },
		Args: []string{
			x.Display, "-auth", x.Authority, "-geometry", "640x360", "-noreset", "-nolisten", "tcp", "-nolisten", "local",
			"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", filepath.Join(dir, "rfb"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(syscall.SIGTERM, 5*time.Second) })
	waitFor(t, "an answer", func() bool { return Answers(t.Context(), x) == nil })
	return x
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

func TestWindowOfAGameIsSeen(t *testing.T) {
	x := realServer(t)
	if width, height, err := Size(t.Context(), x); width != 640 || height != 360 || err != nil {
		t.Errorf("size %dx%d, %v", width, height, err)
	}
	sees := func(want bool, when string) {
		t.Helper()
		if got, err := Window(t.Context(), x); got != want || err != nil {
			t.Errorf("%s: %t, %v", when, got, err)
		}
	}
	sees(false, "on an empty screen")
	err := withConn(t.Context(), x, func(c *xgb.Conn) error {
		show := func(width, height uint16) xproto.Window {
			id, err := xproto.NewWindowId(c)
			if err != nil {
				t.Fatal(err)
			}
			s := defaultScreen(c)
			if err := xproto.CreateWindowChecked(c, s.RootDepth, id, s.Root, 0, 0, width, height, 0, xproto.WindowClassInputOutput, s.RootVisual, 0, nil).Check(); err != nil {
				t.Fatal(err)
			}
			return id
		}
		small, game := show(100, 400), show(320, 200)
		if err := xproto.MapWindowChecked(c, small).Check(); err != nil {
			return err
		}
		sees(false, "with a small window, and one that isn't shown yet")
		if err := xproto.MapWindowChecked(c, game).Check(); err != nil {
			return err
		}
		sees(true, "with the game's window")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "empty screen once the client has gone", func() bool {
		shown, err := Window(t.Context(), x)
		return err == nil && !shown
	})
}

func TestIdleGrowsAndQuestionsLeaveNothingBehind(t *testing.T) {
	x := realServer(t)
	before := runtime.NumGoroutine()
	first, err := Idle(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "growing idle time", func() bool {
		now, err := Idle(t.Context(), x)
		return err == nil && now > first+100*time.Millisecond
	})
	waitFor(t, "end of the questions' goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func TestClientWithAnotherCookieIsRefused(t *testing.T) {
	x := realServer(t)
	n, err := displayNumber(x.Display)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := WriteAuthority(other, n, []byte("another cookie .")[:16], os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if err := Answers(t.Context(), display.X{Display: x.Display, Authority: other}); err == nil {
		t.Error("a client with another cookie was let in")
	}
}
