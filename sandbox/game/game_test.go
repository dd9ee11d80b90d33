package game

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	image "github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// made returns the game's folder in the sandbox's cache: it is made once a machine.
func made(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs Debian: ", err)
		}
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(user, "dcv-sessions")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	dir, err := Ensure(t.Context(), local.Progress{Out: said}, cache)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%s\n%s", dir, said)
	said.Reset()
	if again, err := Ensure(t.Context(), local.Progress{Out: said}, cache); again != dir || err != nil || said.Len() > 0 {
		t.Errorf("a second time it gave %q, %v and said %q", again, err, said)
	}
	return dir
}

func TestTheFolderIsAGameThatTheImageTakes(t *testing.T) {
	dir := made(t)
	manifest, err := image.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Graphics != image.OpenGL || manifest.Window != (image.Window{Width: 640, Height: 360}) {
		t.Errorf("the manifest is %+v", manifest)
	}
	if !strings.HasPrefix(ownPath, image.Dir+"/") {
		t.Errorf("the game looks for its data in %s, not in %s", ownPath, image.Dir)
	}
	for _, name := range []string{"share/etr/courses/groups.lst", "lib/libsfml-window.so.2.5", "licences/extremetuxracer"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestLibraryThatNobodyHasIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(made(t))); err != nil {
		t.Fatal(err)
	}
	if err := checkLibraries(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libGLU.so.1", "libFLAC.so.12"} {
		if err := os.Remove(filepath.Join(dir, "lib", name)); err != nil {
			t.Fatal(err)
		}
	}
	err := checkLibraries(dir)
	for _, want := range []string{"etr needs libGLU.so.1", "needs libFLAC.so.12"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}
}

func TestOtherProgramIsNotRelocated(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"none": "program", "twice": strings.Repeat(compiledPath+"\x00", 2)} {
		from, to := filepath.Join(dir, name), filepath.Join(dir, name+".moved")
		if err := os.WriteFile(from, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := relocate(from, to); err == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if len(compiledPath) != len(ownPath) {
		t.Errorf("%q is not as long as %q", ownPath, compiledPath)
	}
}
