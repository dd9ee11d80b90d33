package boot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	asSession = "as-a-session"
	asPlayer  = "as-a-player"
	password  = "correct-horse"
)

// TestMain is this program in other parts, too: as a session's process 1, and as a
// player's program.
func TestMain(m *testing.M) {
	switch os.Args[len(os.Args)-1] {
	case asSession:
		session()
	case asPlayer:
		fmt.Print(status())
	default:
		os.Exit(m.Run())
	}
}

// report is the session's process as it sees itself.
type report struct {
	Given   Given
	Environ []string // the given variables, with secrets
	Own     string   // /proc/self/environ
	Files   string   // the open files of a child
	Status  string
	Raw     string // the error of a raw socket
}

func session() {
	given, err := Clean()
	if err != nil {
		panic(err)
	}
	signIn()
	own, _ := os.ReadFile("/proc/self/environ")
	files, _ := exec.Command("/bin/ls", "-l", "/proc/self/fd").Output()
	fd, raw := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if raw == nil {
		_ = unix.Close(fd)
	}
	r := report{given, given.Environ(), string(own), string(files), status(), fmt.Sprint(raw)}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// signIn has a server of the standard library take a password over HTTP/2.
func signIn() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm() }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	res, err := server.Client().PostForm(server.URL, url.Values{"password": {password}})
	if err != nil || res.ProtoMajor != 2 {
		panic(fmt.Sprint("no sign-in over HTTP/2: ", err))
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

func status() string {
	text, _ := os.ReadFile("/proc/self/status")
	return string(text)
}

// field is one of /proc/PID/status (man 5 proc).
func field(t *testing.T, status, name string) string {
	t.Helper()
	for line := range strings.Lines(status) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %s", name, status)
	return ""
}

// start runs this program as a session's process 1 with the variables of a job, and
// returns its report and its stderr.
func start(t *testing.T, environ ...string) (report, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", asSession)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, &out, &errs
	require.NoError(t, cmd.Run(), errs.String())
	var r report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), out.String())
	return r, errs.String()
}

var job = []string{
	"PATH=/bin", "HOSTNAME=host", "AWS_BATCH_JQ_NAME=queue", "AWS_BATCH_JOB_ID=job-1", "AWS_REGION=us-east-1", "DCV_USER=player1", "SESSION_SUBMITTED=now",
	`DCV_CREDENTIALS={"password":"` + password + `"}`, `DCV_CERTIFICATE={"privateKey":"` + password + `"}`,
}

func TestNoVariableThatAJobAddsReachesTheSession(t *testing.T) {
	r, said := start(t, append([]string{"GODEBUG=http2debug=2", "HTTPS_PROXY=http://198.51.100.1", "SSL_CERT_FILE=/tmp/a"}, job...)...)
	assert.Equal(t, "AWS_BATCH_JOB_ID=job-1\x00AWS_REGION=us-east-1\x00DCV_USER=player1\x00SESSION_SUBMITTED=now\x00", r.Own)
	assert.Equal(t, []string{"GODEBUG", "HTTPS_PROXY", "SSL_CERT_FILE"}, r.Given.Dropped)
	assert.Empty(t, said, "a sign-in over HTTP/2 leaves nothing behind")
}

func TestSecretsAreInTheSessionsMemoryOnly(t *testing.T) {
	r, _ := start(t, job...)
	assert.NotContains(t, r.Own, password)
	assert.Contains(t, r.Environ, `DCV_CREDENTIALS={"password":"`+password+`"}`)
	assert.Contains(t, r.Environ, `DCV_CERTIFICATE={"privateKey":"`+password+`"}`)
	assert.Contains(t, r.Environ, "DCV_USER=player1")
	assert.Empty(t, r.Given.Dropped)
	assert.Contains(t, r.Files, "/dev/null")
	assert.NotContains(t, r.Files, "memfd", "no child inherits the secrets")
}

func TestASessionGivesUpWhatItDoesNotNeed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has privileges to give up")
	}
	r, _ := start(t, job...)
	assert.Equal(t, "1", field(t, r.Status, "NoNewPrivs"))
	assert.Equal(t, syscall.EPERM.Error(), r.Raw)
	var kept uint64
	for _, c := range neededCapabilities {
		kept |= 1 << c
	}
	for _, set := range []string{"CapBnd", "CapPrm", "CapEff"} {
		var has uint64
		_, err := fmt.Sscanf(field(t, r.Status, set), "%x", &has)
		require.NoError(t, err)
		assert.Zero(t, has&^kept, "%s: %x", set, has)
		const chownToKill = 1<<unix.CAP_CHOWN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
		assert.EqualValues(t, chownToKill, has&chownToKill, set)
	}
}

// A game may bring a setuid file along, and so may a package of the image.
func TestASetuidFileGivesAPlayerNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes setuid files")
	}
	folder, err := os.MkdirTemp("/var/tmp", "setuid")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	text, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	program := filepath.Join(folder, "program")
	require.NoError(t, os.WriteFile(program, text, 0o755))
	require.NoError(t, os.Chmod(program, 0o755|os.ModeSetuid))
	uid := func(confined bool) string {
		script := `exec "$0" ` + asPlayer
		cmd := exec.Command("/bin/sh", "-c", script, program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		var out []byte
		var err error
		done := make(chan struct{})
		go func() { // on a thread that is not used afterwards
			defer close(done)
			runtime.LockOSThread()
			if confined {
				err = dropPrivileges()
			}
			if err == nil {
				out, err = cmd.Output()
			}
		}()
		<-done
		require.NoError(t, err)
		return field(t, string(out), "Uid")
	}
	require.Equal(t, "12345\t0\t0\t0", uid(false), "files of this folder may be setuid")
	assert.Equal(t, "12345\t12345\t12345\t12345", uid(true))
}
