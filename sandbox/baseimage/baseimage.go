// Package baseimage makes the base of the sandbox's session image on a machine that
// cannot pull one: a minimal Debian, by mmdebstrap.
//
// It is made once a machine and kept as a file. Every Docker that it is loaded
// into gets the very same image, so that a new Docker builds the same session
// image from it.
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

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// suite is the Debian release.
const suite = "bookworm"

// packages come on top of the essential ones and apt.
var packages = []string{"ca-certificates"}

// lists are those of the session image that the base has already, so that a new
// Docker doesn't install them again: its build then finds nothing missing.
var lists = []string{"system", "vnc"}

// layout counts the changes in how the image is made from the same packages.
const layout = 3

// Base is the base image of one work tree.
type Base struct {
	Cache    string // the folder of builds, e.g. ~/.cache/dcv-sessions
	Packages string // the folder image/packages: lists, and the script that installs them
}

// Ensure returns the base image of a Docker. It loads the image if the Docker has
// none, and makes it if the machine has none. host is a DOCKER_HOST; name is the
// image's without tag.
func (b Base) Ensure(ctx context.Context, p local.Progress, host, name string) (string, error) {
	key, err := b.key()
	if err != nil {
		return "", err
	}
	image := name + ":" + key
	if local.Docker(ctx, host, "image", "inspect", "--format", "{{.Id}}", image).Run() == nil {
		return image, nil
	}
	if err := b.Make(ctx, p); err != nil {
		return "", err
	}
	return image, p.Step("loading the base image", "this Docker is new", func() error {
		return load(ctx, p, host, b.file(key), image)
	})
}

// Made reports whether the machine has the file of the image.
func (b Base) Made() bool {
	key, err := b.key()
	if err != nil {
		return false
	}
	_, err = os.Stat(b.file(key))
	return err == nil
}

// Make makes the file of the image if the machine has none. It needs no Docker.
func (b Base) Make(ctx context.Context, p local.Progress) error {
	key, err := b.key()
	if err != nil {
		return err
	}
	if _, err := os.Stat(b.file(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.Step("making the base image", "Debian "+suite+" by mmdebstrap, as no image can be pulled; about 2 minutes, once a machine", func() error {
		return b.build(ctx, p, b.file(key))
	})
}

func (b Base) file(key string) string { return filepath.Join(b.Cache, "base-"+key+".tar.gz") }

// key names an image by its ingredients. It leaves out the mirror and the
// day: packages differ by their point release, which no program here sees.
func (b Base) key() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s %s %q", layout, suite, runtime.GOARCH, packages)
	for _, name := range b.files() {
		content, err := os.ReadFile(filepath.Join(b.Packages, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, " %s %d %s", name, len(content), content)
	}
	return suite + "-" + hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// installer is the script that installs lists.
const installer = "install"

// files are those of the folder image/packages that the base is made from.
func (b Base) files() []string {
	files := []string{installer}
	for _, list := range lists {
		files = append(files, list+".txt")
	}
	return files
}

// build makes the file. It appears whole or not at all, even if another process makes
// it at the same time.
func (b Base) build(ctx context.Context, p local.Progress, file string) error {
	sources, err := sources(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.Cache, "base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "layer.tar.gz")
	cmd, err := b.mmdebstrap(ctx, sources, made)
	if err != nil {
		return err
	}
	if err := p.Command(ctx, cmd); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return os.Rename(made, file)
}
