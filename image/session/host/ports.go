package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/intraverse/dcv-sessions/contract"
)

// ErrNoPort is the error if every port of the range is taken.
var ErrNoPort = errors.New("no port of the range is free on this host")

// Listen takes the first free port of the range. Taking it is one step of the
// kernel's, so two sessions that start in the same instant get two ports; and the
// kernel gives it back when the session ends, however it ends.
func Listen(at netip.Addr, ports contract.PortRange) (net.Listener, error) {
	for port := ports.First; port <= ports.Last; port++ {
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(port)).String())
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoPort, ports)
}

// displays is how many ports get an X display number of their own. Numbers go up to
// 65535-6000: display N has TCP port 6000+N (man 7 X, "Display names").
const displays = 50_000

// Display returns the number of a session's X display: the session's public port,
// modulo 50,000. No other session of the host has that port, and the sessions of a host
// share the kernel's names of X sockets. If another process has the number's name, the
// display takes a later number (x11.Hold).
func Display(public net.Addr) int {
	return public.(*net.TCPAddr).Port % displays
}

// LoopbackPort returns a TCP port on 127.0.0.1 for the display server, which takes it
// later. It has the number of the public port: no other session of the host has that, and
// a host keeps these ports for root, so no player can take it first. If that port is not
// available (the public port is on loopback itself, or another process has it), the
// result is a port that is free now.
func LoopbackPort(public net.Addr) (int, error) {
	at := public.(*net.TCPAddr).AddrPort()
	if !at.Addr().IsLoopback() {
		if port, err := tryPort(int(at.Port())); err == nil {
			return port, nil
		}
	}
	return tryPort(0)
}

// tryPort takes a port of loopback and frees it; 0 is any free one.
func tryPort(port int) (int, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(loopback, uint16(port)).String())
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
