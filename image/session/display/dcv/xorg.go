package dcv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// modulePaths are the folders of the host driver's X modules, which the NVIDIA runtime
// mounts at the same paths: those of distributions' packages, and those of NVIDIA's
// installer, which are Xorg's own.
var modulePaths = []string{
	"/usr/lib/x86_64-linux-gnu/nvidia/xorg",
	"/usr/lib64/nvidia/xorg",
	"/usr/lib/nvidia/xorg",
	"/usr/lib64/xorg/modules",
	"/usr/lib/x86_64-linux-gnu/xorg/modules",
	"/usr/lib/xorg/modules",
}

// ownModules is the folder of the modules of the image's Xorg.
const ownModules = "/usr/lib/xorg/modules"

// The files of the host's driver that X loads by name: the driver, and the module that
// gives its clients' OpenGL access to the GPU. X looks for a module in the module path
// and in a folder below it (xserver, hw/xfree86/loader/loadmod.c).
const (
	driverModule, driverFolder = "nvidia_drv.so", "drivers"
	glxModule, glxFolder       = "libglxserver_nvidia.so", "extensions"
)

// modules returns Xorg's module paths for the host's driver, or a fault if one of its
// two files is not in this container.
func (s *Server) modules() ([]string, error) {
	paths := pathsWith(s.root, driverFolder, driverModule)
	if len(paths) == 0 {
		return nil, gpuFault(fmt.Errorf("the host's NVIDIA driver has no X module here (%s, looked for in %s): "+
			"the job needs NVIDIA_DRIVER_CAPABILITIES with \"graphics\" and \"display\", and a driver that was installed with its X files",
			driverModule, strings.Join(modulePaths, ", ")))
	}
	glx, err := glxPaths(s.root)
	switch {
	case err != nil && !s.config.SoftwareRendering:
		return nil, gpuFault(err)
	case err != nil:
		s.config.Log("xorg", err.Error())
	}
	for _, path := range append(glx, ownModules) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// pathsWith returns the module paths under which X finds a file.
func pathsWith(root, folder, file string) []string {
	var found []string
	for _, path := range modulePaths {
		for _, name := range []string{file, filepath.Join(folder, file)} {
			if _, err := os.Stat(filepath.Join(root, path, name)); err == nil && !slices.Contains(found, path) {
				found = append(found, path)
			}
		}
	}
	return found
}

// glxPaths returns the module paths with the driver's GLX module. NVIDIA's container
// toolkit mounts it as libglxserver_nvidia.so.VERSION, and its hook makes a link with the
// name that X loads. If the hook did not run, glxPaths makes the link.
func glxPaths(root string) ([]string, error) {
	var faults []error
	for _, path := range modulePaths {
		for _, folder := range []string{"", glxFolder} {
			if err := linkGLX(filepath.Join(root, path, folder)); err != nil {
				faults = append(faults, err)
			}
		}
	}
	found := pathsWith(root, glxFolder, glxModule)
	if len(found) == 0 {
		return nil, errors.Join(append([]error{glxFault()}, faults...)...)
	}
	return found, nil
}

// glxFault returns the error for a missing GLX module.
func glxFault() error {
	return fmt.Errorf("the host's NVIDIA driver has no GLX module here (%s, looked for in %s, and in %s/ below each): games would be drawn by the processor. "+
		"NVIDIA's container toolkit brings it from hosts that have it as %s.VERSION, a name that their user data gives it: "+
		"replace hosts that are older than the stack's last update; if a new one lacks it too, its driver was installed without its X files",
		glxModule, strings.Join(modulePaths, ", "), glxFolder, glxModule)
}

// linkGLX makes a link from the name that X loads to the versioned one, if a folder has
// only the latter.
func linkGLX(folder string) error {
	link := filepath.Join(folder, glxModule)
	if _, err := os.Stat(link); err == nil {
		return nil
	}
	versioned, err := filepath.Glob(link + ".*")
	if err != nil || len(versioned) == 0 {
		return err
	}
	return os.Symlink(filepath.Base(versioned[0]), link)
}

// busIDPattern matches a PCI address in the form of nvidia-smi, in hexadecimal digits:
// 00000000:31:00.0.
var busIDPattern = regexp.MustCompile(`^([0-9A-Fa-f]{4,8}):([0-9A-Fa-f]{2}):([0-9A-Fa-f]{2})\.([0-7])$`)

// xorgBusID returns a PCI address in the form of xorg.conf, in decimal digits:
// PCI:49@0:0:0.
func xorgBusID(address string) (string, error) {
	parts := busIDPattern.FindStringSubmatch(address)
	if parts == nil {
		return "", fmt.Errorf("nvidia-smi printed the PCI address %q; expected: one like 00000000:31:00.0", address)
	}
	var numbers [4]uint64
	for i := range numbers {
		numbers[i], _ = strconv.ParseUint(parts[i+1], 16, 32) // the pattern's digits fit
	}
	return fmt.Sprintf("PCI:%d@%d:%d:%d", numbers[1], numbers[0], numbers[2], numbers[3]), nil
}

// gpuAddress returns the address, for xorg.conf, of the first GPU that
// NVIDIA_VISIBLE_DEVICES assigns to this container.
func (s *Server) gpuAddress(ctx context.Context) (string, error) {
	id, _, _ := strings.Cut(strings.TrimSpace(s.config.GPU), ",")
	switch id {
	case "none", "void":
		return "", gpuFault(fmt.Errorf("NVIDIA_VISIBLE_DEVICES is %q: the job was given no GPU", s.config.GPU))
	case "", "all":
		id = "0"
	}
	out, err := process.Run(ctx, process.Command{
		Name: "nvidia-smi", Path: s.path("/usr/bin/nvidia-smi"), Env: s.env(),
		Args: []string{"--query-gpu=pci.bus_id", "--id=" + id, "--format=csv,noheader"},
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "", gpuFault(errors.New("there is no nvidia-smi in this container: the host has no NVIDIA runtime, or gave the job no GPU"))
	}
	if err != nil {
		return "", gpuFault(err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	address, err := xorgBusID(strings.TrimSpace(line))
	if err != nil {
		return "", gpuFault(err)
	}
	return address, nil
}

func gpuFault(err error) error { return fault.New(contract.ExitGPU, err) }

// xorgScreen has the values of xorg.conf.
type xorgScreen struct {
	BusID   string
	Modules []string
	Mode    screenMode
}

func (s xorgScreen) Name() string     { return s.Mode.name() }
func (s xorgScreen) Modeline() string { return s.Mode.line() }
func (s xorgScreen) Size() string     { return fmt.Sprintf("%d %d", s.Mode.width, s.Mode.height) }

// xorgConf has one screen on one GPU without a monitor. The driver takes modes only from
// a monitor, so ConnectedMonitor pretends one, and ModeValidation skips the checks that
// need its data. "UseDisplayDevice None" is no alternative: with it, Xorg does not start
// on a data-centre GPU. AutoAddGPU keeps the X servers of other sessions off this GPU.
var xorgConf = template.Must(template.New("xorg.conf").Parse(`Section "ServerFlags"
    Option "AutoAddDevices" "false"
    Option "AutoAddGPU" "false"
    Option "DontVTSwitch" "true"
    Option "DontZap" "true"
    Option "BlankTime" "0"
    Option "StandbyTime" "0"
    Option "SuspendTime" "0"
    Option "OffTime" "0"
EndSection

Section "Files"
{{- range .Modules}}
    ModulePath "{{.}}"
{{- end}}
EndSection

Section "Device"
    Identifier "gpu"
    Driver "nvidia"
    BusID "{{.BusID}}"
    Option "ProbeAllGpus" "false"
    Option "AllowEmptyInitialConfiguration" "true"
    Option "SLI" "off"
    Option "BaseMosaic" "off"
    Option "ConnectedMonitor" "DFP-0"
    Option "ModeValidation" "NoMaxPClkCheck,NoEdidMaxPClkCheck,NoMaxSizeCheck,NoHorizSyncCheck,NoVertRefreshCheck,NoVirtualSizeCheck,NoTotalSizeCheck,NoDualLinkDVICheck,NoDisplayPortBandwidthCheck,AllowNonEdidModes,NoEdidHDMI2Check"
    Option "HardDPMS" "off"
EndSection

Section "Monitor"
    Identifier "monitor"
    Modeline {{.Modeline}}
    Option "DPMS" "off"
EndSection

Section "Screen"
    Identifier "screen"
    Device "gpu"
    Monitor "monitor"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Virtual {{.Size}}
        Modes "{{.Name}}"
    EndSubSection
EndSection

Section "ServerLayout"
    Identifier "layout"
    Screen "screen"
EndSection
`))

func (s xorgScreen) render() string {
	var b strings.Builder
	if err := xorgConf.Execute(&b, s); err != nil {
		panic(err) // the template and its values are in this file
	}
	return b.String()
}

// xExtensions are the extensions that DCV and games use.
var xExtensions = []string{"COMPOSITE", "DAMAGE", "GLX", "RANDR", "RENDER", "MIT-SHM", "XFIXES", "XTEST"}

// xorgArgs returns Xorg's arguments. With "vt7 -sharevts -novtswitch" it does not need
// /dev/tty0, which an unprivileged container lacks. "-nolisten local" leaves out the
// abstract socket: x11.Name holds its name.
func xorgArgs(number int, authority, config string) []string {
	args := []string{fmt.Sprintf(":%d", number), "vt7", "-noreset", "-novtswitch", "-sharevts"}
	for _, e := range xExtensions {
		args = append(args, "+extension", e)
	}
	return append(args, "-nolisten", "tcp", "-nolisten", "local", "-auth", authority, "-config", config)
}
