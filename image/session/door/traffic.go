package door

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Traffic is the traffic between the display and its players since the session's start.
// The bytes are those of the proxy: WebSockets with their framing, and the client's
// files; without TLS and the door's own pages, and without QUIC, which does not pass it.
type Traffic struct {
	Played               time.Duration // with at least one player
	ToPlayer, FromPlayer uint64        // bytes
	// RoundTrip is the kernel's estimate (tcp(7), TCP_INFO, tcpi_rtt) of the connection
	// that has carried most since the last call. Known reports whether there is one.
	RoundTrip time.Duration
	Known     bool
}

// Since returns the traffic since an earlier one, with the present round trip.
func (t Traffic) Since(before Traffic) Traffic {
	t.Played -= before.Played
	t.ToPlayer -= before.ToPlayer
	t.FromPlayer -= before.FromPlayer
	return t
}

// traffic measures Traffic.
type traffic struct {
	to, from atomic.Uint64

	mu      sync.Mutex
	players int
	played  time.Duration // up to since
	since   time.Time     // of the present players
	sockets map[*playerConn]bool
}

// count notes the number of players.
func (t *traffic) count(players int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	t.players = players
}

// settle adds the time since the last call, if somebody played.
func (t *traffic) settle() {
	now := time.Now() // its monotonic part: the clock may jump
	if t.players > 0 {
		t.played += now.Sub(t.since)
	}
	t.since = now
}

// Playing reports whether a player is connected.
func (d *Door) Playing() bool {
	d.traffic.mu.Lock()
	defer d.traffic.mu.Unlock()
	return d.traffic.players > 0
}

// Traffic returns the traffic so far. It is meant for one caller: it measures the round
// trip of the connection that has carried most since the last call.
func (d *Door) Traffic() Traffic {
	t := &d.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	all := Traffic{Played: t.played, ToPlayer: t.to.Load(), FromPlayer: t.from.Load()}
	var busiest *playerConn
	most := uint64(0)
	for socket := range t.sockets {
		sent := socket.sent.Swap(0)
		if busiest == nil || sent > most {
			busiest, most = socket, sent
		}
	}
	if busiest != nil {
		all.RoundTrip, all.Known = RoundTrip(busiest.Conn)
	}
	return all
}

// RoundTrip returns the kernel's smoothed estimate of the time to a connection's peer and
// back, and reports whether it has one: none before the peer has acknowledged anything.
func RoundTrip(conn net.Conn) (time.Duration, bool) {
	raw, err := rawConn(conn)
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	var failed error
	if err := raw.Control(func(fd uintptr) {
		info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil || failed != nil || info.Rtt == 0 {
		return 0, false
	}
	return time.Duration(info.Rtt) * time.Microsecond, true
}

// rawConn returns the TCP connection below a connection's TLS.
func rawConn(conn net.Conn) (syscall.RawConn, error) {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case *limitedConn:
			conn = c.Conn
		case syscall.Conn:
			return c.SyscallConn()
		default:
			return nil, errors.ErrUnsupported
		}
	}
}

// countedBody counts the bytes of a request's body.
type countedBody struct {
	io.ReadCloser
	of *traffic
}

// Read implements io.Reader.
func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.of.from.Add(uint64(n))
	return n, err
}

// playerConn is a WebSocket's connection, from its beginning to its end.
type playerConn struct {
	net.Conn
	of   *traffic
	sent atomic.Uint64 // since the last call of Traffic
}

// begin counts a connection until its end is called.
func (t *traffic) begin(conn net.Conn) *playerConn {
	c := &playerConn{Conn: conn, of: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sockets == nil {
		t.sockets = map[*playerConn]bool{}
	}
	t.sockets[c] = true
	return c
}

// end takes the connection out of the count.
func (c *playerConn) end() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.sockets, c)
}

// Read implements net.Conn.
func (c *playerConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.of.from.Add(uint64(n))
	return n, err
}

// Write implements net.Conn.
func (c *playerConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.of.to.Add(uint64(n))
	c.sent.Add(uint64(n))
	return n, err
}
