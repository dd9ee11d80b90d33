package dcv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// holdName holds the name of a console session's display, before its X server starts.
func (s *Server) holdName() error {
	name, err := x11.Hold(s.config.Number)
	if err != nil {
		return err
	}
	s.config.Number = name.Number
	return s.keepName(name)
}

// keepName stores a name, which Close releases.
func (s *Server) keepName(name *x11.Name) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		name.Release()
		return err
	}
	s.name = name
	return nil
}

// startXorg starts a console session's X server on the GPU, and gives the player and
// DCV's account access. Its end is the game's end, so the session ends too.
func (s *Server) startXorg(ctx context.Context) (display.X, error) {
	found, err := s.modules()
	if err != nil {
		return display.X{}, err
	}
	address, err := s.gpuAddress(ctx)
	if err != nil {
		return display.X{}, err
	}
	config := filepath.Join(s.config.RunDir, "xorg.conf")
	screen := xorgScreen{BusID: address, Modules: found, Mode: reducedMode(s.config.Width, s.config.Height)}
	if err := writeFile(config, []byte(screen.render()), 0o644, nil); err != nil {
		return display.X{}, err
	}

	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails
	own := display.X{Display: fmt.Sprintf(":%d", s.config.Number), Authority: filepath.Join(s.config.RunDir, "x-server")}
	dcvs, players := own, own
	dcvs.Authority, players.Authority = filepath.Join(s.config.RunDir, "x-dcv"), filepath.Join(s.config.RunDir, "x-player")
	err = errors.Join(
		x11.WriteAuthority(own.Authority, s.config.Number, cookie, os.Getuid(), os.Getgid()),
		x11.WriteAuthority(dcvs.Authority, s.config.Number, cookie, int(s.dcvUser.UID), int(s.dcvUser.GID)),
		x11.WriteAuthority(players.Authority, s.config.Number, cookie, int(s.config.Account.UID), int(s.config.Account.GID)),
	)
	if err != nil {
		return display.X{}, err
	}
	xorg, err := s.startOnce(process.Command{
		Name: "xorg", Path: s.path("/usr/lib/xorg/Xorg"), Args: xorgArgs(s.config.Number, own.Authority, config), Env: s.env(),
	})
	if err != nil {
		return display.X{}, err
	}
	if err := waitFor(ctx, "the X server on the GPU", xorg.Done(), func() error { return x11.Answers(ctx, own) }); err != nil {
		return display.X{}, err
	}
	// DCV's agent may not look for this cookie.
	if err := x11.Admit(ctx, own, s.account); err != nil {
		return display.X{}, err
	}
	s.x = dcvs
	return players, nil
}

// startOnce starts the X server. Its end ends the session.
func (s *Server) startOnce(c process.Command) (*process.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	c.Lines = func(line string) { s.config.Log(c.Name, line) }
	p, err := process.Start(c)
	if err != nil {
		return nil, err
	}
	s.xorg = p
	go func() {
		exit := p.Exit()
		s.fail(fmt.Errorf("the X server on the GPU ended with %s", exit))
	}()
	return p, nil
}

// startDCV starts dcvserver and its session launcher by the wrapper scripts that AWS's
// systemd units use: they set up DCV's own libraries. A wrapper waits for its program, in
// the same process group.
func (s *Server) startDCV(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	// It is root, since it starts a session's programs as their users.
	if _, err := s.keep(process.Command{Name: "dcvsessionlauncher", Path: s.path("/usr/bin/dcvsessionlauncher"), Args: []string{"-d"}, Env: s.env()}, &s.launcher, nil); err != nil {
		return err
	}
	kept, err := s.keep(process.Command{
		Name: "dcvserver", Path: s.path("/usr/bin/dcvserver"), Env: s.env(), User: &s.dcvUser,
		// Its port has the number of the session's public port, which hosts keep for
		// root: no player can take it first.
		Capabilities: []uintptr{unix.CAP_NET_BIND_SERVICE},
		// --service registers the server on the bus, for `dcv`. The eviction policy lets
		// a returning player replace their own lost connection.
		Args: []string{"-d", "--service", "--client-eviction-policy=same-user-oldest-connection"},
	}, &s.server, s.serverDied)
	if err != nil {
		return err
	}
	go s.watchLogs()
	if err := s.openSession(ctx, kept.Process().Done()); err != nil {
		return err
	}
	go s.reopen()
	return nil
}

// configure writes the files that dcvserver reads at its start.
func (s *Server) configure() error {
	certificate, cert, key, err := newCertificate()
	if err != nil {
		return err
	}
	s.trusted = certificate
	shown := reducedMode(s.config.Width, s.config.Height)
	conf := dcvConf{port: s.config.Port, verifier: s.config.Verifier, idle: s.config.Idle, width: shown.width, height: shown.height}
	return errors.Join(
		writeFile(s.path("/etc/dcv/dcv.conf"), []byte(conf.render()), 0o644, nil),
		writeFile(s.path("/etc/dcv/default.perm"), []byte(defaultPerm), 0o644, nil),
		writeFile(s.path("/etc/dcv/dcv.pem"), cert, 0o600, &s.dcvUser),
		writeFile(s.path("/etc/dcv/dcv.key"), key, 0o600, &s.dcvUser),
	)
}

// createLimit is how long DCV may refuse a session: its launcher may register on the bus
// after its server.
const createLimit = 10 * time.Second

// openSession waits for dcvserver and creates the session, if there is none.
func (s *Server) openSession(ctx context.Context, ended <-chan struct{}) error {
	args := []string{"create-session", "--type=" + string(s.config.DisplayMode), "--owner", s.config.User, "--max-concurrent-clients", "1"}
	if s.config.DisplayMode == contract.DisplayVirtual {
		init, err := s.virtualInit()
		if err != nil {
			return err
		}
		args = append(args, "--user", s.config.User, "--init", init, "--gl", "off") // DCV-GL would also need an Xorg on a GPU
	}
	err := waitFor(ctx, "dcvserver", ended, func() error {
		_, err := s.dcv(ctx, "list-sessions")
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	return waitFor(ctx, "the DCV session", ended, func() error {
		_, err := s.dcv(ctx, append(args, sessionID)...)
		if err != nil {
			if _, missing := s.dcv(ctx, "describe-session", sessionID); missing == nil {
				return nil
			}
		}
		return err
	})
}

// virtualInit writes and returns the program of a virtual session, which ends with it.
// The program does nothing: the supervisor starts the game.
func (s *Server) virtualInit() (string, error) {
	file := filepath.Join(s.config.RunDir, "dcv-init")
	return file, writeFile(file, []byte("#!/bin/sh\nexec sleep infinity\n"), 0o755, nil)
}

// virtualX returns the X server that DCV started for a virtual session, after it has set
// its size.
func (s *Server) virtualX(ctx context.Context) (display.X, error) {
	var x display.X
	err := waitFor(ctx, "the X server of DCV's virtual session", nil, func() error {
		d, err := s.Describe(ctx)
		if err != nil {
			return err
		}
		if d.X11Display == "" {
			return errors.New("DCV names no X display")
		}
		x = display.X{Display: d.X11Display, Authority: d.X11Authority}
		return x11.Answers(ctx, x)
	})
	if err != nil {
		return display.X{}, err
	}
	name, err := x11.Claim(x.Display) // before a program of the player is a client
	if err != nil {
		return display.X{}, err
	}
	if err := s.keepName(name); err != nil {
		return display.X{}, err
	}
	_, err = s.dcv(ctx, "set-display-layout", "--session", sessionID, fmt.Sprintf("%dx%d+0+0", s.config.Width, s.config.Height))
	return x, err
}

// serverDied is called when dcvserver has ended. It is restarted. The X server of a
// virtual session has ended with it, and so has the game.
func (s *Server) serverDied() {
	if s.config.DisplayMode == contract.DisplayVirtual {
		s.fail(errors.New("dcvserver ended, and the virtual session with it"))
		return
	}
	select {
	case s.restarted <- struct{}{}:
	default:
	}
}

// reopenLimit is how long a restarted server may take to answer.
const reopenLimit = time.Minute

// reopen creates the session again whenever dcvserver was restarted, since sessions end
// with it.
func (s *Server) reopen() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.restarted:
		}
		ctx, cancel := context.WithTimeout(s.ctx, reopenLimit)
		err := s.openSession(ctx, nil)
		cancel()
		switch {
		case err == nil:
			s.config.Log("dcvserver", "the session was opened again")
		case len(s.restarted) == 0: // otherwise it died once more
			s.fail(err)
		}
	}
}

// licenceEvery is the time between two checks of DCV's licence.
const licenceEvery = 10 * time.Minute

// watchLicence logs a fault of the licence, once until it changes. The session goes on:
// DCV works for a while without a licence.
func (s *Server) watchLicence() {
	var logged string
	for {
		_, err := s.Licence(s.ctx)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != logged {
			logged = err.Error()
			s.config.Log("licence", logged)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(licenceEvery):
		}
	}
}
