package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	urn      = "urn:pulumi:test::test::docker:index/image:Image::game"
	password = "a-password-that-must-not-leak"
)

// recorder is an engine that keeps its log.
type recorder struct {
	mu           sync.Mutex
	logs, status []string
}

func (r *recorder) Log(_ context.Context, _ diag.Severity, _ resource.URN, line string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, line)
	return nil
}

func (r *recorder) LogStatus(_ context.Context, _ diag.Severity, _ resource.URN, line string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = append(r.status, line)
	return nil
}

// fixture is a provider in a program's folder that holds a build context, with
// a fake docker command that writes down how it is called.
type fixture struct {
	*server
	engine *recorder
	notes  string // the folder in which the fake writes
}

// good is a docker command that builds and pushes.
const good = `
case $1 in
build) echo "#1 building" >&2;;
push) echo "tag: digest: sha256:` + digest + ` size: 528";;
image) echo sha256:` + digest + `;;
esac`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func newFixture(t *testing.T, script string) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{newServer(nil), &recorder{}, filepath.Join(dir, "notes")}
	f.server.engine, f.client, f.acceptSecrets = f.engine, filepath.Join(dir, "docker"), true
	write(t, f.client, `#!/bin/sh
notes='`+f.notes+`'
echo "$@" >> "$notes/args"
env > "$notes/env-$1"
if [ -n "$DOCKER_CONFIG" ]; then
  cp "$DOCKER_CONFIG/config.json" "$notes/login"
  stat -c '%a %n' "$DOCKER_CONFIG" > "$notes/login-folder"
fi
`+script, 0o755)
	if err := os.Mkdir(f.notes, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	write(t, filepath.Join(dir, "image", "Dockerfile"), "FROM scratch\nCOPY game /game\n", 0o644)
	write(t, filepath.Join(dir, "image", "game"), "game", 0o755)
	return f
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// noted returns the content of one of the fake docker's files, "" if it is missing.
func (f *fixture) noted(name string) string {
	b, _ := os.ReadFile(filepath.Join(f.notes, name))
	return string(b)
}

// inputs are those of components/gameimage.
func inputs() resource.PropertyMap {
	return resource.PropertyMap{
		"imageName": resource.NewProperty("127.0.0.1:5000/game:v1"),
		"skipPush":  resource.NewProperty(false),
		"build": resource.NewProperty(resource.PropertyMap{
			"context":        resource.NewProperty("image"),
			"dockerfile":     resource.NewProperty("image/Dockerfile"),
			"platform":       resource.NewProperty("linux/amd64"),
			"builderVersion": resource.NewProperty("BuilderBuildKit"),
			"args": resource.NewProperty(resource.PropertyMap{
				"VERSION": resource.NewProperty("1.0 final"), "BASE_IMAGE": resource.NewProperty("base"),
			}),
		}),
		"registry": resource.NewProperty(resource.PropertyMap{
			"server":   resource.NewProperty("https://127.0.0.1:5000/v2"),
			"username": resource.NewProperty("AWS"),
			"password": resource.MakeSecret(resource.NewProperty(password)),
		}),
	}
}

// set changes one input: "build.target", value. A nil value removes it.
func set(m resource.PropertyMap, path string, value any) resource.PropertyMap {
	key, rest, deeper := strings.Cut(path, ".")
	m = m.Copy()
	switch {
	case deeper:
		inner := resource.PropertyMap{}
		if old := m[resource.PropertyKey(key)]; old.IsObject() {
			inner = old.ObjectValue()
		}
		m[resource.PropertyKey(key)] = resource.NewProperty(set(inner, rest, value))
	case value == nil:
		delete(m, resource.PropertyKey(key))
	default:
		m[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
	}
	return m
}

var unknown = resource.Computed{Element: resource.NewProperty("")}

func (f *fixture) marshal(t *testing.T, m resource.PropertyMap) *structpb.Struct {
	t.Helper()
	s, err := f.write(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unmarshal(t *testing.T, s *structpb.Struct) resource.PropertyMap {
	t.Helper()
	m, err := read(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checked returns Check's inputs; Check must find no fault.
func (f *fixture) checked(t *testing.T, in resource.PropertyMap) *structpb.Struct {
	t.Helper()
	res, err := f.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn, News: f.marshal(t, in)})
	if err != nil || len(res.GetFailures()) > 0 {
		t.Fatalf("check: %v %v", err, res.GetFailures())
	}
	return res.GetInputs()
}

func (f *fixture) create(t *testing.T, in resource.PropertyMap) *pulumirpc.CreateResponse {
	t.Helper()
	res, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, in)})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestCheckFillsInDefaults(t *testing.T) {
	f := newFixture(t, good)
	t.Chdir("image") // so that a context of "." has its Dockerfile
	got := unmarshal(t, f.checked(t, set(inputs(), "build", nil)))
	build := got["build"].ObjectValue()
	for key, want := range map[resource.PropertyKey]string{"context": ".", "dockerfile": "Dockerfile"} {
		if build[key].V != want {
			t.Errorf("build.%s is %v, want %q", key, build[key].V, want)
		}
	}
	if !build.HasValue("platform") || !build.HasValue("contextDigest") {
		t.Errorf("build is %v: no platform or digest", build)
	}
}

func TestCheckRefuses(t *testing.T) {
	cases := map[string]struct {
		path     string
		value    any
		property string
		says     string
	}{
		"a name without registry":  {"imageName", "game:v1", "imageName", "begin with its registry"},
		"no name":                  {"imageName", nil, "imageName", "must be given"},
		"a missing context":        {"build.context", "nowhere", "build", "no folder"},
		"a Dockerfile seen wrong":  {"build.dockerfile", "Dockerfile", "build", `is it "image/Dockerfile"`},
		"a network":                {"build.network", "bridge", "build.network", "host, none or default"},
		"the old builder":          {"build.builderVersion", "BuilderV1", "build.builderVersion", "BuilderBuildKit only"},
		"a cache from registries":  {"build.cacheFrom", map[string]any{"images": []any{"a"}}, "build.cacheFrom", "no cache"},
		"building in a preview":    {"buildOnPreview", true, "buildOnPreview", "no preview"},
		"a build that is no build": {"build", "image", "build", "object"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, good)
			res, err := f.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn, News: f.marshal(t, set(inputs(), c.path, c.value))})
			if err != nil {
				t.Fatal(err)
			}
			for _, failure := range res.GetFailures() {
				if failure.GetProperty() == c.property && strings.Contains(failure.GetReason(), c.says) {
					return
				}
			}
			t.Errorf("failures are %v", res.GetFailures())
		})
	}
}

func TestCheckAcceptsANameWithoutRegistryThatIsNotPushed(t *testing.T) {
	f := newFixture(t, good)
	f.checked(t, set(set(inputs(), "imageName", "game:v1"), "skipPush", true))
}

func TestOtherTypesAreRefused(t *testing.T) {
	f := newFixture(t, good)
	other := "urn:pulumi:test::test::docker:index/container:Container::c"
	_, err := f.Check(t.Context(), &pulumirpc.CheckRequest{Urn: other})
	if err == nil || !strings.Contains(err.Error(), "docker:index/container:Container is not in the sandbox's stand-in") {
		t.Errorf("Check: %v", err)
	}
	if _, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: other}); err == nil {
		t.Error("Create made a container")
	}
}

func TestDiff(t *testing.T) {
	cases := map[string]struct {
		path  string
		value any
		want  []string // nil: no difference
	}{
		"nothing":              {"skipPush", false, nil},
		"a new login":          {"registry.password", "another", nil},
		"another user":         {"registry.username", "another", nil},
		"no login any more":    {"registry.password", nil, nil},
		"another registry":     {"registry.server", "http://127.0.0.1:6000", []string{"registry.server"}},
		"another name":         {"imageName", "127.0.0.1:5000/game:v2", []string{"imageName"}},
		"an argument":          {"build.args.VERSION", "2", []string{"build.args.VERSION"}},
		"a target":             {"build.target", "debug", []string{"build.target"}},
		"no registry":          {"registry", nil, []string{"registry"}},
		"a name not yet known": {"imageName", unknown, []string{"imageName"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, good)
			state := f.create(t, inputs()).GetProperties()
			res, err := f.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: urn, Olds: state, News: f.checked(t, set(inputs(), c.path, c.value))})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.GetReplaces()) > 0 {
				t.Errorf("it would replace the image: %v", res.GetReplaces())
			}
			if c.want == nil {
				if res.GetChanges() != pulumirpc.DiffResponse_DIFF_NONE {
					t.Errorf("it sees %v", res)
				}
				return
			}
			var paths []string
			for path := range res.GetDetailedDiff() {
				paths = append(paths, path)
			}
			if res.GetChanges() != pulumirpc.DiffResponse_DIFF_SOME || !slices.Equal(paths, c.want) {
				t.Errorf("%s with %q, want %q", res.GetChanges(), paths, c.want)
			}
		})
	}
}

func TestDiffSeesAChangedFile(t *testing.T) {
	f := newFixture(t, good)
	state := f.create(t, inputs()).GetProperties()
	write(t, "image/game", "a newer game", 0o755)
	res, err := f.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: urn, Olds: state, News: f.checked(t, inputs())})
	if err != nil || res.GetDetailedDiff()["build.contextDigest"] == nil {
		t.Errorf("%v %v", res, err)
	}
}

func TestCreate(t *testing.T) {
	f := newFixture(t, good)
	res := f.create(t, set(set(inputs(), "build.target", "final"), "build.network", "host"))
	if res.GetId() != "127.0.0.1:5000/game:v1" {
		t.Errorf("the id is %q", res.GetId())
	}
	want := "build --progress plain --platform linux/amd64 --file image/Dockerfile --tag 127.0.0.1:5000/game:v1 --target final --network host" +
		" --build-arg BASE_IMAGE=base --build-arg VERSION=1.0 final -- image\npush 127.0.0.1:5000/game:v1\n"
	if got := f.noted("args"); got != want {
		t.Errorf("docker was called with\n%swant\n%s", got, want)
	}
	if !strings.Contains(f.noted("env-build"), "DOCKER_BUILDKIT=1\n") {
		t.Error("not built with BuildKit")
	}
	out := unmarshal(t, res.GetProperties())
	for key, want := range map[resource.PropertyKey]string{
		"imageName": "127.0.0.1:5000/game:v1", "baseImageName": "127.0.0.1:5000/game:v1",
		"repoDigest": "127.0.0.1:5000/game@sha256:" + digest, "registryServer": "https://127.0.0.1:5000/v2",
		"context": "image", "dockerfile": "Dockerfile", "platform": "linux/amd64",
	} {
		if out[key].V != want {
			t.Errorf("output %s is %v, want %q", key, out[key].V, want)
		}
	}
	if !out[inputsKey].IsSecret() {
		t.Error("the inputs in the state are no secret")
	}
	if !slices.Contains(f.engine.status, "#1 building") {
		t.Errorf("the build's output did not reach the engine: %q", f.engine.status)
	}
}

func TestSkipPushGivesTheImagesID(t *testing.T) {
	f := newFixture(t, good)
	out := unmarshal(t, f.create(t, set(inputs(), "skipPush", true)).GetProperties())
	if out["repoDigest"].V != "sha256:"+digest || strings.Contains(f.noted("args"), "push") {
		t.Errorf("repoDigest is %v after\n%s", out["repoDigest"].V, f.noted("args"))
	}
}

func TestUpdateBuildsAgainAndSaysOnceWhoItIs(t *testing.T) {
	f := newFixture(t, good)
	state := f.create(t, inputs()).GetProperties()
	res, err := f.Update(t.Context(), &pulumirpc.UpdateRequest{
		Urn: urn, Id: "127.0.0.1:5000/game:v1", Olds: state, News: f.checked(t, set(inputs(), "imageName", "127.0.0.1:5000/game:v2")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := unmarshal(t, res.GetProperties()); out["imageName"].V != "127.0.0.1:5000/game:v2" {
		t.Errorf("imageName is %v", out["imageName"].V)
	}
	if len(f.engine.logs) != 1 || !strings.Contains(f.engine.logs[0], "stand-in") {
		t.Errorf("it said %q", f.engine.logs)
	}
}

func TestOnlyBuildsReachForDocker(t *testing.T) {
	f := newFixture(t, good)
	ctx := t.Context()
	if _, err := f.Configure(ctx, &pulumirpc.ConfigureRequest{AcceptSecrets: true, Args: f.marshal(t, resource.PropertyMap{"host": resource.NewProperty("tcp://127.0.0.1:1")})}); err != nil {
		t.Fatal(err)
	}
	news := f.checked(t, inputs())
	created, err := f.Create(ctx, &pulumirpc.CreateRequest{Urn: urn, Properties: news, Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	out := unmarshal(t, created.GetProperties())
	if out["imageName"].V != "127.0.0.1:5000/game:v1" || !out["repoDigest"].IsComputed() {
		t.Errorf("a preview shows %v", out)
	}
	state := created.GetProperties()
	for name, call := range map[string]func() error{
		"Update": func() error {
			_, err := f.Update(ctx, &pulumirpc.UpdateRequest{Urn: urn, Olds: state, News: news, Preview: true})
			return err
		},
		"Diff": func() error {
			_, err := f.Diff(ctx, &pulumirpc.DiffRequest{Urn: urn, Olds: state, News: news})
			return err
		},
		"Read": func() error {
			res, err := f.Read(ctx, &pulumirpc.ReadRequest{Urn: urn, Id: "id", Properties: state, Inputs: news})
			if res.GetProperties() != state || res.GetInputs() != news {
				t.Error("Read changed what it was given")
			}
			return err
		},
		"Delete": func() error {
			_, err := f.Delete(ctx, &pulumirpc.DeleteRequest{Urn: urn, Properties: state})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if called := f.noted("args"); called != "" {
		t.Errorf("docker was called: %s", called)
	}
}

func TestPreviewWithUnknownInputs(t *testing.T) {
	f := newFixture(t, good)
	in := set(set(set(inputs(), "imageName", unknown), "registry.server", unknown), "build.args.VERSION", unknown)
	checked := f.checked(t, in)
	res, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: checked, Preview: true})
	if err != nil {
		t.Fatal(err)
	}
	out := unmarshal(t, res.GetProperties())
	if !out["imageName"].IsComputed() || !out["registryServer"].IsComputed() || out["context"].V != "image" {
		t.Errorf("a preview shows %v", out)
	}
	f.checked(t, set(inputs(), "build", unknown)) // nor does this fail
	f.checked(t, set(inputs(), "build.context", unknown))
}

func TestPasswordStaysSecret(t *testing.T) {
	for name, in := range map[string]resource.PropertyMap{
		"a secret":             inputs(),
		"not marked as such":   set(inputs(), "registry.password", password),
		"in a secret registry": set(inputs(), "registry", resource.MakeSecret(inputs()["registry"])),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, good)
			news := unmarshal(t, f.checked(t, in))
			if !field(news, "registry", "password").IsSecret() {
				t.Errorf("Check gave it out open: %v", news["registry"])
			}
			created := f.create(t, in)
			b, err := json.Marshal(created.GetProperties().AsMap())
			if err != nil {
				t.Fatal(err)
			}
			for where, text := range map[string]string{
				"outputs": string(b), "arguments": f.noted("args"), "environment": f.noted("env-build") + f.noted("env-push"),
				"log": strings.Join(append(f.engine.logs, f.engine.status...), "\n"),
			} {
				if strings.Contains(text, password) {
					t.Errorf("it stands in the %s", where)
				}
			}
			f.testLogin(t)
		})
	}
}

// testLogin looks at the login that docker found, and that nothing is left of it.
func (f *fixture) testLogin(t *testing.T) {
	t.Helper()
	if want := `{"auths":{"127.0.0.1:5000":{"auth":"QVdTOmEtcGFzc3dvcmQtdGhhdC1tdXN0LW5vdC1sZWFr"}}}`; f.noted("login") != want {
		t.Errorf("docker's login is %s, want %s", f.noted("login"), want)
	}
	mode, folder, _ := strings.Cut(strings.TrimSpace(f.noted("login-folder")), " ")
	if mode != "700" {
		t.Errorf("its folder has the mode %s", mode)
	}
	if exists(filepath.Dir(folder)) {
		t.Errorf("%s is still there", filepath.Dir(folder))
	}
}

func TestFailureShowsTheEndOfTheOutput(t *testing.T) {
	f := newFixture(t, `i=1; while [ $i -le 50 ]; do echo "line $i."; i=$((i+1)); done; exit 3`)
	_, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, inputs())})
	if err == nil {
		t.Fatal("no error")
	}
	for text, want := range map[string]bool{"line 20.": false, "line 21.": true, "line 50.": true, "exit status 3": true, "docker build": true} {
		if strings.Contains(err.Error(), text) != want {
			t.Errorf("%q in the error: %v, want %v\n%v", text, !want, want, err)
		}
	}
}

func TestPushWithoutDigestFails(t *testing.T) {
	f := newFixture(t, `echo "tag: digest: <none>"`)
	_, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, inputs())})
	if err == nil || !strings.Contains(err.Error(), "gave no digest") {
		t.Errorf("the error is %v", err)
	}
}

func TestCancelEndsTheBuildAndWhatItStarted(t *testing.T) {
	f := newFixture(t, `sleep 600 & echo $! > "$notes/child"; wait`)
	inputs, failed := f.checked(t, inputs()), make(chan error)
	go func() {
		_, err := f.Create(context.Background(), &pulumirpc.CreateRequest{Urn: urn, Properties: inputs})
		failed <- err
	}()
	var child int
	eventually(t, func() bool {
		child, _ = strconv.Atoi(strings.TrimSpace(f.noted("child")))
		return child > 0
	})
	if _, err := f.Cancel(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "cancelled") {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the build goes on")
	}
	eventually(t, func() bool { return ended(child) })
}

func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, 0) != nil
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("not within ten seconds")
}

func TestSecretInputsMakeSecretOutputs(t *testing.T) {
	f := newFixture(t, good)
	in := set(inputs(), "imageName", resource.MakeSecret(resource.NewProperty("127.0.0.1:5000/game:v1")))
	out := unmarshal(t, f.create(t, in).GetProperties())
	for key, secret := range map[resource.PropertyKey]bool{"imageName": true, "baseImageName": true, "repoDigest": true, "context": false} {
		if out[key].IsSecret() != secret {
			t.Errorf("output %s is a secret: %v", key, !secret)
		}
	}
}

func TestConfig(t *testing.T) {
	f := newFixture(t, good)
	for name, options := range map[string]resource.PropertyValue{
		"a list":   resource.NewPropertyValue([]any{"-o", "X=1"}),
		"its JSON": resource.NewProperty(`["-o","X=1"]`),
		"a secret": resource.MakeSecret(resource.NewPropertyValue([]any{"-o", "X=1"})),
	} {
		args := f.marshal(t, resource.PropertyMap{
			"host": resource.NewProperty("ssh://builder@i-1"), "sshOpts": options,
			"disableDockerDaemonCheck": resource.NewProperty("true"), "version": resource.NewProperty(version),
		})
		if res, err := f.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: args}); err != nil || len(res.GetFailures()) > 0 {
			t.Errorf("%s: %v %v", name, err, res.GetFailures())
		}
		if _, err := f.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: args, AcceptSecrets: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f.config.host != "ssh://builder@i-1" || !slices.Equal(f.config.sshOptions, []string{"-o", "X=1"}) {
			t.Errorf("%s: %+v", name, f.config)
		}
	}
	tls := f.marshal(t, resource.PropertyMap{"certPath": resource.NewProperty("certs")})
	if res, err := f.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: tls}); err != nil || len(res.GetFailures()) != 1 {
		t.Errorf("TLS: %v %v", err, res.GetFailures())
	}
	other := f.marshal(t, resource.PropertyMap{"host": resource.NewProperty("ssh://builder@i-2")})
	if res, err := f.DiffConfig(t.Context(), &pulumirpc.DiffRequest{OldInputs: tls, News: other}); err != nil || len(res.GetReplaces()) > 0 || res.GetChanges() != pulumirpc.DiffResponse_DIFF_SOME {
		t.Errorf("DiffConfig: %v %v", res, err)
	}
}

func TestSchemaIsValidJSON(t *testing.T) {
	var s map[string]any
	if err := json.Unmarshal([]byte(schema), &s); err != nil || s["version"] != version {
		t.Errorf("%v %v", s["version"], err)
	}
}
