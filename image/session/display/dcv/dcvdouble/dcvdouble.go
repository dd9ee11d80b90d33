// Package dcvdouble builds a double of the Amazon DCV server's download: an
// archive of the same name with packages of the same names and files at the same
// paths, so that every line of the image's dcv stage and of the session's display
// runs without the real download. docs/fidelity.md has the differences.
package dcvdouble

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	release = "2025.0-20103"
	folder  = "nice-dcv-" + release + "-ubuntu2404-x86_64"
	// File is the archive's name, as image/packages/dcv.yaml has it.
	File = folder + ".tgz"
)

// debs are the packages with the versions that this release of DCV has.
var debs = []struct{ name, version, depends string }{
	{"nice-dcv-server", "2025.0.20103-1", "bash, passwd"},
	{"nice-dcv-web-viewer", "2025.0.20103-1", "nice-dcv-server"},
	{"nice-xdcv", "2025.0.688-1", "nice-dcv-server"},
	{"nice-dcv-gl", "2025.0.1112-1", "nice-dcv-server"},
}

// postinst makes DCV's account and folders, as the real package does, and asks
// dpkg-architecture as that does, which is no package's that it depends on. The
// other commands are inferred.
const postinst = `#!/bin/sh
set -e
libdir="/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/dcv"
test -d "$libdir"
getent passwd dcv >/dev/null || useradd --system --user-group --home-dir /var/lib/dcv --shell /usr/sbin/nologin dcv
mkdir -p /var/lib/dcv /var/log/dcv
chown dcv:dcv /var/lib/dcv /var/log/dcv
chmod 1777 /var/log/dcv
`

// epoch dates every file, so that the same source gives the same archive.
var epoch = time.Date(2025, 12, 23, 0, 0, 0, 0, time.UTC)

// Build builds the archive in dir from the sources in the repository, and
// returns its path and SHA-256. It takes Go and dpkg-deb.
func Build(ctx context.Context, repository, dir string) (file, sum string, err error) {
	work, err := os.MkdirTemp(dir, ".dcvdouble-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "program")
	if err := Program(ctx, repository, program); err != nil {
		return "", "", err
	}
	if err := os.Mkdir(filepath.Join(work, folder), 0o755); err != nil {
		return "", "", err
	}
	var packed []string
	for _, deb := range debs {
		tree := filepath.Join(work, deb.name)
		if err := run(ctx, "", program, "lay", deb.name, tree); err != nil {
			return "", "", err
		}
		control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: dcv-sessions\nDepends: %s\nDescription: double of Amazon DCV's %s, for tests\n",
			deb.name, deb.version, deb.depends, deb.name)
		if err := writeControl(tree, control, deb.name == "nice-dcv-server"); err != nil {
			return "", "", err
		}
		name := filepath.Join(folder, fmt.Sprintf("%s_%s_amd64.ubuntu2404.deb", deb.name, deb.version))
		if err := run(ctx, "", "dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, filepath.Join(work, name)); err != nil {
			return "", "", err
		}
		packed = append(packed, name)
	}
	file = filepath.Join(dir, File)
	sum, err = archive(work, packed, file)
	return file, sum, err
}

// Program builds the program that stands for all of DCV's. "PROGRAM lay PACKAGE
// ROOT" lays out a package's files below a root.
func Program(ctx context.Context, repository, file string) error {
	return run(ctx, repository, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./image/session/display/dcv/dcvdouble/program")
}

func writeControl(tree, control string, server bool) error {
	if err := os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644); err != nil || !server {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "DEBIAN/conffiles"), []byte("/etc/dcv/dcv.conf\n/etc/dcv/default.perm\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tree, "DEBIAN/postinst"), []byte(postinst), 0o755)
}

// archive packs files, named relative to dir, below the folder's own entry.
func archive(dir string, files []string, target string) (sum string, err error) {
	out, err := os.Create(target)
	if err != nil {
		return "", err
	}
	defer func() {
		if closing := out.Close(); err == nil {
			err = closing
		}
	}()
	hash := sha256.New()
	zipped := gzip.NewWriter(io.MultiWriter(out, hash))
	packed := tar.NewWriter(zipped)
	if err := packed.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: epoch}); err != nil {
		return "", err
	}
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if err := packed.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: epoch}); err != nil {
			return "", err
		}
		if _, err := packed.Write(content); err != nil {
			return "", err
		}
	}
	if err := packed.Close(); err != nil {
		return "", err
	}
	if err := zipped.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out)
	}
	return nil
}
