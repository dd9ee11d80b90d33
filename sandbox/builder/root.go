package builder

import (
	"context"
	"os"
	"path/filepath"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// debian is a machine before its first start. It has the packages that the user data
// installs, so that no machine downloads them: its installation then finds nothing missing.
var debian = baseimage.Tree{
	Packages: []string{"ca-certificates", "docker.io", "openssh-server", "procps"},
	Hooks:    []string{`rm -f "$1"/etc/ssh/ssh_host_*`}, // the first start makes them
}

// Root is the file system of machines: a tar archive, made once a machine and kept.
type Root struct {
	Cache string // the folder of builds, such as ~/.cache/dcv-sessions
}

func (r Root) file() string { return filepath.Join(r.Cache, "builder-"+debian.Key()+".tar") }

// Made reports whether this machine has the archive.
func (r Root) Made() bool {
	_, err := os.Stat(r.file())
	return err == nil
}

// Make makes the archive if this machine has none. It appears complete or not at all.
func (r Root) Make(ctx context.Context, p local.Progress) error {
	if !r.Made() {
		err := p.Step("making the builder's file system", "Debian by mmdebstrap; about a minute, once a machine", func() error { return r.build(ctx, p) })
		if err != nil {
			return err
		}
	}
	return local.Use(r.file())
}

func (r Root) build(ctx context.Context, p local.Progress) error {
	dir, err := os.MkdirTemp(r.Cache, "builder-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "root.tar")
	if err := debian.Write(ctx, p, made); err != nil {
		return err
	}
	return os.Rename(made, r.file())
}
