package gameimage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// CheckGame returns everything that is wrong with a game, as far as it is known before
// the build: of an archive only its name is checked.
func CheckGame(source string, stopSeconds, maxGiB int) error {
	files, wrong := gameFiles(source)
	if wrong == nil {
		wrong = checkSize(files, maxGiB)
	}
	if info, err := os.Stat(source); err != nil || !info.IsDir() {
		return wrong
	}
	manifest, err := game.LoadSource(source)
	if err == nil {
		err = manifest.CheckStop(stopSeconds)
	}
	return errors.Join(err, wrong)
}

// checkSize checks the size of a game's files against the limit.
func checkSize(files []file, maxGiB int) error {
	var bytes int64
	for _, f := range files {
		if !f.mode.IsRegular() {
			continue
		}
		info, err := os.Stat(f.source)
		if err != nil {
			return err
		}
		bytes += info.Size()
	}
	return unpack.UpTo(maxGiB).CheckSize(bytes)
}

// gameName returns the image's label: a game's name and version from its manifest, or the
// name of its archive.
func gameName(source string) string {
	if manifest, err := game.LoadSource(source); err == nil {
		return manifest.Name + " " + manifest.Version
	}
	return filepath.Base(source)
}

// gameFiles returns the files of the context's folder game/: all those in the game's
// folder, or its archive.
func gameFiles(source string) ([]file, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return folderFiles(source)
	}
	isForm := func(form string) bool { return strings.HasSuffix(source, form) }
	if !info.Mode().IsRegular() || !slices.ContainsFunc(unpack.Forms, isForm) {
		return nil, fmt.Errorf("%s is neither a folder nor an archive (%s)", source, strings.Join(unpack.Forms, ", "))
	}
	return []file{{path: path.Join(gameFolder, filepath.Base(source)), mode: plainMode, source: source, large: true}}, nil
}

// folderFiles returns the files of a game's folder. Its error names everything that
// can't be staged.
func folderFiles(dir string) ([]file, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var files []file
	var wrong faults.Faults
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := folderFile(root, name, entry)
		if err != nil {
			wrong.Nest(name, err)
			return nil
		}
		files = append(files, f)
		return nil
	})
	return files, errors.Join(err, wrong.Err("the game's folder"))
}

func folderFile(root *os.Root, name string, entry fs.DirEntry) (file, error) {
	f := file{path: path.Join(gameFolder, name), source: filepath.Join(root.Name(), filepath.FromSlash(name)), large: true}
	switch entry.Type() {
	case fs.ModeDir:
		f.mode = fs.ModeDir | folderMode
		return f, nil
	case fs.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return f, err
		}
		f.mode, f.target = fs.ModeSymlink, target
		// Both its text and its destination must be within the folder. A link that leads
		// nowhere does no harm.
		_, err = root.Stat(name)
		if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, fmt.Errorf("a link to %q, which leads out of the game's folder", target)
		}
		return f, nil
	case 0:
		info, err := entry.Info()
		if err != nil {
			return f, err
		}
		f.mode = plainMode
		if info.Mode()&0o111 != 0 {
			f.mode = executableMode
		}
		return f, nil
	}
	return f, errors.New("neither file, folder nor link")
}
