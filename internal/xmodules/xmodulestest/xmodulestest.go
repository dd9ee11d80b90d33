// Package xmodulestest plays, in temporary folders, the way of the X modules of NVIDIA's
// driver from a host's AMI into a session's container.
package xmodulestest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/xmodules"
)

// The files of the driver that X loads. NVIDIA's packages install both without a
// version.
const (
	Version = "570.172.08"
	Driver  = "/usr/lib64/xorg/modules/drivers/nvidia_drv.so"
	GLX     = "/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so"
)

// AMI makes a folder that stands for a host's root, with the driver's files as the
// AMI has them.
func AMI(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, file := range []string{"/usr/lib64/libcuda.so." + Version, Driver, GLX} {
		Place(t, root+file, filepath.Base(file))
	}
	return root
}

// Place writes a file, and makes its folder.
func Place(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

// Start runs the script of a host's start, and returns its output.
func Start(t *testing.T, root string) string {
	t.Helper()
	script := exec.Command("bash", "-e", "-c", xmodules.HostScript)
	script.Env = []string{"PATH=" + os.Getenv("PATH"), "HOST_ROOT=" + root}
	out, err := script.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// Mounts returns the X modules that NVIDIA's container toolkit mounts, by the path in
// the container: the first file that it finds of each name, of the GLX module by
// its versioned name only (internal/discover/graphics.go).
func Mounts(t *testing.T, root string) map[string]string {
	t.Helper()
	cuda, err := filepath.Glob(root + "/usr/lib*/libcuda.so.*.*")
	require.NoError(t, err)
	require.NotEmpty(t, cuda, "no driver, no mounts")
	libraries, version := strings.TrimPrefix(filepath.Dir(cuda[0]), root), strings.TrimPrefix(filepath.Base(cuda[0]), "libcuda.so.")
	mounts := map[string]string{}
	for _, name := range []string{"nvidia_drv.so", "libglxserver_nvidia.so." + version} {
		for _, folder := range []string{
			libraries + "/nvidia/xorg", libraries + "/xorg/modules/drivers", libraries + "/xorg/modules/extensions",
			"/usr/lib/xorg/modules/drivers", "/usr/lib/xorg/modules/extensions", "/usr/lib64/xorg/modules/drivers", "/usr/lib64/xorg/modules/extensions",
		} {
			if info, err := os.Stat(filepath.Join(root, folder, name)); err == nil && info.Mode().IsRegular() {
				mounts[folder+"/"+name] = filepath.Join(root, folder, name)
				break
			}
		}
	}
	return mounts
}
