// Package unpack puts a game's files into an empty folder, as a layer of the
// session image: from an archive or from another folder, nothing outside it, and
// from the same input the same files, rights and times.
package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/image/game"
)

// Tree is a folder that is filled by Archive or Folder, then Finish. If one of them
// fails, Clear restores the folder as it was.
type Tree struct {
	Files int
	Bytes int64

	limits  Limits
	entries int
	root    *os.Root
	created bool      // by New
	above   time.Time // of the folder that this one was created in, before
	// folders are those made here, with the times that they get at the end: each
	// file in one changes its own.
	folders map[string]time.Time
	links   []string
}

// New opens a folder, and creates it if it does not exist. A folder that is not
// empty is refused. No more than the limits allow is written to it.
func New(dir string, limits Limits) (*Tree, error) {
	t := &Tree{limits: limits, folders: map[string]time.Time{".": untold}}
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
		above, err := os.Stat(filepath.Dir(dir))
		if err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		t.created, t.above = true, above.ModTime()
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: it holds %s", dir, entries[0].Name())
	}
	var err error
	t.root, err = os.OpenRoot(dir)
	return t, err
}

// Close ends the work on the folder.
func (t *Tree) Close() error { return t.root.Close() }

// Clear takes everything away again.
func (t *Tree) Clear() error {
	entries, err := fs.ReadDir(t.root.FS(), ".")
	for _, e := range entries {
		err = errors.Join(err, t.root.RemoveAll(e.Name()))
	}
	if t.created {
		err = errors.Join(err, os.Remove(t.root.Name()))
	}
	return err
}

// untold is the time of a folder that an archive does not name.
var untold = time.Unix(0, 0)

// local cleans an entry's name, which may not lead out of the folder.
func local(name string) (string, error) {
	clean := path.Clean(name)
	if name == "" || !filepath.IsLocal(clean) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("%q leads out of the game's folder", name)
	}
	return clean, nil
}

// folder makes a folder and its parents. A file or a link of the same name is
// refused: nothing is written through it.
func (t *Tree) folder(name string) error {
	if _, made := t.folders[name]; made {
		return nil
	}
	if err := t.add(name); err != nil {
		return err
	}
	if err := t.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := t.root.Mkdir(name, 0o755); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q is a file or a link, and has files below it", name)
	} else if err != nil {
		return err
	}
	t.folders[name] = untold
	return t.root.Chmod(name, 0o755) // regardless of the umask
}

// file writes a file of the size that its entry has. Of its mode only the permission
// to execute it is kept: no file of a game belongs to another user or runs with
// another's rights.
func (t *Tree) file(name string, executable bool, at time.Time, size int64, from io.Reader) error {
	if err := t.add(name); err != nil {
		return err
	}
	if err := t.folder(path.Dir(name)); err != nil {
		return err
	}
	f, err := t.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return twice(name, err)
	}
	err = t.write(f, size, from)
	rights := fs.FileMode(0o644)
	if executable {
		rights = 0o755
	}
	if err := errors.Join(err, f.Chmod(rights), f.Close()); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	t.Files++
	return t.root.Chtimes(name, at, at)
}

// link makes a symbolic link, which may not lead out of the folder.
func (t *Tree) link(name, target string, at time.Time) error {
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return fmt.Errorf("%q is a link to %q, which leads out of the game's folder", name, target)
	}
	if err := t.add(name); err != nil {
		return err
	}
	if err := t.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := t.root.Symlink(target, name); err != nil {
		return twice(name, err)
	}
	t.Files++
	t.links = append(t.links, name)
	return t.stampLink(name, at)
}

// stampLink sets the time of a link itself, which os.Root can't.
func (t *Tree) stampLink(name string, at time.Time) error {
	dir, err := t.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	spec := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
}

// hardLink gives a file that was written before a second name.
func (t *Tree) hardLink(name, target string) error {
	target, err := local(target)
	if err != nil {
		return fmt.Errorf("%q is a hard link: %w", name, err)
	}
	info, err := t.root.Lstat(target)
	if _, made := t.folders[path.Dir(target)]; !made || err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%q is a hard link to %q, which is no file that stands before it", name, target)
	}
	if err := t.add(name); err != nil {
		return err
	}
	if err := t.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := t.root.Link(target, name); err != nil {
		return twice(name, err)
	}
	t.Files++
	return nil
}

func twice(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q stands there twice", name)
	}
	return err
}

// Finish moves a game that is in one folder of its own up, checks the targets of
// links once everything is there, and sets the times of folders, the top one too, so
// that they do not depend on the time of the build.
func (t *Tree) Finish() error {
	if err := t.moveUp(); err != nil {
		return err
	}
	for _, name := range t.links {
		// One that leads nowhere does no harm. Following all links on its way, as is
		// done here, one may leave the folder that by its text does not.
		if _, err := t.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%q is a link that can't be followed within the game's folder: %w", name, err)
		}
	}
	for name, at := range t.folders {
		if err := t.root.Chtimes(name, at, at); err != nil {
			return err
		}
	}
	if t.created {
		// A layer holds the folder above too.
		return os.Chtimes(filepath.Dir(t.root.Name()), time.Time{}, t.above)
	}
	return nil
}

// moveUp makes the one folder that holds the game the root.
func (t *Tree) moveUp() error {
	if _, err := t.root.Lstat(game.File); err == nil {
		return nil
	}
	entries, err := fs.ReadDir(t.root.FS(), ".")
	if err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if len(names) == 1 {
		_, err = t.root.Lstat(path.Join(names[0], game.File))
	}
	if len(names) != 1 || err != nil {
		return fmt.Errorf("%s is neither at the top nor in the only folder there; at the top: %s: %w", game.File, some(names), fs.ErrNotExist)
	}
	// It may hold one of its own name.
	const aside = ".moving-up"
	if err := t.root.Rename(names[0], aside); err != nil {
		return err
	}
	inside, err := fs.ReadDir(t.root.FS(), aside)
	for _, e := range inside {
		err = errors.Join(err, t.root.Rename(path.Join(aside, e.Name()), e.Name()))
	}
	if err := errors.Join(err, t.root.Remove(aside)); err != nil {
		return err
	}
	up := func(name string) string { return strings.TrimPrefix(name, names[0]+"/") }
	folders := map[string]time.Time{".": t.folders[names[0]]}
	for name, at := range t.folders {
		if name != "." && name != names[0] {
			folders[up(name)] = at
		}
	}
	t.folders = folders
	for i, name := range t.links {
		t.links[i] = up(name)
	}
	return nil
}

// some are names for an error.
func some(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "nothing"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
