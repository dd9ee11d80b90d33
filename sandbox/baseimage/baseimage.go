// Package baseimage makes the image that the sandbox's session image is made
// from, where none can be pulled: a minimal Debian, by debootstrap.
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

// layout counts the changes of how the image is made from the same packages.
const layout = 1

// Ensure returns the base image of a Docker, loading it where it is missing and
// making it where the machine has none. cache is where builds are kept, e.g.
// ~/.cache/dcv-sessions; host is a DOCKER_HOST; name is the image's without tag.
func Ensure(ctx context.Context, p local.Progress, cache, host, name string) (string, error) {
	image := name + ":" + key()
	if local.Docker(ctx, host, "image", "inspect", "--format", "{{.Id}}", image).Run() == nil {
		return image, nil
	}
	if err := Make(ctx, p, cache); err != nil {
		return "", err
	}
	return image, p.Step("loading the base image", "this Docker is new", func() error {
		return load(ctx, p, host, fileIn(cache), image)
	})
}

// Make makes the file of the image where the machine has none. No Docker takes
// part in it.
func Make(ctx context.Context, p local.Progress, cache string) error {
	file := fileIn(cache)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.Step("making the base image", "Debian "+suite+" by debootstrap, as no image can be pulled; about 2 minutes, once a machine", func() error {
		return build(ctx, p, cache, file)
	})
}

func fileIn(cache string) string { return filepath.Join(cache, "base-"+key()+".tar.gz") }

// key names an image by what it is made of. It leaves out the mirror and the
// day: packages differ by their point release, which no program here sees.
func key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %q", layout, suite, runtime.GOARCH, packages))
	return suite + "-" + hex.EncodeToString(sum[:6])
}

// build makes the file. It appears whole or not at all, whoever else makes it
// at the same time.
func build(ctx context.Context, p local.Progress, cache, file string) error {
	mirror, err := findMirror("/etc/apt")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, "base-")
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
	if err := pack(ctx, tree, made); err != nil {
		return err
	}
	return os.Rename(made, file)
}

// endOfLog is where debootstrap says what went wrong.
func endOfLog(tree string) string {
	log := filepath.Join(tree, "debootstrap", "debootstrap.log")
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return log + ": " + strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}
