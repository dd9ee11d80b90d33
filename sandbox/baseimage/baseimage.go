// Package baseimage makes the base of the sandbox's session image on a machine that
// cannot pull one: a minimal Debian, by debootstrap.
//
// It is made once a machine and kept as a file. Every Docker that it is loaded
// into gets the very same image, so that a new Docker builds the same session
// image from it, and not merely a like one.
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

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// suite is the Debian release, that of the image which dev and prod start from.
const suite = "bookworm"

// packages come on top of the essential ones and apt.
var packages = []string{"ca-certificates"}

// lists are those of the session image that the base has already, so that a new
// Docker doesn't install them again: its build then finds nothing missing.
var lists = []string{"system", "vnc"}

// layout counts the changes of how the image is made from the same packages.
const layout = 2

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
	return p.Step("making the base image", "Debian "+suite+" by debootstrap, as no image can be pulled; about 4 minutes, once a machine", func() error {
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
	mirror, err := findMirror("/etc/apt")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.Cache, "base-")
	if err != nil {
		return err
	}
	// Not ended by ctx, which may be the reason for leaving.
	defer func() {
		_ = asRoot(context.WithoutCancel(ctx), nil, "rm", "--recursive", "--force", "--one-file-system", dir).Run()
	}()
	tree, made := filepath.Join(dir, "tree"), filepath.Join(dir, "layer.tar.gz")
	if err := p.Command(ctx, debootstrap(ctx, mirror, tree)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w\n%s", err, endOfLog(tree))
	}
	if err := b.install(ctx, p, tree); err != nil {
		return err
	}
	if err := pack(ctx, tree, made); err != nil {
		return err
	}
	return os.Rename(made, file)
}

// install installs the lists into the tree, by the script that the session
// image's build calls.
func (b Base) install(ctx context.Context, p local.Progress, tree string) error {
	const inside = "/tmp/packages"
	if err := asRoot(ctx, nil, "cp", "--recursive", b.Packages, tree+inside).Run(); err != nil {
		return err
	}
	// As in Debian's own images: no service starts when packages are installed.
	noService := asRoot(ctx, nil, "install", "--mode=755", "/dev/stdin", tree+"/usr/sbin/policy-rc.d")
	noService.Stdin = strings.NewReader("#!/bin/sh\nexit 101\n")
	if err := noService.Run(); err != nil {
		return err
	}
	return p.Command(ctx, asRoot(ctx, environment(ctx), append([]string{"chroot", tree, inside + "/" + installer}, lists...)...))
}

// endOfLog returns the end of debootstrap's log, which has the error.
func endOfLog(tree string) string {
	log := filepath.Join(tree, "debootstrap", "debootstrap.log")
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return log + ": " + strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}
