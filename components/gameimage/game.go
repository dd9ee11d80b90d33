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

// CheckGame tells everything that is wrong with a game, as far as it can be told
// before the build: of an archive only what its name says.
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

// checkSize compares what is staged of a game, as large as it says it is.
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

// gameName labels the image: a folder's game as its manifest names it, else the
// archive.
func gameName(source string) string {
	if manifest, err := game.LoadSource(source); err == nil {
		return manifest.Name + " " + manifest.Version
	}
	return filepath.Base(source)
}

// gameFiles are what the context's folder game/ gets: all that is in the game's
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

// folderFiles names everything that can't be staged at once.
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
		// By its text and, following it, by where it leads. One that leads nowhere does no harm.
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
