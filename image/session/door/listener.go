package door

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// connectionLimits are the most connections that may be open at once. A connection takes
// up to about 100 KiB: its stack, a TLS record each way, and the headers of a request.
type connectionLimits struct{ all, household int }

var (
	// A browser with the display needs about ten: six for HTTP/1.1, and one for each
	// WebSocket. Several browsers may share an address.
	publicLimits = connectionLimits{all: 512, household: 64}
	// DCV makes one request per connection. On loopback all addresses are alike.
	verifierLimits = connectionLimits{all: 64, household: 64}
)

// silenceLimit is how long a connection may leave packets unacknowledged. After it, a
// player whose network failed counts as disconnected.
const silenceLimit = 30 * time.Second

// connectionLimiter is a listener that neither one household nor all strangers together
// can exhaust. Above the limit, a new connection is accepted and an old one is closed:
// the oldest of the stranger with the most connections. So a flood from few addresses
// harms those addresses, and never a guest.
type connectionLimiter struct {
	net.Listener
	connectionLimits
	guests func() map[netip.Addr]bool // households that have signed in; may be nil

	mu    sync.Mutex
	open  map[netip.Addr][]*limitedConn // by household, the oldest first
	count int
}

func newConnectionLimiter(l net.Listener, most connectionLimits, guests func() map[netip.Addr]bool) *connectionLimiter {
	return &connectionLimiter{Listener: l, connectionLimits: most, guests: guests, open: map[netip.Addr][]*limitedConn{}}
}

// Accept returns the next connection within the limits.
func (l *connectionLimiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: conn, of: l, from: addressOf(conn.RemoteAddr().String()), since: time.Now()}
		refused := l.admit(c)
		if refused != nil {
			refused.reset()
		}
		if refused != c {
			detectLostPeer(conn)
			return c, nil
		}
	}
}

// admit counts a connection and returns the one to close in exchange: nil if there is
// room, and the connection itself if it is refused.
func (l *connectionLimiter) admit(c *limitedConn) *limitedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open[c.from]) >= l.household {
		return c
	}
	l.open[c.from] = append(l.open[c.from], c)
	if l.count++; l.count <= l.all {
		return nil
	}
	gone := cmp.Or(l.leastMissed(), c)
	l.remove(gone)
	return gone
}

// leastMissed returns the oldest connection of the stranger with the most connections,
// or nil if all connections are guests'.
func (l *connectionLimiter) leastMissed() *limitedConn {
	var guests map[netip.Addr]bool
	if l.guests != nil {
		guests = l.guests()
	}
	var oldest *limitedConn
	most := 0
	for from, conns := range l.open {
		if guests[from] || len(conns) < most {
			continue
		}
		if len(conns) > most || conns[0].since.Before(oldest.since) {
			oldest, most = conns[0], len(conns)
		}
	}
	return oldest
}

// free removes a closed connection, which may have been removed before.
func (l *connectionLimiter) free(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

func (l *connectionLimiter) remove(c *limitedConn) {
	conns := l.open[c.from]
	at := slices.Index(conns, c)
	if at < 0 {
		return
	}
	l.count--
	if conns = slices.Delete(conns, at, at+1); len(conns) == 0 {
		delete(l.open, c.from)
		return
	}
	l.open[c.from] = conns
}

type limitedConn struct {
	net.Conn
	of    *connectionLimiter
	from  netip.Addr
	since time.Time
}

func (c *limitedConn) Close() error {
	c.of.free(c)
	return c.Conn.Close()
}

// reset closes a connection at once and discards its unsent data (socket(7), SO_LINGER).
func (c *limitedConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// detectLostPeer makes the kernel close a connection soon after its network failed,
// whether data is in flight (tcp(7), TCP_USER_TIMEOUT) or not (SO_KEEPALIVE). If that is
// not possible, the display's own pings are enough.
func detectLostPeer(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silenceLimit / 2, Interval: silenceLimit / 6, Count: 3})
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silenceLimit.Milliseconds()))
		})
	}
}

// addressOf returns the household of "address:port".
func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote) // net's own text
	return household(at.Addr())
}
