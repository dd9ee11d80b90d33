package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/intraverse/dcv-sessions/contract"
)

// ErrNoPort says that every port of the range is taken.
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

// X displays have numbers up to 65535-6000: display N has TCP port 6000+N (man 7
// X, "Display names").
const (
	displays  = 65535 - 6000 + 1
	realPorts = 50000 // a range of ports that is no wider gives each its number
	simulated = 100   // numbers of a sandbox's host: its range of ports is narrower
)

// Display is the number of a session's X display, unless a neighbour has that
// number's name (x11.Hold): sessions of one host share the kernel's names of X
// sockets, and the public port is one session's alone, so the number is the port
// modulo 50,000. A sandbox's hosts, each an address in
// 127.0.0.0/8, share those names too, and each has numbers of its own.
func Display(public net.Addr) int {
	at := public.(*net.TCPAddr).AddrPort()
	if address := at.Addr().Unmap(); address.IsLoopback() && address.Is4() {
		b := address.As4()
		return (int(at.Port()) + simulated*(int(b[2])<<8+int(b[3]))) % displays
	}
	return int(at.Port()) % realPorts
}

// LoopbackPort is a TCP port on 127.0.0.1 for the display server, which takes it
// later. It has the public port's number, so that no two sessions of a host get
// the same, and since a host gives these ports to root alone, no player can take it
// first. Where that can't be had (the public port is on loopback itself, or a
// stranger sits there), it is one that is free now, and that nobody takes within
// the next seconds but by chance or on purpose.
func LoopbackPort(public net.Addr) (int, error) {
	at := public.(*net.TCPAddr).AddrPort()
	if !at.Addr().IsLoopback() {
		if port, err := try(int(at.Port())); err == nil {
			return port, nil
		}
	}
	return try(0)
}

// try takes a port of loopback and gives it back; 0 is any free one.
func try(port int) (int, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(loopback, uint16(port)).String())
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
