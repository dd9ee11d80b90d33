package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numbered returns different households.
func numbered(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
}

// arrival returns a connection at a limiter without a network.
func (l *connectionLimiter) arrival(from netip.Addr) (c, gone *limitedConn) {
	ours, _ := net.Pipe()
	c = &limitedConn{Conn: ours, of: l, from: from, since: time.Now()}
	return c, l.admit(c)
}

// counts returns the number of open connections of each household.
func (l *connectionLimiter) counts() map[netip.Addr]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[netip.Addr]int{}
	for from, conns := range l.open {
		all[from] = len(conns)
	}
	return all
}

func TestOneHouseholdCannotUseUpTheDoor(t *testing.T) {
	l := newConnectionLimiter(nil, publicLimits, nil)
	one, other := numbered(1), numbered(2)
	var first *limitedConn
	for i := range l.household {
		c, gone := l.arrival(one)
		require.Nil(t, gone)
		if i == 0 {
			first = c
		}
	}
	c, gone := l.arrival(one)
	assert.Same(t, c, gone, "one too many")
	_, gone = l.arrival(other)
	assert.Nil(t, gone)
	_ = first.Close()
	_, gone = l.arrival(one)
	assert.Nil(t, gone, "there is room again")
}

func TestWhenTheDoorIsFullTheStrangerWithMostMakesWay(t *testing.T) {
	guest, crowd := numbered(0), numbered(1)
	l := newConnectionLimiter(nil, connectionLimits{all: 10, household: 5}, func() map[netip.Addr]bool { return map[netip.Addr]bool{guest: true} })
	for range 5 {
		l.arrival(guest)
	}
	l.arrival(numbered(2))
	oldest, _ := l.arrival(crowd)
	l.arrival(crowd)
	l.arrival(crowd)
	l.arrival(numbered(3))
	_, gone := l.arrival(numbered(4))
	assert.Same(t, oldest, gone, "the oldest of the largest household of strangers, though the guest's is larger")
	assert.Equal(t, map[netip.Addr]int{guest: 5, crowd: 2, numbered(2): 1, numbered(3): 1, numbered(4): 1}, l.counts())
	for n := range 20 {
		_, gone := l.arrival(numbered(10 + n))
		require.NotNil(t, gone)
	}
	assert.Equal(t, 5, l.counts()[guest], "whoever comes, a guest stays")
	assert.Equal(t, 10, l.count)
}

func TestADoorFullOfGuestsLetsNoStrangerIn(t *testing.T) {
	one, two := numbered(1), numbered(2)
	l := newConnectionLimiter(nil, connectionLimits{all: 4, household: 2}, func() map[netip.Addr]bool { return map[netip.Addr]bool{one: true, two: true} })
	for _, guest := range []netip.Addr{one, one, two, two} {
		_, gone := l.arrival(guest)
		require.Nil(t, gone)
	}
	c, gone := l.arrival(numbered(3))
	assert.Same(t, c, gone)
	assert.Equal(t, map[netip.Addr]int{one: 2, two: 2}, l.counts())
}

func TestAConnectionThatIsClosedTwiceIsCountedOnce(t *testing.T) {
	l := newConnectionLimiter(nil, publicLimits, nil)
	one, _ := l.arrival(loopback)
	other, _ := l.arrival(loopback)
	_, _ = one.Close(), one.Close()
	assert.Equal(t, map[netip.Addr]int{loopback: 1}, l.counts())
	_ = other.Close()
	assert.Empty(t, l.open)
	assert.Zero(t, l.count)
}

// attacks are ways to hold a connection. Each gets one connection.
var attacks = map[string]func(h *harness, c net.Conn){
	"it says nothing": func(*harness, net.Conn) {},
	"half a handshake": func(_ *harness, c net.Conn) {
		_, _ = io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") // the head of a ClientHello of 512 bytes
	},
	"half a header": func(h *harness, c net.Conn) {
		_, _ = io.WriteString(h.secured(c), "GET / HTTP/1.1\r\nHost: session\r\nX-Slow: ")
	},
	"half a body": func(h *harness, c net.Conn) {
		_, _ = io.WriteString(h.secured(c), "POST /sign-in HTTP/1.1\r\nHost: session\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\nusername=")
	},
	"it is idle after an answer": func(h *harness, c net.Conn) {
		s := h.secured(c)
		_, _ = io.WriteString(s, "HEAD /healthz HTTP/1.1\r\nHost: session\r\n\r\n")
		_, _ = s.Read(make([]byte, 4<<10))
	},
	"it reads no answer": func(h *harness, c net.Conn) {
		s := h.secured(c)
		request := "GET " + h.assets() + "shell.css HTTP/1.1\r\nHost: session\r\n\r\n"
		_ = s.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // by then the door reads no more
		_, _ = io.WriteString(s, strings.Repeat(request, 4000))
	},
}

// secured returns a connection after its TLS handshake.
func (h *harness) secured(c net.Conn) *tls.Conn {
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	_ = s.SetDeadline(time.Now().Add(patience))
	_ = s.Handshake() // it may have been closed: the test counts
	return s
}

// Slow clients are disconnected in time. The timeouts are a twentieth of the real ones.
func TestWhoIsSlowIsCutOff(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, listener := prepare(t)
			for _, limit := range []*time.Duration{&h.server.ReadHeaderTimeout, &h.server.ReadTimeout, &h.server.WriteTimeout, &h.server.IdleTimeout} {
				*limit /= 20
			}
			met := &meeting{Listener: listener, closed: make(chan struct{})}
			h.serve(met)
			c, err := dialer("127.0.0.2").Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			attack(h, c)
			select {
			case <-met.closed:
			case <-time.After(patience):
				require.Fail(t, "it is still held after "+patience.String())
			}
		})
	}
}

// meeting is a listener that records when its connections close.
type meeting struct {
	net.Listener
	closed chan struct{}
}

func (m *meeting) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &met{c, sync.OnceFunc(func() { close(m.closed) })}, nil
}

type met struct {
	net.Conn
	left func()
}

func (m *met) Close() error {
	m.left()
	return m.Conn.Close()
}

// flood opens connections from many addresses, each with as many as it gets, until it
// is stopped.
type flood struct {
	h    *harness
	mu   sync.Mutex
	held []net.Conn
}

const floodAddresses = 32

func (f *flood) wave() {
	kinds := slices.Sorted(maps.Keys(attacks))
	for i := range floodAddresses {
		from := dialer(fmt.Sprintf("127.0.1.%d", i+1))
		for j := range publicLimits.household + 4 {
			c, err := from.Dial("tcp", f.h.config.Address)
			if err != nil {
				continue
			}
			f.mu.Lock()
			f.held = append(f.held, c)
			f.mu.Unlock()
			// Most send nothing, which costs the attacker least.
			if j < len(kinds) {
				attacks[kinds[j]](f.h, c)
			}
		}
	}
}

func (f *flood) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.held {
		_ = c.Close()
	}
	f.held = nil
}

func TestAFloodNeitherGrowsTheDoorNorKeepsThePlayerOut(t *testing.T) {
	h := start(t)
	h.ready()
	player, before := h.signedIn(), 0
	conn := h.socket(player)
	h.players(1)
	before = runtime.NumGoroutine()

	f := &flood{h: h}
	defer f.end()
	f.wave()
	// A connection takes one goroutine, and another one while it is answered.
	bound := before + 2*publicLimits.all + 50
	assert.Less(t, runtime.NumGoroutine(), bound, "%d connections were made", floodAddresses*(publicLimits.household+4))

	over, stop := context.WithCancel(t.Context())
	var flooding sync.WaitGroup
	flooding.Go(func() {
		for over.Err() == nil {
			f.wave()
		}
	})
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("still here")))
	_, _, err := conn.Read(t.Context())
	require.NoError(t, err, "who plays goes on playing")
	for range 20 {
		_, text := h.do(player, http.MethodGet, "/display/", "")
		assert.Equal(t, "the picture", text)
		player.CloseIdleConnections()
	}
	assert.Eventually(t, func() bool { return h.canSignIn("127.0.2.1") }, patience, 100*time.Millisecond, "a player who has not signed in yet gets in")
	assert.Less(t, runtime.NumGoroutine(), bound)
	stop()
	flooding.Wait()
	f.end()
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() < before+20 }, patience, 100*time.Millisecond, "nothing is left of it")
}

// With hundreds of addresses, a stranger's share is one connection, less than a player
// needs: only signed-in players are safe from such a flood.
func TestAFloodFromHundredsOfAddressesDisconnectsNobodyWhoHasSignedIn(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	var sockets []*websocket.Conn
	for range 5 {
		sockets = append(sockets, h.socket(c))
	}
	for i := range publicLimits.all + 100 {
		stranger, err := dialer(fmt.Sprintf("127.0.%d.%d", 4+i>>8, i&0xff)).Dial("tcp", h.config.Address)
		require.NoError(t, err)
		defer stranger.Close()
	}
	assert.True(t, h.asked(c).Connected)
	for _, conn := range sockets {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("still here")))
		_, _, err := conn.Read(t.Context())
		require.NoError(t, err)
	}
}

// canSignIn reports whether a player at an address can load the page and sign in.
func (h *harness) canSignIn(address string) bool {
	c := h.clientAt(address)
	res, err := c.Get(h.url)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if err != nil {
		return false
	}
	res, err = c.Post(h.url+"/sign-in", "application/x-www-form-urlencoded", strings.NewReader(form(player, password)))
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusSeeOther
}

// A display may stream for any time to a client that reads.
func TestAStreamOfTheDisplayIsCutOnlyForWhoDoesNotRead(t *testing.T) {
	h, listener := prepare(t)
	h.server.WriteTimeout = 2 * time.Second
	ended := make(chan error, 1)
	h.Open(streaming{h.display, func(w http.ResponseWriter, r *http.Request) {
		piece, pause := make([]byte, 32<<10), time.Duration(0)
		if r.URL.Path == "/display/slow" {
			piece, pause = piece[:1], 300*time.Millisecond
		}
		for i := 0; i < 10 || pause == 0; i++ {
			_, err := w.Write(piece)
			if err := errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
				ended <- err
				return
			}
			time.Sleep(pause)
		}
	}})
	h.serve(listener)
	c := h.signedIn()
	_, text := h.do(c, http.MethodGet, "/display/slow", "")
	assert.Len(t, text, 10, "three seconds long")

	res, err := c.Get(h.url + "/display/fast")
	require.NoError(t, err)
	defer res.Body.Close()
	select {
	case err := <-ended:
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(patience):
		require.Fail(t, "the display still waits for somebody who reads nothing")
	}
}

type streaming struct {
	*fakeDisplay
	handler http.HandlerFunc
}

func (s streaming) Handler() http.Handler { return s.handler }

func TestNobodyOnTheHostCanUseUpTheVerifier(t *testing.T) {
	h := start(t)
	h.ready()
	_, token := h.mintToken(tokenLife)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- h.ServeVerifier(listener) }()
	before := runtime.NumGoroutine()
	for i := range 8 {
		for range verifierLimits.household {
			c, err := dialer(fmt.Sprintf("127.0.3.%d", i+1)).Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			defer c.Close()
		}
	}
	body := "sessionId=console&authenticationToken=" + token
	require.Eventually(t, func() bool {
		res, err := http.Post("http://"+listener.Addr().String(), "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return strings.Contains(string(text), `result="yes"`)
	}, patience, 100*time.Millisecond)
	assert.Less(t, runtime.NumGoroutine(), before+3*verifierLimits.all+20)
	h.Close(context.Background())
	assert.ErrorIs(t, <-served, http.ErrServerClosed)
}

// With HTTP/2, one connection could hold any number of handlers; and GODEBUG can make it
// log the contents of requests.
func TestTheDoorSpeaksHTTP1WhateverAClientOrGODEBUGAsksFor(t *testing.T) {
	t.Setenv("GODEBUG", "http2server=1,http2debug=2,http2xconnect=1")
	h := start(t)
	c := h.client()
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	res, _ := h.do(c, http.MethodGet, "/", "")
	assert.Equal(t, "HTTP/1.1", res.Proto)
	conn, err := tls.Dial("tcp", h.config.Address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	require.NoError(t, err)
	defer conn.Close()
	assert.Equal(t, "http/1.1", conn.ConnectionState().NegotiatedProtocol)
	_, err = tls.Dial("tcp", h.config.Address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	assert.Error(t, err, "who speaks nothing else is refused")

	for _, server := range []*http.Server{h.server, h.verifier} {
		assert.Equal(t, "{HTTP1}", server.Protocols.String())
	}
}
