// Package game makes the sandbox's game: Extreme Tux Racer, a small 3D game of
// Debian's, as a folder of the form in which a studio hands over its own.
package game

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// suite is the Debian release: that of the sandbox's session image.
const suite = "bookworm"

// packages are the game, and the libraries that it needs beyond provided.
var packages = []string{
	"extremetuxracer", "extremetuxracer-data",
	"libsfml-audio2.5", "libsfml-graphics2.5", "libsfml-system2.5", "libsfml-window2.5",
	"libopenal1", "libsndio7.0", "libasound2", "libflac12", "libogg0", "libvorbis0a", "libvorbisenc2", "libvorbisfile3",
	"libfreetype6", "libpng16-16", "libbrotli1", "libglu1-mesa", "libudev1", "libxrandr2", "libxrender1", "libbsd0", "libmd0",
}

// folder has this project's own files of the game's folder; the others come from
// packages.
//
//go:embed folder
var folder embed.FS

// layout counts the changes of how the folder is made from the same.
const layout = 1

// Ensure returns the game's folder below cache, and makes it if the machine has none.
// It needs no right except to write there; apt has to know Debian's packages of the
// suite.
func Ensure(ctx context.Context, p local.Progress, cache string) (string, error) {
	key, err := key()
	if err != nil {
		return "", err
	}
	dir := folderIn(cache, key)
	if !Made(cache) {
		err = p.Step("making the sandbox's game", "Extreme Tux Racer from Debian's packages, 35 MB; once a machine", func() error {
			return build(ctx, p, dir)
		})
	}
	if err != nil {
		return "", err
	}
	return dir, local.Use(dir)
}

// Made reports whether cache has the game.
func Made(cache string) bool {
	key, err := key()
	if err != nil {
		return false
	}
	_, err = os.Stat(folderIn(cache, key))
	return err == nil
}

func folderIn(cache, key string) string { return filepath.Join(cache, "game-"+key) }

// key names a folder by its ingredients, except the packages' point release.
func key() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s %s %q", layout, suite, runtime.GOARCH, packages)
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := folder.ReadFile(name)
		fmt.Fprintf(sum, " %s %d %s", name, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6]), err
}

// build makes the folder. It appears whole or not at all, even if another process
// makes it at the same time.
func build(ctx context.Context, p local.Progress, dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "game-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	unpacked, made := filepath.Join(work, "unpacked"), filepath.Join(work, "made")
	if err := unpack(ctx, p, work, unpacked); err != nil {
		return err
	}
	if err := layOut(unpacked, made); err != nil {
		return err
	}
	if err := checkLibraries(made); err != nil {
		return err
	}
	err = os.Rename(made, dir)
	if errors.Is(err, fs.ErrExist) { // another was faster
		return nil
	}
	return err
}

// unpack downloads the packages and puts their files together. apt's own lists
// stay as they are: there may be none yet, and to change them takes root.
func unpack(ctx context.Context, p local.Progress, work, into string) error {
	lists, debs := filepath.Join(work, "lists"), filepath.Join(work, "debs")
	for _, dir := range []string{filepath.Join(lists, "partial"), debs, into} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{
			"--option", "Dir::State::lists=" + lists, "--option", "Dir::Cache=" + filepath.Join(work, "cache"),
			"--option", "APT::Sandbox::User=", "--option", "Dpkg::Use-Pty=0",
		}, args...)...)
		cmd.Dir = debs
		return p.Command(ctx, cmd)
	}
	if err := apt("update"); err != nil {
		return err
	}
	var wanted []string
	for _, name := range packages {
		wanted = append(wanted, name+"/"+suite)
	}
	if err := apt(append([]string{"download"}, wanted...)...); err != nil {
		return fmt.Errorf("%w\nthe game needs Debian's %s: apt's sources have to name its main packages", err, suite)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := p.Command(ctx, exec.CommandContext(ctx, "dpkg-deb", "--extract", file, into)); err != nil {
			return err
		}
	}
	return nil
}

// moves maps files of the packages to folders of the game.
var moves = []struct{ from, into string }{
	{"usr/share/games/etr", "share"},
	{"usr/lib/*-linux-gnu/lib*.so.*", "lib"},
	{"lib/*-linux-gnu/lib*.so.*", "lib"}, // Debian's older folder of the same
}

// layOut makes the game's folder of the packages' files.
func layOut(unpacked, made string) error {
	for _, move := range moves {
		found, err := filepath.Glob(filepath.Join(unpacked, move.from))
		if err != nil {
			return err
		}
		for _, from := range found {
			if err := rename(from, filepath.Join(made, move.into, filepath.Base(from))); err != nil {
				return err
			}
		}
	}
	for _, name := range packages {
		licence := filepath.Join(unpacked, "usr/share/doc", name, "copyright")
		if err := rename(licence, filepath.Join(made, "licences", name)); err != nil {
			return err
		}
	}
	if err := relocate(filepath.Join(unpacked, "usr/games/etr"), filepath.Join(made, "bin/etr")); err != nil {
		return err
	}
	return addOwn(made)
}

// rename makes the folder that a file goes to.
func rename(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// The program has the path of its data compiled in. The path that replaces it is as
// long, so that nothing else of the program moves.
const (
	compiledPath = "/usr/share/games"
	ownPath      = "/opt/game/share/" // "etr" follows
)

func relocate(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if n := bytes.Count(program, []byte(compiledPath+"\x00")); n != 1 {
		return fmt.Errorf("the game's program names %s %d times instead of once: it is not the one that is known here", compiledPath, n)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, bytes.Replace(program, []byte(compiledPath), []byte(ownPath), 1), 0o755)
}

// addOwn adds the manifest and the start script.
func addOwn(made string) error {
	own, err := fs.Sub(folder, "folder")
	if err != nil {
		return err
	}
	if err := os.CopyFS(made, own); err != nil {
		return err
	}
	for name, mode := range map[string]fs.FileMode{"start": 0o755, "game.yaml": 0o644, "options.txt": 0o644} {
		if err := os.Chmod(filepath.Join(made, name), mode); err != nil {
			return err
		}
	}
	return nil
}
