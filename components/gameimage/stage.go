package gameimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/fsutil"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
)

// staged is a build context with its name.
type staged struct {
	tag  string            // 16 hexadecimal digits of everything below
	args map[string]string // build arguments
}

// programs are main packages below the image folder, and the names of their
// binaries in the context.
var programs = []struct{ folder, binary string }{{"session", "session"}, {"gpurun", "gpu-run"}, {"fetch", "fetch"}}

// The context's folders.
const (
	packagesFolder = "packages" // of the image folder: the packages that are installed
	brandingFolder = "branding"
	gameFolder     = "game"
)

// stage compiles the programs and puts the build context together. The same
// source gives the same files with the same modes, whoever checked it out with
// whatever umask, and an unchanged file is left alone.
//
// A second process waits until the first has staged: each takes the tag of its own
// files. It may stage others, as tests of the program do, or a preview after an edit.
func stage(a GameImageArgs) (staged, error) {
	dir := filepath.Dir(filepath.Clean(a.StagingDir))
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return staged{}, err
	}
	lock := fsutil.NewFileMutex(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		return staged{}, err
	}
	defer lock.Unlock() //nolint:errcheck // it returns none
	files, err := contextFiles(a)
	if err != nil {
		return staged{}, err
	}
	if err := writeContext(a.StagingDir, files); err != nil {
		return staged{}, err
	}
	s := staged{args: a.buildArgs()}
	s.tag, err = identity(a.StagingDir, files, s.args)
	return s, err
}

func (a GameImageArgs) buildArgs() map[string]string {
	args := map[string]string{
		"BASE_IMAGE": a.BaseImage, "DISPLAY_SERVER": string(a.DisplayServer), "VERSION": a.Version,
		"GAME_SOURCE": "folder", "GAME": gameName(a.Game), "STOP_SECONDS": strconv.Itoa(a.StopSeconds),
		"GAME_MAX_GIB": strconv.Itoa(a.MaxGiB),
	}
	if a.DisplayServer == contract.DCV {
		args["DCV_SOURCE"] = a.DCVSource
	}
	if a.Revision != "" {
		args["REVISION"] = a.Revision
	}
	return args
}

// file is a file, folder or link of the context.
type file struct {
	path   string      // slash-separated
	mode   fs.FileMode // as it is staged
	source string      // the file's path
	target string      // of a link
	large  bool        // one of a game: staged as a hard link if possible
}

// Context files have one of two modes and folders one, whatever the checkout's are.
const (
	plainMode      fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
	folderMode     fs.FileMode = 0o755
)

// contextFiles returns the whole context, each folder before its files.
func contextFiles(a GameImageArgs) ([]file, error) {
	files, err := compile(a)
	if err != nil {
		return nil, err
	}
	files = append(files, file{path: "Dockerfile", mode: plainMode, source: filepath.Join(a.SourceDir, "Dockerfile")})
	packages, err := packageFiles(filepath.Join(a.SourceDir, packagesFolder))
	if err != nil {
		return nil, err
	}
	brand, err := branding.Load(a.Branding)
	if err != nil {
		return nil, err
	}
	for _, name := range brand.Files {
		packages = append(packages, file{path: path.Join(brandingFolder, name), mode: plainMode, source: filepath.Join(a.Branding, name)})
	}
	game := []file{{path: gameFolder, mode: fs.ModeDir | folderMode}} // the build mounts it, though it be empty
	if a.Build == nil {
		if game, err = gameFiles(a.Game); err != nil {
			return nil, err
		}
	}
	return slices.Concat(files, packages, game), nil
}

// packageFiles are a folder's files, scripts with the right to be executed.
func packageFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".go") {
			continue
		}
		f := file{path: path.Join(packagesFolder, name), mode: plainMode, source: filepath.Join(dir, name)}
		text, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(text, []byte("#!")) {
			f.mode = executableMode
		}
		files = append(files, f)
	}
	return files, nil
}

// compile builds the programs as they run in the container: static, without
// paths or stamps, so that every machine builds the same. The
// binaries stay beside the staging folder, so that unchanged ones aren't linked again.
func compile(a GameImageArgs) ([]file, error) {
	source, err := filepath.Abs(a.SourceDir)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(filepath.Dir(filepath.Clean(a.StagingDir)), "bin"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir}
	var files []file
	for _, p := range programs {
		args = append(args, filepath.Join(source, p.folder))
		files = append(files, file{path: p.binary, mode: executableMode, source: filepath.Join(dir, p.folder)})
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = a.ModuleDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOWORK=off",
		"GOTMPDIR="+dir) // on the same disk, so that a binary appears whole
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling its programs: %w\n%s", err, output)
	}
	return files, nil
}

// writeContext makes the folder hold these files and nothing else. Each file appears
// whole, since a build may read the folder.
func writeContext(dir string, files []file) error {
	dir = filepath.Clean(dir)
	isFolder := map[string]bool{dir: true} // of every path that is wanted
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		isFolder[path] = f.mode.IsDir()
		for path != dir {
			path = filepath.Dir(path)
			isFolder[path] = true
		}
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return err
	}
	if err := removeOthers(dir, isFolder); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(isFolder)) { // a folder before its files
		if !isFolder[path] {
			continue
		}
		if err := errors.Join(os.MkdirAll(path, folderMode), os.Chmod(path, folderMode)); err != nil {
			return err
		}
	}
	for _, f := range files {
		if f.mode.IsDir() {
			continue
		}
		if err := place(dir, f); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

// removeOthers removes files and folders that are not of the context, and those of the
// other kind.
func removeOthers(dir string, isFolder map[string]bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if folder, wanted := isFolder[path]; wanted && folder == entry.IsDir() {
			return nil
		}
		if err := os.RemoveAll(path); err != nil || !entry.IsDir() {
			return err
		}
		return filepath.SkipDir
	})
}

// place makes a file or link beside the folder and renames it into it, so that no
// partial file is ever in the folder. It never writes to an existing file, nor changes
// its mode: that may be a hard link to the game's own.
func place(dir string, f file) error {
	at := filepath.Join(dir, filepath.FromSlash(f.path))
	if there, err := isPlaced(at, f); err != nil || there {
		return err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), ".staging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	temporary := filepath.Join(aside, "file")
	switch {
	case f.mode&fs.ModeSymlink != 0:
		err = os.Symlink(f.target, temporary)
	case !linkable(at, f) || os.Link(f.source, temporary) != nil: // on another disk, say
		err = copyFile(temporary, f)
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary, at)
}

// isPlaced reports whether a file is there already, byte for byte.
func isPlaced(at string, f file) (bool, error) {
	now, err := os.Lstat(at)
	if err != nil {
		return false, nil //nolint:nilerr // it is not there
	}
	if f.mode&fs.ModeSymlink != 0 {
		target, err := os.Readlink(at)
		return err == nil && target == f.target, nil
	}
	source, err := os.Stat(f.source)
	switch {
	case err != nil:
		return false, err
	case now.Mode() != f.mode || now.Size() != source.Size():
		return false, nil
	case os.SameFile(now, source):
		return true, nil
	}
	return sameContent(at, f.source)
}

// linkable reports whether a file may be staged as a hard link to its source. Docker
// takes a file with the size and time of one that it was sent before for the same, even
// if its content is another; a copy has a time of its own.
func linkable(at string, f file) bool {
	source, err := os.Stat(f.source)
	if err != nil || !f.large || source.Mode() != f.mode {
		return false
	}
	now, err := os.Lstat(at)
	return err != nil || now.Size() != source.Size() || !now.ModTime().Equal(source.ModTime())
}

func copyFile(to string, f file) error {
	source, err := os.Open(f.source)
	if err != nil {
		return err
	}
	defer source.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return errors.Join(err, out.Chmod(f.mode), out.Close())
}

// sameContent compares two files of one size.
func sameContent(a, b string) (bool, error) {
	sums := [2][]byte{}
	for i, path := range []string{a, b} {
		sum, err := fileSum(path)
		if err != nil {
			return false, err
		}
		sums[i] = sum
	}
	return bytes.Equal(sums[0], sums[1]), nil
}

func fileSum(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return sum.Sum(nil), err
}

// identity hashes all that goes into an image, as it is staged.
func identity(dir string, files []file, args map[string]string) (string, error) {
	sum := sha256.New()
	ordered, err := json.Marshal(args) // sorted by name
	if err != nil {
		return "", err
	}
	fmt.Fprintf(sum, "%s %s\n", platform, ordered)
	for _, f := range files {
		var content []byte
		if f.mode.IsRegular() {
			if content, err = fileSum(filepath.Join(dir, filepath.FromSlash(f.path))); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(sum, "%q %v %q %x\n", f.path, f.mode, f.target, content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
