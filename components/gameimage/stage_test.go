package gameimage_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/gameimage"
)

// source is a module with a session that compiles fast.
var source = map[string]string{
	"go.mod":                     "module example.com/game\n\ngo 1.24\n",
	"image/session/main.go":      "package main\n\nfunc main() {}\n",
	"image/session/notes.txt":    "not staged",
	"image/assets.go":            "package image\n",
	"image/.dockerignore":        "*\n",
	"image/.hidden/file":         "not staged",
	"image/Dockerfile":           "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY . /opt\n",
	"image/launch.sh":            "#!/bin/sh\nexec game\n",
	"image/screen/deep/logo.svg": "<svg/>\n",
}

// checkout is a fresh clone of the source and the arguments to build it.
func checkout(t *testing.T) gameimage.GameImageArgs {
	t.Helper()
	dir := t.TempDir()
	args := using("")
	args.ModuleDir, args.SourceDir, args.StagingDir = dir, filepath.Join(dir, "image"), filepath.Join(dir, ".build", "image")
	for path, content := range source {
		write(t, filepath.Join(dir, filepath.FromSlash(path)), content)
	}
	return args
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
}

// stage stages the source and returns the tag.
func stage(t *testing.T, args gameimage.GameImageArgs) string {
	t.Helper()
	r := run(t, componenttest.Preview, args)
	r.Must(t)
	return r.tag
}

// context lists what is staged: modes of folders and files, and files' content,
// of the session its hash.
func context(t *testing.T, args gameimage.GameImageArgs) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(args.StagingDir, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(args.StagingDir, path)
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		var content []byte
		if !entry.IsDir() {
			content, err = os.ReadFile(path)
			require.NoError(t, err)
		}
		if bytes.HasPrefix(content, []byte("\x7fELF")) {
			content = fmt.Appendf(nil, "ELF %x", sha256.Sum256(content))
		}
		all[filepath.ToSlash(rel)] = fmt.Sprintf("%v %s", info.Mode(), content)
		return nil
	}))
	return all
}

func TestTheContextIsTheImageFolderWithTheSessionCompiled(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	got := context(t, args)
	assert.Regexp(t, "^-rwxr-xr-x ELF", got["session"], "an executable for Linux")
	delete(got, "session")
	assert.Equal(t, map[string]string{
		".":                    "drwxr-xr-x ",
		"Dockerfile":           "-rw-r--r-- " + source["image/Dockerfile"],
		"launch.sh":            "-rwxr-xr-x " + source["image/launch.sh"],
		"screen":               "drwxr-xr-x ",
		"screen/deep":          "drwxr-xr-x ",
		"screen/deep/logo.svg": "-rw-r--r-- " + source["image/screen/deep/logo.svg"],
	}, got, "no Go source, no dotfiles")
}

// Two people with different umasks and folders must get one image.
func TestTheSameSourceIsTheSameContextWhoeverCheckedItOut(t *testing.T) {
	var tags []string
	var contexts []map[string]string
	for _, umask := range []int{0o022, 0o077} {
		before := syscall.Umask(umask)
		defer syscall.Umask(before)
		args := checkout(t)
		tags = append(tags, stage(t, args))
		contexts = append(contexts, context(t, args))
	}
	assert.Equal(t, tags[0], tags[1])
	assert.Equal(t, contexts[0], contexts[1])
}

func TestModesThatWereChangedAreMended(t *testing.T) {
	args := checkout(t)
	tag, want := stage(t, args), context(t, args)
	for path, mode := range map[string]fs.FileMode{"launch.sh": 0o600, "screen": 0o700, "session": 0o644} {
		require.NoError(t, os.Chmod(filepath.Join(args.StagingDir, path), mode))
	}
	require.NoError(t, os.Chmod(filepath.Join(args.SourceDir, "Dockerfile"), 0o755))
	assert.Equal(t, tag, stage(t, args))
	assert.Equal(t, want, context(t, args))
}

func TestAnythingThatIsBuiltFromChangesTheTag(t *testing.T) {
	first := stage(t, checkout(t))
	for name, change := range map[string]func(*gameimage.GameImageArgs){
		"a file": func(a *gameimage.GameImageArgs) {
			write(t, filepath.Join(a.SourceDir, "launch.sh"), "#!/bin/sh\nexec other\n")
		},
		"a file's name":  func(a *gameimage.GameImageArgs) { rename(t, a.SourceDir, "launch.sh", "start.sh") },
		"a further file": func(a *gameimage.GameImageArgs) { write(t, filepath.Join(a.SourceDir, "empty"), "") },
		"the session": func(a *gameimage.GameImageArgs) {
			write(t, filepath.Join(a.SourceDir, "session", "main.go"), "package main\n\nfunc main() { println() }\n")
		},
		"the base image": func(a *gameimage.GameImageArgs) { a.BaseImage = "ubuntu:26.04" },
		"the version":    func(a *gameimage.GameImageArgs) { a.Version = "1.2.4" },
	} {
		args := checkout(t)
		change(&args)
		assert.NotEqual(t, first, stage(t, args), name)
	}
	args := checkout(t)
	write(t, filepath.Join(args.SourceDir, ".dockerignore"), "")
	write(t, filepath.Join(args.SourceDir, "session", "main_test.go"), "package main\n")
	assert.Equal(t, first, stage(t, args), "and what isn't changes nothing")
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)))
}

func TestWhatVanishesFromTheSourceVanishesFromTheContext(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	require.NoError(t, os.RemoveAll(filepath.Join(args.SourceDir, "screen")))
	write(t, filepath.Join(args.SourceDir, "screen"), "now a file")
	rename(t, args.SourceDir, "launch.sh", "old")
	write(t, filepath.Join(args.SourceDir, "launch.sh", "now"), "a folder")
	stray := filepath.Join(args.StagingDir, "stray", "left.staging") // of an interrupted run, say
	write(t, stray, "")
	stage(t, args)

	got := context(t, args)
	delete(got, "session")
	assert.Equal(t, map[string]string{
		".":             "drwxr-xr-x ",
		"Dockerfile":    "-rw-r--r-- " + source["image/Dockerfile"],
		"launch.sh":     "drwxr-xr-x ",
		"launch.sh/now": "-rw-r--r-- a folder",
		"old":           "-rwxr-xr-x " + source["image/launch.sh"],
		"screen":        "-rw-r--r-- now a file",
	}, got)
}

// Docker's cache and the engine's diff see a file that was written again.
func TestAnUnchangedFileIsLeftAlone(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	names := []string{"session", "Dockerfile", "launch.sh"}
	for _, name := range names {
		require.NoError(t, os.Chtimes(filepath.Join(args.StagingDir, name), long, long))
	}
	write(t, filepath.Join(args.SourceDir, "launch.sh"), "#!/bin/sh\n")
	stage(t, args)
	for _, name := range names {
		info, err := os.Stat(filepath.Join(args.StagingDir, name))
		require.NoError(t, err)
		assert.Equal(t, name != "launch.sh", info.ModTime().Equal(long), name)
	}
}

func TestASessionThatDoesNotCompileIsToldByTheCompiler(t *testing.T) {
	args := checkout(t)
	write(t, filepath.Join(args.SourceDir, "session", "main.go"), "package main\n\nfunc main() { undefinedName() }\n")
	r := run(t, componenttest.Preview, args)
	assert.ErrorContains(t, r.Err, "image: compiling the session: ")
	assert.ErrorContains(t, r.Err, "undefined: undefinedName")
	assert.Empty(t, r.OfType(image))
	assert.NoDirExists(t, args.StagingDir)
}
