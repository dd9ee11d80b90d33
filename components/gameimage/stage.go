package gameimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// staged is a build context: what the image is made from, and its name.
type staged struct {
	tag  string            // 16 hexadecimal digits of everything below
	args map[string]string // build arguments
}

// sessionPackage is the session's main package, below the image folder; its
// binary is staged as "session", its source is not.
const sessionPackage = "session"

// stage compiles the session and puts the build context together. The same
// source gives the same files with the same modes, whoever checked it out with
// whatever umask, and an unchanged file is left alone.
func stage(a GameImageArgs) (staged, error) {
	files, err := contextFiles(a)
	if err != nil {
		return staged{}, err
	}
	if err := writeContext(a.StagingDir, files); err != nil {
		return staged{}, err
	}
	s := staged{args: map[string]string{"BASE_IMAGE": a.BaseImage, "VERSION": a.Version}}
	s.tag, err = identity(files, s.args)
	return s, err
}

// file is one file of the context.
type file struct {
	path    string // slash-separated
	mode    fs.FileMode
	content []byte
}

// Context files have one of two modes and folders one, whatever the checkout's are.
const (
	plainMode      fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
	folderMode     fs.FileMode = 0o755
)

func contextFiles(a GameImageArgs) ([]file, error) {
	binary, err := compileSession(a)
	if err != nil {
		return nil, err
	}
	files := []file{{sessionPackage, executableMode, binary}}
	err = filepath.WalkDir(a.SourceDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(a.SourceDir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if rel == sessionPackage || strings.HasPrefix(entry.Name(), ".") && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, ".go") || strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := plainMode
		if bytes.HasPrefix(content, []byte("#!")) {
			mode = executableMode
		}
		files = append(files, file{filepath.ToSlash(rel), mode, content})
		return nil
	})
	return files, err
}

// compileSession builds the session as it runs in the container: static, without
// paths or stamps, so that it is the same wherever it is built. The binary stays
// beside the staging folder: where nothing has changed it isn't linked again.
func compileSession(a GameImageArgs) ([]byte, error) {
	source, err := filepath.Abs(filepath.Join(a.SourceDir, sessionPackage))
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(filepath.Clean(a.StagingDir)))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, sessionPackage)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, source)
	cmd.Dir = a.ModuleDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOWORK=off",
		"GOTMPDIR="+dir) // on the same disk, so that the binary appears whole
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the session: %w\n%s", err, output)
	}
	return os.ReadFile(out)
}

// writeContext makes the folder hold these files and nothing else. Each file
// appears whole, so that two previews at once don't disturb each other.
func writeContext(dir string, files []file) error {
	dir = filepath.Clean(dir)
	isFolder := map[string]bool{dir: true} // of every path that is wanted
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		isFolder[path] = false
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
	for _, path := range slices.Sorted(maps.Keys(isFolder)) { // a folder before what is in it
		if !isFolder[path] {
			continue
		}
		if err := errors.Join(os.MkdirAll(path, folderMode), os.Chmod(path, folderMode)); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := writeFile(dir, f); err != nil {
			return err
		}
	}
	return nil
}

// removeOthers removes what isn't wanted, or is a folder where a file is wanted
// or the other way round.
func removeOthers(dir string, isFolder map[string]bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // another preview removed it first
			return nil
		}
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

// writeFile writes beside the folder first: what isn't whole is never in it.
func writeFile(dir string, f file) error {
	path := filepath.Join(dir, filepath.FromSlash(f.path))
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, f.content) {
		return os.Chmod(path, f.mode)
	}
	temporary, err := os.CreateTemp(filepath.Dir(dir), ".staging-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(f.content)
	err = errors.Join(err, temporary.Close(), os.Chmod(temporary.Name(), f.mode))
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// identity hashes all that goes into an image.
func identity(files []file, args map[string]string) (string, error) {
	sum := sha256.New()
	ordered, err := json.Marshal(args) // sorted by name
	if err != nil {
		return "", err
	}
	fmt.Fprintf(sum, "%s %s\n", platform, ordered)
	for _, f := range files {
		fmt.Fprintf(sum, "%s %o %d\n", f.path, f.mode, len(f.content))
		sum.Write(f.content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
