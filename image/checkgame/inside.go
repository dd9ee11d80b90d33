package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// insideCommand is the argument by which this program starts itself in a container,
// without a shell or other tools:
//
//	checkgame inside DIR SECONDS
const insideCommand = "inside"

// report is the container's result, as JSON on its standard output.
type report struct {
	Libraries []lacking
	Start     start
}

// lacking is a program or library that does not find its libraries.
type lacking struct {
	File    string
	Missing []string
}

// start is the result of the game's start. Times are in seconds.
type start struct {
	Skipped  string   // the reason why it was skipped; then nothing else is set
	Seconds  float64  // it ran, until it ended or was stopped
	Ended    string   // by itself: how
	Window   float64  // until there was one; 0: there was none
	Stopping float64  // from the stop signal to its end
	Stopped  string   // how it ended then
	Killed   bool     // since it did not end
	Unheard  bool     // the signal ended it: it does not handle it
	Lines    []string // its last ones
}

// contained runs this program in a container of the session image, as the user that
// calls it, who can read the game's folder. The container has no network and writes
// to memory only.
func contained(ctx context.Context, dir string, o options) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("checkgame-%d", os.Getpid())
	cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "--name", name, "--network", "none", "--read-only",
		"--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "--cap-drop", "ALL", "--tmpfs", "/tmp:exec,mode=1777",
		"--mount", "type=bind,source="+dir+",target="+game.Dir+",readonly", "--mount", "type=bind,source="+self+",target=/run/checkgame,readonly",
		"--entrypoint", "/run/checkgame", o.image, insideCommand, game.Dir, strconv.Itoa(o.seconds))
	// Killing the client alone would leave the container.
	cmd.Cancel = func() error { return exec.Command("docker", "kill", name).Run() }
	cmd.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("docker run: %w: %s", errors.Join(err, ctx.Err()), process.Shorten(strings.TrimSpace(errs.String())))
	}
	return out, nil
}

// inside is the part in the container.
func inside(ctx context.Context, args []string) int {
	if len(args) != 2 {
		return 2
	}
	dir := args[0]
	seconds, err := strconv.Atoi(args[1])
	if err == nil {
		var m *game.Manifest
		if m, err = game.LoadSource(dir); err == nil {
			r := report{Libraries: missing(ctx, dir), Start: started(ctx, dir, m, time.Duration(seconds)*time.Second)}
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// missing returns the libraries that the dynamic linker does not find for the game's
// programs and libraries. It runs no code of the game that the start does not run.
func missing(ctx context.Context, dir string) []lacking {
	env := []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	if m, err := game.LoadSource(dir); err == nil && m.Environment["LD_LIBRARY_PATH"] != "" {
		env = append(env, "LD_LIBRARY_PATH="+m.Environment["LD_LIBRARY_PATH"])
	}
	var all []lacking
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isBinary(path) {
			return err
		}
		// It fails for one that is static, which lacks nothing.
		said, _ := process.Run(ctx, process.Command{Name: "ldd", Path: "/usr/bin/ldd", Args: []string{path}, Env: env, Dir: dir})
		var lacks []string
		for line := range strings.Lines(said) {
			if strings.Contains(line, "not found") {
				lacks = append(lacks, strings.TrimSpace(strings.TrimPrefix(line, path+": ")))
			}
		}
		if len(lacks) > 0 {
			name, _ := filepath.Rel(dir, path)
			all = append(all, lacking{name, lacks})
		}
		return ctx.Err()
	})
	if err != nil {
		all = append(all, lacking{dir, []string{err.Error()}})
	}
	if _, err := os.Stat("/usr/bin/ldd"); err != nil {
		all = append(all, lacking{"ldd", []string{err.Error()}})
	}
	return all
}

func isBinary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = f.ReadAt(magic, 0)
	return err == nil && string(magic) == "\x7fELF"
}

// servers are X servers that need no screen, with their arguments for a screen
// of a size.
var servers = []struct {
	path string
	args func(width, height int) []string
}{
	{"/usr/bin/Xvfb", func(w, h int) []string { return []string{"-screen", "0", fmt.Sprintf("%dx%dx24", w, h)} }},
	{"/usr/bin/Xtigervnc", func(w, h int) []string {
		return []string{"-geometry", fmt.Sprintf("%dx%d", w, h), "-depth", "24", "-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", "/tmp/checkgame-vnc"}
	}},
}

const (
	screenWait = 20 * time.Second
	lookEvery  = 100 * time.Millisecond
	lastLines  = 8
	gpuRun     = "/usr/local/bin/gpu-run"
)

// started runs the game for some time on a screen of its own, without a GPU.
func started(ctx context.Context, dir string, m *game.Manifest, most time.Duration) start {
	if has, err := m.Permitted(dir); err != nil {
		return start{Skipped: err.Error()}
	} else if !has {
		return start{Skipped: m.Executable + " lacks the permission to be executed here: `chmod +x` it, or check an archive of the folder"}
	}
	home, err := os.MkdirTemp("", "checkgame-")
	if err != nil {
		return start{Skipped: err.Error()}
	}
	defer os.RemoveAll(home)
	screen, x, err := startX(ctx, home, m.Window)
	if err != nil {
		return start{Skipped: "no virtual screen: " + err.Error()}
	}
	defer screen.Stop(syscall.SIGTERM, 2*time.Second)

	var s start
	var mu sync.Mutex
	command := process.Command{
		Name: "game", Path: filepath.Join(dir, m.Executable), Args: m.Arguments, Dir: filepath.Join(dir, m.Directory), Env: environment(m, home, x),
		Lines: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			s.Lines = append(s.Lines, line)
			s.Lines = s.Lines[max(0, len(s.Lines)-lastLines):]
		},
	}
	if process.Executable(gpuRun) == nil { // as in a session
		command.Args = append([]string{"--software", "--api", string(m.Graphics), "--", command.Path}, command.Args...)
		command.Path = gpuRun
	}
	began := time.Now()
	running, err := process.Start(command)
	if err != nil {
		return start{Ended: err.Error()}
	}
	window, ended := watch(ctx, running, x, most)
	s.Window, s.Seconds = window.Seconds(), time.Since(began).Seconds()
	if ended {
		s.Ended = running.Exit().String()
	} else {
		asked := time.Now()
		patience := time.Duration(m.Stop.Seconds) * time.Second
		exit := running.Stop(m.Signal(), patience)
		s.Stopped = exit.String()
		s.Unheard = exit.Signal == m.Signal() || exit.Code == 128+int(m.Signal()) // as gpu-run passes it on
		s.Stopping = time.Since(asked).Seconds()
		s.Killed = time.Since(asked) >= patience
	}
	mu.Lock()
	defer mu.Unlock()
	return s
}

// watch waits for the game's window and then for its time to be over.
func watch(ctx context.Context, running *process.Process, x display.X, most time.Duration) (window time.Duration, ended bool) {
	began, over := time.Now(), time.After(most)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-running.Done():
			return window, true
		case <-ctx.Done():
			return window, false
		case <-over:
			return window, false
		case <-look.C:
			if shown, _ := x11.Window(ctx, x); shown && window == 0 {
				window = time.Since(began)
			}
		}
	}
}

// startX starts the first X server that the image has, on a number that is free.
func startX(ctx context.Context, home string, size game.Window) (*process.Process, display.X, error) {
	x := display.X{Authority: filepath.Join(home, "Xauthority")}
	if err := os.MkdirAll(x11.SocketDir, 0o755); err != nil {
		return nil, x, err
	}
	number := 90
	for ; exists(fmt.Sprintf("%s/X%d", x11.SocketDir, number)) || exists(fmt.Sprintf("/tmp/.X%d-lock", number)); number++ {
	}
	x.Display = fmt.Sprintf(":%d", number)
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails
	if err := x11.WriteAuthority(x.Authority, number, cookie, os.Getuid(), os.Getgid()); err != nil {
		return nil, x, err
	}
	for _, server := range servers {
		if process.Executable(server.path) != nil {
			continue
		}
		last := ""
		p, err := process.Start(process.Command{
			Name: filepath.Base(server.path), Path: server.path, Env: []string{"HOME=" + home, "PATH=/usr/bin:/bin"},
			Args:  append([]string{x.Display, "-auth", x.Authority, "-nolisten", "tcp", "-noreset"}, server.args(size.Width, size.Height)...),
			Lines: func(line string) { last = line },
		})
		if err != nil {
			return nil, x, err
		}
		limit := time.After(screenWait)
		for x11.Answers(ctx, x) != nil {
			select {
			case <-p.Done():
				return nil, x, fmt.Errorf("%s ended with %s: %s", p.Name(), p.Exit(), last)
			case <-limit:
				p.Stop(syscall.SIGKILL, 0)
				return nil, x, fmt.Errorf("%s does not answer after %s", p.Name(), screenWait)
			case <-time.After(lookEvery):
			}
		}
		return p, x, nil
	}
	return nil, x, errors.New("the image has neither Xvfb nor Xtigervnc; a session image with image.displayServer: vnc has Xtigervnc")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// environment is a player's, as far as a container without a session has it.
func environment(m *game.Manifest, home string, x display.X) []string {
	env := append(x.Env(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "USER=player", "LOGNAME=player", "LANG=C.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games", "LIBGL_ALWAYS_SOFTWARE=1")
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		env = append(env, name+"="+m.Environment[name])
	}
	return env
}
