package vnc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// served is a display whose RFB server is the test's own: speak has each of its
// connections. It returns the address of its client's folder.
func served(t *testing.T, speak func(net.Conn)) (*Server, string) {
	t.Helper()
	s := New(display.Config{RunDir: t.TempDir()})
	s.NoVNC = t.TempDir()
	if err := os.Mkdir(s.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				speak(c)
			})
		}
	})
	mux := http.NewServeMux()
	mux.Handle(display.Path, s.Handler())
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = listener.Close()
		server.Close()
		all.Wait()
	})
	return s, server.URL + display.Path
}

// open opens the WebSocket of a client's folder.
func open(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), address+"ws", &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := ws.Subprotocol(); got != "binary" {
		t.Errorf("subprotocol %q", got)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

// echo sends back its input.
func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func TestManyBrowsersSeeTheDisplayAtOnce(t *testing.T) {
	_, address := served(t, echo)
	const large = 300 << 10
	for i := range 5 {
		browser := websocket.NetConn(t.Context(), open(t, address), websocket.MessageBinary)
		sent := bytes.Repeat([]byte{byte(i)}, large)
		go func() { _, _ = browser.Write(sent) }()
		got := make([]byte, large)
		if _, err := io.ReadFull(browser, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("browser %d: %v", i, err)
		}
	}
}

func TestBridgeEndsWithTheXServer(t *testing.T) {
	_, address := served(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	ws := open(t, address)
	if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the browser's connection outlived the X server's")
	}
}

func TestBridgeEndsWithTheBrowser(t *testing.T) {
	ended := make(chan error, 1)
	_, address := served(t, func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	if err := open(t, address).CloseNow(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the X server's connection ended with %v", err)
	}
}

func TestBrowserIsToldWhereNoXServerIs(t *testing.T) {
	s, address := served(t, echo)
	if err := os.Remove(s.socket()); err != nil {
		t.Fatal(err)
	}
	_, answer, err := websocket.Dial(t.Context(), address+"ws", nil)
	if err == nil || answer.StatusCode != http.StatusBadGateway {
		t.Errorf("got %v, %v", answer, err)
	}
}

// pipes is a listener of connections that stay in the test.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble joins a browser and an X server that says nothing, by the bubble's
// clock, and returns the browser and how to wait for the join's end.
func inBubble(t *testing.T) (browser *websocket.Conn, ended <-chan struct{}) {
	t.Helper()
	listener, done := make(pipes), make(chan struct{})
	silent, rfb := net.Pipe()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		copyBoth(r.Context(), ws, rfb)
	})}
	go func() { _ = server.Serve(listener) }()
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, its := net.Pipe()
		listener <- its
		return ours, nil
	}
	browser, _, err := websocket.Dial(t.Context(), "ws://session/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = browser.CloseNow()
		_ = silent.Close()
		<-done
		_ = server.Close()
	})
	return browser, done
}

func TestPlayerWhoOnlyLooksStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		browser, ended := inBubble(t)
		browser.CloseRead(t.Context()) // it answers pings
		select {
		case <-ended:
			t.Error("the bridge ended")
		case <-time.After(time.Hour):
		}
	})
}

func TestPlayerWhoHasGoneWithoutAWordIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ended := inBubble(t) // without an answer
		begin := time.Now()
		<-ended
		if took := time.Since(begin); took > 2*pingInterval {
			t.Errorf("after %s", took)
		}
	})
}

func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestClientAndNoVNCAreServedAndNothingElse(t *testing.T) {
	s, address := served(t, echo)
	for _, name := range []string{"core/rfb.js", "vendor/pako/inflate.js", "app/ui.js", "secret"} {
		path := filepath.Join(s.NoVNC, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entry := strings.TrimPrefix(s.Entry("token"), display.Path)
	for name, kind := range map[string]string{
		entry: "text/html", "client.js": "javascript", "client.css": "text/css",
		"core/rfb.js": "javascript", "vendor/pako/inflate.js": "javascript",
		"app/ui.js": "", "secret": "", "bridge.go": "", "core/../secret": "",
	} {
		answer, body := get(t, address+name)
		if found := answer.StatusCode == http.StatusOK; found != (kind != "") || found && !strings.Contains(answer.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s, %q", name, answer.Status, answer.Header.Get("Content-Type"))
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "<style") || strings.Contains(body, "onload=") {
			t.Errorf("%s has code in the page, which the door's policy forbids", name)
		}
		if got := answer.Header.Get("Content-Security-Policy"); got != contentPolicy {
			t.Errorf("%s has the policy %q", name, got)
		}
	}
}
