package baseimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// epoch is the time of every file that is not older, and of the image itself, so that
// neither depends on the time of the build. It is bookworm's release.
var epoch = time.Date(2023, time.June, 10, 0, 0, 0, 0, time.UTC)

// mirrorVariable names a mirror of Debian if apt's sources have none, as on a machine
// that is not Debian.
const mirrorVariable = "DCV_DEBIAN_MIRROR"

// sources returns the apt sources of the suite's main packages and their updates: the
// machine's own, which it is known to reach.
func sources(ctx context.Context) ([]string, error) {
	if uri := os.Getenv(mirrorVariable); uri != "" {
		return []string{"deb " + uri + " " + suite + " main"}, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get indextargets: %w", err)
	}
	found := ofSuite(string(out))
	if len(found) == 0 {
		return nil, fmt.Errorf("the base image needs Debian's %s: no source of this machine's apt has its main packages; set %s to a mirror's URL", suite, mirrorVariable)
	}
	return found, nil
}

// ofSuite returns the sources of the suite among lines of "URI RELEASE COMPONENT". It
// returns none if the suite itself is missing.
func ofSuite(targets string) (found []string) {
	whole := false
	for line := range strings.Lines(targets) {
		target := strings.Fields(line)
		if len(target) != 3 || target[2] != "main" {
			continue
		}
		switch target[1] {
		case suite:
			whole = true
		case suite + "-updates", suite + "-security":
		default:
			continue
		}
		found = append(found, "deb "+strings.Join(target, " "))
	}
	if !whole {
		return nil
	}
	return found
}

// Tree is the file system of a Debian: the suite's essential packages and apt, and more.
type Tree struct {
	Packages []string // on top of these
	Hooks    []string // commands of mmdebstrap after the installation (man 1 mmdebstrap, "HOOKS")
}

// Key names the tree by its ingredients, except for mirror and day.
func (t Tree) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %q %q", suite, runtime.GOARCH, t, clean))
	return suite + "-" + hex.EncodeToString(sum[:6])
}

// Write writes the tree as a tar archive, which is compressed as the file's name says. Its
// bytes are the same whenever it runs (man 1 mmdebstrap, "SOURCE_DATE_EPOCH").
func (t Tree) Write(ctx context.Context, p local.Progress, file string) error {
	sources, err := sources(ctx)
	if err != nil {
		return err
	}
	args := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + strings.Join(t.Packages, ","),
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
	}
	for _, hook := range append(slices.Clone(t.Hooks), clean) {
		args = append(args, "--customize-hook="+hook)
	}
	err = p.Command(ctx, asRoot(ctx, environment(ctx), append(append(args, suite, file), sources...)...))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// clean is a shell command that removes the files that a tree, $1, does not need, and those
// of this machine. All folders stay: packages that are installed later rely on them
// (update-alternatives on those of manual pages). Licences ask that the copyright files stay.
const clean = `cd "$1" && rm -f etc/hostname etc/resolv.conf var/cache/apt/*.bin &&
		find usr/share/man usr/share/info usr/share/locale ! -type d -delete &&
		find usr/share/doc ! -type d ! -name copyright -delete`

// environment returns the environment in which packages are installed.
func environment(ctx context.Context) []string {
	env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	if proxy := aptProxy(ctx); proxy != "" {
		env = append(env, "http_proxy="+proxy)
	}
	return env
}

// aptProxy returns the proxy that apt uses; mmdebstrap does not read apt's settings. The
// caller's environment has precedence.
func aptProxy(ctx context.Context) string {
	if proxy := os.Getenv("http_proxy"); proxy != "" {
		return proxy
	}
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy").Output()
	proxy := strings.TrimSpace(string(out))
	if err != nil || proxy == "DIRECT" || strings.ContainsAny(proxy, "\n ") {
		return ""
	}
	return proxy
}

// asRoot returns a command that runs as root. When ctx ends, the command is asked to end
// with its children, so that mmdebstrap removes its mounts. Under sudo that is left to
// the terminal's Ctrl-C: root's processes take no signal from here.
func asRoot(ctx context.Context, env []string, args ...string) *exec.Cmd {
	words := append(append([]string{"env"}, env...), args...)
	if os.Geteuid() != 0 {
		words = append([]string{"sudo", "--non-interactive"}, words...)
		return exec.CommandContext(ctx, words[0], words[1:]...)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}
