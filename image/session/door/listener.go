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

// limits are how many connections may be open at once. A connection takes up to
// about 100 KiB: its stack, a TLS record each way, and the headers of a request.
type limits struct{ all, household int }

var (
	// A browser with the display needs about ten: HTTP/1.1 has six at a time, and
	// WebSockets have theirs. Several may be behind one address.
	publicLimits = limits{all: 512, household: 64}
	// DCV asks once a connection. On loopback an address proves nothing.
	verifierLimits = limits{all: 64, household: 64}
)

// silence is how long a connection may leave what was sent to it unanswered:
// after it a player whose line was cut counts as gone.
const silence = 30 * time.Second

// limiter is a listener that neither one household nor all strangers together can
// use up. When all its connections are taken, the newest one is let in and the
// oldest one of a stranger's makes way: of the household that has most. So a flood
// from few addresses costs those addresses, and never a guest.
type limiter struct {
	net.Listener
	limits
	guests func() map[netip.Addr]bool // households that have signed in; nil: there are none

	mu    sync.Mutex
	open  map[netip.Addr][]*limited // by household, the oldest first
	count int
}

func newLimiter(l net.Listener, most limits, guests func() map[netip.Addr]bool) *limiter {
	return &limiter{Listener: l, limits: most, guests: guests, open: map[netip.Addr][]*limited{}}
}

// Accept returns the next connection that is let in.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limited{Conn: conn, of: l, from: addressOf(conn.RemoteAddr().String()), since: time.Now()}
		refused := l.admit(c)
		if refused != nil {
			refused.reset()
		}
		if refused != c {
			notice(conn)
			return c, nil
		}
	}
}

// admit counts a connection and returns the one that has to go for it: nil if
// there is room, and the connection itself if it is not let in.
func (l *limiter) admit(c *limited) *limited {
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

// leastMissed returns the oldest connection of the stranger who has most, or nil
// if all connections are guests'.
func (l *limiter) leastMissed() *limited {
	var guests map[netip.Addr]bool
	if l.guests != nil {
		guests = l.guests()
	}
	var oldest *limited
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

// free removes a connection that was closed, which may have been removed before.
func (l *limiter) free(c *limited) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

func (l *limiter) remove(c *limited) {
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

type limited struct {
	net.Conn
	of    *limiter
	from  netip.Addr
	since time.Time
}

func (c *limited) Close() error {
	c.of.free(c)
	return c.Conn.Close()
}

// reset closes a connection at once, with what the kernel still has to send on it
// (socket(7), SO_LINGER).
func (c *limited) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// notice has the kernel find out soon that a line was cut, whether something is
// under way on it (tcp(7), TCP_USER_TIMEOUT) or nothing is (SO_KEEPALIVE). Where
// it can't, the display's own pings will do.
func notice(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3})
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
		})
	}
}

// addressOf is the household of "address:port".
func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote) // net's own text
	return household(at.Addr())
}
