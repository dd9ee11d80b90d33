package unpack

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/image/game"
)

// ArchiveIn returns the one archive in a folder, or "" if the folder is the game
// itself.
func ArchiveIn(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", fmt.Errorf("the game's folder: %w", err)
	}
	var archives []string
	for _, e := range entries {
		if e.Name() == game.File {
			return "", nil
		}
		if slices.ContainsFunc(Forms, func(form string) bool { return strings.HasSuffix(e.Name(), form) }) {
			archives = append(archives, e.Name())
		}
	}
	if len(archives) != 1 {
		return "", fmt.Errorf("%s holds %d archives (%s) and no %s: one archive (%s) or the game with its %s is allowed: %w",
			folder, len(archives), strings.Join(archives, ", "), game.File, strings.Join(Forms, ", "), game.File, fs.ErrNotExist)
	}
	return filepath.Join(folder, archives[0]), nil
}

// Folder fills the folder with a copy of another one.
func (t *Tree) Folder(dir string) error {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if err := t.folder(name); err != nil {
				return err
			}
			t.folders[name] = info.ModTime()
			return nil
		case d.Type() == fs.ModeSymlink:
			target, err := from.Readlink(name)
			if err != nil {
				return err
			}
			return t.link(name, target, info.ModTime())
		case d.Type().IsRegular():
			f, err := from.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return t.file(name, info.Mode()&0o111 != 0, info.ModTime(), info.Size(), f)
		}
		return fmt.Errorf("%q (%s) is neither file, folder nor link", name, info.Mode())
	})
}
