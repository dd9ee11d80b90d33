package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// docker runs the docker command.
type docker struct {
	client   string
	env      []string // beside this process's own
	progress func(line string)
}

// pushed is how docker push ends: the manifest's digest as the registry has it.
var pushed = regexp.MustCompile(`\bdigest: (sha256:[0-9a-f]{64})\b`)

// buildAndPush builds an image and returns its repoDigest: repository@sha256:… as
// pushed, or the image's id if nothing is pushed.
func buildAndPush(ctx context.Context, img image, c config, d docker) (string, error) {
	private, err := os.MkdirTemp("", "pulumi-docker-") // mode 0700
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(private)
	if d.env, err = environment(private, img, c); err != nil {
		return "", err
	}
	if _, err := d.run(ctx, buildArgs(img)...); err != nil {
		return "", err
	}
	if img.skipPush {
		last, err := d.run(ctx, "image", "inspect", "--format", "{{.Id}}", img.name)
		return strings.Join(last, ""), err
	}
	last, err := d.run(ctx, "push", img.name)
	if err != nil {
		return "", err
	}
	m := pushed.FindStringSubmatch(strings.Join(last, "\n"))
	if m == nil {
		return "", fmt.Errorf("docker push %s gave no digest:\n%s", img.name, strings.Join(last, "\n"))
	}
	return img.repository() + "@" + m[1], nil
}

func buildArgs(img image) []string {
	args := []string{"build", "--progress", "plain", "--platform", img.platform, "--file", img.dockerfile, "--tag", img.name}
	if img.target != "" {
		args = append(args, "--target", img.target)
	}
	if img.network != "" {
		args = append(args, "--network", img.network)
	}
	for _, host := range img.hosts {
		args = append(args, "--add-host", host)
	}
	for _, name := range slices.Sorted(maps.Keys(img.args)) {
		args = append(args, "--build-arg", name+"="+img.args[name])
	}
	return append(args, "--", img.context)
}

// environment returns the environment of the docker command: Docker's address and
// the registry's credentials. They are in a private folder while it runs, and in no
// argument.
func environment(private string, img image, c config) ([]string, error) {
	env := []string{"DOCKER_BUILDKIT=1"}
	if c.host != "" {
		env = append(env, "DOCKER_HOST="+c.host, "DOCKER_CONTEXT=") // a context would win over the host
	}
	if c.overSSH() && len(c.sshOptions) > 0 {
		bin := filepath.Join(private, "bin")
		if err := os.Mkdir(bin, 0o700); err != nil {
			return nil, err
		}
		if err := wrapSSH(bin, c.sshOptions); err != nil {
			return nil, err
		}
		env = append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	if img.username != "" && img.password != "" {
		dir := filepath.Join(private, "config")
		if err := writeLogin(dir, img); err != nil {
			return nil, err
		}
		env = append(env, "DOCKER_CONFIG="+dir)
	}
	return env, nil
}

// writeLogin writes a docker configuration with one login. The user's plugins
// stay in reach: a newer docker command needs one of them, buildx.
func writeLogin(dir string, img image) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	login := map[string]any{"auths": map[string]any{
		img.registry(): map[string][]byte{"auth": []byte(img.username + ":" + img.password)}, // bytes become base64
	}}
	b, err := json.Marshal(login)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		return err
	}
	if plugins := filepath.Join(userConfig(), "cli-plugins"); exists(plugins) {
		return os.Symlink(plugins, filepath.Join(dir, "cli-plugins"))
	}
	return nil
}

func userConfig() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".docker")
}

// run runs one docker command and returns the end of its output. When the
// context ends, the command ends with all that it started, ssh too; Docker then
// gives up the build.
func (d docker) run(ctx context.Context, args ...string) ([]string, error) {
	out := &lines{each: d.progress}
	cmd := exec.CommandContext(ctx, d.client, args...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	out.end()
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("docker %s was cancelled: %w", args[0], cause)
	}
	if err != nil {
		return nil, fmt.Errorf("docker %s: %w\n%s", args[0], err, strings.Join(out.last, "\n"))
	}
	return out.last, nil
}

func killGroup(leader int) error {
	if err := syscall.Kill(-leader, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// keptLines is how much of a command's output an error shows.
const keptLines = 30

// lines cuts output into lines, passes each on and keeps the last ones.
type lines struct {
	each   func(string)
	last   []string
	broken []byte // a line that is not whole yet
}

func (l *lines) Write(b []byte) (int, error) {
	l.broken = append(l.broken, b...)
	for {
		end := bytes.IndexAny(l.broken, "\r\n")
		if end < 0 {
			return len(b), nil
		}
		l.add(string(l.broken[:end]))
		l.broken = l.broken[end+1:]
	}
}

func (l *lines) add(line string) {
	if line = strings.TrimRight(line, " \t"); line == "" {
		return
	}
	l.last = append(l.last, line)
	l.last = l.last[max(0, len(l.last)-keptLines):]
	if l.each != nil {
		l.each(line)
	}
}

func (l *lines) end() {
	l.add(string(l.broken))
	l.broken = nil
}
