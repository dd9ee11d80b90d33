package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wrapSSH writes an ssh command that puts options before the ones it is given
// and runs the real ssh. The docker command runs ssh for an ssh:// host but
// takes no options for it; found first on PATH, this one brings them.
func wrapSSH(dir string, options []string) error {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return fmt.Errorf("an ssh:// host needs the ssh command: %w", err)
	}
	if ssh, err = filepath.Abs(ssh); err != nil {
		return err
	}
	script := "#!/bin/sh\nexec"
	for _, word := range append([]string{ssh}, options...) {
		script += " " + shellQuote(word)
	}
	return os.WriteFile(filepath.Join(dir, "ssh"), []byte(script+" \"$@\"\n"), 0o700)
}

// shellQuote makes a text one literal word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
