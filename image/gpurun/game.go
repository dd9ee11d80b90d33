package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// passedOn are the signals that go on to the program.
var passedOn = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

const (
	lookEvery  = 250 * time.Millisecond
	lookSeldom = 5 * time.Second // once a program took longer than it was given
	// When a driver for the GPU and a software driver are mapped one after the
	// other, the second follows the first within this time.
	settled  = 2 * time.Second
	patience = 5 * time.Second // from SIGTERM to SIGKILL, of a program that is refused
)

// game is the program that was started. It has a process group of its own, so
// that a signal to gpu-run's group reaches it once: from here. It does not
// outlive gpu-run, which the kernel sees to.
type game struct {
	*runner
	before  renderer
	allowed bool // rendering in software is, and has been said

	cmd    *exec.Cmd
	ended  chan struct{}
	since  time.Time // the start
	proved bool
	told   bool      // that nothing is proved yet
	softly time.Time // since when only drivers without a GPU are mapped
}

// run starts the program and returns its exit code, or gpu-run's own.
func (g *game) run(command, env []string) int {
	path, err := lookPath(command[0], env)
	if err == nil {
		g.cmd = exec.Command(path, command[1:]...)
		g.cmd.Args[0], g.cmd.Env = command[0], env
		g.cmd.Stdin, g.cmd.Stdout, g.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		err = g.cmd.Start()
	}
	if err != nil {
		g.say("%v", err)
		if errors.Is(err, os.ErrNotExist) {
			return exitNotFound
		}
		return exitNoProgram
	}
	g.since, g.ended = time.Now(), make(chan struct{})
	go func() {
		_ = g.cmd.Wait() // its result is in ProcessState
		close(g.ended)
	}()
	return g.watch()
}

// watch passes signals on until the program ends, and looks how it renders until
// that is proved.
func (g *game) watch() int {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-g.ended:
			return g.code()
		case s := <-g.signals:
			g.signal(s.(syscall.Signal))
		case <-look.C:
			if file, fell := g.look(look); fell {
				g.end()
				g.say(refused, filepath.Base(g.cmd.Path), fmt.Sprintf(noDriver, file))
				return contract.ExitSoftware
			}
		}
	}
}

// look reports whether the program renders in software although it must not, and
// returns the file that shows it.
func (g *game) look(every *time.Ticker) (string, bool) {
	if g.allowed || g.proved {
		every.Stop()
		return "", false
	}
	v := judge(mapped(g.cmd.Process.Pid), g.before)
	switch {
	case v.file == "":
		g.softly = time.Time{}
		if !g.told && time.Since(g.since) > g.within {
			g.told = true
			every.Reset(lookSeldom)
			g.say(notProved, filepath.Base(g.cmd.Path), g.within, g.before)
		}
	case !v.cpu:
		g.proved = true
		g.say(onHardware, g.before, g.api.words, g.api.tool[0], v.file)
	case g.softly.IsZero():
		g.softly = time.Now()
	case time.Since(g.softly) < settled:
	case g.software:
		g.proved = true
		g.say(bySoftware, g.api.words, fmt.Sprintf(noDriver, v.file))
	default:
		return v.file, true
	}
	return "", false
}

// signal sends a signal to the program's process group.
func (g *game) signal(s syscall.Signal) {
	select {
	case <-g.ended: // its number may be another's by now
	default:
		_ = syscall.Kill(-g.cmd.Process.Pid, s)
	}
}

// end ends a program that is refused, with all of its group.
func (g *game) end() {
	g.signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(patience):
	}
	_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) // and the processes that outlived the group's leader
	<-g.ended
}

// code is the program's exit code, as a shell gives it.
func (g *game) code() int {
	if status, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return g.cmd.ProcessState.ExitCode()
}
