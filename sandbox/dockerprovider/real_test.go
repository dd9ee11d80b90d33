package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage/dockertest"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// The real docker command builds on a real Docker and pushes to a real registry
// that asks for a login.
func TestBuildAndPushForReal(t *testing.T) {
	host := dockertest.Docker(t)
	login := dockertest.Login{Username: "AWS", Password: password}
	registry := dockertest.Registry(t, login)

	f := newFixture(t, good)
	f.client = local.Docker(context.Background(), "").Path
	f.config.host = host
	in := set(set(inputs(), "imageName", registry+"/team/game:v1"), "registry.server", "http://"+registry)
	in = set(in, "build.target", "final")
	write(t, "image/Dockerfile", "FROM scratch AS final\nARG VERSION\nCOPY game /game\nLABEL version=$VERSION\nFROM final AS other\n", 0o644)

	first := unmarshal(t, f.create(t, in).GetProperties())["repoDigest"].StringValue()
	name, digest, _ := strings.Cut(first, "@")
	if name != registry+"/team/game" {
		t.Errorf("repoDigest is %q", first)
	}
	if got := manifestDigest(t, registry, login, "team/game", "v1"); got != digest {
		t.Errorf("repoDigest says %s, the registry has %s", digest, got)
	}
	if len(f.engine.status) == 0 || strings.Contains(strings.Join(f.engine.status, "\n"), password) {
		t.Errorf("the engine was told %q", f.engine.status)
	}
	out, err := local.Docker(t.Context(), host, "image", "inspect", "--format", `{{.Config.Labels.version}} {{.Architecture}}`, registry+"/team/game:v1").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "1.0 final amd64" {
		t.Errorf("the image has %q, %v", got, err)
	}

	again := unmarshal(t, f.create(t, in).GetProperties())["repoDigest"].StringValue()
	if again != first {
		t.Errorf("built again it is %s, not %s", again, first)
	}
	write(t, "image/game", "a newer game", 0o755)
	if newer := unmarshal(t, f.create(t, in).GetProperties())["repoDigest"].StringValue(); newer == first {
		t.Error("with another file it is the same image")
	}

	f.overSSH(t, host)
	if remote := unmarshal(t, f.create(t, in).GetProperties())["repoDigest"].StringValue(); remote == first {
		t.Error("over ssh it is an older image")
	}
	if got := f.noted("ssh"); !strings.HasPrefix(got, "-o ProxyCommand=a 'quoted' one -l builder ") || !strings.Contains(got, "docker system dial-stdio") {
		t.Errorf("ssh was called with %s", got)
	}
	f.config = config{host: host}

	_, err = f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, set(in, "registry.password", "wrong"))})
	if err == nil || !strings.Contains(err.Error(), "docker push") {
		t.Errorf("with a wrong password the error is %v", err)
	}
	write(t, "image/Dockerfile", "FROM scratch AS final\nCOPY missing /\n", 0o644)
	_, err = f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, in)})
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("with a file missing the error is %v", err)
	}
}

// overSSH makes the Docker one behind ssh, by an ssh command that goes no
// further than this machine.
func (f *fixture) overSSH(t *testing.T, host string) {
	t.Helper()
	bin := t.TempDir()
	write(t, filepath.Join(bin, "ssh"), `#!/bin/sh
echo "$*" >> '`+f.notes+`/ssh'
export DOCKER_HOST='`+host+`'
exec '`+f.client+`' system dial-stdio
`, 0o755)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	f.config = config{host: "ssh://builder@i-1", sshOptions: []string{"-o", "ProxyCommand=a 'quoted' one"}}
}

// A build on a host that is not there fails, and only it.
func TestNoDocker(t *testing.T) {
	client := local.Docker(context.Background(), "").Path
	if _, err := exec.LookPath(client); err != nil {
		t.Skip("needs the docker command")
	}
	f := newFixture(t, good)
	f.client, f.config.host = client, "unix://"+t.TempDir()+"/none"
	_, err := f.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn, Properties: f.checked(t, inputs())})
	if err == nil || !strings.Contains(err.Error(), "docker build") {
		t.Errorf("the error is %v", err)
	}
}

func manifestDigest(t *testing.T, registry string, login dockertest.Login, repository, tag string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+registry+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(login.Username, login.Password)
	req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.Header.Get("Docker-Content-Digest")
}
