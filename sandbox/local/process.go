package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a background process of the sandbox. Its start time distinguishes it from
// a later process with the same pid, so that no other process is ever signalled.
type Process struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since boot, /proc/PID/stat field 22
	Log     string `json:"log"`
}

// startProcess starts a command with its output in a file. It runs in a session of its
// own, so that it outlives this process and no signal of the terminal reaches it.
func startProcess(name, log string, cmd *exec.Cmd) (Process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		return Process{}, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Process{}, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr, cmd.Stdin = out, out, nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Process{}, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }() // reap it if it ends before this process
	started, err := startTicks(cmd.Process.Pid)
	if err != nil {
		return Process{}, fmt.Errorf("%s ended at once: %s", name, endOfFile(log))
	}
	return Process{Name: name, PID: cmd.Process.Pid, Started: started, Log: log}, nil
}

// Alive reports whether this very process still runs.
func (p Process) Alive() bool {
	started, err := startTicks(p.PID)
	return err == nil && started == p.Started
}

// Stop sends SIGTERM and, ten seconds later, SIGKILL.
func (p Process) Stop() error {
	if !p.Alive() {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		// The process leads its own group, which its children are in.
		if err := syscall.Kill(-p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (pid %d): %w", p.Name, p.PID, err)
		}
		if WaitUntil(10*time.Second, func() bool { return !p.Alive() }) {
			return nil
		}
	}
	return fmt.Errorf("%s (pid %d) does not end", p.Name, p.PID)
}

// startTicks returns the start time of a process in clock ticks since boot. A zombie
// counts as ended.
func startTicks(pid int) (uint64, error) {
	stat, err := Stat(pid)
	if err != nil {
		return 0, err
	}
	if stat[0] == "Z" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(stat[19], 10, 64)
}

// Stat returns the fields of /proc/PID/stat from the third one on. The second one, the
// command's name, is in parentheses and may have spaces (proc(5)).
func Stat(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	return fields, nil
}

// WaitUntil reports whether a condition becomes true within a time. It checks at once
// and then twenty times a second.
func WaitUntil(limit time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}

func endOfFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return strings.TrimSpace(string(b))
}
