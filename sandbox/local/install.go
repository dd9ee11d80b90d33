package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is a program, or the path of a file, that the sandbox needs, with the
// Debian package that has it.
type program struct{ program, pkg, why string }

func (p program) there() bool {
	if filepath.IsAbs(p.program) {
		_, err := os.Stat(p.program)
		return err == nil
	}
	_, err := exec.LookPath(p.program)
	return err == nil
}

var programs = []program{
	{"dockerd", "docker.io", "builds and runs the images"},
	{"docker-registry", "docker-registry", "holds the images"},
	{"mmdebstrap", "mmdebstrap", "makes the base image if none can be pulled"},
	{"git", "git", "names the source revision"},
}

// testPrograms are the programs that only the tests need.
var testPrograms = []program{
	{"chromium", "chromium", "is the players' browser"},
	{"Xtigervnc", "tigervnc-standalone-server", "is the sessions' X server"},
	{"Xvfb", "xvfb", "is an X server like Xorg"},
	{"dbus-daemon", "dbus", "connects the parts of DCV"},
	{"iptables", "iptables", "is the hosts' firewall"},
	{"ip", "iproute2", "makes networks to test it in"},
	{"sysctl", "procps", "limits their ports"},
	{"pulseaudio", "pulseaudio", "is the sessions' sound"},
	{"pactl", "pulseaudio-utils", "controls it"},
	{"glxinfo", "mesa-utils", "names the renderer of OpenGL"},
	{"vulkaninfo", "vulkan-tools", "names the renderer of Vulkan"},
	{"/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "mesa-vulkan-drivers", "renders Vulkan without a GPU"},
	{"/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so", "libgl1-mesa-dri", "renders OpenGL without a GPU"},
}

// Install installs the Debian packages that are missing, with those of the tests if
// tests is true.
func Install(ctx context.Context, p Progress, tests bool) error {
	var missing []string
	for _, prog := range missingPrograms(tests) {
		p.Say("%s is missing: package %s, which %s", prog.program, prog.pkg, prog.why)
		missing = append(missing, prog.pkg)
	}
	if len(missing) == 0 {
		return nil
	}
	return p.Step("installing "+strings.Join(missing, ", "), "from Debian's packages", func() error {
		for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
			if err := p.Command(ctx, asRoot(ctx, append([]string{"apt-get"}, args...))); err != nil {
				return fmt.Errorf("%w\ninstall %s by hand, then run this again", err, strings.Join(missing, ", "))
			}
		}
		return nil
	})
}

// Installed reports whether Install has nothing to do.
func Installed(tests bool) bool { return len(missingPrograms(tests)) == 0 }

func missingPrograms(tests bool) []program {
	wanted := programs
	if tests {
		wanted = slices.Concat(programs, testPrograms)
	}
	return slices.DeleteFunc(slices.Clone(wanted), program.there)
}

func asRoot(ctx context.Context, args []string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "--non-interactive"}, args...)
	}
	return command(ctx, "", []string{"DEBIAN_FRONTEND=noninteractive"}, args[0], args[1:]...)
}

// motoVersion is the moto release that the gateway was written against.
const motoVersion = "5.2.1"

// motoServer returns the moto_server to run: the machine's, or else the cache's.
func motoServer(t Tree) string {
	if _, err := exec.LookPath("moto_server"); err == nil {
		return "moto_server"
	}
	return filepath.Join(t.Cache, "moto-"+motoVersion, "bin", "moto_server")
}

// MotoInstalled reports whether there is a moto server.
func MotoInstalled(t Tree) bool {
	_, err := exec.LookPath(motoServer(t))
	return err == nil
}

// InstallMoto installs the moto server into a Python environment of the cache if the
// machine has none.
func InstallMoto(ctx context.Context, t Tree, p Progress) error {
	if MotoInstalled(t) {
		return nil
	}
	venv := filepath.Dir(filepath.Dir(motoServer(t)))
	return p.Step("installing the moto server "+motoVersion, "it stands in for AWS's control plane", func() error {
		if err := p.Command(ctx, command(ctx, "", nil, "python3", "-m", "venv", venv)); err != nil {
			return fmt.Errorf("%w\nneeds python3 with venv (Debian: python3-venv)", err)
		}
		return p.Command(ctx, command(ctx, "", nil, filepath.Join(venv, "bin", "pip"), "install", "--quiet", "moto[server,batch]=="+motoVersion))
	})
}
