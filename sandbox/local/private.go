package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// privateFolder makes a folder that only this user may enter. An existing folder must
// belong to this user, and is closed to others: in /tmp, anybody can make a folder with
// a predictable name.
func privateFolder(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; !info.IsDir() || int(owner) != os.Geteuid() {
		return fmt.Errorf("%s is not a folder of this user (%s, of uid %d): remove it, or let its owner remove it", path, info.Mode(), owner)
	}
	return os.Chmod(path, 0o700)
}

// writePrivate writes a file that only this user may read. It replaces the old one as
// a whole: after a crash there is one or the other.
func writePrivate(file string, content []byte) error {
	whole, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new") // of mode 0600
	if err != nil {
		return err
	}
	_, err = whole.Write(content)
	if err := errors.Join(err, whole.Close()); err != nil {
		return errors.Join(err, os.Remove(whole.Name()))
	}
	return os.Rename(whole.Name(), file)
}

func writeJSON(file string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(file, append(b, '\n'))
}
