package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// A fake docker that runs ssh as the docker command does, and a fake ssh that
// writes down its arguments, one a line.
func TestSSHGetsItsOptions(t *testing.T) {
	f := newFixture(t, `ssh -l builder -p 22 -- i-1 docker system dial-stdio || exit 1`+good)
	bin := t.TempDir()
	write(t, filepath.Join(bin, "ssh"), "#!/bin/sh\nfor word in \"$@\"; do echo \"$word\" >> '"+f.notes+"/ssh'; done\n", 0o755)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	args := f.marshal(t, resource.PropertyMap{
		"host": resource.NewProperty("ssh://builder@i-1:22"),
		"sshOpts": resource.NewPropertyValue([]any{
			"-o", "ProxyCommand=aws ssm start-session --target %h --parameters 'portNumber=%p' $HOME",
		}),
	})
	if _, err := f.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: args, AcceptSecrets: true}); err != nil {
		t.Fatal(err)
	}
	f.create(t, set(inputs(), "skipPush", true))
	want := []string{
		"-o", "ProxyCommand=aws ssm start-session --target %h --parameters 'portNumber=%p' $HOME",
		"-l", "builder", "-p", "22", "--", "i-1", "docker", "system", "dial-stdio",
	}
	if got := f.noted("ssh"); !strings.HasPrefix(got, strings.Join(want, "\n")+"\n") {
		t.Errorf("ssh was called with\n%s", got)
	}
	if env := f.noted("env-build"); !strings.Contains(env, "DOCKER_HOST=ssh://builder@i-1:22\n") {
		t.Error("docker was not sent to the host")
	}
}

func TestAnotherHostGetsNoSSH(t *testing.T) {
	f := newFixture(t, good)
	f.config = config{host: "unix:///run/docker.sock", sshOptions: []string{"-v"}}
	f.create(t, inputs())
	for line := range strings.Lines(f.noted("env-build")) {
		if path, found := strings.CutPrefix(line, "PATH="); found && strings.TrimSpace(path) != os.Getenv("PATH") {
			t.Errorf("PATH is %s", path)
		}
	}
}
