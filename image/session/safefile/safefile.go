// Package safefile opens files in folders to which a player's programs may write.
package safefile

import (
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Open opens a regular file with one name, for reading, that belongs to one of the
// owners; without owners it may belong to any user. The supervisor is root, and a user
// that can write to a file's folder could replace the file by something else: a
// symbolic or a hard link to a file that only root may read, or a pipe, on which a
// reader hangs.
func Open(path string, owners ...uint32) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := check(f, owners); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func check(f *os.File, owners []uint32) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is no regular file (%s)", info.Mode())
	case is.Nlink != 1:
		return fmt.Errorf("it has %d names", is.Nlink)
	case len(owners) > 0 && !slices.Contains(owners, is.Uid):
		return fmt.Errorf("it belongs to the user id %d", is.Uid)
	}
	return nil
}
