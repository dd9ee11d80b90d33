package door

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConnections that one address may have open: a browser with the display
	// needs about ten, a household behind one address some dozens.
	maxConnections = 256
	// silence is how long a connection may leave what was sent to it unanswered:
	// after it a player whose line was cut counts as gone.
	silence = 30 * time.Second
)

// limiter is a listener that one address can't use up.
type limiter struct {
	net.Listener
	mu   sync.Mutex
	open map[netip.Addr]int
}

func newLimiter(l net.Listener) *limiter {
	return &limiter{Listener: l, open: map[netip.Addr]int{}}
}

// Accept closes connections of an address that has too many.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(conn.RemoteAddr().String())
		if !l.take(from) {
			_ = conn.Close()
			continue
		}
		notice(conn)
		return &limited{Conn: conn, free: sync.OnceFunc(func() { l.free(from) })}, nil
	}
}

func (l *limiter) take(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= maxConnections {
		return false
	}
	l.open[from]++
	return true
}

func (l *limiter) free(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
}

type limited struct {
	net.Conn
	free func()
}

func (c *limited) Close() error {
	c.free()
	return c.Conn.Close()
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
