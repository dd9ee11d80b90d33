package baseimage

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// epoch is the time of every file and of the image itself, so that neither depends on
// the time of the build. It is bookworm's release.
var epoch = time.Date(2023, time.June, 10, 0, 0, 0, 0, time.UTC)

// pack writes a tree as an image layer. tar reads the tree, as root; everything that
// would differ between two builds is set here.
func pack(ctx context.Context, tree, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	compressed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	cmd := asRoot(ctx, nil, "tar", "--create", "--sort=name", "--numeric-owner", "--one-file-system", "--directory", tree, ".")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	files, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := normalise(compressed, files); err != nil {
		_ = files.Close() // tar ends
		return errors.Join(err, cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("tar of %s: %w\n%s", tree, err, complaint.String())
	}
	return compressed.Close()
}

// normalise copies a tar without files that a base image does not need, and without
// anything that differs every time: times, names of users, logs, leftovers.
func normalise(w io.Writer, r io.Reader) error {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		from, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		to := &tar.Header{
			Typeflag: from.Typeflag, Name: path.Clean(from.Name), Linkname: from.Linkname,
			Mode: from.Mode, Uid: from.Uid, Gid: from.Gid, Size: from.Size, ModTime: epoch,
		}
		if to.Name == "." || to.Typeflag != tar.TypeDir && unwanted(to.Name) {
			continue
		}
		switch to.Typeflag {
		case tar.TypeDir:
			to.Name += "/"
		case tar.TypeLink:
			to.Linkname = path.Clean(to.Linkname)
		}
		if err := out.WriteHeader(to); err != nil {
			return fmt.Errorf("%s: %w", to.Name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // the padding that tar ends with
		return err
	}
	return out.Close()
}

// unwanted reports whether a file is left out. All folders stay: packages that are
// added later rely on them (update-alternatives on those of manual pages).
func unwanted(name string) bool {
	for _, tree := range []string{
		"dev/", "proc/", "sys/", "run/", "tmp/", "var/tmp/", "var/log/",
		"var/cache/apt/", "var/lib/apt/lists/", "var/cache/ldconfig/",
		"usr/share/man/", "usr/share/info/", "usr/share/locale/",
	} {
		if strings.HasPrefix(name, tree) {
			return true
		}
	}
	if strings.HasPrefix(name, "usr/share/doc/") {
		return path.Base(name) != "copyright" // licences ask that it comes along
	}
	if name == "etc/hostname" || name == "etc/resolv.conf" { // this machine's
		return true
	}
	for _, backup := range []string{"etc/*-", "var/cache/debconf/*-old", "var/lib/dpkg/*-old"} {
		if match, _ := path.Match(backup, name); match {
			return true
		}
	}
	return false
}

// load puts the image into a Docker.
func load(ctx context.Context, p local.Progress, host, file, image string) error {
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(writeImage(w, file, image)) }()
	cmd := local.Docker(ctx, host, "load", "--quiet")
	cmd.Stdin = r
	return p.Command(ctx, cmd)
}

// writeImage writes the archive that docker load reads. Everything in it comes
// from the layer and from constants; docker import would note the time.
func writeImage(w io.Writer, file, image string) error {
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w\nremove it, and it is made again", file, err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "debootstrap " + suite, Comment: "dcv-sessions sandbox"},
	})
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = runtime.GOARCH, "linux", v1.Time{Time: epoch}
	config.Config.Cmd = []string{"bash"}
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	return tarball.Write(tag, img, w)
}
