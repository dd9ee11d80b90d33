// Package mototest starts the real servers behind the gateway, moto and an image
// registry, once for each test binary.
package mototest

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
)

var shared struct {
	mu             sync.Mutex
	stop           []func()
	moto, registry string
	models         *awsmodel.Models
}

// Main runs a package's tests and stops the servers. It is the last call of TestMain.
// Parallel tests are more than the processors: they mostly wait for the servers.
func Main(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, stop := range shared.stop {
		stop()
	}
	os.Exit(code)
}

// Moto returns the address of a moto server. It skips the test if moto is not
// installed.
func Moto(t *testing.T) *url.URL {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.moto == "" {
		shared.moto = start(t, "moto_server", "/moto-api/", func(address string) []string {
			host, port, _ := net.SplitHostPort(address)
			return []string{"-H", host, "-p", port}
		})
	}
	return &url.URL{Scheme: "http", Host: shared.moto}
}

// Models returns AWS's API models, which come with moto. It skips the test if moto is
// not installed.
func Models(t *testing.T) *awsmodel.Models {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.models != nil {
		return shared.models
	}
	if _, err := exec.LookPath("moto_server"); err != nil {
		t.Skip("moto_server is not installed: AWS's API models come with it")
	}
	dir, err := awsmodel.Find(t.Context(), "moto_server")
	if err != nil {
		t.Fatal(err)
	}
	if shared.models, err = awsmodel.Open(dir); err != nil {
		t.Fatal(err)
	}
	return shared.models
}

// Python returns the command that runs a script in the Python installation of moto, which
// has botocore.
func Python(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	moto, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed: botocore comes with it")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(moto), "python3"), append([]string{"-c", script}, args...)...)
	cmd.Stderr = t.Output()
	return cmd
}

// Registry returns HOST:PORT of an image registry. It skips the test if none is
// installed.
func Registry(t *testing.T) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.registry == "" {
		dir, err := os.MkdirTemp("", "mototest-registry-")
		if err != nil {
			t.Fatal(err)
		}
		shared.stop = append(shared.stop, func() { os.RemoveAll(dir) })
		shared.registry = start(t, "docker-registry", "/v2/", func(address string) []string {
			config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n",
				filepath.Join(dir, "data"), address)
			file := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"serve", file}
		})
	}
	return shared.registry
}

// start starts a server on a free port, which runs until Main ends.
func start(t *testing.T, program, path string, args func(address string) []string) (address string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed: this promise is about its real behaviour", program)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	var log bytes.Buffer
	cmd := exec.Command(program, args(address)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	shared.stop = append(shared.stop, func() {
		_ = cmd.Process.Kill()
		<-ended //nolint:errcheck // it was killed
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if res, err := http.Get("http://" + address + path); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return address
			}
		}
	}
	t.Fatalf("%s does not answer:\n%s", program, log.String())
	return ""
}
