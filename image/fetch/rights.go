package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kinds of files that give more rights to the user that runs them, and the commands
// that remove those rights.
const (
	setID        = "has the setuid or setgid bit: chmod ug-s FILE, as image/packages/install does behind each installation"
	capabilities = "has capabilities: setcap -r FILE in the base image (image.base), or leave the file out of it"
)

// checkRights lists every file below a folder, on the same file systems, that runs
// with more rights than the user that starts it: by its mode (man 2 execve) or by its
// capabilities (man 7 capabilities, "File capabilities").
func checkRights(root string, out io.Writer) error {
	var found []string
	files := 0
	var device uint64 // the root's
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return within(&device, path == root, entry)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		files++
		why, err := moreRights(path, entry)
		if why != "" {
			found = append(found, path+" "+why)
		}
		return err
	})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%d files of this image would run with more rights than the user that starts them:\n  - %s", len(found), strings.Join(found, "\n  - "))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "none of %d files runs with more rights than the user that starts it\n", files)
	return nil
}

// within skips file systems that are mounted below the root. Only folders are
// compared: a file of an overlay may have the number of the layer below (Linux,
// Documentation/filesystems/overlayfs.rst, "Inode properties").
func within(device *uint64, isRoot bool, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	has := info.Sys().(*syscall.Stat_t).Dev
	if isRoot {
		*device = has
	}
	if has != *device {
		return fs.SkipDir
	}
	return nil
}

// moreRights returns why a file runs with more rights, "" if it does not.
func moreRights(path string, entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return setID, nil
	}
	switch _, err := unix.Lgetxattr(path, "security.capability", nil); {
	case err == nil:
		return capabilities, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return "", nil
	default:
		return "", fmt.Errorf("%s: %w", path, err)
	}
}
