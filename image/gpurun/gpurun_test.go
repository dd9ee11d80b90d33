package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// The test binary is also gpu-run, with a test's own folder of device nodes, and
// the game that gpu-run starts.
func TestMain(m *testing.M) {
	switch os.Getenv("GPU_RUN_TEST") {
	case "gpu-run":
		signals := make(chan os.Signal, 16)
		signal.Notify(signals, passedOn...)
		environ := append(os.Environ(), "GPU_RUN_TEST=game")
		r := runner{environ: environ, devices: os.Getenv("GPU_RUN_DEVICES"), signals: signals, out: os.Stdout, errs: os.Stderr}
		os.Exit(r.main(os.Args[1:]))
	case "game":
		play()
	}
	os.Exit(m.Run())
}

// play is a game that prints each signal that it gets, and saves at SIGTERM.
func play() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	fmt.Println("playing", os.Getpid())
	for s := range signals {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			os.Exit(7)
		}
	}
}

// command is gpu-run, as the supervisor starts it: in a group of its own, with
// nothing of this process's environment.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append([]string{"GPU_RUN_TEST=gpu-run", "GPU_RUN_DEVICES=" + defaultDevices, "PATH=/usr/bin:/bin"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// result runs it to its end.
func result(t *testing.T, env []string, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := command(t, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// tools makes a folder of doubles of the APIs' tools, which print the given texts.
func tools(t *testing.T, prints map[string]string) (env []string) {
	t.Helper()
	dir := t.TempDir()
	for tool, text := range prints {
		script := "#!/bin/sh\ncat <<'END'\n" + text + "\nEND\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, tool), []byte(script), 0o755))
	}
	return []string{"PATH=" + dir + ":/usr/games:/usr/bin:/bin"}
}

// anyGPU proves a GPU that is no NVIDIA, which needs no device node.
func anyGPU(t *testing.T) []string {
	return tools(t, map[string]string{"glxinfo": "OpenGL vendor string: AMD\nOpenGL renderer string: AMD Radeon Pro V520"})
}

// nvidia proves one, with a folder of device nodes.
func nvidia(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/glxinfo-nvidia.txt")
	require.NoError(t, err)
	devices := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(devices, deviceOfNVIDIA), nil, 0o600))
	return append(tools(t, map[string]string{"glxinfo": string(text)}), "GPU_RUN_DEVICES="+devices)
}

// display is a real X server without a GPU.
func display(t *testing.T) []string {
	t.Helper()
	for _, tool := range []string{"Xvfb", "glxinfo", "eglinfo", "vulkaninfo", "glxgears"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: apt-get install xvfb mesa-utils vulkan-tools mesa-vulkan-drivers libgl1-mesa-dri", tool)
		}
	}
	server := exec.Command("Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp", "-noreset")
	number, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	line, err := bufio.NewReader(number).ReadString('\n')
	require.NoError(t, err)
	return []string{"DISPLAY=:" + strings.TrimSpace(line), "XDG_RUNTIME_DIR=" + t.TempDir()}
}

func TestThisMachineRendersOnItsGPUOrRefuses(t *testing.T) {
	if _, err := os.Stat("/dev/nvidiactl"); err == nil {
		t.Log("this machine has an NVIDIA GPU: the rendering is proved")
		for _, api := range []string{"egl", "vulkan"} {
			code, out, errs := result(t, nil, "--check", "--api", api)
			assert.Zero(t, code, errs)
			assert.Contains(t, out, "NVIDIA")
		}
		return
	}
	t.Log("this machine has no NVIDIA GPU: the refusal is proved, on a real X server with software rendering")
	env, started := display(t), filepath.Join(t.TempDir(), "started")
	for _, a := range apis {
		code, out, errs := result(t, env, "--api", a.name, "touch", started)
		assert.Equal(t, contract.ExitSoftware, code, errs)
		assert.Empty(t, out)
		assert.Regexp(t, "^gpu-run: refused: touch would be rendered by the processor: "+a.words+" gives .*(llvmpipe|swrast).*; --software allows it\n$", errs)
		assert.NoFileExists(t, started)
	}
	code, out, _ := result(t, env, "--check")
	assert.Equal(t, contract.ExitSoftware, code)
	assert.Regexp(t, `(?m)^opengl  no GPU  .*llvmpipe.*\negl     no GPU  .*swrast.*\nvulkan  no GPU  .*llvmpipe`, out)
	code, _, _ = result(t, env, "--check", "--software")
	assert.Zero(t, code)
}

func TestAGameThatFallsBackAfterItsStartIsEnded(t *testing.T) {
	env := append(display(t), anyGPU(t)...) // which hides the X server's abilities
	pid := filepath.Join(t.TempDir(), "pid")
	code, _, errs := result(t, env, "sh", "-c", "echo $$ > "+pid+"; exec glxgears")
	assert.Equal(t, contract.ExitSoftware, code)
	assert.Regexp(t, `gpu-run: refused: sh would be rendered by the processor: (swrast_dri.so|libgallium\S*) is mapped, and no driver of a GPU; --software allows it\n$`, errs)
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	assert.ErrorIs(t, syscall.Kill(number, 0), syscall.ESRCH, "the game is gone")
}

func TestSoftwareHasToBeAllowedAndIsThenSaid(t *testing.T) {
	cmd := command(t, display(t), "--software", "glxgears")
	lines := follow(t, cmd)
	assert.Regexp(t, `^gpu-run: renders in software by OpenGL, as --software allows \(.*llvmpipe.*\)$`, lines.next(t))
	time.Sleep(time.Second) // it draws
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM))
	_ = cmd.Wait()
	assert.Equal(t, 128+int(syscall.SIGTERM), cmd.ProcessState.ExitCode(), "glxgears saves nothing")

	env := append(anyGPU(t), "GALLIUM_DRIVER=d3d12", "__GLX_VENDOR_LIBRARY_NAME=other")
	code, out, errs := result(t, env, "--software", "env")
	assert.Zero(t, code, errs)
	assert.NotContains(t, out, "LIBGL_ALWAYS_SOFTWARE", "it is allowed, and not needed: there is a GPU")
	assert.NotContains(t, out, "d3d12")
	assert.NotContains(t, out, "other")

	code, out, _ = result(t, tools(t, nil), "--software", "--api", "vulkan", "env")
	assert.Zero(t, code)
	for _, variable := range []string{"LIBGL_ALWAYS_SOFTWARE=1", "GALLIUM_DRIVER=llvmpipe", "LP_NUM_THREADS=1"} {
		assert.Contains(t, out, variable)
	}
}

func TestNVIDIAsDriverIsAskedForByName(t *testing.T) {
	code, out, errs := result(t, append(nvidia(t), "NVIDIA_VISIBLE_DEVICES=all", "LIBGL_ALWAYS_SOFTWARE=1"), "--", "env")
	assert.Zero(t, code, errs)
	for _, variable := range []string{"__NV_PRIME_RENDER_OFFLOAD=1", "__GLX_VENDOR_LIBRARY_NAME=nvidia", "__VK_LAYER_NV_optimus=NVIDIA_only"} {
		assert.Contains(t, out, variable)
	}
	assert.NotContains(t, out, "LIBGL_ALWAYS_SOFTWARE")

	code, _, errs = result(t, append(nvidia(t), "GPU_RUN_DEVICES=/nowhere"), "env")
	assert.Equal(t, contract.ExitSoftware, code)
	assert.Contains(t, errs, "gives NVIDIA Corporation Tesla T4/PCIe/SSE2, but there is no /nowhere/nvidiactl")
}

func TestTheProofIsOneLine(t *testing.T) {
	library, err := filepath.EvalSymlinks("/usr/lib/x86_64-linux-gnu/libm.so.6")
	require.NoError(t, err)
	text, err := os.ReadFile(library)
	require.NoError(t, err)
	driver := filepath.Join(t.TempDir(), "libGLX_nvidia.so.0") // by its name alone
	require.NoError(t, os.WriteFile(driver, text, 0o755))
	code, _, errs := result(t, nvidia(t), "env", "LD_PRELOAD="+driver, "sleep", "1")
	assert.Zero(t, code)
	assert.Equal(t, "gpu-run: renders on NVIDIA Corporation Tesla T4/PCIe/SSE2 by OpenGL (before: glxinfo; after: libGLX_nvidia.so.0 mapped)\n", errs)
}

func TestAHostThatShouldHaveAGPUAndHasNoneIsToldApart(t *testing.T) {
	env := append(anyGPU(t), "GPU_RUN_DEVICES=/nowhere", "NVIDIA_VISIBLE_DEVICES=GPU-1")
	for _, args := range [][]string{{"true"}, {"--check"}} {
		code, _, errs := result(t, env, args...)
		assert.Equal(t, contract.ExitGPU, code)
		assert.Contains(t, errs, "NVIDIA_VISIBLE_DEVICES=GPU-1, but there is no /nowhere/nvidiactl: the host's GPU or its driver is not there")
	}
	for _, none := range []string{"", "none", "void"} {
		code, _, errs := result(t, append(env, "NVIDIA_VISIBLE_DEVICES="+none), "true")
		assert.Zero(t, code, errs)
	}
}

func TestWhatNothingProvesIsRefused(t *testing.T) {
	env := tools(t, map[string]string{"glxinfo": "Error: unable to open display :77"})
	code, _, errs := result(t, env, "true")
	assert.Equal(t, contract.ExitSoftware, code)
	assert.Contains(t, errs, "nothing proves the contrary: glxinfo: it names no renderer: Error: unable to open display :77")

	code, _, errs = result(t, []string{"PATH=/nowhere"}, "--api", "vulkan", "/bin/true")
	assert.Equal(t, contract.ExitSoftware, code)
	assert.Contains(t, errs, "vulkaninfo: file does not exist in /nowhere")
}

func TestAProgramThatDrawsNothingIsToldOfAndGoesOn(t *testing.T) {
	code, _, errs := result(t, anyGPU(t), "--within", "10ms", "sleep", "1")
	assert.Zero(t, code)
	assert.Equal(t, "gpu-run: nothing proves yet where sleep is rendered: after 10ms it has no driver mapped (before: AMD Radeon Pro V520)\n", errs)
}

func TestExitCodesArePassedOn(t *testing.T) {
	env := anyGPU(t)
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "exit 67": 67, "kill -9 $$": 137, "kill -SEGV $$": 139} {
		code, out, errs := result(t, env, "sh", "-c", script)
		assert.Equal(t, want, code, script)
		assert.Empty(t, out+errs, script)
	}
	code, _, _ := result(t, env, "no-such-game")
	assert.Equal(t, exitNotFound, code)
	code, _, _ = result(t, env, "/etc/passwd")
	assert.Equal(t, exitNoProgram, code)
	for _, args := range [][]string{nil, {"--check", "game"}, {"--api", "direct3d", "game"}, {"--quick"}} {
		code, _, errs := result(t, env, args...)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errs, "usage: gpu-run")
	}
}

// lines reads the output of a process, line by line.
type lines struct{ *bufio.Scanner }

func (l lines) next(t *testing.T) string {
	t.Helper()
	require.True(t, l.Scan(), "it ended")
	return l.Text()
}

// follow starts a command; both its outputs are followed.
func follow(t *testing.T, cmd *exec.Cmd) lines {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = r.Close()
	})
	return lines{bufio.NewScanner(r)}
}

// playing starts the game of this test binary and returns its process's number.
func playing(t *testing.T) (*exec.Cmd, lines, int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := command(t, anyGPU(t), self)
	out := follow(t, cmd)
	var pid int
	_, err = fmt.Sscanf(out.next(t), "playing %d", &pid)
	require.NoError(t, err)
	return cmd, out, pid
}

func TestASignalToTheGroupReachesTheGameOnce(t *testing.T) {
	cmd, out, _ := playing(t)
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR2, syscall.SIGTERM} {
		require.NoError(t, syscall.Kill(-cmd.Process.Pid, s))
		assert.Equal(t, "got "+s.String(), out.next(t))
	}
	assert.False(t, out.Scan(), "none came twice")
	_ = cmd.Wait()
	assert.Equal(t, 7, cmd.ProcessState.ExitCode(), "the game's own")
}

func TestTheGameDoesNotOutliveGPURun(t *testing.T) {
	cmd, out, pid := playing(t)
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	assert.False(t, out.Scan(), "both are gone, so nobody holds their output")
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil || isZombie(pid) }, 10*time.Second, 10*time.Millisecond)
}

// isZombie reports whether a process has ended but was not reaped, as happens if
// process 1 of this container does not reap.
func isZombie(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(b), ") Z ")
}

func TestASignalDuringTheProofStartsNothing(t *testing.T) {
	dir := t.TempDir()
	asked, started := filepath.Join(dir, "asked"), filepath.Join(dir, "started")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "glxinfo"), []byte("#!/bin/sh\ntrap '' TERM\ntouch "+asked+"\nexec sleep 5\n"), 0o755))
	cmd := command(t, []string{"PATH=" + dir + ":/usr/bin:/bin"}, "touch", started)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(asked); return err == nil }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM))
	_ = cmd.Wait()
	assert.Equal(t, 128+int(syscall.SIGTERM), cmd.ProcessState.ExitCode())
	assert.NoFileExists(t, started)
}
