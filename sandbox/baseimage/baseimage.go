// Package baseimage makes the base of the sandbox's session image on a machine that
// cannot pull one: a minimal Debian, by mmdebstrap.
//
// It is made once a machine and kept. Builds pull it from the sandbox's registry, so
// that every Docker builds the same session image from it, and a push to that registry
// leaves its layer out: Docker knows that the registry has it.
package baseimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// suite is the Debian release.
const suite = "bookworm"

// packages come on top of the essential ones and apt.
var packages = []string{"ca-certificates"}

// The base already has the packages of the session image's lists, and the display's files,
// so that a new Docker doesn't install them again: its build then finds nothing missing.
var lists = []string{"system", "vnc"}

// The scripts that install them.
const (
	installer = "install" // of lists
	display   = "novnc"
)

// recipe counts the changes in how the image is made from the same packages.
const recipe = 4

// Base is the base image of one work tree.
type Base struct {
	Cache    string // the folder of builds, e.g. ~/.cache/dcv-sessions
	Packages string // the folder image/packages: lists, and the script that installs them
}

// Ensure returns the base image's name in a registry's repository. It pushes the image
// if the registry has none, and makes it if the machine has none.
func (b Base) Ensure(ctx context.Context, p local.Progress, registry, repository string) (string, error) {
	key, err := b.key()
	if err != nil {
		return "", err
	}
	tag, err := name.NewTag(registry+"/"+repository+":"+key, name.Insecure)
	if err != nil {
		return "", err
	}
	if pushed(ctx, tag) {
		return tag.Name(), nil
	}
	if err := b.Make(ctx, p); err != nil {
		return "", err
	}
	return tag.Name(), p.Step("pushing the base image", "this registry is new", func() error {
		return push(ctx, b.folder(key), tag)
	})
}

// Made reports whether the machine has the image.
func (b Base) Made() bool {
	key, err := b.key()
	if err != nil {
		return false
	}
	_, err = os.Stat(b.folder(key))
	return err == nil
}

// Make makes the image if the machine has none. It needs neither a Docker nor a registry.
func (b Base) Make(ctx context.Context, p local.Progress) error {
	key, err := b.key()
	if err != nil {
		return err
	}
	if !b.Made() {
		err := p.Step("making the base image", "Debian "+suite+" by mmdebstrap, as no image can be pulled; about 2 minutes, once a machine", func() error {
			return b.build(ctx, p, b.folder(key))
		})
		if err != nil {
			return err
		}
	}
	return local.Use(b.folder(key))
}

// folder returns the folder with an image: an OCI image layout.
func (b Base) folder(key string) string { return filepath.Join(b.Cache, "base-"+key) }

// key names an image by its ingredients. It leaves out the mirror and the
// day: packages differ by their point release, which no program here sees.
func (b Base) key() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s %s %q", recipe, suite, runtime.GOARCH, packages)
	for _, name := range b.files() {
		content, err := os.ReadFile(filepath.Join(b.Packages, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, " %s %d %s", name, len(content), content)
	}
	return suite + "-" + hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// files are those of the folder image/packages that the base is made from.
func (b Base) files() []string {
	files := []string{installer, display}
	for _, list := range lists {
		files = append(files, list+".txt")
	}
	return files
}

// tree returns the image's file system.
func (b Base) tree() (Tree, error) {
	folder, err := filepath.Abs(b.Packages)
	if err != nil {
		return Tree{}, err
	}
	installers := "/tmp/" + filepath.Base(folder)
	return Tree{Packages: packages, Hooks: []string{
		"copy-in " + folder + " /tmp",
		`chroot "$1" ` + installers + "/" + installer + " " + strings.Join(lists, " "),
		`chroot "$1" ` + installers + "/" + display,
		`rm -r "$1"` + installers,
	}}, nil
}

// build makes the folder of the image. It appears complete or not at all.
func (b Base) build(ctx context.Context, p local.Progress, folder string) error {
	tree, err := b.tree()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.Cache, "base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	layer, made := filepath.Join(dir, "layer.tar.gz"), filepath.Join(dir, "image")
	if err := tree.Write(ctx, p, layer); err != nil {
		return err
	}
	if err := write(made, layer); err != nil {
		return err
	}
	if err := os.Rename(made, folder); !errors.Is(err, fs.ErrExist) { // else another process has made it at the same time
		return err
	}
	return nil
}
