package dcv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/dcv/dcvdouble"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
	"github.com/intraverse/dcv-sessions/internal/xmodules/xmodulestest"
)

const token = "a-token-that-nobody-may-read"

// patience is how long a loaded machine may take for anything.
const patience = time.Minute

// machine stands in for a host with a GPU and DCV, in a temporary folder: the double of
// package dcvdouble, a real D-Bus daemon, a software-rendered X server in Xorg's place,
// and an nvidia-smi with one GPU.
type machine struct {
	*Server
	root string

	mu     sync.Mutex
	logged []string
}

// double builds the double of DCV's programs, once.
var double = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildDir, "program")
	return program, dcvdouble.Program(context.Background(), "../../../..", program)
})

// buildDir is the folder of the programs that the tests build.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "dcv-double-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir)
	os.Exit(code)
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/nowhere</listen><policy context="default"><allow user="*"/><allow own="*"/></policy></busconfig>
`

// softX stands in for Xorg and checks its arguments.
const softX = `#!/bin/sh
number=$1; all="$*"
while [ $# -gt 0 ]; do case $1 in -auth) auth=$2 ;; -config) [ -s "$2" ] || exit 3 ;; esac; shift; done
case $all in *vt7*-sharevts*) ;; *) exit 4 ;; esac
exec Xvfb "$number" -screen 0 640x360x24 -nolisten tcp -nolisten local -noreset -auth "$auth"
`

func place(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), mode))
}

func newMachine(t *testing.T, mode contract.DisplayMode) *machine {
	t.Helper()
	for _, program := range []string{"Xvfb", "dbus-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("this needs " + program + ": apt-get install xvfb dbus")
		}
	}
	program, err := double()
	require.NoError(t, err)
	root, err := os.MkdirTemp("/tmp", "dcv") // a socket's path is short
	require.NoError(t, err)
	number := freeNumber(t)
	t.Cleanup(func() {
		for _, left := range []string{root, xLockFile(number), filepath.Join(x11.SocketDir, "X"+strconv.Itoa(number))} {
			_ = os.RemoveAll(left)
		}
	})
	for _, name := range []string{"nice-dcv-server", "nice-dcv-web-viewer", "nice-xdcv"} {
		require.NoError(t, exec.Command(program, "lay", name, root).Run())
	}
	bus, err := exec.LookPath("dbus-daemon")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(bus, filepath.Join(root, "usr/bin/dbus-daemon")))
	place(t, filepath.Join(root, "usr/bin/dbus-uuidgen"), "#!/bin/sh\n", 0o755)
	place(t, filepath.Join(root, "usr/share/dbus-1/system.conf"), busConfig, 0o644)
	place(t, filepath.Join(root, "usr/bin/nvidia-smi"), "#!/bin/sh\ncase $* in *--id=GPU-1*) echo 00000000:31:00.0 ;; *) exit 6 ;; esac\n", 0o755)
	ami := xmodulestest.AMI(t)
	xmodulestest.Start(t, ami)
	inject(t, ami, root)
	place(t, filepath.Join(root, "usr/lib/xorg/Xorg"), softX, 0o755)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "run/dcv-session"), 0o711))

	me, err := user.Current()
	require.NoError(t, err)
	m := &machine{root: root}
	m.Server = New(Config{
		Config: display.Config{
			User: me.Username, Account: process.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
			RunDir: filepath.Join(root, "run/dcv-session"), Number: number, Width: 640, Height: 360,
			Port: freePort(t), Verifier: verifier(t), Idle: 30 * time.Minute,
			Log: func(part, line string) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.logged = append(m.logged, part+": "+line)
			},
		},
		DisplayMode: mode, GPU: "GPU-1,GPU-2",
	})
	m.Server.root, m.account = root, me.Username
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		m.Close(ctx)
		assert.Empty(t, m.running(), "nothing is left running")
		assert.NotContains(t, m.everything(), token)
		if t.Failed() {
			t.Log(m.everything())
		}
	})
	return m
}

// inject copies a host's X modules into a container, as NVIDIA's container toolkit does
// without its hook.
func inject(t *testing.T, host, container string) {
	t.Helper()
	for path, file := range xmodulestest.Mounts(t, host) {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		place(t, filepath.Join(container, path), string(content), 0o644)
	}
}

// verifier returns the URL of a verifier that accepts one token.
func verifier(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("authenticationToken") != token || r.FormValue("sessionId") != sessionID {
			_, _ = io.WriteString(w, `<auth result="no"/>`)
			return
		}
		me, _ := user.Current()
		_, _ = fmt.Fprintf(w, `<auth result="yes"><username>%s</username></auth>`, me.Username)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// freePort returns a port below the kernel's range for outgoing connections: one of that
// range could be taken before the server listens.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
}

var numbers = 20_000 + os.Getpid()%10_000

func freeNumber(t *testing.T) int {
	t.Helper()
	for {
		numbers++
		if _, err := os.Stat(filepath.Join(x11.SocketDir, "X"+strconv.Itoa(numbers))); err != nil {
			return numbers
		}
	}
}

func (m *machine) everything() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.logged, "\n")
}

func (m *machine) waitTold(t *testing.T, text string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(m.everything(), text) >= times }, patience, 20*time.Millisecond, text)
}

// running returns the command lines of the machine's running programs.
func (m *machine) running() (lines []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if b, _ := os.ReadFile(file); bytes.Contains(b, []byte(m.root)) {
			lines = append(lines, filepath.Base(filepath.Dir(file))+" "+string(bytes.ReplaceAll(b, []byte{0}, []byte(" "))))
		}
	}
	return lines
}

// kill kills the machine's programs with a text in their command line.
func (m *machine) kill(t *testing.T, what string) {
	t.Helper()
	killed := 0
	for _, line := range m.running() {
		pid, rest, _ := strings.Cut(line, " ")
		if strings.Contains(rest, what) {
			number, err := strconv.Atoi(pid)
			require.NoError(t, err)
			if syscall.Kill(number, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}
	require.Positive(t, killed, "no %s runs", what)
}

func (m *machine) start(t *testing.T) display.X {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	x, err := m.StartX(ctx)
	require.NoError(t, err)
	require.NoError(t, m.StartServer(ctx))
	return x
}

// visit connects as the client's page does through the door, with the public origin and
// host.
func (m *machine) visit(t *testing.T, token string) (*websocket.Conn, error) {
	t.Helper()
	door := httptest.NewServer(m.Handler())
	t.Cleanup(door.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	address := "ws" + strings.TrimPrefix(door.URL, "http") + display.Path + "ws"
	connection, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://203-0-113-7.play.example.com:8443"}}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	hello := fmt.Sprintf(`{"sessionId":%q,"authToken":%q}`, m.SessionID(), token)
	if err := connection.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		return nil, err
	}
	_, message, err := connection.Read(ctx)
	if err != nil {
		return nil, err
	}
	assert.Contains(t, string(message), "connected")
	return connection, nil
}

func (m *machine) mustVisit(t *testing.T) *websocket.Conn {
	t.Helper()
	connection, err := m.visit(t, token)
	require.NoError(t, err)
	return connection
}

// failure returns the error with which a part failed.
func (m *machine) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-m.Failed():
		return err
	case <-time.After(patience):
		require.Fail(t, "nothing failed")
		return nil
	}
}

// exitCode returns the exit code of a fault, 0 of another error.
func exitCode(err error) int {
	code, _ := fault.Code(err)
	return code
}

func TestAPlayerWithATokenIsPassedOnToDCV(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	// The files of a killed session do no harm.
	place(t, filepath.Join(m.root, "run/dbus/pid"), "1", 0o644)
	place(t, filepath.Join(m.root, "run/dcv/server.pid"), "1", 0o644)
	place(t, xLockFile(m.config.Number), "         1\n", 0o444)
	x := m.start(t)
	assert.Equal(t, fmt.Sprintf(":%d", m.config.Number), x.Display)
	assert.FileExists(t, x.Authority)
	assert.NoFileExists(t, filepath.Join(m.root, "run/dcv/server.pid"))
	assert.DirExists(t, m.config.RunDir, "the session's own folder is not DCV's")
	for _, secret := range []string{"dcv.pem", "dcv.key"} {
		info, err := os.Stat(filepath.Join(m.root, "etc/dcv", secret))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}

	door := httptest.NewServer(m.Handler())
	defer door.Close()
	entry, fragment, _ := strings.Cut(m.Entry(token), "#")
	assert.Equal(t, m.SessionID(), fragment)
	response, err := http.Get(door.URL + entry)
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, string(page), "<title>")
	assert.Equal(t, "SAMEORIGIN", response.Header.Get("X-Frame-Options"))

	_, err = m.visit(t, "another")
	assert.ErrorContains(t, err, "authentication-failed")

	first := m.mustVisit(t)
	second := m.mustVisit(t)
	_, _, err = first.Read(t.Context())
	assert.Error(t, err, "a player who comes back is not kept out by a connection of their own")
	require.NoError(t, second.Write(t.Context(), websocket.MessageText, []byte("key down")))
	_, echo, err := second.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "key down", string(echo))
	d, err := m.Describe(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, d.Connections)
}

func TestOnlyTheSessionsOwnServerIsTrusted(t *testing.T) {
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()
	own, _, _, err := newCertificate()
	require.NoError(t, err)
	var told []string
	proxy := newProxy(stranger.Listener.Addr().(*net.TCPAddr).Port, own, func(line string) { told = append(told, line) })
	for range 3 {
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, display.Path+"?authToken="+token, nil))
		assert.Equal(t, http.StatusBadGateway, answer.Code)
		assert.Equal(t, "The display does not answer.\n", answer.Body.String())
	}
	require.Len(t, told, 1, "a fault is told once")
	assert.Contains(t, told[0], "certificate")
	assert.NotContains(t, told[0], token)
}

func TestAServerThatDiesComesBackWithItsSession(t *testing.T) {
	for _, part := range []struct{ name, program string }{
		{"the server itself", "dcv/dcvserver"},
		{"only its wrapper", "/bin/bash"},
		{"the bus that it stands on", "dbus-daemon"},
	} {
		t.Run(part.name, func(t *testing.T) {
			m := newMachine(t, contract.DisplayConsole)
			m.start(t)
			before := m.mustVisit(t)
			m.kill(t, part.program)
			_, _, err := before.Read(t.Context())
			require.Error(t, err)
			m.waitTold(t, "the session was opened again", 1)
			require.Eventually(t, func() bool {
				connection, err := m.visit(t, token)
				return err == nil && connection != nil
			}, patience, 100*time.Millisecond)
			m.restarted <- struct{}{} // a death that was heard of twice
			m.waitTold(t, "the session was opened again", 2)
			assert.Empty(t, m.Failed())
		})
	}
}

// It runs as an account, and listens on a port that hosts keep for root.
func TestDCVsServerMayTakeAPortOfRoots(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	m.start(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.server.Process().PID()))
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`(?m)^CapAmb:\s0*%x$`, 1<<unix.CAP_NET_BIND_SERVICE), string(status))
}

func TestAServerThatDiesAgainAndAgainEndsTheSession(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	m.start(t)
	for i := range process.Patient.Limit {
		require.Eventually(t, func() bool { return strings.Contains(strings.Join(m.running(), "\n"), "dcv/dcvserver") }, patience, 20*time.Millisecond)
		m.kill(t, "dcv/dcvserver")
		m.waitTold(t, "dcvserver: it ended", i+1)
	}
	err := m.failure(t)
	assert.Equal(t, contract.ExitDisplay, exitCode(err))
	assert.ErrorContains(t, err, "dcvserver ended 5 times")
}

func TestTheGamesXServerDoesNotComeBack(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	m.start(t)
	m.kill(t, "Xvfb")
	err := m.failure(t)
	assert.Equal(t, contract.ExitDisplay, exitCode(err))
	assert.ErrorContains(t, err, "X server on the GPU ended with signal: killed")
}

func TestALicenceFaultIsToldAndEndsNothing(t *testing.T) {
	for want, recorded := range map[string]string{
		"licence: DCV runs on its demo licence":         `{"Mode":"demo"}`,
		`licence: DCV's licence dcv is "unlicensed"`:    `{"Status":"unlicensed"}`,
		"licence: dcv describe-session: unexpected end": `{"Describe":"{"}`,
	} {
		m := newMachine(t, contract.DisplayConsole)
		place(t, filepath.Join(m.root, "var/lib/dcv/double.json"), recorded, 0o644)
		m.start(t)
		m.waitTold(t, want, 1)
		m.mustVisit(t)
		assert.Empty(t, m.Failed())
	}
}

func TestASessionThatDCVRefusesFailsInItsWords(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	place(t, filepath.Join(m.root, "var/lib/dcv/double.json"), `{"Refuse":"Could not create session: no licenses"}`, 0o644)
	_, err := m.StartX(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	assert.ErrorContains(t, m.StartServer(ctx), "no licenses")
}

func TestTheEndIsInOrder(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	m.start(t)
	m.mustVisit(t)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m.Close(ctx)
	assert.Empty(t, m.running())
	told := m.everything()
	closed, asked := strings.Index(told, "session closed"), strings.Index(told, "asked to end")
	assert.Positive(t, closed)
	assert.Greater(t, asked, closed, "the server itself is asked, after its session was closed")
	assert.Less(t, time.Since(began), patience/2, "nothing had to be killed")
	assert.Empty(t, m.Failed())
	m.Close(ctx) // as the doctor does, which tries it before the session ends
	assert.NotContains(t, m.everything(), "close-session", "what has ended is not asked again")
	_, err := m.StartX(ctx)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestAHostWithoutItsGPUIsAFaultOfTheHost(t *testing.T) {
	for name, spoil := range map[string]func(*machine) string{
		"nvidia-smi": func(m *machine) string { return filepath.Join(m.root, "usr/bin/nvidia-smi") },
		"X module":   func(m *machine) string { return filepath.Join(m.root, "usr/lib64/xorg/modules/drivers/nvidia_drv.so") },
	} {
		m := newMachine(t, contract.DisplayConsole)
		require.NoError(t, os.Remove(spoil(m)))
		_, err := m.StartX(t.Context())
		assert.Equal(t, contract.ExitGPU, exitCode(err))
		assert.ErrorContains(t, err, name)
	}
	for _, gpu := range []string{"void", "none", "GPU-3"} {
		m := newMachine(t, contract.DisplayConsole)
		m.config.GPU = gpu
		_, err := m.StartX(t.Context())
		assert.Equal(t, contract.ExitGPU, exitCode(err), gpu)
	}
}

func TestXFindsTheGLXModuleThatTheHostsStartGaveItsVersionedName(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	m.start(t)
	target, err := os.Readlink(filepath.Join(m.root, xmodulestest.GLX))
	require.NoError(t, err, "X loads it by this name, and the toolkit brought the versioned one")
	assert.Equal(t, "libglxserver_nvidia.so."+xmodulestest.Version, target)
	conf, err := os.ReadFile(filepath.Join(m.config.RunDir, "xorg.conf"))
	require.NoError(t, err)
	assert.Contains(t, string(conf), `ModulePath "/usr/lib64/xorg/modules"`)
}

// Without the change by the user data, the toolkit mounts X's driver without its GLX
// module: X starts, and renders OpenGL with the processor.
func TestAHostWithoutTheGLXModuleIsAFaultThatNamesItUnlessThePlayersMayDoWithout(t *testing.T) {
	for _, software := range []bool{false, true} {
		m := newMachine(t, contract.DisplayConsole)
		m.config.SoftwareRendering = software
		require.NoError(t, os.RemoveAll(filepath.Join(m.root, "usr/lib64/xorg")))
		inject(t, xmodulestest.AMI(t), m.root)
		_, err := m.StartX(t.Context())
		if software {
			require.NoError(t, err)
			m.waitTold(t, "xorg: the host's NVIDIA driver has no GLX module here (libglxserver_nvidia.so,", 1)
			continue
		}
		assert.Equal(t, contract.ExitGPU, exitCode(err))
		for _, part := range []string{"libglxserver_nvidia.so", "/usr/lib64/xorg/modules", "extensions/", "libglxserver_nvidia.so.VERSION", "replace hosts"} {
			assert.ErrorContains(t, err, part)
		}
	}
}

func TestAVirtualSessionHasDCVsOwnXServer(t *testing.T) {
	m := newMachine(t, contract.DisplayVirtual)
	x := m.start(t)
	assert.NotEqual(t, fmt.Sprintf(":%d", m.config.Number), x.Display)
	m.mustVisit(t)
	m.kill(t, "dcv/dcvserver")
	err := m.failure(t)
	assert.Equal(t, contract.ExitDisplay, exitCode(err))
	assert.ErrorContains(t, err, "virtual session")
}

// DCV's agent has another account than the player, and may not look for a cookie.
func TestTheNameOfADisplayIsTheSessionsFromItsStartToItsEnd(t *testing.T) {
	for _, mode := range []contract.DisplayMode{contract.DisplayConsole, contract.DisplayVirtual} {
		m := newMachine(t, mode)
		neighbour, err := net.Listen("unix", fmt.Sprintf("@%s/X%d", x11.SocketDir, m.config.Number))
		require.NoError(t, err)
		defer neighbour.Close()
		x := m.start(t)
		name := "@" + x11.SocketDir + "/X" + x.Display[1:]
		_, err = net.Listen("unix", name)
		require.ErrorIs(t, err, syscall.EADDRINUSE, mode)
		m.Close(t.Context())
		after, err := net.Listen("unix", name)
		require.NoError(t, err, mode)
		require.NoError(t, after.Close())
	}
}

func TestAVirtualSessionWhoseDisplaysNameANeighbourHasIsNone(t *testing.T) {
	m := newMachine(t, contract.DisplayVirtual)
	// DCV's X server may not use the abstract socket: then it does not notice a
	// neighbour with the same number.
	place(t, filepath.Join(m.root, "usr/bin/Xdcv"), "#!/bin/sh\nexec Xvfb \"$@\" -nolisten tcp -nolisten local -noreset\n", 0o755)
	for number := range 20 {
		if held, err := x11.Hold(number); err == nil {
			defer held.Release()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := m.StartX(ctx)
	assert.Equal(t, contract.ExitNoPort, exitCode(err), "%v", err)
}

func TestDCVsAgentIsLetInWithoutACookie(t *testing.T) {
	m := newMachine(t, contract.DisplayConsole)
	x := m.start(t)
	wrong := display.X{Display: x.Display, Authority: filepath.Join(m.root, "wrong")}
	require.NoError(t, x11.WriteAuthority(wrong.Authority, m.config.Number, make([]byte, 16), os.Getuid(), os.Getgid()))
	assert.NoError(t, x11.Answers(t.Context(), wrong))
}
