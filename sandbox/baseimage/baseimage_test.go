package baseimage

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage/dockertest"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// The file is the sandbox's own: everything in it that is not from Debian's packages
// would be this machine's.
func TestTheImageHasNothingOfThisMachine(t *testing.T) {
	base := theBase(t)
	if !base.Made() {
		t.Skip("the machine has no base image yet")
	}
	img, err := read(base.folder(keyOf(t, base)))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	opened, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	folders := map[string]bool{}
	for r := tar.NewReader(opened); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		if h.ModTime.After(epoch) {
			t.Errorf("%s has the time %s", name, h.ModTime)
		}
		if h.Typeflag == tar.TypeDir {
			folders[name] = true
			continue
		}
		for _, unwanted := range []string{"etc/hostname", "etc/resolv.conf", "tmp/*", "usr/share/man/*/*", "var/lib/apt/lists/*_*", "var/log/*.log"} {
			if match, _ := path.Match(unwanted, name); match {
				t.Errorf("%s is in the image", name)
			}
		}
	}
	for _, kept := range []string{"usr/share/man/man1", "var/log", "var/lib/apt/lists"} {
		if !folders[kept] {
			t.Errorf("the folder %s is missing", kept)
		}
	}
}

func TestTheSourcesAreTheSuitesAndItsUpdates(t *testing.T) {
	const all = `http://a/debian/ bookworm main
http://a/debian/ bookworm contrib
http://a/debian/ bookworm-updates main
http://b/debian-security/ bookworm-security main
http://c/other/ stable main
`
	for targets, want := range map[string][]string{
		all: {"deb http://a/debian/ bookworm main", "deb http://a/debian/ bookworm-updates main", "deb http://b/debian-security/ bookworm-security main"},
		"http://a/debian/ bookworm-updates main\n": nil,
		"": nil,
	} {
		if got := ofSuite(targets); !slices.Equal(got, want) {
			t.Errorf("of %q: %q, want %q", targets, got, want)
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

func TestADockerPullsThisVeryImageAndPushesNoneOfIt(t *testing.T) {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("needs mmdebstrap")
	}
	base, host, registry := theBase(t), dockertest.Docker(t), dockertest.Registry(t, dockertest.Login{})
	said := &bytes.Buffer{}
	p := local.Progress{Out: said}
	ref, err := base.Ensure(t.Context(), p, registry, "test/base")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%s\n%s", ref, said)
	said.Reset()
	if again, err := base.Ensure(t.Context(), p, registry, "test/base"); err != nil || again != ref || said.Len() > 0 {
		t.Errorf("a second time it gave %q, %v and said %q", again, err, said)
	}

	built := registry + "/test/built:new"
	build(t, host, built, "FROM "+ref+"\nCOPY Dockerfile /\n")
	if pushed := docker(t, host, "push", built); !strings.Contains(pushed, "Mounted from test/base") {
		t.Errorf("the push was more than a reference to the base's layer:\n%s", pushed)
	}

	for range 2 { // the second time there is nothing to pull
		if err := Pull(t.Context(), host, ref); err != nil {
			t.Fatal(err)
		}
	}
	img, err := read(base.folder(keyOf(t, base)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if got := docker(t, host, "image", "inspect", "--format", "{{.Id}}", ref); got != id.String() {
		t.Errorf("pulled %s, not %s", got, id)
	}
	got := docker(t, host, "run", "--rm", "--network", "host", ref, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME; dpkg --audit; ls /etc/ssl/certs/ca-certificates.crt")
	if want := suite + "\n/etc/ssl/certs/ca-certificates.crt"; got != want {
		t.Errorf("in the image: %q, want %q", got, want)
	}
}

// build builds an image from the text of a Dockerfile.
func build(t *testing.T, host, image, dockerfile string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	docker(t, host, "build", "--tag", image, dir)
}

func docker(t *testing.T, host string, args ...string) string {
	t.Helper()
	out, err := local.Docker(context.Background(), host, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
