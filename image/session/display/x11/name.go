package x11

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
)

// Name is the abstract socket name of a display, held so that nobody else can take it.
//
// Clients try that name before the file in SocketDir (libxcb 1.15, xcb_util.c,
// _xcb_open), and abstract names belong to the network namespace (man 7 unix), which
// all sessions of a host share: a neighbour that listens on the name of a session's
// display receives that session's windows, input and cookie. A held name is bound
// without a listener. So clients are refused there (ECONNREFUSED), and go on to the
// file, which only this container has.
type Name struct {
	Number int // the display's

	socket  int
	release sync.Once
}

// displayNumbers is the number of display numbers: display N has TCP port 6000+N.
const displayNumbers = 65535 - 6000 + 1

// Hold takes the first free name of a display, from a number on. It must be called before
// the X server starts, which needs -nolisten local. The error has the exit code
// contract.ExitNoPort.
func Hold(first int) (*Name, error) { return holdFrom(first, displayNumbers) }

func holdFrom(first, tries int) (*Name, error) {
	for number := first; number < first+tries; number++ {
		name, err := bindName(number)
		if !errors.Is(err, unix.EADDRINUSE) {
			return name, err
		}
	}
	return nil, noPortFault(fmt.Errorf("the abstract socket names of the X displays from :%d to :%d are all taken on this host", first, first+tries-1))
}

// Claim takes the name of a running display: DCV chooses the display numbers of its
// virtual sessions itself. If a process of this container listens on the name, that is
// the X server, and there is nothing to take. Any other process is a neighbour's: then
// the error has the exit code contract.ExitNoPort.
func Claim(name string) (*Name, error) {
	n, err := displayNumber(name)
	if err != nil {
		return nil, err
	}
	held, err := bindName(n)
	if !errors.Is(err, unix.EADDRINUSE) {
		return held, err
	}
	pid, err := listenerPID(n)
	switch {
	case err != nil:
		return nil, noPortFault(fmt.Errorf("another session of this host has the abstract socket name of the X display %s: %w", name, err))
	case pid == 0:
		return nil, noPortFault(neighbourFault(name))
	}
	return &Name{Number: n, socket: -1}, nil
}

func noPortFault(err error) error { return fault.New(contract.ExitNoPort, err) }

// abstractAddress returns the abstract name of a display. golang.org/x/sys/unix replaces
// the @ by the zero byte that begins such names.
func abstractAddress(number int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("@%s/X%d", SocketDir, number)}
}

// bindName takes a name, in one step of the kernel. The kernel frees it when this process
// ends, however it ends; no child inherits it.
func bindName(number int) (*Name, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(socket, abstractAddress(number)); err != nil {
		_ = unix.Close(socket)
		return nil, fmt.Errorf("the abstract socket name of the X display :%d: %w", number, err)
	}
	return &Name{Number: number, socket: socket}, nil
}

// listenerPID returns the process that listens on a display's name, or 0 if it belongs to
// another container, since it has no number in this one (man 7 pid_namespaces).
func listenerPID(number int) (pid int32, err error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(socket)
	if err := unix.Connect(socket, abstractAddress(number)); err != nil {
		return 0, err
	}
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return peer.Pid, nil
}

// Kept returns an error if a neighbour has the abstract socket name of a running display,
// or could take it.
func Kept(name string) error {
	n, err := displayNumber(name)
	if err != nil {
		return err
	}
	free, err := bindName(n)
	if err == nil {
		free.Release()
		return fmt.Errorf("nobody holds the abstract socket name of the X display %s: a neighbour could take it", name)
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	pid, err := listenerPID(n)
	switch {
	case errors.Is(err, unix.ECONNREFUSED): // held by Hold
		return nil
	case err == nil && pid == 0:
		return neighbourFault(name)
	}
	return err
}

func neighbourFault(name string) error {
	return fmt.Errorf("a process of another session listens on the abstract socket name of the X display %s", name)
}

// Release frees the name. It must be called after the X server has ended.
func (n *Name) Release() {
	if n == nil || n.socket < 0 {
		return
	}
	n.release.Do(func() { _ = unix.Close(n.socket) })
}
