package baseimage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// debootstrap is the command that installs the packages into an empty tree.
func debootstrap(ctx context.Context, m mirror, tree string) *exec.Cmd {
	args := []string{"debootstrap", "--variant=minbase", "--include=" + strings.Join(packages, ",")}
	if m.keyring != "" {
		args = append(args, "--keyring="+m.keyring)
	}
	return asRoot(ctx, environment(ctx), append(args, suite, tree, m.uri)...)
}

// environment is that in which packages are installed.
func environment(ctx context.Context) []string {
	// Dates that packages write, as in /etc/shadow, follow this.
	env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	if proxy := aptProxy(ctx); proxy != "" {
		env = append(env, "http_proxy="+proxy)
	}
	return env
}

// aptProxy is the proxy that apt goes through; debootstrap does not read apt's
// settings. The caller's environment comes first.
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

// asRoot runs a command as root. When ctx ends, the command is asked to end
// with all that it started, so that debootstrap takes its mounts away. Under
// sudo that is left to the terminal's Ctrl-C: root's processes take no signal
// from here.
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
