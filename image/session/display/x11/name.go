package x11

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
)

// Name is the abstract socket name of a display, kept from everybody else.
//
// Clients try that name before the file in SocketDir (libxcb 1.15, xcb_util.c,
// _xcb_open), and abstract names belong to the network namespace (man 7 unix), which
// all sessions of a host share: a neighbour who listens on the name of a session's
// display receives that session's windows, input and cookie. A name that is held is
// bound and not listened on. So clients are refused there (ECONNREFUSED), and go on
// to the file, which only this container has.
type Name struct {
	Number int // the display's

	socket  int
	release sync.Once
}

// numbers is how many display numbers there are: display N has TCP port 6000+N.
const numbers = 65535 - 6000 + 1

// Hold takes the name of the first display, from a number on, whose name nobody has.
// It is to be called before the X server starts, which needs -nolisten local. The
// error has the exit code contract.ExitNoPort.
func Hold(first int) (*Name, error) { return hold(first, numbers) }

func hold(first, tries int) (*Name, error) {
	for number := first; number < first+tries; number++ {
		name, err := bind(number)
		if !errors.Is(err, unix.EADDRINUSE) {
			return name, err
		}
	}
	return nil, taken(fmt.Errorf("the abstract socket names of the X displays from :%d to :%d are all taken on this host", first, first+tries-1))
}

// Claim takes the name of a display that runs already: DCV chooses the numbers of
// its virtual sessions' displays itself. If a process of this container listens on
// the name, that is the X server, and there is nothing to take. Any other is a
// neighbour: the error has the exit code contract.ExitNoPort.
func Claim(name string) (*Name, error) {
	n, err := number(name)
	if err != nil {
		return nil, err
	}
	held, err := bind(n)
	if !errors.Is(err, unix.EADDRINUSE) {
		return held, err
	}
	pid, err := listener(n)
	switch {
	case err != nil:
		return nil, taken(fmt.Errorf("another session of this host has the abstract socket name of the X display %s: %w", name, err))
	case pid == 0:
		return nil, taken(elsewhere(name))
	}
	return &Name{Number: n, socket: -1}, nil
}

func taken(err error) error { return fault.New(contract.ExitNoPort, err) }

// address returns the abstract name of a display; golang.org/x/sys/unix writes the @
// as the zero byte that such names begin with.
func address(number int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("@%s/X%d", SocketDir, number)}
}

// bind takes a name, in one step of the kernel's. The kernel gives it back when this
// process ends, however it ends; no child inherits it.
func bind(number int) (*Name, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(socket, address(number)); err != nil {
		_ = unix.Close(socket)
		return nil, fmt.Errorf("the abstract socket name of the X display :%d: %w", number, err)
	}
	return &Name{Number: number, socket: socket}, nil
}

// listener returns the process that listens on a display's name, 0 if it is another
// container's: it has no number in this one (man 7 pid_namespaces).
func listener(number int) (pid int32, err error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(socket)
	if err := unix.Connect(socket, address(number)); err != nil {
		return 0, err
	}
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return peer.Pid, nil
}

// Kept returns an error if a neighbour has the abstract socket name of a display that
// runs, or could take it.
func Kept(name string) error {
	n, err := number(name)
	if err != nil {
		return err
	}
	free, err := bind(n)
	if err == nil {
		free.Release()
		return fmt.Errorf("nobody holds the abstract socket name of the X display %s: a neighbour could take it", name)
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	pid, err := listener(n)
	switch {
	case errors.Is(err, unix.ECONNREFUSED): // as Hold leaves it
		return nil
	case err == nil && pid == 0:
		return elsewhere(name)
	}
	return err
}

func elsewhere(name string) error {
	return fmt.Errorf("a process of another session listens on the abstract socket name of the X display %s", name)
}

// Release gives the name back, once the X server has ended.
func (n *Name) Release() {
	if n == nil || n.socket < 0 {
		return
	}
	n.release.Do(func() { _ = unix.Close(n.socket) })
}
