package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// checkRows are in the order in which a session needs them. The last one closes all that
// the others have started.
var checkRows = []row{
	{"device nodes and the NVIDIA driver's X module", 30 * time.Second, (*examination).nodes},
	{"the NVIDIA driver's GLX module", 30 * time.Second, (*examination).glx},
	{"the X server starts on the GPU", 90 * time.Second, (*examination).xServer},
	{"no other session of the host can have the display's name", 5 * time.Second, (*examination).name},
	{"DCV's session attaches to the display", 90 * time.Second, (*examination).session},
	{"DCV takes the player's sound", 30 * time.Second, (*examination).hears},
	{"DCV has its licence", 60 * time.Second, (*examination).licence},
	{"the web client comes through the session's proxy", 30 * time.Second, (*examination).proxy},
	{"a client reconnects with a token that it has used", time.Second, (*examination).reconnect},
	{"native clients find their UDP port", time.Second, (*examination).udp},
	{"Vulkan renders on the GPU", 60 * time.Second, (*examination).vulkan},
	{"game pads reach the game", time.Second, (*examination).gamePad},
	{"the use of the processor and of memory is measured", 5 * time.Second, (*examination).cgroup},
	{"the use of the GPU is measured", 30 * time.Second, (*examination).gpuUse},
	{"the use of the GPU's video encoder is measured", time.Second, (*examination).encoderUse},
	{"the screen's updates are counted", 15 * time.Second, (*examination).frames},
	{"the time to a player is measured", 5 * time.Second, (*examination).roundTrip},
	{"a player's processes don't reach the host's credentials", 30 * time.Second, (*examination).credentials},
	{"only root takes the ports of sessions", 30 * time.Second, (*examination).ports},
	{"the display server ends in time", 2 * time.Minute, (*examination).ends},
}

// The advice for failures, by keys of the stack's configuration.
const (
	changeGPU      = "compute.instanceTypes: types with an NVIDIA GPU; session.gpus: 1 or more"
	changeDevices  = "session.privileged: true gives sessions all of the host's devices"
	changeDriver   = "compute.image: an AMI whose driver was installed with its X files; the image's NVIDIA_DRIVER_CAPABILITIES has to have graphics and display"
	changeHost     = "what the rows above say: this host lacks a GPU, its driver, or a file of the driver"
	changeGLX      = "replace hosts that are older than the stack's last `pulumi up`: their user data may not have given the file its versioned name; on a newer host, compute.image: an AMI whose driver was installed with its X files"
	changeDisplay  = "session.display: virtual"
	changeBack     = "session.display: console"
	changeSoftware = "another of compute.instanceTypes; session.softwareRendering: true lets players play without the GPU meanwhile"
	changeLicence  = "`pulumi up` restores the host role's right to DCV's licence; with network.vpcId, that VPC needs a way to S3"
	changeGuard    = "replace hosts that are older than the stack's last `pulumi up`: their user data did not guard them; on a newer host, look at dcv-sessions-guard.service (docs/operations.md, \"Looking at a host\")"
	changeCgroup   = "compute.image: an AMI whose containers see their cgroup, such as Amazon Linux 2023; until then usage events lack the values that are named"
	changeUtility  = "the image's NVIDIA_DRIVER_CAPABILITIES has to have utility; on a host whose other containers have nvidia-smi, compute.image: an AMI with a working driver"
	changeEncoder  = "another of compute.instanceTypes, or compute.image: an AMI with a newer driver; until then usage events lack the values that are named"
	changeFrames   = "nothing: players play as before, and usage events have no framesPerSecond; report it with this job's log"
	changeStop     = "session.stopSeconds: longer by the seconds that are missing"
)

// nodes checks the device nodes and the X driver, which NVIDIA's container toolkit mounts
// by capability.
func (v *examination) nodes(context.Context) finding {
	var there, missing []string
	change := ""
	for _, want := range []struct{ pattern, change string }{
		{"/dev/nvidiactl", changeGPU},
		{"/dev/nvidia[0-9]*", changeGPU},
		{"/dev/nvidia-modeset", changeDevices},
		{"/dev/dri/card*", changeDevices},
		{"/dev/dri/renderD*", changeDevices},
	} {
		found := v.glob(want.pattern)
		there = append(there, found...)
		if len(found) == 0 {
			missing = append(missing, want.pattern)
			if change == "" {
				change = want.change
			}
		}
	}
	const driver = "nvidia_drv.so"
	if path := v.hasFile(driver, "/usr/lib", "/usr/lib64"); path != "" {
		there = append(there, path)
	} else {
		missing = append(missing, driver)
		if change == "" {
			change = changeDriver
		}
	}
	if len(missing) > 0 {
		return v.gpuFault(change, "missing: %s; there: %s", strings.Join(missing, " "), strings.Join(there, " "))
	}
	return holds("%s", strings.Join(there, " "))
}

// glx looks for the module that gives the X server's clients OpenGL on the GPU. NVIDIA's
// container toolkit mounts it under its versioned name; the session adds the plain one.
func (v *examination) glx(context.Context) finding {
	const module = "libglxserver_nvidia.so"
	if path := v.hasFile(module, "/usr/lib", "/usr/lib64"); path != "" {
		return holds("%s", path)
	}
	if path := v.hasFile(module+".*", "/usr/lib", "/usr/lib64"); path != "" {
		return holds("%s, which the session links to %s", path, module)
	}
	return v.gpuFault(changeGLX, "missing: %[1]s, and %[1]s.VERSION: OpenGL would be drawn by the processor", module)
}

func (v *examination) xServer(ctx context.Context) finding {
	began := time.Now()
	x, err := v.Display.StartX(ctx)
	code, _ := fault.Code(err)
	switch {
	case code == contract.ExitGPU:
		return v.gpuFault(changeHost, "%v", err)
	case err != nil:
		return v.gpuFault(changeDisplay, "%v", err)
	}
	v.x.Store(&x)
	took := time.Since(began).Round(100 * time.Millisecond)
	who, err := v.renders(ctx, x, "opengl")
	if err != nil {
		return v.gpuFault(changeDriver, "an X server is on %s after %s, but %v", x.Display, took, err)
	}
	return holds("it is on %s after %s; %s", x.Display, took, who)
}

// name checks the abstract socket name that X clients try first. The host's sessions
// share these names.
func (v *examination) name(context.Context) finding {
	x := v.x.Load()
	if x == nil {
		return unknown("%v", errNotStarted)
	}
	if err := v.kept(x.Display); err != nil {
		return fails(changeProgram, "%v", err)
	}
	return holds("the name of %s is this session's", x.Display)
}

// session starts the sound first, which the display server looks for. Another row checks
// the sound.
func (v *examination) session(ctx context.Context) finding {
	if v.x.Load() == nil {
		return unknown("%v", errNotStarted)
	}
	_, _ = v.sound()
	began := time.Now()
	err := v.Display.StartServer(ctx)
	took := time.Since(began).Round(100 * time.Millisecond)
	switch {
	case err != nil && !v.isDCV():
		return fails(changeProgram, "%v", err)
	case err != nil && v.DisplayMode == contract.DisplayVirtual:
		return fails(changeBack, "%v", err)
	case err != nil:
		return v.gpuFault(changeDisplay, "%v", err)
	}
	v.serves.Store(true)
	if !v.isDCV() {
		return unknown("%s; the display server that it has serves after %s", withoutDCV, took)
	}
	return holds("the %s session is there after %s; a player has to see whether it has a picture", v.DisplayMode, took)
}

func (v *examination) hears(ctx context.Context) finding {
	env, err := v.sound()
	if err != nil {
		return fails("nothing: players play without sound", "PulseAudio does not start: %v", err)
	}
	clients, err := process.Run(ctx, process.Command{
		Name: "pactl", Path: v.root + "/usr/bin/pactl", Args: []string{"list", "clients"}, User: &v.Player, Env: append(append([]string{}, v.Env...), env...),
	})
	switch {
	case err != nil:
		return fails("nothing: players play without sound", "PulseAudio does not answer: %v", err)
	case strings.Contains(strings.ToLower(clients), "dcv"):
		return holds("DCV is a client of the player's PulseAudio")
	case !v.isDCV():
		return unknown("%s; PulseAudio answers", withoutDCV)
	}
	return unknown("PulseAudio answers, and DCV is not its client yet: it may come with a player, which is to be listened for")
}

func (v *examination) licence(ctx context.Context) finding {
	switch {
	case !v.isDCV():
		return unknown(withoutDCV)
	case !v.serves.Load():
		return unknown("%v", errNotStarted)
	}
	found, err := v.Display.Licence(ctx)
	if err != nil {
		return fails(changeLicence, "%s: %v", found, err)
	}
	return holds("%s", found)
}

// proxy requests the client's page as the door does for a player's browser.
func (v *examination) proxy(ctx context.Context) finding {
	if !v.serves.Load() {
		return unknown("%v", errNotStarted)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fails(changeProgram, "%v", err)
	}
	server := &http.Server{Handler: v.Display.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	answer, err := fetchPage(ctx, "http://"+listener.Addr().String()+v.Display.Entry("of-no-session"))
	if err != nil {
		return fails("nothing: see the proxy's and the display server's lines in this job's log", "%v", err)
	}
	return holds("%s; the picture itself needs a player", answer)
}

func fetchPage(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	size, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK || size == 0 {
		return "", fmt.Errorf("the client's page answers %s with %d bytes", res.Status, size)
	}
	return fmt.Sprintf("its page answers %s with %d bytes", res.Status, size), nil
}

// needsClient returns unknown with a check that needs a player's client.
func (v *examination) needsClient(todo string) finding {
	if !v.isDCV() {
		return unknown("%s, nor without a player: %s", withoutDCV, todo)
	}
	return unknown("can't be known without a player: %s", todo)
}

func (v *examination) reconnect(context.Context) finding {
	return v.needsClient("cut a browser's network for ten seconds and see whether the picture comes back without a reload")
}

func (v *examination) udp(context.Context) finding {
	return v.needsClient("with session.nativeClients, open the .dcv file in DCV's native client and see in its statistics whether it uses QUIC")
}

func (v *examination) vulkan(ctx context.Context) finding {
	x := v.x.Load()
	if x == nil {
		return unknown("%v", errNotStarted)
	}
	who, err := v.renders(ctx, *x, "vulkan")
	if err != nil {
		return v.gpuFault(changeSoftware, "%v", err)
	}
	return holds("%s", who)
}

// gamePad checks for /dev/uinput. DCV would make a pad by it, and the pad's events need
// device nodes that do not exist when the container starts.
func (v *examination) gamePad(context.Context) finding {
	node := "/dev/uinput is there"
	if len(v.glob("/dev/uinput")) == 0 {
		node = "/dev/uinput is not there, which session.privileged may give"
	}
	return v.needsClient("try a pad in a browser and in DCV's Windows client; " + node)
}

// credentials connects to the host's services as the player, which must fail, and as
// root, which must succeed.
func (v *examination) credentials(ctx context.Context) finding {
	asked := Attempts{Dial: v.Services}
	players, err := v.tryAs(ctx, v.Player, asked)
	if err != nil {
		return fails(changeProgram, "%v", err)
	}
	if reached := players.succeeded(v.Services); len(reached) > 0 {
		return v.gpuFault(changeGuard, "a player's process reaches %s", strings.Join(reached, ", "))
	}
	there := asked.try().succeeded(v.Services)
	if len(there) == 0 {
		return unknown("a player's process reaches none of them, but none answers root either: %s", strings.Join(v.Services, ", "))
	}
	return holds("a player's process reaches none of them; root reaches %s", strings.Join(there, ", "))
}

func (v *examination) ports(ctx context.Context) finding {
	found, err := v.tryAs(ctx, v.Player, Attempts{Listen: v.Ports})
	if err != nil {
		return fails(changeProgram, "%v", err)
	}
	var open []string
	for _, at := range v.Ports {
		if !strings.Contains(found[at], deniedText) { // also of a taken port: the kernel checks the permission first
			open = append(open, at)
		}
	}
	if len(open) > 0 {
		return v.gpuFault(changeGuard, "a player's process may listen on %s", strings.Join(open, ", "))
	}
	return holds("a player's process may not listen on %s", strings.Join(v.Ports, ", "))
}

// ends closes the display as a session does.
func (v *examination) ends(ctx context.Context) finding {
	began := time.Now()
	v.Display.Close(ctx)
	took := time.Since(began).Round(100 * time.Millisecond)
	switch {
	case took > v.Close:
		return fails(changeStop, "it took %s, and a session leaves it %s", took, v.Close)
	case !v.isDCV():
		return unknown("%s; the display server that it has ends after %s", withoutDCV, took)
	case !v.serves.Load():
		return unknown("%v", errNotStarted)
	}
	return holds("it ends after %s", took)
}
