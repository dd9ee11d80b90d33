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
	// recorder is the account of DCV's agent, which records the game's sound in a
	// console session.
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
	// Log takes the server's output, line by line.
	Log func(part, line string)
}

// Sound is a server that runs, or none.
type Sound struct {
	kept   *process.Kept // nil: no sound
	socket string
	stop   context.CancelFunc
}

// Start starts the server and waits until it answers, at most 5 s. A missing
// sound is logged and is no error: an error means that the session's own folders can't
// be made, which is the host's fault.
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

// Server returns the server's address for clients of a session with the folder runDir
// (PulseAudio's PULSE_SERVER).
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

// pulseArguments returns PulseAudio's arguments (man 1 pulseaudio): without the system's
// own configuration, without an end when no client is connected, and with our log.
func pulseArguments(script string) []string {
	return []string{
		"-n", "-F", script, "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no", "--log-target=stderr",
		// A container may raise no priority, and PulseAudio logs that at each start.
		"--realtime=no", "--high-priority=no",
	}
}

// soundFiles are the server's files in the session's folder.
type soundFiles struct {
	script string // root's, beside the folder that is the player's
	folder string
	socket string
}

func soundFilesIn(runDir string) soundFiles {
	folder := filepath.Join(runDir, "sound")
	return soundFiles{script: filepath.Join(runDir, "sound.pa"), folder: folder, socket: filepath.Join(folder, "native")}
}

// make makes the folder. It is the player's, and open to the group of the recording
// account, if there is one: the socket in it accepts every user that can reach it.
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

// groupOf returns an account's group, or other if there is no such account.
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
	sink     string // the game's output; its monitor, SINK.monitor, is recorded
	rate     int    // Hz
	channels int    // DCV's web client plays two
}

// text returns the script. It has no cookie, which two accounts could not share: every
// user that reaches the socket may use it.
func (s pulseScript) text() string {
	return fmt.Sprintf(`# Written by the session at each start.
.fail
load-module module-native-protocol-unix socket=%[1]s auth-anonymous=1 auth-cookie-enabled=0
load-module module-null-sink sink_name=%[2]s rate=%[3]d channels=%[4]d
set-default-sink %[2]s
set-default-source %[2]s.monitor
`, s.socket, s.sink, s.rate, s.channels)
}

// waitUntilAnswers waits until a server listens on a socket.
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
