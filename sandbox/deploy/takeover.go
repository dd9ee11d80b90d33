package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// patience is the longest wait for the end of an earlier run.
const patience = 2 * time.Minute

// takeOver makes this run the only one on a state, even after one that was killed. It
// returns the locks that the killed one left.
func takeOver(state, stack string) (locks []string, err error) {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	if err := alone(filepath.Join(state, "lock")); err != nil {
		return nil, err
	}
	if locks, err = filepath.Glob(filepath.Join(state, ".pulumi", "locks", "*", "*", stack, "*.json")); err != nil {
		return nil, err
	}
	for _, lock := range locks {
		if err := awaitEngine(lock); err != nil {
			return nil, err
		}
	}
	return locks, removeTornAttributes(state)
}

// alone waits for a lock and holds it until this process ends.
func alone(file string) error {
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o644) // never closed
	if err != nil {
		return err
	}
	if !local.WaitUntil(patience, func() bool {
		err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		return !errors.Is(err, syscall.EWOULDBLOCK)
	}) {
		return fmt.Errorf("an earlier deployment still runs after %s: end it, then run this again", patience)
	}
	return err
}

// awaitEngine waits for the engine that holds one of Pulumi's locks. If its program was
// killed, the engine ends by itself, and writes the state until then.
func awaitEngine(lock string) error {
	text, err := os.ReadFile(lock)
	if err != nil {
		return err
	}
	var holder struct {
		PID int `json:"pid"`
	}
	if json.Unmarshal(text, &holder) != nil { // it is incomplete and names no process
		return nil
	}
	if !local.WaitUntil(patience, func() bool { return !isEngine(holder.PID) }) {
		return fmt.Errorf("the engine of an earlier deployment (pid %d) still runs after %s: end it, then run this again", holder.PID, patience)
	}
	return nil
}

// isEngine reports whether a process is a pulumi, and not another one with the pid of a
// pulumi that has ended.
func isEngine(pid int) bool {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.HasPrefix(filepath.Base(program), "pulumi")
}

// removeTornAttributes removes the attribute files that a killed run left incomplete: the
// file backend writes them in place, and can't read a state with an incomplete one
// ("failed to load checkpoint: EOF"). It needs none.
func removeTornAttributes(state string) error {
	return filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".attrs") {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Size() > 0 {
			return err
		}
		return os.Remove(path)
	})
}
