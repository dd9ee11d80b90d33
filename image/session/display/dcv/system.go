package dcv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

func xLockFile(number int) string { return fmt.Sprintf("/tmp/.X%d-lock", number) }

// prepare does the work of systemd and of a login: it removes the files of a killed
// session, since a container may be restarted, and makes the folders that DCV expects.
func (s *Server) prepare() error {
	var err error
	if s.dcvUser, err = lookupUser(s.account); err != nil {
		return err
	}
	for _, stale := range []string{
		s.path("/run/dbus"), s.path("/run/dcv"), s.path("/run/dcvsvc"),
		xLockFile(s.config.Number), filepath.Join(x11.SocketDir, "X"+strconv.Itoa(s.config.Number)),
	} {
		if err := os.RemoveAll(stale); err != nil {
			return err
		}
	}
	for _, folder := range []struct {
		path  string
		mode  fs.FileMode
		owner *process.User
	}{
		{s.path("/run/dbus"), 0o755, nil},
		{s.path("/run/dcv"), 0o755, &s.dcvUser},
		{s.path("/var/lib/dcv"), 0o755, &s.dcvUser},
		// The processes of a virtual session write their logs as the player.
		{s.path("/var/log/dcv"), 0o777 | fs.ModeSticky, &s.dcvUser},
		{s.path("/etc/dcv"), 0o755, nil},
		{s.path("/run/user"), 0o755, nil},
		{s.runtimeDir(s.config.Account), 0o700, &s.config.Account},
		{s.runtimeDir(s.dcvUser), 0o700, &s.dcvUser},
		{x11.SocketDir, 0o777 | fs.ModeSticky, nil},
	} {
		if err := os.MkdirAll(folder.path, 0o755); err != nil {
			return err
		}
		info, err := os.Stat(folder.path)
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModePerm|fs.ModeSticky) != folder.mode { // Mkdir applies the umask
			if err := os.Chmod(folder.path, folder.mode); err != nil {
				return err
			}
		}
		if err := setOwner(folder.path, folder.owner); err != nil {
			return err
		}
	}
	return nil
}

// runtimeDir returns a user's XDG_RUNTIME_DIR, which logind would make.
func (s *Server) runtimeDir(u process.User) string {
	return s.path("/run/user/" + strconv.FormatUint(uint64(u.UID), 10))
}

// writeFile writes a file and sets its mode and owner; a nil owner is root.
func writeFile(path string, content []byte, mode fs.FileMode, owner *process.User) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil { // WriteFile applies the umask
		return err
	}
	return setOwner(path, owner)
}

func setOwner(path string, owner *process.User) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.UID), int(owner.GID))
}

func (s *Server) busSocket() string  { return s.path("/run/dbus/system_bus_socket") }
func (s *Server) busAddress() string { return "unix:path=" + s.busSocket() }

// startBus starts the system's D-Bus daemon, which connects dcvserver, its session
// launcher and the `dcv` command. When it dies, server and launcher lose their names on
// it and are restarted.
func (s *Server) startBus(ctx context.Context) error {
	if _, err := process.Run(ctx, process.Command{Name: "dbus-uuidgen", Path: s.path("/usr/bin/dbus-uuidgen"), Args: []string{"--ensure"}, Env: s.env()}); err != nil {
		s.config.Log("dbus", err.Error()) // without a machine id, the daemon still serves one container
	}
	bus, err := s.keep(process.Command{
		Name: "dbus", Path: s.path("/usr/bin/dbus-daemon"), Env: s.env(),
		Args: []string{"--config-file=" + s.path("/usr/share/dbus-1/system.conf"), "--address=" + s.busAddress(), "--nofork", "--nopidfile", "--nosyslog"},
	}, &s.bus, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, part := range []*process.Kept{s.launcher, s.server} {
			if part != nil {
				part.Process().Signal(syscall.SIGKILL)
			}
		}
	})
	if err != nil {
		return err
	}
	return waitFor(ctx, "the D-Bus daemon", bus.Process().Done(), func() error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", s.busSocket())
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// keep runs a process until Close, restarts it when it ends, and stores it in place. died
// is called at each end, once its process group is gone; it may be nil.
func (s *Server) keep(c process.Command, place **process.Kept, died func()) (*process.Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	name := c.Name
	c.Lines = func(line string) { s.config.Log(name, line) }
	var kept *process.Kept
	started := make(chan struct{})
	kept, err := process.Keep(c, process.Patient, func(exit process.Exit) {
		<-started
		_ = syscall.Kill(-kept.Process().PID(), syscall.SIGKILL)
		if s.ctx.Err() != nil {
			return
		}
		s.config.Log(name, "it ended with "+exit.String())
		if died != nil {
			died()
		}
	})
	if err != nil {
		return nil, err
	}
	*place = kept
	close(started)
	go func() {
		select {
		case err := <-kept.Failed():
			s.fail(err)
		case <-s.ctx.Done():
		}
	}()
	return kept, nil
}

// signalMembers sends a signal to the members of a process group but its leader.
func signalMembers(leader int, signal syscall.Signal) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		b, err := os.ReadFile(file)
		if err != nil || pid == leader {
			continue
		}
		// man 5 proc: pid (comm) state ppid pgrp …; comm may hold anything.
		text := string(b)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 2 && fields[2] == strconv.Itoa(leader) {
			_ = syscall.Kill(pid, signal)
		}
	}
}
