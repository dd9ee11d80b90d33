package xmodules_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/xmodules/xmodulestest"
)

func mounted(t *testing.T, root string) []string {
	t.Helper()
	var paths []string
	for path := range xmodulestest.Mounts(t, root) {
		paths = append(paths, path)
	}
	return paths
}

func TestTheToolkitFindsTheGLXModuleOfAHostThatHasStarted(t *testing.T) {
	root := xmodulestest.AMI(t)
	assert.Equal(t, []string{xmodulestest.Driver}, mounted(t, root), "as the AMI is, X's driver arrives without its GLX module")
	assert.Empty(t, xmodulestest.Start(t, root))
	versioned := xmodulestest.GLX + "." + xmodulestest.Version
	assert.ElementsMatch(t, []string{xmodulestest.Driver, versioned}, mounted(t, root))
	content, err := os.ReadFile(root + versioned)
	require.NoError(t, err)
	assert.Equal(t, filepath.Base(xmodulestest.GLX), string(content), "it is the module")
	assert.FileExists(t, root+xmodulestest.GLX, "the host's own X still finds it")
	assert.Empty(t, xmodulestest.Start(t, root), "a second start has nothing to do")
}

func TestTheHostsStartLeavesAloneWhatNeedsNothing(t *testing.T) {
	versioned := xmodulestest.GLX + "." + xmodulestest.Version
	for name, change := range map[string]func(t *testing.T, root string){
		"a file of the versioned name": func(t *testing.T, root string) {
			xmodulestest.Place(t, root+versioned, "as NVIDIA's own installer leaves it")
		},
		"a link to one": func(t *testing.T, root string) {
			require.NoError(t, os.Remove(root+xmodulestest.GLX))
			xmodulestest.Place(t, root+versioned, "as NVIDIA's own installer leaves it")
			require.NoError(t, os.Symlink(filepath.Base(versioned), root+xmodulestest.GLX))
		},
		"no GLX module": func(t *testing.T, root string) { require.NoError(t, os.Remove(root+xmodulestest.GLX)) },
		"no driver":     func(t *testing.T, root string) { require.NoError(t, os.RemoveAll(root+"/usr")) },
		"no library that tells the version": func(t *testing.T, root string) {
			require.NoError(t, os.Remove(root+"/usr/lib64/libcuda.so."+xmodulestest.Version))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := xmodulestest.AMI(t)
			change(t, root)
			before := tree(t, root)
			assert.Empty(t, xmodulestest.Start(t, root))
			assert.Equal(t, before, tree(t, root))
		})
	}
}

func TestTheGLXModuleIsFoundInEveryFolderThatADriverIsInstalledTo(t *testing.T) {
	for _, folder := range []string{
		"/usr/lib64/nvidia/xorg", "/usr/lib64/xorg/modules/extensions", "/usr/lib/x86_64-linux-gnu/nvidia/xorg", "/usr/lib/nvidia/xorg", "/usr/lib/xorg/modules/extensions",
	} {
		for _, libraries := range []string{"/usr/lib64", "/usr/lib/x86_64-linux-gnu"} {
			root := t.TempDir()
			xmodulestest.Place(t, root+libraries+"/libcuda.so.580.95.05", "")
			xmodulestest.Place(t, root+folder+"/libglxserver_nvidia.so", "module")
			xmodulestest.Start(t, root)
			assert.FileExists(t, root+folder+"/libglxserver_nvidia.so.580.95.05")
		}
	}
}

// tree is every file of a folder with its content; of links their target.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Type()&os.ModeSymlink != 0 {
			all[path], err = os.Readlink(path)
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = string(content)
		return err
	}))
	return all
}
