// Package process runs the session's child processes: it starts them as a user, reads
// their output by lines, ends them with their descendants, restarts and reaps them.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a child to start.
type Command struct {
	Name string   // as events and errors name it
	Path string   // absolute
	Args []string // without the program itself
	// Env is the whole environment: nothing of the supervisor's own, which holds
	// secrets, reaches a child.
	Env  []string
	Dir  string // "" is /
	User *User  // nil: the supervisor's own
	// Capabilities are root's rights that a child of another user gets (man 7
	// capabilities, "Ambient").
	Capabilities []uintptr
	Lines        func(line string) // takes each line of stdout and stderr, one at a time; nil drops them
}

// User is the user that a child runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Exit is how a child ended: by a code, or by a signal that is not 0.
type Exit struct {
	Code   int
	Signal syscall.Signal
}

// String returns "exit code 3" or "signal: killed".
func (e Exit) String() string {
	if e.Signal != 0 {
		return "signal: " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Process is a child that was started.
type Process struct {
	cmd  *exec.Cmd
	name string
	done chan struct{}
	exit Exit

	mu   sync.Mutex
	gone bool // its number may be another's by now
}

// starting is held while a child is started or reaped, so that no child is taken
// for an orphan before it is known.
var (
	childrenMutex sync.Mutex
	children      = map[int]bool{}
)

// waitDelay is how long a child's output is still read after its end: a process that
// left its process group may keep its stdout open.
const waitDelay = 500 * time.Millisecond

// Start starts a child in a process group of its own. When the child ends, the rest
// of the group is killed, so that the next child of its kind finds nothing in its way.
func Start(c Command) (*Process, error) {
	// A pipe for each stream: a program's stdout breaks off anywhere when it is a
	// pipe, and stderr must not come in between.
	both := &lineSink{pass: c.Lines}
	return startProcess(c, &lineWriter{each: both.line}, &lineWriter{each: both.line})
}

// startProcess starts a child. If stdout and stderr are one, they share a pipe, and lines
// come in the order in which they were written.
func startProcess(c Command, stdout, stderr *lineWriter) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = append([]string{}, c.Env...), c.Dir, waitDelay
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.User != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.User.UID, Gid: c.User.GID, Groups: c.User.Groups}
		cmd.SysProcAttr.AmbientCaps = c.Capabilities
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	p := &Process{cmd: cmd, name: c.Name, done: make(chan struct{})}
	childrenMutex.Lock()
	defer childrenMutex.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	children[cmd.Process.Pid] = true
	go p.wait(stdout, stderr)
	return p, nil
}

func (p *Process) wait(output ...*lineWriter) {
	p.endGroup()
	_ = p.cmd.Wait() // its result is in ProcessState
	for _, l := range output {
		l.pass()
	}
	childrenMutex.Lock()
	delete(children, p.PID())
	childrenMutex.Unlock()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.exit.Signal = status.Signal()
	} else {
		p.exit.Code = p.cmd.ProcessState.ExitCode()
	}
	close(p.done)
}

// endGroup waits for the child's end and kills the rest of its group, while the
// child's number is still its own: a dead process keeps it until it is waited for.
func (p *Process) endGroup() {
	for unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		continue
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	p.gone = true
}

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Name returns the command's name.
func (p *Process) Name() string { return p.name }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the child's end and returns it.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends a signal to the child and all that it started.
func (p *Process) Signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.PID(), signal)
	}
}

// Stop asks the child to end, kills it and its group once patience is over, and
// returns how it ended.
func (p *Process) Stop(signal syscall.Signal, patience time.Duration) Exit {
	p.Signal(signal)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Signal(syscall.SIGKILL)
	}
	return p.Exit()
}

// Run runs a short command and returns its output, cut at 64 KiB; Lines hears
// nothing of it. If ctx ends first, it is killed. The error of one that fails
// holds the end of its output.
func Run(ctx context.Context, c Command) (string, error) {
	const most = 64 << 10
	var out strings.Builder
	both := &lineWriter{each: func(line string) {
		if out.Len() < most {
			out.WriteString(line + "\n")
		}
	}}
	p, err := startProcess(c, both, both)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Stop(syscall.SIGKILL, 0)
		return "", fmt.Errorf("%s: %w", c.Name, context.Cause(ctx))
	}
	if exit := p.Exit(); exit != (Exit{}) {
		text := strings.TrimSpace(out.String())
		return out.String(), fmt.Errorf("%s: %s: %s", c.Name, exit, text[max(0, len(text)-1000):])
	}
	return out.String(), nil
}

// Executable returns an error if a file does not exist or is not a program.
func Executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return errors.New(path + " is no program")
	}
	return nil
}
