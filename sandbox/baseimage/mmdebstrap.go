package baseimage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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

// mmdebstrap returns the command that writes the image's layer to a file, as root. Its
// output is the same whenever it runs (man 1 mmdebstrap, "SOURCE_DATE_EPOCH").
func (b Base) mmdebstrap(ctx context.Context, sources []string, file string) (*exec.Cmd, error) {
	folder, err := filepath.Abs(b.Packages)
	if err != nil {
		return nil, err
	}
	installers := "/tmp/" + filepath.Base(folder)
	args := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + strings.Join(packages, ","),
		"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
		"--customize-hook=copy-in " + folder + " /tmp",
		`--customize-hook=chroot "$1" ` + installers + "/" + installer + " " + strings.Join(lists, " "),
		`--customize-hook=chroot "$1" ` + installers + "/" + display,
		"--customize-hook=" + clean(installers),
		suite, file,
	}
	return asRoot(ctx, environment(ctx), append(args, sources...)...), nil
}

// clean returns a shell command that removes the files that a base image does not need
// from the tree $1, and those of this machine. All folders stay: packages that are
// installed later rely on them (update-alternatives on those of manual pages). Licences
// ask that the copyright files stay.
func clean(installers string) string {
	return `cd "$1" && rm -rf .` + installers + ` etc/hostname etc/resolv.conf var/cache/apt/*.bin &&
		find usr/share/man usr/share/info usr/share/locale ! -type d -delete &&
		find usr/share/doc ! -type d ! -name copyright -delete`
}

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
