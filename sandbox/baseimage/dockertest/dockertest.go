// Package dockertest gives a test a Docker and a registry of its own.
package dockertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Docker starts an empty Docker and returns its DOCKER_HOST. It skips the test if
// none can be started.
func Docker(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Docker")
	}
	if _, err := exec.LookPath("dockerd"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs dockerd and root")
	}
	// Not the test's folder: a socket's path is short.
	dir, err := os.MkdirTemp("", "dockertest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// dockerd leaves this mount of the host's network behind.
		_ = syscall.Unmount(dir+"/exec/netns/default", syscall.MNT_DETACH)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the test's Docker left something behind: %v", err)
		}
	})
	host := "unix://" + dir + "/docker.sock"
	start(t, exec.Command("dockerd", "--host", host, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--bridge", "none", "--iptables=false", "--ip6tables=false"),
		func() bool { return local.Docker(context.Background(), host, "version").Run() == nil })
	return host
}

// Login is the one account of a registry. The empty one stands for a registry that asks
// for none, as the sandbox's.
type Login struct{ Username, Password string }

// Registry starts a registry and returns its HOST:PORT.
func Registry(t *testing.T, login Login) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs docker-registry")
	}
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte(login.Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	accounts, config, address := filepath.Join(dir, "accounts"), filepath.Join(dir, "config.yaml"), freeAddress(t)
	write(t, accounts, login.Username+":"+string(hash)+"\n")
	auth, answer := fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}\n", accounts), http.StatusUnauthorized
	if login == (Login{}) {
		auth, answer = "", http.StatusOK
	}
	write(t, config, fmt.Sprintf(`version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`, filepath.Join(dir, "data"), address)+auth)
	start(t, exec.Command(program, "serve", config), func() bool {
		res, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == answer
	})
	return address
}

// start runs a server until the test is over.
func start(t *testing.T, cmd *exec.Cmd, serves func() bool) {
	t.Helper()
	out := &bytes.Buffer{} // read only after the server has ended
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, out)
		}
	})
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended at once", cmd.Path)
		default:
		}
		if serves() {
			return
		}
	}
	t.Fatalf("%s does not serve after a minute", cmd.Path)
}

// freeAddress is free now, on loopback.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
