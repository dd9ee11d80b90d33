package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// fake is a display with answers that a test chooses.
type fake struct {
	startX, startServer error
	page                int // the status of the client's page
	closing             time.Duration
	hang                chan struct{} // StartX does, until it is closed
	crash               bool
	started             []string
	licence             func() (string, error) // nil: it is in order
}

func (f *fake) StartX(context.Context) (display.X, error) {
	if f.crash {
		panic("no such mode")
	}
	if f.hang != nil {
		<-f.hang
		return display.X{}, errors.New("too late")
	}
	f.started = append(f.started, "x")
	return display.X{Display: ":8443", Authority: "/run/x"}, f.startX
}

func (f *fake) StartServer(context.Context) error {
	f.started = append(f.started, "server")
	return f.startServer
}

func (f *fake) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(f.page)
		_, _ = w.Write([]byte("<html>"))
	})
}

func (f *fake) Entry(token string) string { return display.Path + "?authToken=" + token + "#session" }

func (f *fake) SessionID() string { return "session" }

func (f *fake) Licence(context.Context) (string, error) {
	if f.licence != nil {
		return f.licence()
	}
	return "mode licensed", nil
}

func (f *fake) Idle(context.Context) (time.Duration, bool) { return 0, false }
func (f *fake) Failed() <-chan error                       { return nil }
func (f *fake) Close(context.Context)                      { time.Sleep(f.closing) }

const glxModule = "/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so.570.172.08"

// host makes the folder that stands for a container's root.
func host(t *testing.T, gpu bool) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"/usr/bin/pactl":   "#!/bin/sh\necho 'application.name = \"pactl\"'\n",
		"/usr/bin/gpu-run": "#!/bin/sh\necho \"$3  no GPU  llvmpipe on $DISPLAY\"; exit 67\n",
	}
	if gpu {
		files["/usr/bin/pactl"] = "#!/bin/sh\n[ \"$*/$PULSE_SERVER\" = 'list clients/unix:/run/sound' ] && echo 'application.name = \"dcvagent\"'\n"
		files["/usr/bin/nvidia-smi"] = "#!/bin/sh\necho '40, 4096, 15360, 10, 1, 58, 4000'\n"
		files["/usr/bin/gpu-run"] = "#!/bin/sh\necho \"$3  GPU  NVIDIA A10G on $DISPLAY\"\n"
		for _, node := range []string{"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-modeset", "/dev/dri/card0", "/dev/dri/renderD128", "/usr/lib64/xorg/modules/drivers/nvidia_drv.so", glxModule} {
			files[node] = ""
		}
	}
	for name, text := range map[string]string{
		"cgroup.controllers": "cpu memory\n", "cpu.stat": "usage_usec 10000000\n", "cpu.pressure": "some avg10=0.00 total=4\n",
		"memory.current": "104857600\n", "memory.stat": "anon 1\ninactive_file 0\n", "memory.peak": "104857600\n", "memory.max": "max\n",
	} {
		files["/sys/fs/cgroup/"+name] = text
	}
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(root+name), 0o755))
		require.NoError(t, os.WriteFile(root+name, []byte(text), 0o755))
	}
	return root
}

// dcv returns the parts of a healthy session.
func dcv(t *testing.T, d *fake) Parts {
	t.Helper()
	root := host(t, true)
	return Parts{
		DisplayServer: contract.DCV, DisplayMode: contract.DisplayConsole, Display: d,
		Sound:  func(context.Context) ([]string, error) { return []string{"PULSE_SERVER=unix:/run/sound"}, nil },
		Player: process.User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
		Env:    []string{"PATH=/usr/bin:/bin"}, GPURun: root + "/usr/bin/gpu-run", GPU: "GPU-1", Close: 10 * time.Second, root: root,
		kept: func(string) error { return nil }, countFrames: allFrames,
		Services: []string{service(t), "127.0.0.1:1"}, Ports: []string{"10.0.0.5:8443"}, tryAs: guarded,
	}
}

func allFrames(context.Context, display.X) (int, error) { return framesDrawn, nil }

// guarded answers as a host does that keeps players' processes from its services and
// from its sessions' ports.
func guarded(_ context.Context, _ process.User, a Attempts) (attemptResults, error) {
	found := attemptResults{}
	for _, at := range a.Dial {
		found[at] = "connect: connection refused"
	}
	for _, at := range a.Listen {
		found[at] = "bind: permission denied"
	}
	return found, nil
}

// open answers as a host that does not.
func open(_ context.Context, _ process.User, a Attempts) (attemptResults, error) {
	found := attemptResults{}
	for _, at := range append(a.Dial, a.Listen...) {
		found[at] = ""
	}
	return found, nil
}

// TestMain makes this program one that tries something, as the session's own does.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == CommandTry {
		if err := Try(os.Args[2], os.Stdout); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// service listens on a port of loopback.
func service(t *testing.T) (at string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// run returns the checks by name, too.
func run(t *testing.T, p Parts) (int, string, map[string]contract.Check) {
	t.Helper()
	byName := map[string]contract.Check{}
	code, reason := Run(t.Context(), p, func(c contract.Check) { byName[c.Name] = c })
	assert.Len(t, byName, len(checkRows), "every row is told once")
	for _, c := range byName {
		assert.NotEmpty(t, c.Found, c.Name)
		assert.Equal(t, c.Outcome == contract.OutcomeFails, c.Change != "", "%s: what fails says what to change, and nothing else does", c.Name)
	}
	return code, reason, byName
}

func outcomes(checks map[string]contract.Check) map[string]contract.Outcome {
	all := map[string]contract.Outcome{}
	for name, c := range checks {
		all[name] = c.Outcome
	}
	return all
}

func TestOnAGPUHostWhereAllIsWellOnlyAPlayersRowsAreOpen(t *testing.T) {
	d := &fake{page: http.StatusOK}
	code, _, checks := run(t, dcv(t, d))
	assert.Equal(t, contract.ExitOK, code)
	want := map[string]contract.Outcome{}
	for _, r := range checkRows {
		want[r.name] = contract.OutcomeHolds
	}
	for _, name := range []string{"a client reconnects with a token that it has used", "native clients find their UDP port", "game pads reach the game"} {
		want[name] = contract.OutcomeUnknown
	}
	assert.Equal(t, want, outcomes(checks))
	assert.Equal(t, []string{"x", "server"}, d.started)
	assert.Contains(t, checks["device nodes and the NVIDIA driver's X module"].Found, "/usr/lib64/xorg/modules/drivers/nvidia_drv.so")
	assert.Contains(t, checks["the NVIDIA driver's GLX module"].Found, glxModule+", which the session links")
	assert.Equal(t, "vulkan GPU NVIDIA A10G on :8443", checks["Vulkan renders on the GPU"].Found)
}

func TestInTheSandboxNoRowFailsAndEachSaysWhatCantBeKnown(t *testing.T) {
	p := dcv(t, &fake{page: http.StatusOK})
	p.DisplayServer, p.GPU, p.root = contract.VNC, "GPU-made-up-0", host(t, false)
	p.GPURun = p.root + "/usr/bin/gpu-run"
	code, _, checks := run(t, p)
	assert.Equal(t, contract.ExitOK, code)
	for name, c := range checks {
		if name == "a player's processes don't reach the host's credentials" || name == "only root takes the ports of sessions" {
			continue // a host's rules, which don't need a GPU
		}
		if name == "the use of the processor and of memory is measured" || name == "the screen's updates are counted" || name == "the time to a player is measured" {
			assert.Equal(t, contract.OutcomeHolds, c.Outcome, "it needs no GPU: %s", c.Found)
			continue
		}
		if name == "the web client comes through the session's proxy" || name == "no other session of the host can have the display's name" {
			assert.Equal(t, contract.OutcomeHolds, c.Outcome)
			continue
		}
		assert.Equal(t, contract.OutcomeUnknown, c.Outcome, name)
		assert.Regexp(t, "can't be known here: this (host has no NVIDIA GPU|image has no DCV)", c.Found, name)
	}
	assert.Contains(t, checks["Vulkan renders on the GPU"].Found, "llvmpipe on :8443")
}

// without has gpu-run find no GPU for one API.
func without(api, says string) func(*testing.T, *Parts, *fake) {
	return func(t *testing.T, p *Parts, _ *fake) {
		script := "#!/bin/sh\n[ \"$3\" = " + api + " ] && echo " + says + " && exit 67\necho GPU\n"
		require.NoError(t, os.WriteFile(p.GPURun, []byte(script), 0o755))
	}
}

func TestEveryFaultNamesWhatToChange(t *testing.T) {
	for name, test := range map[string]struct {
		spoil  func(*testing.T, *Parts, *fake)
		fails  string
		change string
		found  string
	}{
		"no device": {func(t *testing.T, p *Parts, _ *fake) { require.NoError(t, os.RemoveAll(p.root+"/dev")) },
			"device nodes and the NVIDIA driver's X module", "compute.instanceTypes", "missing: /dev/nvidiactl"},
		"no card": {func(t *testing.T, p *Parts, _ *fake) { require.NoError(t, os.RemoveAll(p.root+"/dev/dri")) },
			"device nodes and the NVIDIA driver's X module", "session.privileged: true", "missing: /dev/dri/card*"},
		"no X module": {func(t *testing.T, p *Parts, _ *fake) {
			require.NoError(t, os.RemoveAll(p.root+"/usr/lib64/xorg/modules/drivers"))
		},
			"device nodes and the NVIDIA driver's X module", "NVIDIA_DRIVER_CAPABILITIES", "missing: nvidia_drv.so"},
		"no GLX module": {func(t *testing.T, p *Parts, _ *fake) { require.NoError(t, os.Remove(p.root+glxModule)) },
			"the NVIDIA driver's GLX module", "replace hosts that are older", "missing: libglxserver_nvidia.so, and libglxserver_nvidia.so.VERSION"},
		"no GPU for X": {func(_ *testing.T, _ *Parts, d *fake) {
			d.startX = fault.New(contract.ExitGPU, errors.New("no nvidia-smi"))
		}, "the X server starts on the GPU", "what the rows above say", "no nvidia-smi"},
		"no X server": {func(_ *testing.T, _ *Parts, d *fake) { d.startX = errors.New("no screens found") },
			"the X server starts on the GPU", "session.display: virtual", "no screens found"},
		"an X server without the GPU": {without("opengl", "llvmpipe"),
			"the X server starts on the GPU", "NVIDIA_DRIVER_CAPABILITIES", "exit code 67"},
		"a name that anybody can have": {func(_ *testing.T, p *Parts, _ *fake) {
			p.kept = func(display string) error { return errors.New(display + " is free") }
		}, "no other session of the host can have the display's name", "a fault of this program", ":8443 is free"},
		"no Vulkan": {without("vulkan", "ERROR_INCOMPATIBLE_DRIVER"),
			"Vulkan renders on the GPU", "session.softwareRendering: true", "ERROR_INCOMPATIBLE_DRIVER"},
		"no console session": {func(_ *testing.T, _ *Parts, d *fake) { d.startServer = errors.New("no login session") },
			"DCV's session attaches to the display", "session.display: virtual", "no login session"},
		"no virtual session": {func(_ *testing.T, p *Parts, d *fake) {
			p.DisplayMode, d.startServer = contract.DisplayVirtual, errors.New("no Xdcv")
		}, "DCV's session attaches to the display", "session.display: console", "no Xdcv"},
		"no licence": {func(_ *testing.T, _ *Parts, d *fake) {
			d.licence = func() (string, error) { return "mode demo", errors.New("thirty days") }
		}, "DCV has its licence", "`pulumi up`", "mode demo: thirty days"},
		"no sound": {func(_ *testing.T, p *Parts, _ *fake) {
			p.Sound = func(context.Context) ([]string, error) { return nil, errors.New("no socket") }
		}, "DCV takes the player's sound", "without sound", "no socket"},
		"no cgroup": {func(t *testing.T, p *Parts, _ *fake) { require.NoError(t, os.RemoveAll(p.root+"/sys")) },
			"the use of the processor and of memory is measured", "Amazon Linux 2023", "no number in cpu.stat"},
		"no figures of the GPU": {func(t *testing.T, p *Parts, _ *fake) {
			require.NoError(t, os.WriteFile(p.root+"/usr/bin/nvidia-smi", []byte("#!/bin/sh\necho '[N/A], [N/A], [N/A], 10, 1, 58, 4000'\n"), 0o755))
		}, "the use of the GPU is measured", "utility", "no value of utilization.gpu"},
		"no figures of the encoder": {func(t *testing.T, p *Parts, _ *fake) {
			require.NoError(t, os.WriteFile(p.root+"/usr/bin/nvidia-smi", []byte("#!/bin/sh\necho '40, 4096, 15360, [N/A], 1, 58, 4000'\n"), 0o755))
		}, "the use of the GPU's video encoder is measured", "a newer driver", "no value of utilization.encoder"},
		"no frames": {func(_ *testing.T, p *Parts, _ *fake) {
			p.countFrames = func(context.Context, display.X) (int, error) { return 2, nil }
		}, "the screen's updates are counted", "no framesPerSecond", "2 of 30 drawn frames were counted"},
		"no DAMAGE": {func(_ *testing.T, p *Parts, _ *fake) {
			p.countFrames = func(context.Context, display.X) (int, error) {
				return 0, errors.New("the X server has no extension DAMAGE")
			}
		}, "the screen's updates are counted", "no framesPerSecond", "no extension DAMAGE"},
		"credentials for everybody": {func(_ *testing.T, p *Parts, _ *fake) { p.tryAs, p.Ports = open, nil },
			"a player's processes don't reach the host's credentials", "replace hosts that are older", "a player's process reaches 127.0.0.1:"},
		"ports for everybody": {func(_ *testing.T, p *Parts, _ *fake) { p.tryAs, p.Services = open, nil },
			"only root takes the ports of sessions", "replace hosts that are older", "a player's process may listen on 10.0.0.5:8443"},
		"no page": {func(_ *testing.T, _ *Parts, d *fake) { d.page = http.StatusBadGateway },
			"the web client comes through the session's proxy", "this job's log", "502 Bad Gateway"},
		"a slow end": {func(_ *testing.T, p *Parts, d *fake) { p.Close, d.closing = 10*time.Millisecond, 200*time.Millisecond },
			"the display server ends in time", "session.stopSeconds", "leaves it 10ms"},
		"a crash": {func(_ *testing.T, _ *Parts, d *fake) { d.crash = true },
			"the X server starts on the GPU", "a fault of this program", "no such mode"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &fake{page: http.StatusOK}
			p := dcv(t, d)
			test.spoil(t, &p, d)
			code, reason, checks := run(t, p)
			assert.Equal(t, contract.ExitDisplay, code)
			assert.Equal(t, "does not hold: "+test.fails, reason, "and nothing else")
			assert.Contains(t, checks[test.fails].Change, test.change)
			assert.Contains(t, checks[test.fails].Found, test.found)
		})
	}
}

func TestWhatNobodyReachesProvesNothing(t *testing.T) {
	p := dcv(t, &fake{page: http.StatusOK})
	p.Services = []string{"127.0.0.1:1"}
	_, _, checks := run(t, p)
	c := checks["a player's processes don't reach the host's credentials"]
	assert.Equal(t, contract.OutcomeUnknown, c.Outcome)
	assert.Contains(t, c.Found, "none answers root either: 127.0.0.1:1")
}

// A process of this program makes the attempts, with the rights of the user.
func TestAttemptsAreMadeAsTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: it takes root to start a process of another user")
	}
	there := service(t)
	asked := Attempts{Dial: []string{there, "127.0.0.1:1"}, Listen: []string{there, "127.0.0.1:2", "127.0.0.1:0"}}
	const taken = "address already in use"
	for uid, want := range map[uint32]string{0: "", contract.FirstPlayerUID: deniedText} {
		found, err := tryAs(t.Context(), process.User{UID: uid, GID: uid}, Attempts{Dial: asked.Dial})
		require.NoError(t, err)
		assert.Equal(t, []string{there}, found.succeeded(asked.Dial))
		found, err = tryAs(t.Context(), process.User{UID: uid, GID: uid}, Attempts{Listen: asked.Listen})
		require.NoError(t, err)
		assert.Contains(t, found[there], taken)
		assert.Empty(t, found["127.0.0.1:0"])
		if want == "" {
			assert.Empty(t, found["127.0.0.1:2"])
		} else {
			assert.Contains(t, found["127.0.0.1:2"], want)
		}
	}
}

func TestACheckThatHangsIsAFailedRowAndNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fake{hang: make(chan struct{})}
		p := Parts{
			DisplayServer: contract.DCV, DisplayMode: contract.DisplayConsole, Display: d, Close: time.Minute, root: "/nowhere",
			Sound: func(context.Context) ([]string, error) { return nil, errors.New("no socket") }, tryAs: guarded,
		}
		var told []string
		Run(t.Context(), p, func(c contract.Check) { told = append(told, string(c.Outcome)+": "+c.Found) })
		assert.Len(t, told, len(checkRows))
		assert.Equal(t, "fails: it hangs: it did not end 5s after its 1m30s", told[2])
		assert.Equal(t, "unknown: the display did not start: see its row", told[3])
		close(d.hang)
	})
}

func TestARunThatIsEndedFailsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := dcv(t, &fake{page: http.StatusOK, licence: func() (string, error) {
		cancel()
		return "", errors.New("cut off")
	}})
	var after []string
	code, _ := Run(ctx, p, func(c contract.Check) {
		if strings.Contains(c.Found, "was ended before") {
			after = append(after, c.Name)
		}
	})
	assert.Equal(t, contract.ExitOK, code)
	assert.Len(t, after, len(checkRows)-6)
}
