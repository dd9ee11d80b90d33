package baseimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage/dockertest"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// fakeTree is a tree like debootstrap's, written at some time of the day.
func fakeTree(t *testing.T, at time.Time) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"bin/sh":                        "shell",
		"etc/passwd":                    "root",
		"etc/passwd-":                   "what it was before",
		"etc/hostname":                  at.String(),
		"usr/share/doc/sh/copyright":    "free",
		"usr/share/doc/sh/changelog.gz": "long",
		"usr/share/man/man1/sh.1.gz":    "manual",
		"var/log/dpkg.log":              at.String(),
		"var/lib/apt/lists/index":       "index",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "bin/sh"), filepath.Join(dir, "bin/dash")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dash", filepath.Join(dir, "bin/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func needsTar(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs tar and root")
	}
}

// archive packs a tree and returns the archive for docker load.
func archive(t *testing.T, tree string) (layer string, image []byte) {
	t.Helper()
	layer = filepath.Join(t.TempDir(), "layer.tar.gz")
	if err := pack(context.Background(), tree, layer); err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	if err := writeImage(out, layer, "test/base:tag"); err != nil {
		t.Fatal(err)
	}
	return layer, out.Bytes()
}

func TestArchiveIsTheSameWheneverItIsMade(t *testing.T) {
	needsTar(t)
	_, first := archive(t, fakeTree(t, time.Now()))
	_, second := archive(t, fakeTree(t, time.Now().Add(-1000*time.Hour)))
	if !bytes.Equal(first, second) {
		t.Error("two trees that differ in times and logs only gave two archives")
	}
}

func TestLayerHoldsWhatAnImageNeeds(t *testing.T) {
	needsTar(t)
	layer, _ := archive(t, fakeTree(t, time.Now()))
	file, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	opened, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var files, folders []string
	for r := tar.NewReader(opened); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
		if h.Typeflag == tar.TypeDir {
			folders = append(folders, h.Name)
		} else {
			files = append(files, h.Name+" "+string(h.Typeflag)+h.Linkname)
		}
	}
	want := []string{"bin/dash 0", "bin/link 2dash", "bin/sh 1bin/dash", "etc/passwd 0", "usr/share/doc/sh/copyright 0"}
	if !slices.Equal(files, want) {
		t.Errorf("files are %q, not %q", files, want)
	}
	for _, folder := range []string{"usr/share/man/man1/", "var/log/", "var/lib/apt/lists/"} {
		if !slices.Contains(folders, folder) {
			t.Errorf("the folder %s is missing", folder)
		}
	}
}

// theBase is the sandbox's own: it is made once a machine, and the tests use the
// sandbox's cache.
func theBase(t *testing.T) Base {
	t.Helper()
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	base := Base{Cache: filepath.Join(user, "dcv-sessions"), Packages: "../../image/packages"}
	if err := os.MkdirAll(base.Cache, 0o755); err != nil {
		t.Fatal(err)
	}
	return base
}

func keyOf(t *testing.T, b Base) string {
	t.Helper()
	key, err := b.key()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTheKeyFollowsWhatTheImageIsMadeOf(t *testing.T) {
	changed := theBase(t)
	before := keyOf(t, changed)
	if !strings.HasPrefix(before, suite+"-") {
		t.Errorf("key %q does not begin with the suite", before)
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(changed.Packages)); err != nil {
		t.Fatal(err)
	}
	changed.Packages = folder
	if keyOf(t, changed) != before {
		t.Error("the same lists elsewhere have another key")
	}
	for _, name := range changed.files() {
		file := filepath.Join(folder, name)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(content, "# more\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		if keyOf(t, changed) == before {
			t.Errorf("another %s has the same key", name)
		}
		before = keyOf(t, changed)
	}
}

func TestEveryDockerGetsTheSameImage(t *testing.T) {
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("needs debootstrap")
	}
	base := theBase(t)
	var ids []string
	for range 2 {
		host, said := dockertest.Docker(t), &bytes.Buffer{}
		p := local.Progress{Out: said}
		ref, err := base.Ensure(t.Context(), p, host, "test/base")
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		t.Logf("%s\n%s", ref, said)
		ids = append(ids, docker(t, host, "image", "inspect", "--format", "{{.Id}} {{.Created}} {{.Size}}", ref))
		said.Reset()
		if again, err := base.Ensure(t.Context(), p, host, "test/base"); err != nil || again != ref || said.Len() > 0 {
			t.Errorf("a second time it gave %q, %v and said %q", again, err, said)
		}
		got := docker(t, host, "run", "--rm", "--network", "host", ref, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME; dpkg --audit; ls /etc/ssl/certs/ca-certificates.crt")
		if want := suite + "\n/etc/ssl/certs/ca-certificates.crt"; got != want {
			t.Errorf("in the image: %q, want %q", got, want)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("two Dockers have two images: %s and %s", ids[0], ids[1])
	}
	t.Log(ids[0])
}

func docker(t *testing.T, host string, args ...string) string {
	t.Helper()
	out, err := local.Docker(context.Background(), host, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
