package process

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Reap waits for orphans, which become children of process 1 when their parents end. It
// does not wait for this package's own children.
func Reap(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	reapOrphans() // those from before
	for {
		select {
		case <-ctx.Done():
			return
		case <-died:
			reapOrphans()
		}
	}
}

func reapOrphans() {
	childrenMutex.Lock()
	defer childrenMutex.Unlock()
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || children[pid] || !isDeadChild(file) {
			continue
		}
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	}
}

// isDeadChild reports whether a /proc/PID/stat is of a zombie child of this
// process (man 5 proc: pid (comm) state ppid …; comm may hold anything).
func isDeadChild(file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	return len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid())
}
