// Package boot prepares process 1 for a session. The submitter of a job can choose the
// variables that process 1 starts with, and the Go runtime and the standard
// library obey some of them, GODEBUG before main begins. So the program executes itself
// once more: with an environment that it chooses itself, without a secret in it, and
// without the privileges that no session needs. Its first run opens nothing and
// serves nothing.
package boot

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// secretsFD is the file descriptor by which the first run hands secrets to the second: a
// sealed file in memory. It also shows which run this is. No job can bring one along:
// a container starts with the descriptors 0, 1 and 2. The Go runtime has opened a few
// more by then, which are the lowest free ones.
const secretsFD = 63

// secretsSeals keep the file as the first run wrote it (man 2 F_GET_SEALS).
const secretsSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Clean executes the program again. It returns in the second run only, with the
// environment of the first one; an error has the reason why there is no second run.
func Clean() (Given, error) {
	if isSecond() {
		return takeSecrets()
	}
	given := Choose(os.Environ())
	if err := execAgain(given); err != nil {
		return given, fmt.Errorf("the session can't execute itself again: %w", err)
	}
	panic("unreachable: execve(2) does not return if it succeeds")
}

func isSecond() bool {
	found, err := unix.FcntlInt(secretsFD, unix.F_GET_SEALS, 0)
	return err == nil && found == secretsSeals
}

// execAgain is the first run's end.
func execAgain(given Given) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := passSecrets(given); err != nil {
		return err
	}
	// The kernel keeps privileges by thread: the one that gives some up has to be the
	// one that calls execve(2), which ends all others.
	runtime.LockOSThread()
	if err := dropPrivileges(); err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, given.environment)
}

// passSecrets passes variables to the second run that its environment must not
// contain.
func passSecrets(given Given) error {
	text, err := json.Marshal(given)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("given", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	if _, err := unix.Write(fd, text); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, secretsSeals); err != nil {
		return fmt.Errorf("F_ADD_SEALS: %w", err)
	}
	return unix.Dup3(fd, secretsFD, 0) // this one stays open
}

// takeSecrets is the second run's beginning. No child inherits the file.
func takeSecrets() (Given, error) {
	file := os.NewFile(secretsFD, "given")
	defer file.Close()
	given := Given{environment: os.Environ()}
	const most = 1 << 20 // a job definition has 24 KiB, a secret 64 KiB
	return given, json.NewDecoder(io.NewSectionReader(file, 0, most)).Decode(&given)
}

// Environ returns the variables that were chosen, with the secrets among them.
func (g Given) Environ() []string { return slices.Concat(g.environment, g.Secrets) }
