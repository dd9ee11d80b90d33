package gameimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// Context files have one of two modes, whatever the checkout's are.
const (
	plainMode      fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
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
// paths, stamps or a build id, so that it is the same wherever it is built.
func compileSession(a GameImageArgs) ([]byte, error) {
	dir, err := os.MkdirTemp("", "dcv-session-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "session")
	source, err := filepath.Abs(filepath.Join(a.SourceDir, sessionPackage))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", out, source)
	cmd.Dir = a.ModuleDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the session: %w\n%s", err, output)
	}
	return os.ReadFile(out)
}

// writeContext makes the folder hold these files and nothing else. Each file
// appears whole, so that two previews at once don't disturb each other.
func writeContext(dir string, files []file) error {
	wanted := map[string]bool{}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		wanted[path] = true
		if err := writeFile(path, f); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !wanted[path] && !strings.HasSuffix(path, newSuffix) {
			return os.Remove(path)
		}
		return nil
	})
}

const newSuffix = ".staging"

func writeFile(path string, f file) error {
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, f.content) {
		return os.Chmod(path, f.mode)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "*"+newSuffix)
	if err != nil {
		return err
	}
	_, err = temporary.Write(f.content)
	err = errors.Join(err, temporary.Close(), os.Chmod(temporary.Name(), f.mode))
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
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
