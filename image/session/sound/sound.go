// Package sound runs the player's PulseAudio server, for the game's sound. The display
// server records it. A session goes on without sound.
package sound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/account"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

const (
	partName   = "pulseaudio"
	pulseaudio = "/usr/bin/pulseaudio"
	// listener is the account of DCV's agent, which records what the game plays in
	// a console session.
	recorder = "dcv"

	startLimit   = 5 * time.Second // until it answers
	stopPatience = 2 * time.Second
)

// Config configures the sound of an account.
type Config struct {
	Account account.Account
	// RunDir is the session's own folder, root's, mode 0711. The server's socket is
	// in its folder sound.
	RunDir string
	// Tell takes what the server said, for the log.
	Log func(part, line string)
}

// Sound is a server that runs, or none.
type Sound struct {
	kept   *process.Kept // nil: no sound
	socket string
	stop   context.CancelFunc
}

// Start starts the server and waits until it answers, at most 5 s. That there is
// no sound is told as part of the log, never as an error: an error says that the
// session's own folders can't be made, which is the host's fault.
func Start(ctx context.Context, c Config) (*Sound, error) {
	return startProgram(ctx, c, pulseaudio, recorder)
}

func startProgram(ctx context.Context, c Config, program, listener string) (*Sound, error) {
	if err := process.Executable(program); err != nil {
		c.Log(partName, "the session has no sound: "+err.Error())
		return &Sound{}, nil
	}
	files := soundFilesIn(c.RunDir)
	if err := files.make(c.Account, listener); err != nil {
		return nil, fault.New(contract.ExitHost, fmt.Errorf("the sound's folder: %w", err))
	}
	kept, err := process.Keep(process.Command{
		Name: partName, Path: program, Args: pulseArguments(files.script), Env: c.Account.Env(), Dir: c.Account.Home, User: &c.Account.User,
		Lines: func(line string) { c.Log(partName, line) },
	}, process.Patient, func(exit process.Exit) { c.Log(partName, "ended with "+exit.String()) })
	if err != nil {
		c.Log(partName, "the session has no sound: "+err.Error())
		return &Sound{}, nil
	}
	stopped, stop := context.WithCancel(context.Background())
	go func() {
		select {
		case <-stopped.Done():
		case err := <-kept.Failed():
			c.Log(partName, "the session has no sound any more: "+err.Error())
		}
	}()
	if err := waitUntilAnswers(ctx, files.socket); err != nil {
		c.Log(partName, "the sound's server does not answer yet: "+err.Error())
	}
	return &Sound{kept, files.socket, stop}, nil
}

// Server is where clients find the server of a session whose folder is runDir,
// once it is started (PulseAudio's PULSE_SERVER).
func Server(runDir string) string { return "unix:" + soundFilesIn(runDir).socket }

// Env returns the environment variables of a client.
func (s *Sound) Env() []string {
	if s.kept == nil {
		return nil
	}
	return []string{"PULSE_SERVER=unix:" + s.socket}
}

// Stop ends the server.
func (s *Sound) Stop() {
	if s.kept == nil {
		return
	}
	s.stop()
	s.kept.Stop(syscall.SIGTERM, stopPatience)
}

// pulseArguments are PulseAudio's (man 1 pulseaudio): nothing of the system's own
// configuration, no end when nobody listens, and no log but ours.
func pulseArguments(script string) []string {
	return []string{
		"-n", "-F", script, "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no", "--log-target=stderr",
		// A container may raise nobody's priority, and says so at each start.
		"--realtime=no", "--high-priority=no",
	}
}

// soundFiles are what the server has in the session's folder.
type soundFiles struct {
	script string // root's, beside the folder that is the player's
	folder string
	socket string
}

func soundFilesIn(runDir string) soundFiles {
	folder := filepath.Join(runDir, "sound")
	return soundFiles{script: filepath.Join(runDir, "sound.pa"), folder: folder, socket: filepath.Join(folder, "native")}
}

// make makes them. The folder is the player's, and open to the group of who
// listens, where there is such an account: the socket in it takes anyone who comes
// that far.
func (f soundFiles) make(of account.Account, listener string) error {
	group, err := groupOf(listener, int(of.GID))
	if err != nil {
		return err
	}
	text := pulseScript{socket: f.socket, sink: "game", rate: 48000, channels: 2}.text()
	if err := os.WriteFile(f.script, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(f.folder, 0o710); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return errors.Join(os.Chmod(f.script, 0o644), os.Chown(f.folder, int(of.UID), group), os.Chmod(f.folder, 0o710))
}

// groupOf is an account's group; other where there is no such account.
func groupOf(name string, other int) (int, error) {
	found, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		return other, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(found.Gid)
}

// pulseScript has the server listen on a socket and play to nowhere.
type pulseScript struct {
	socket   string // absolute
	sink     string // where the game plays; its monitor, SINK.monitor, is what is recorded
	rate     int    // Hz
	channels int    // DCV's web client plays two
}

// text has no cookie, which two accounts could not share: who reaches the socket
// may use it.
func (s pulseScript) text() string {
	return fmt.Sprintf(`# Written by the session at each start.
.fail
load-module module-native-protocol-unix socket=%[1]s auth-anonymous=1 auth-cookie-enabled=0
load-module module-null-sink sink_name=%[2]s rate=%[3]d channels=%[4]d
set-default-sink %[2]s
set-default-source %[2]s.monitor
`, s.socket, s.sink, s.rate, s.channels)
}

// waitUntilAnswers waits until somebody listens on a socket.
func waitUntilAnswers(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
