package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Progress prints the steps of a command, and signs of life of the long ones.
type Progress struct {
	Out   io.Writer
	Every time.Duration // how often a long step reports; default 15 s
}

// Step prints a step's name and the reason for it, runs it and prints its time.
func (p Progress) Step(name, why string, do func() error) error {
	start := time.Now()
	p.printf("==> %s (%s)\n", name, why)
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.Say("%s: done in %s", name, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// Say prints one line.
func (p Progress) Say(format string, args ...any) { p.printf("    "+format+"\n", args...) }

func (p Progress) printf(format string, args ...any) { fmt.Fprintf(p.Out, format, args...) }

// Command runs a command and prints the last line of its output from time to time. Its
// error has the end of the output.
func (p Progress) Command(ctx context.Context, cmd *exec.Cmd) error {
	tail := &tailWriter{keep: 8 << 10}
	cmd.Stdout, cmd.Stderr = tail, tail
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	stop := p.heartbeat(tail)
	err := cmd.Wait()
	stop()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail)
	}
	return nil
}

func (p Progress) heartbeat(tail *tailWriter) (stop func()) {
	every := p.Every
	if every == 0 {
		every = 15 * time.Second
	}
	start, done := time.Now(), make(chan struct{})
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				p.Say("%4s  %s", time.Since(start).Round(time.Second), tail.lastLine())
			}
		}
	}()
	return func() { close(done) }
}

// tailWriter keeps the end of the text that is written to it.
type tailWriter struct {
	mu   sync.Mutex
	buf  []byte
	keep int
}

func (w *tailWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if over := len(w.buf) - w.keep; over > 0 {
		w.buf = w.buf[over:]
	}
	return len(b), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}

func (w *tailWriter) lastLine() string {
	lines := bytes.Split(bytes.TrimSpace([]byte(w.String())), []byte("\n"))
	line := string(lines[len(lines)-1])
	if len(line) > 110 {
		line = line[:110] + "…"
	}
	return line
}

// command returns a command that runs in a folder with further variables.
func command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
