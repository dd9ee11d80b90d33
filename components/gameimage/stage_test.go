package gameimage_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/contract"
)

// source is a module whose programs compile fast, with a game and a brand.
var source = map[string]string{
	"go.mod":                    "module example.com/game\n\ngo 1.24\n",
	"image/session/main.go":     "package main\n\nfunc main() {}\n",
	"image/session/notes.txt":   "not staged",
	"image/gpurun/main.go":      "package main\n\nfunc main() { println() }\n",
	"image/fetch/main.go":       "package main\n\nfunc main() { println(1) }\n",
	"image/assets.go":           "package image\n",
	"image/.dockerignore":       "*\n",
	"image/Dockerfile":          "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY . /opt\n",
	"image/packages/install":    "#!/bin/sh\napt-get install\n",
	"image/packages/system.txt": "libgl1\n",
	"image/packages/.hidden":    "not staged",
	"image/packages/all.go":     "package packages\n",
	"image/games/other/data":    "not staged",
	"image/testdata/data":       "not staged",
	"branding/branding.yaml":    brand,
	"branding/mark.svg":         `<svg xmlns="http://www.w3.org/2000/svg"/>`,
	"branding/notes.txt":        "not staged",
	"game/game.yaml":            "name: Chess\nversion: 1\nexecutable: bin/play\ngraphics: opengl\n",
	"game/bin/play":             "#!/bin/sh\n",
	"game/data/.hidden":         "a game's own",
}

const brand = `
title: Chess
logo: mark.svg
colors:
  light: {background: "#ffffff", surface: "#ffffff", text: "#000000", quiet: "#000000", accent: "#000000", onAccent: "#ffffff", error: "#000000"}
  dark: {background: "#000000", surface: "#000000", text: "#ffffff", quiet: "#ffffff", accent: "#ffffff", onAccent: "#000000", error: "#ffffff"}
texts: {greeting: Hello, signIn: Sign in, support: Ask}
`

// checkout is a fresh clone of the source and the arguments to build it.
func checkout(t *testing.T) gameimage.GameImageArgs {
	t.Helper()
	dir := t.TempDir()
	args := using("")
	args.ModuleDir, args.SourceDir, args.StagingDir = dir, filepath.Join(dir, "image"), filepath.Join(dir, ".build", "image")
	args.Game, args.Branding = filepath.Join(dir, "game"), filepath.Join(dir, "branding")
	for path, content := range source {
		write(t, filepath.Join(dir, filepath.FromSlash(path)), content)
	}
	require.NoError(t, os.Chmod(filepath.Join(args.Game, "bin", "play"), 0o700)) // an archive's, say
	require.NoError(t, os.Mkdir(filepath.Join(args.Game, "empty"), 0o700))
	require.NoError(t, os.Symlink("bin/play", filepath.Join(args.Game, "play")))
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

// context lists the staged folders and files with their modes, and files with their
// content, a program with its hash.
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
		switch entry.Type() {
		case 0:
			content, err = os.ReadFile(path)
			require.NoError(t, err)
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			content = []byte(target)
		}
		if bytes.HasPrefix(content, []byte("\x7fELF")) {
			content = fmt.Appendf(nil, "ELF %x", sha256.Sum256(content))
		}
		all[filepath.ToSlash(rel)] = fmt.Sprintf("%v %s", info.Mode(), content)
		return nil
	}))
	return all
}

func TestTheContextIsWhatTheDockerfileTakes(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	got := context(t, args)
	programs := map[string]bool{}
	for _, program := range []string{"session", "gpu-run", "fetch"} {
		assert.Regexp(t, "^-rwxr-xr-x ELF", got[program], "an executable for Linux")
		programs[got[program]] = true
		delete(got, program)
	}
	assert.Len(t, programs, 3, "each its own")
	assert.Equal(t, map[string]string{
		".":                      "drwxr-xr-x ",
		"Dockerfile":             "-rw-r--r-- " + source["image/Dockerfile"],
		"packages":               "drwxr-xr-x ",
		"packages/install":       "-rwxr-xr-x " + source["image/packages/install"],
		"packages/system.txt":    "-rw-r--r-- " + source["image/packages/system.txt"],
		"branding":               "drwxr-xr-x ",
		"branding/branding.yaml": "-rw-r--r-- " + source["branding/branding.yaml"],
		"branding/mark.svg":      "-rw-r--r-- " + source["branding/mark.svg"],
		"game":                   "drwxr-xr-x ",
		"game/game.yaml":         "-rw-r--r-- " + source["game/game.yaml"],
		"game/bin":               "drwxr-xr-x ",
		"game/bin/play":          "-rwxr-xr-x " + source["game/bin/play"],
		"game/data":              "drwxr-xr-x ",
		"game/data/.hidden":      "-rw-r--r-- " + source["game/data/.hidden"],
		"game/empty":             "drwxr-xr-x ",
		"game/play":              "Lrwxrwxrwx bin/play",
	}, got, "no Go source, no dotfiles but the game's, no other game")
}

func TestAnArchiveIsStagedAsItIs(t *testing.T) {
	args := checkout(t)
	args.Game = filepath.Join(filepath.Dir(args.SourceDir), "builds", "chess.tar.zst")
	write(t, args.Game, "archive")
	stage(t, args)
	got := context(t, args)
	assert.Equal(t, "-rw-r--r-- archive", got["game/chess.tar.zst"])
	assert.NotContains(t, got, "game/game.yaml")
	assert.True(t, sameFile(t, args.Game, filepath.Join(args.StagingDir, "game", "chess.tar.zst")), "not copied")
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	require.NoError(t, err)
	other, err := os.Stat(b)
	require.NoError(t, err)
	return os.SameFile(one, other)
}

// A game has tens of gigabytes.
func TestAGamesFilesAreStagedWithoutACopyAndNeverChanged(t *testing.T) {
	args := checkout(t)
	plain, script := filepath.Join(args.Game, "game.yaml"), filepath.Join(args.Game, "bin", "play")
	stagedPlain, stagedScript := filepath.Join(args.StagingDir, "game", "game.yaml"), filepath.Join(args.StagingDir, "game", "bin", "play")
	require.NoError(t, os.Chmod(plain, 0o644))
	tag := stage(t, args)
	assert.True(t, sameFile(t, plain, stagedPlain))
	assert.False(t, sameFile(t, script, stagedScript), "its mode is not the image's")

	require.NoError(t, os.Chmod(plain, 0o600)) // of the staged file too: it is the same
	assert.Equal(t, tag, stage(t, args))
	assert.False(t, sameFile(t, plain, stagedPlain))
	info, err := os.Stat(plain)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode(), "the game's own stays as it was")
	assert.Equal(t, "-rw-r--r-- "+source["game/game.yaml"], context(t, args)["game/game.yaml"])

	require.NoError(t, os.RemoveAll(args.StagingDir))
	assert.FileExists(t, plain)
}

// Docker takes a file of the size and time that it was sent before for that one.
func TestAnotherBuildOfTheSameSizesAndTimesIsSeen(t *testing.T) {
	args := checkout(t)
	data, long := filepath.Join(args.Game, "data", "level"), time.Now().Add(-time.Hour)
	build := func(content string) {
		t.Helper()
		require.NoError(t, os.RemoveAll(data))
		write(t, data, content)
		require.NoError(t, os.Chmod(data, 0o644))
		require.NoError(t, os.Chtimes(data, long, long))
	}
	build("one")
	first := stage(t, args)
	before, err := os.Stat(filepath.Join(args.StagingDir, "game", "data", "level"))
	require.NoError(t, err)
	build("two")
	assert.NotEqual(t, first, stage(t, args))
	after, err := os.Stat(filepath.Join(args.StagingDir, "game", "data", "level"))
	require.NoError(t, err)
	assert.NotEqual(t, before.ModTime(), after.ModTime())
	assert.Equal(t, "-rw-r--r-- two", context(t, args)["game/data/level"])
}

func TestWhatDoesNotBelongIntoAGameIsRefusedByName(t *testing.T) {
	args := checkout(t)
	for name, target := range map[string]string{
		"out": "../branding", "absolute": "/etc/passwd", "data/deep": "../../game/bin", "loop": "loop", "later": "nowhere/../../out", "through": "play/../bin",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(args.Game, name)))
	}
	require.NoError(t, os.Symlink("nowhere", filepath.Join(args.Game, "dangling")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(args.Game, "pipe"), 0o600))
	err := gameimage.CheckGame(args.Game, 30, 1)
	for _, fault := range []string{
		`out: a link to "../branding", which leads out of the game's folder`,
		`absolute: a link to "/etc/passwd"`, `data/deep: a link to`, `loop: a link to`, `later: a link to`, `through: a link to`,
		"pipe: neither file, folder nor link",
		"the game's folder has 7 faults",
	} {
		assert.ErrorContains(t, err, fault)
	}
	assert.NotContains(t, err.Error(), "dangling")
	r := run(t, componenttest.Preview, args)
	assert.ErrorContains(t, r.Err, "the game's folder has 7 faults")
	assert.Empty(t, r.OfType(image))
}

func TestAGameIsCheckedBeforeItsBuild(t *testing.T) {
	args := checkout(t)
	assert.NoError(t, gameimage.CheckGame(args.Game, 25, 1))
	assert.ErrorContains(t, gameimage.CheckGame(args.Game, 24, 1), "stop.seconds is 15; allowed")
	require.NoError(t, os.Chmod(filepath.Join(args.Game, "bin", "play"), 0o600))
	assert.NoError(t, gameimage.CheckGame(args.Game, 25, 1), "of a folder made on Windows, the build permits the executable")
	write(t, filepath.Join(args.Game, "game.yaml"), "name: Chess\n")
	assert.ErrorContains(t, gameimage.CheckGame(args.Game, 25, 1), "executable")
	assert.ErrorIs(t, gameimage.CheckGame(filepath.Join(args.Game, "none"), 25, 1), fs.ErrNotExist)

	large := filepath.Join(args.Game, "large")
	write(t, large, "")
	require.NoError(t, os.Truncate(large, 1<<30))
	assert.ErrorContains(t, gameimage.CheckGame(args.Game, 25, 1), "more than 1 GiB unpacked, the limit of image.gameMaxGib")
	require.NoError(t, os.Remove(large))

	dir := t.TempDir()
	for name, fault := range map[string]string{
		"a.tar": "", "a.tar.gz": "", "a.tgz": "", "a.tar.zst": "", "a.zip": "", "a.7z": "neither a folder nor an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip)",
	} {
		write(t, filepath.Join(dir, name), "")
		if err := gameimage.CheckGame(filepath.Join(dir, name), 25, 1); fault == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, fault, name)
		}
	}
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
	for path, mode := range map[string]fs.FileMode{"packages/install": 0o600, "branding": 0o700, "session": 0o644, "game/bin/play": 0o644} {
		require.NoError(t, os.Chmod(filepath.Join(args.StagingDir, path), mode))
	}
	require.NoError(t, os.Chmod(filepath.Join(args.SourceDir, "Dockerfile"), 0o755))
	assert.Equal(t, tag, stage(t, args))
	assert.Equal(t, want, context(t, args))
}

func TestAnythingThatIsBuiltFromChangesTheTag(t *testing.T) {
	first := stage(t, checkout(t))
	inSource := func(path, content string) func(*gameimage.GameImageArgs) {
		return func(a *gameimage.GameImageArgs) {
			write(t, filepath.Join(a.ModuleDir, filepath.FromSlash(path)), content)
		}
	}
	for name, change := range map[string]func(*gameimage.GameImageArgs){
		"the Dockerfile":   inSource("image/Dockerfile", "FROM scratch\n"),
		"a package list":   inSource("image/packages/system.txt", "libegl1\n"),
		"a further list":   inSource("image/packages/dcv.txt", ""),
		"a file's name":    func(a *gameimage.GameImageArgs) { rename(t, a.SourceDir, "packages/system.txt", "packages/s.txt") },
		"the session":      inSource("image/session/main.go", "package main\n\nfunc main() { println(2) }\n"),
		"the GPU launcher": inSource("image/gpurun/main.go", "package main\n\nfunc main() { println(3) }\n"),
		"the fetcher":      inSource("image/fetch/main.go", "package main\n\nfunc main() { println(4) }\n"),
		"the brand":        inSource("branding/branding.yaml", strings.Replace(brand, "Chess", "Go", 1)),
		"the logo":         inSource("branding/mark.svg", `<svg xmlns="http://www.w3.org/2000/svg"></svg>`),
		"the game":         inSource("game/data/.hidden", "changed"),
		"the right to run it": func(a *gameimage.GameImageArgs) {
			require.NoError(t, os.Chmod(filepath.Join(a.Game, "data", ".hidden"), 0o755))
		},
		"a folder of it": func(a *gameimage.GameImageArgs) { rename(t, a.Game, "empty", "void") },
		"a link of it": func(a *gameimage.GameImageArgs) {
			require.NoError(t, os.Remove(filepath.Join(a.Game, "play")))
			require.NoError(t, os.Symlink("bin", filepath.Join(a.Game, "play")))
		},
		"the base image":  func(a *gameimage.GameImageArgs) { a.BaseImage = "ubuntu:26.04" },
		"the version":     func(a *gameimage.GameImageArgs) { a.Version = "1.2.4" },
		"the revision":    func(a *gameimage.GameImageArgs) { a.Revision = "0a1b2c3" },
		"the display":     func(a *gameimage.GameImageArgs) { a.DisplayServer = contract.VNC },
		"DCV's source":    func(a *gameimage.GameImageArgs) { a.DCVSource = "https://example.com" },
		"the time to end": func(a *gameimage.GameImageArgs) { a.StopSeconds = 31 },
	} {
		args := checkout(t)
		change(&args)
		assert.NotEqual(t, first, stage(t, args), name)
	}
	args := checkout(t)
	write(t, filepath.Join(args.SourceDir, ".dockerignore"), "")
	write(t, filepath.Join(args.SourceDir, "session", "main_test.go"), "package main\n")
	write(t, filepath.Join(args.SourceDir, "games", "other", "data"), "")
	write(t, filepath.Join(args.Branding, "notes.txt"), "")
	assert.Equal(t, first, stage(t, args), "and what isn't changes nothing")
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)))
}

func TestWhatVanishesFromTheSourceVanishesFromTheContext(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	require.NoError(t, os.RemoveAll(filepath.Join(args.Game, "data")))
	write(t, filepath.Join(args.Game, "data"), "now a file")
	require.NoError(t, os.Chmod(filepath.Join(args.Game, "data"), 0o644))
	require.NoError(t, os.Remove(filepath.Join(args.Game, "play")))
	write(t, filepath.Join(args.Game, "play", "now"), "a folder")
	rename(t, args.SourceDir, "packages/system.txt", "packages/old.txt")
	stray := filepath.Join(args.StagingDir, "stray", "left.staging") // of an interrupted run, say
	write(t, stray, "")
	stage(t, args)

	got := context(t, args)
	assert.Equal(t, "-rw-r--r-- now a file", got["game/data"])
	assert.Equal(t, "-rw-r--r-- a folder", got["game/play/now"])
	for _, gone := range []string{"stray", "game/data/.hidden", "packages/system.txt"} {
		assert.NotContains(t, got, gone)
	}
	assert.Contains(t, got, "packages/old.txt")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(args.StagingDir), ".staging-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Docker's cache and the engine's diff see a file that was written again.
func TestAnUnchangedFileIsLeftAlone(t *testing.T) {
	args := checkout(t)
	stage(t, args)
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	names := []string{"session", "Dockerfile", "packages/install", "game/bin/play"}
	for _, name := range names {
		require.NoError(t, os.Chtimes(filepath.Join(args.StagingDir, name), long, long))
	}
	write(t, filepath.Join(args.SourceDir, "packages", "install"), "#!/bin/sh\n")
	stage(t, args)
	for _, name := range names {
		info, err := os.Stat(filepath.Join(args.StagingDir, name))
		require.NoError(t, err)
		assert.Equal(t, name != "packages/install", info.ModTime().Equal(long), name)
	}
}

// Tests of the program and previews stage at the same time, not always the same game.
func TestStagingsOfOneFolderWaitForEachOther(t *testing.T) {
	args := checkout(t)
	other := args
	other.Game = filepath.Join(args.ModuleDir, "other")
	write(t, filepath.Join(other.Game, "game.yaml"), source["game/game.yaml"])
	write(t, filepath.Join(other.Game, "bin", "play"), "#!/bin/sh\nexit\n")
	for i := range 300 { // so that a staging takes its time
		write(t, filepath.Join(args.Game, "data", fmt.Sprint(i)), "one")
		write(t, filepath.Join(other.Game, "data", fmt.Sprint(i)), "other")
	}
	tag, otherTag := stage(t, args), stage(t, other)
	var stagings sync.WaitGroup
	for range 4 {
		stagings.Go(func() { assert.Equal(t, tag, run(t, componenttest.Preview, args).tag) })
		stagings.Go(func() { assert.Equal(t, otherTag, run(t, componenttest.Preview, other).tag) })
	}
	stagings.Wait()
}

func TestAProgramThatDoesNotCompileIsToldByTheCompiler(t *testing.T) {
	args := checkout(t)
	write(t, filepath.Join(args.SourceDir, "session", "main.go"), "package main\n\nfunc main() { undefinedName() }\n")
	r := run(t, componenttest.Preview, args)
	assert.ErrorContains(t, r.Err, "image: compiling its programs: ")
	assert.ErrorContains(t, r.Err, "undefined: undefinedName")
	assert.Empty(t, r.OfType(image))
	assert.NoDirExists(t, args.StagingDir)
}
