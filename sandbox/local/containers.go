package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endContainers ends the containers that a killed Docker left running. Each runs under
// a shim with Docker's folder on its command line.
func endContainers(dir string) error {
	var left []int
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, stat := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			continue
		}
		parents[pid] = parent(pid)
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline")); err == nil && isShim(line, dir) {
			left = append(left, pid)
		}
	}
	for i := 0; i < len(left); i++ { // and their descendants
		for pid, of := range parents {
			if of == left[i] && !slices.Contains(left, pid) {
				left = append(left, pid)
			}
		}
	}
	return kill(left)
}

func isShim(commandLine []byte, dir string) bool {
	words := bytes.Split(commandLine, []byte{0})
	return strings.HasPrefix(filepath.Base(string(words[0])), "containerd-shim") && bytes.Contains(commandLine, []byte(dir+"/"))
}

// parent returns the pid of a process's parent, or 0 if the process has ended.
func parent(pid int) int {
	stat, err := Stat(pid)
	if err != nil {
		return 0
	}
	of, _ := strconv.Atoi(stat[1])
	return of
}

func kill(pids []int) error {
	var faults []error
	for _, pid := range pids {
		started, err := startTicks(pid)
		if err != nil {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			faults = append(faults, fmt.Errorf("end the process %d of a container: %w", pid, err))
		}
		p := Process{PID: pid, Started: started}
		if !WaitUntil(10*time.Second, func() bool { return !p.Alive() }) {
			faults = append(faults, fmt.Errorf("the process %d of a container does not end", pid))
		}
	}
	return errors.Join(faults...)
}
