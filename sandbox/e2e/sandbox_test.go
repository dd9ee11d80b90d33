// Package e2e proves the program on the real engine, the real AWS provider code
// and the sandbox's AWS, by the commands that a user runs. The tests keep a
// sandbox of their own beside the one at work (DCV_SANDBOX).
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
)

const stateFolder = ".sandbox-test"

// sandbox is the command under test in this work tree.
type sandbox struct {
	tree  local.Tree
	dir   string // for configurations and reports
	stack string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	t.Setenv("DCV_SANDBOX", stateFolder)
	tree, err := local.FindTree()
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{tree, t.TempDir(), local.Stack}
	build := exec.Command("go", "build", "-o", s.binary(), ".")
	build.Dir = filepath.Join(tree.Root, "sandbox")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the sandbox command: %v\n%s", err, out)
	}
	if out, err := s.run(t, "install"); err != nil {
		t.Fatalf("sandbox install: %v\n%s", err, out)
	}
	t.Setenv("DCV_SANDBOX_INSTALLED", "true") // for the commands that follow
	return s
}

// downAtEnd leaves nothing of a test behind, nor of one that was killed.
func (s *sandbox) downAtEnd(t *testing.T) {
	t.Helper()
	down := func() {
		if out, err := s.run(t, "down", "-playing=end"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	}
	down()
	t.Cleanup(down)
}

func (s *sandbox) binary() string { return filepath.Join(s.tree.Bin(), "sandbox") }

var builds sync.Map // of *sync.Once, by the program's path

// program builds one of the repository's commands, once, and gives its path.
func (s *sandbox) program(t *testing.T, name, source string) string {
	t.Helper()
	binary := filepath.Join(s.tree.Bin(), name)
	once, _ := builds.LoadOrStore(binary, &sync.Once{})
	once.(*sync.Once).Do(func() {
		build := exec.Command("go", "build", "-o", binary, source)
		build.Dir = s.tree.Root
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", name, err, out)
		}
	})
	return binary
}

// command is the sandbox command, its output kept.
func (s *sandbox) command(args ...string) (*exec.Cmd, *output) {
	cmd := exec.Command(s.binary(), args...)
	cmd.Dir = s.tree.Root
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// output collects a command's output while the command runs.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs the sandbox command and returns its output.
func (s *sandbox) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	start := time.Now()
	cmd, out := s.command(args...)
	err := cmd.Run()
	t.Logf("sandbox %s: %s", strings.Join(args, " "), time.Since(start).Round(time.Second))
	return out.String(), err
}

// deploy runs up, preview or refresh with a configuration and returns its report.
func (s *sandbox) deploy(t *testing.T, command string, cfg config, args ...string) *report.Report {
	t.Helper()
	file := filepath.Join(s.dir, "report.json")
	out, err := s.run(t, append([]string{command, "-config", cfg.write(t, s.dir), "-report", file, "-stack", s.stack}, args...)...)
	if err != nil {
		t.Fatalf("sandbox %s: %v\n%s", command, err, out)
	}
	r, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// steps runs subtests in order. One that fails ends the test, since the others build
// on it.
func steps(t *testing.T) func(name string, test func(t *testing.T)) {
	return func(name string, test func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, test) {
			t.FailNow()
		}
	}
}

// cloud is the running local AWS.
func (s *sandbox) cloud(t *testing.T) *local.Cloud {
	t.Helper()
	c, err := local.Open(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	if c == nil || !c.Running(context.Background()) {
		t.Fatal("the local AWS does not run")
	}
	return c
}

// docker runs the docker command on the sandbox's Docker.
func (s *sandbox) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := local.Docker(context.Background(), s.cloud(t).DockerHost, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// config is a stack configuration, as in Pulumi.sandbox.yaml.
type config map[string]any

// committed is the repository's Pulumi.sandbox.yaml.
func (s *sandbox) committed(t *testing.T) config {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.tree.Root, "Pulumi.sandbox.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c config
	if err := yaml.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.with(nil) // plain maps all the way down
}

// with is the configuration with some keys of dcv-sessions set otherwise.
func (c config) with(values map[string]any) config {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	var changed config
	if err := json.Unmarshal(b, &changed); err != nil {
		panic(err)
	}
	for key, value := range values {
		changed["config"].(map[string]any)["dcv-sessions:"+key] = value
	}
	return changed
}

func (c config) write(t *testing.T, dir string) string {
	t.Helper()
	b, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "stack.yaml")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// changes returns the steps of a run as "op type name", without the stack itself.
func changes(r *report.Report) []string {
	var list []string
	for _, step := range r.Changed() {
		if step.Type != "pulumi:pulumi:Stack" {
			list = append(list, fmt.Sprintf("%s %s %s", step.Op, step.Type, step.Name()))
		}
	}
	sort.Strings(list)
	return list
}
