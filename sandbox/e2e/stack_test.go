package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// TestOneStackThroughItsLife runs in order, on one stack: each `up` with its
// `destroy` costs two minutes of the provider's fixed waits.
func TestOneStackThroughItsLife(t *testing.T) {
	s := newSandbox(t)
	if out, err := s.run(t, "down"); err != nil {
		t.Fatalf("down of an earlier run's leftovers: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := s.run(t, "down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	base := s.committed(t)

	step := func(name string, test func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, test) {
			t.FailNow() // what follows builds upon it
		}
	}

	step("three faults in one configuration are refused in one run, before anything exists", func(t *testing.T) {
		bad := base.with(map[string]any{"session.firstPort": 80, "session.attempts": 99, "registry.keep": 0})
		out, err := s.run(t, "up", "-config", bad.write(t, s.dir))
		if err == nil {
			t.Fatal("a configuration with three faults was deployed")
		}
		for _, key := range []string{"session.firstPort", "session.attempts", "registry.keep"} {
			if !strings.Contains(out, contract.Product+":"+key) {
				t.Errorf("the refusal does not name %s:\n%s", key, out)
			}
		}
		if queues := s.aws(t).queues(t); len(queues) > 0 {
			t.Errorf("refused, yet queues exist: %v", queues)
		}
	})

	var outputs map[string]any
	step("up from nothing deploys the stack", func(t *testing.T) {
		r := s.deploy(t, "up", base)
		outputs = r.Outputs
		if r.Changes["create"] == 0 || len(r.Changed()) != r.Changes["create"] {
			t.Errorf("the first up should create and nothing else: %v", r.Changes)
		}
	})

	step("AWS shows what was promised", func(t *testing.T) { s.inspect(t, outputs) })

	step("a second up changes nothing", func(t *testing.T) {
		if got := changes(s.deploy(t, "up", base)); len(got) > 0 {
			t.Errorf("a second up changed:\n%s", strings.Join(got, "\n"))
		}
	})

	step("a refresh finds no drift", func(t *testing.T) {
		for _, step := range s.deploy(t, "refresh", base).Steps {
			if len(step.Diffs) > 0 {
				t.Errorf("%s drifted: %v", step.URN, step.Diffs)
			}
		}
	})

	step("another team's program reads the stack by StackReference", func(t *testing.T) {
		consumer := config{"config": map[string]any{"dcv-consumer:stack": "organization/dcv-sessions/sandbox", "dcv-consumer:user": "player1"}}
		r := s.deploy(t, "up", consumer, "-program", "consumer")
		if !strings.Contains(mustJSON(t, r.Outputs), outputs["queueArn"].(string)) {
			t.Errorf("the consumer's outputs do not name the queue: %v", r.Outputs)
		}
	})

	step("one more user adds that user's resources and touches nobody else's", func(t *testing.T) {
		users := map[string]any{}
		for name, user := range base["config"].(map[string]any)["dcv-sessions:users"].(map[string]any) {
			users[name] = user
		}
		users["player4"] = map[string]any{}
		changed := base.with(map[string]any{"users": users})
		for _, c := range changes(s.deploy(t, "up", changed)) {
			if !strings.HasPrefix(c, "create ") || !strings.Contains(c, "player4") {
				t.Errorf("unexpected: %s", c)
			}
		}
		s.deploy(t, "up", base)
	})

	step("a port range elsewhere changes the rules and the job definitions only", func(t *testing.T) {
		r := s.deploy(t, "preview", base.with(map[string]any{"session.firstPort": 9443}))
		for _, c := range changes(r) {
			if !strings.Contains(c, ":JobDefinition ") && !strings.Contains(c, "SecurityGroupIngressRule ") {
				t.Errorf("unexpected: %s", c)
			}
		}
	})

	step("another instance type updates the environment in place", func(t *testing.T) {
		changed := base.with(map[string]any{"compute.instanceTypes": []string{"g5.2xlarge"}})
		got := changes(s.deploy(t, "up", changed))
		if len(got) != 1 || !strings.HasPrefix(got[0], "update aws:batch/computeEnvironment:ComputeEnvironment ") {
			t.Errorf("want one update of the environment, got:\n%s", strings.Join(got, "\n"))
		}
		s.deploy(t, "up", base)
	})

	first := outputs["imageUri"].(string)
	var second string
	step("a new image is a new revision a user and nothing else", func(t *testing.T) {
		r := s.deploy(t, "up", base.with(map[string]any{"image.version": "two"}))
		second = r.Outputs["imageUri"].(string)
		if second == first {
			t.Errorf("another version gave the same digest %s", first)
		}
		onlyImageAndDefinitions(t, changes(r), true)
	})

	step("an earlier image comes back by image.use, and nothing is built", func(t *testing.T) {
		r := s.deploy(t, "up", base.with(map[string]any{"image.use": first}))
		if got := r.Outputs["imageUri"]; got != first {
			t.Errorf("image.use=%s gave %v", first, got)
		}
		onlyImageAndDefinitions(t, changes(r), false)
		if got := s.deploy(t, "up", base).Outputs["imageUri"]; got != first {
			t.Errorf("building the same source again gave %v, want %s", got, first)
		}
	})

	step("an image that does not exist is refused at preview", func(t *testing.T) {
		missing := first[:strings.Index(first, "@")] + "@sha256:" + strings.Repeat("0", 64)
		out, err := s.run(t, "preview", "-config", base.with(map[string]any{"image.use": missing}).write(t, s.dir))
		if err == nil {
			t.Fatalf("a missing image passed the preview:\n%s", out)
		}
	})

	step("down leaves no resource, container or process", func(t *testing.T) {
		cloud := s.cloud(t)
		r := filepath.Join(s.dir, "destroy.json")
		if out, err := s.run(t, "destroy", "-report", r); err != nil {
			t.Fatalf("destroy: %v\n%s", err, out)
		}
		s.aws(t).mustBeEmpty(t)
		if out, err := s.run(t, "down"); err != nil {
			t.Fatalf("down: %v\n%s", err, out)
		}
		for _, p := range cloud.Processes {
			if p.Alive() {
				t.Errorf("%s (pid %d) still runs", p.Name, p.PID)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(s.tree.State, "starts", "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// onlyImageAndDefinitions fails on any other change. A job definition's new
// revision is an update in place.
func onlyImageAndDefinitions(t *testing.T, got []string, imageBuilt bool) {
	t.Helper()
	built := false
	for _, c := range got {
		switch {
		case strings.HasPrefix(c, "update docker:index/image:Image "):
			built = true
		case strings.HasPrefix(c, "update aws:batch/jobDefinition:JobDefinition "):
		case !imageBuilt && strings.Contains(c, "docker") && strings.HasPrefix(c, "delete "): // it is built no more
		default:
			t.Errorf("unexpected: %s", c)
		}
	}
	if built != imageBuilt {
		t.Errorf("image built: %v, want %v:\n%s", built, imageBuilt, strings.Join(got, "\n"))
	}
}

// TestARunKilledInTheMiddleIsCompletedByTheNext kills the engine, its providers
// and the program at several moments, then runs up again.
func TestARunKilledInTheMiddleIsCompletedByTheNext(t *testing.T) {
	s := newSandbox(t)
	t.Cleanup(func() {
		if out, err := s.run(t, "down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	base := s.committed(t)
	for _, moment := range []struct{ name, sign string }{
		{"while the first resources are made", "created"},
		{"while the image is pushed", "pushed"},
	} {
		cmd, out := s.command("up")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		watched := &watch{}
		_ = watched
		if !waitFor(3*time.Minute, func() bool { return strings.Contains(s.log(cmd, out), moment.sign) }) {
			_ = killGroup(cmd)
			t.Fatalf("%s: never came to it:\n%s", moment.name, out)
		}
		if err := killGroup(cmd); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed %s", moment.name)
	}
	s.deploy(t, "up", base)
	if got := changes(s.deploy(t, "up", base)); len(got) > 0 {
		t.Errorf("after a killed run was completed, up still changed:\n%s", strings.Join(got, "\n"))
	}
	t.Run("and where everything was killed, up begins from nothing", func(t *testing.T) {
		old := s.cloud(t)
		for _, p := range old.Processes {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		r := s.deploy(t, "up", base)
		if fresh := s.cloud(t); fresh.ID == old.ID {
			t.Error("the dead cloud's id was used again")
		}
		if r.Changes["create"] == 0 || len(r.Changed()) != r.Changes["create"] {
			t.Errorf("the state of a cloud that is gone was used: %v", r.Changes)
		}
		if _, err := os.Stat(old.Dir()); err == nil {
			t.Errorf("%s is left behind", old.Dir())
		}
	})
}

// TestTheSandboxReachesNoAWSAccount proves both halves of the separation.
func TestTheSandboxReachesNoAWSAccount(t *testing.T) {
	s := newSandbox(t)
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL")
	t.Setenv("AWS_ENDPOINT_URL_BATCH", "https://batch.us-east-1.amazonaws.com")
	t.Setenv("PULUMI_ACCESS_TOKEN", "pul-real")
	cloud := fakeCloud(s.tree)
	env := map[string]string{}
	for _, pair := range cloud.Env() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_ENDPOINT_URL_BATCH", "PULUMI_ACCESS_TOKEN"} {
		if value, ok := env[name]; ok {
			t.Errorf("%s=%s reaches the sandbox's engine", name, value)
		}
	}
	if env["AWS_ACCESS_KEY_ID"] == "AKIAREALREALREALREAL" {
		t.Error("the caller's own key reaches the sandbox's engine")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	if rel, err := filepath.Rel(filepath.Join(home, ".pulumi"), env["PULUMI_HOME"]); err == nil && !strings.HasPrefix(rel, "..") {
		t.Errorf("the sandbox's providers would lie in %s, where a pulumi up against AWS finds them", env["PULUMI_HOME"])
	}
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sorted(list []string) []string { sort.Strings(list); return list }

func equal(a, b []string) bool { return reflect.DeepEqual(sorted(a), sorted(b)) }

var background = context.Background()
