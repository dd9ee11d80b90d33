package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// The double of Docker starts this very program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == insideCommand {
		os.Exit(inside(context.Background(), os.Args[2:]))
	}
	os.Exit(m.Run())
}

const manifestText = "name: Chess\nversion: 1.2\nexecutable: play\ngraphics: opengl\nwindow: {width: 640, height: 480}\nstop: {seconds: 1}\n"

// folder is a game's, of files by name; programs begin with "#!" or are ELF.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		rights := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") {
			rights = 0o755
		}
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), rights))
	}
	return dir
}

// ls is a program that links libc.so.6, or another library with a name as long.
func ls(t *testing.T, library string) string {
	t.Helper()
	content, err := os.ReadFile("/bin/ls")
	require.NoError(t, err)
	return strings.ReplaceAll(string(content), "libc.so.6\x00", library+"\x00")
}

// rowsOf are a check's rows.
func rowsOf(t *testing.T, check, path string, o options) []row {
	t.Helper()
	all, err := checked(t.Context(), path, o)
	require.NoError(t, err)
	var rows []row
	for _, r := range all {
		if r.check == check {
			rows = append(rows, r)
		}
	}
	require.NotEmpty(t, rows, "%s in %v", check, all)
	return rows
}

func TestAGoodGameHasNoFault(t *testing.T) {
	dir := folder(t, map[string]string{"game.yaml": manifestText, "play": ls(t, "libc.so.6") + "libGL.so.1 libpulse.so.0"})
	rows, err := checked(t.Context(), dir, options{})
	require.NoError(t, err)
	results := map[string]result{}
	for _, r := range rows {
		results[r.check] = r.result
	}
	assert.Equal(t, map[string]result{
		"manifest": good, "layer": good, "program": good, "graphics": good, "sound": good, "libraries": good, "start": unseen,
	}, results)

	var out bytes.Buffer
	show(&out, rows)
	assert.Contains(t, out.String(), "manifest   good      Chess 1.2\n")
	assert.Contains(t, out.String(), "\n                     to do: name a session image with VNC: make check-game")
}

func TestEveryFaultOfAManifestIsARow(t *testing.T) {
	dir := folder(t, map[string]string{"game.yaml": "name: Chess\nversion: 1\nexecutable: play\ngraphics: directx\n"})
	rows := rowsOf(t, "manifest", dir, options{})
	require.Len(t, rows, 2)
	assert.Equal(t, fault, rows[0].result)
	assert.Contains(t, rows[0].found, `graphics is "directx"`)
	assert.Contains(t, rows[1].found, `executable is "play"`)

	dir = folder(t, map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n"})
	assert.Equal(t, good, rowsOf(t, "manifest", dir, options{stopSeconds: 30})[0].result)
	assert.Equal(t, fault, rowsOf(t, "manifest", dir, options{stopSeconds: 10})[0].result)
	assert.Equal(t, fault, rowsOf(t, "folder", t.TempDir(), options{})[0].result)
}

func TestAMissingLibraryIsNamed(t *testing.T) {
	dir := folder(t, map[string]string{
		"game.yaml": manifestText, "play": ls(t, "libq.so.6"),
		"plugins/a.so": ls(t, "libr.so.6"), "plugins/b.so": ls(t, "libs.so.6"), "lib/libs.so.6": "the game's own",
	})
	found := map[string]row{}
	for _, r := range rowsOf(t, "libraries", dir, options{}) {
		name, _, _ := strings.Cut(r.found, ":")
		found[name] = r
	}
	require.Len(t, found, 3)
	assert.Equal(t, fault, found["play"].result)
	assert.Contains(t, found["play"].found, "libq.so.6 => not found")
	assert.Contains(t, found["play"].found, "this machine's")
	assert.Equal(t, fault, found["plugins/a.so"].result)
	assert.Equal(t, look, found["plugins/b.so"].result, "the game brings it")
}

func TestTheManifestsGraphicsAreThoseOfTheProgram(t *testing.T) {
	for named, want := range map[string]result{"libGL.so.1": good, "libvulkan.so.1 libGLX.so.0": good, "libvulkan.so.1": fault, "": unseen} {
		// Beyond the first block that is searched, and across the end of one.
		for _, gap := range []int{0, 2 << 20, 1<<20 - 5} {
			text := ls(t, "libc.so.6")
			text += strings.Repeat(".", max(0, gap-len(text))) + named
			dir := folder(t, map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n", "engine.so": text})
			assert.Equal(t, want, rowsOf(t, "graphics", dir, options{})[0].result, named)
		}
	}
}

func TestTheLayersSizeIsThatOfItsFiles(t *testing.T) {
	dir := folder(t, map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n", "data": strings.Repeat("0", 10_000_000)})
	r := rowsOf(t, "layer", dir, options{})[0]
	assert.Contains(t, r.found, "10.0 MB in 3 files; as a registry's layer, by gzip, 0.0 MB (measured)")

	// Of a large one (here of zeros that take no disk) a fourth is compressed.
	require.NoError(t, os.Truncate(filepath.Join(dir, "data"), 3<<30))
	if !testing.Short() {
		r = rowsOf(t, "layer", dir, options{})[0]
		assert.Regexp(t, `^3221\.2 MB in 3 files; .*estimated from 805\.3 MB of it`, r.found)
	}
}

func TestWhatASessionHasNoUseForIsTold(t *testing.T) {
	dir := folder(t, map[string]string{
		"game.yaml": manifestText, "play": "#!/bin/sh\n", "lib/libsteam_api.so": "", "EasyAntiCheat_x64.so": "", "a.debug": "12345", "b.debug": "",
	})
	var found []string
	for _, r := range rowsOf(t, "contents", dir, options{}) {
		assert.Equal(t, look, r.result)
		found = append(found, r.found)
	}
	assert.Equal(t, []string{
		"Steam's library: lib/libsteam_api.so (1 such, 0.0 MB)", "an anti-cheat: EasyAntiCheat_x64.so (1 such, 0.0 MB)", "debug symbols: a.debug (2 such, 0.0 MB)",
	}, found)
}

func TestLinksOutOfTheFolderAreFound(t *testing.T) {
	dir := folder(t, map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n"})
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "settings")))
	r := rowsOf(t, "files", dir, options{})[0]
	assert.Equal(t, fault, r.result)
	assert.Contains(t, r.found, "settings is a link")
}

func TestAnArchiveIsCheckedAsTheBuildTakesIt(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n"} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "chess/" + name, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	dir := folder(t, map[string]string{"chess.tar": b.String()})
	assert.Equal(t, good, rowsOf(t, "manifest", filepath.Join(dir, "chess.tar"), options{})[0].result)
	assert.Equal(t, good, rowsOf(t, "manifest", dir, options{})[0].result, "or the folder with it")

	require.NoError(t, os.Truncate(filepath.Join(dir, "chess.tar"), 1024))
	assert.Contains(t, rowsOf(t, "archive", dir, options{})[0].found, "cut off")
}

func TestAnExecutableWithoutPermissionIsWorthALook(t *testing.T) {
	dir := folder(t, map[string]string{"game.yaml": manifestText, "play": ls(t, "libc.so.6") + "libGL.so.1"})
	require.NoError(t, os.Chmod(filepath.Join(dir, "play"), 0o644))
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	archive := filepath.Join(folder(t, map[string]string{"chess.zip": b.String()}), "chess.zip")
	for _, path := range []string{dir, archive} {
		r := rowsOf(t, "permission", path, options{})
		require.Len(t, r, 1)
		assert.Equal(t, look, r[0].result)
		assert.Contains(t, r[0].found, "play lacks the permission to be executed")
		assert.Equal(t, good, rowsOf(t, "manifest", path, options{})[0].result)
	}
	info, err := os.Stat(filepath.Join(dir, "play"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode(), "somebody's folder is left as it is")
	m, err := game.LoadSource(dir)
	require.NoError(t, err)
	assert.Contains(t, started(t.Context(), dir, m, 0).Skipped, "chmod +x")
}

// docker puts a double of Docker into PATH: it runs the container's command right
// here, and records its arguments.
func docker(t *testing.T) (called func() string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
echo "$@" >%[1]s/called
for a; do
    case $a in type=bind,source=*,target=/opt/game,readonly) game=${a#*source=}; game=${game%%%%,*} ;; esac
    last=$a
done
exec %[2]s inside "$game" "$last"
`, dir, self)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		text, err := os.ReadFile(filepath.Join(dir, "called"))
		require.NoError(t, err)
		return string(text)
	}
}

func needsScreen(t *testing.T) {
	t.Helper()
	for _, s := range servers {
		if process.Executable(s.path) == nil {
			return
		}
	}
	t.Skip("needs Xvfb or Xtigervnc")
}

func TestAGameIsStartedAndStoppedInTheImage(t *testing.T) {
	needsScreen(t)
	called := docker(t)
	for name, c := range map[string]struct {
		script string
		start  result
		stop   result
		words  string
	}{
		"saves":        {"#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n", look, good, "exit code 0"},
		"handles none": {"#!/bin/sh\nexec sleep 100\n", look, look, "does not handle"},
		"goes on":      {"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.05; done\n", look, fault, "did not end within the 1 s"},
		"crashes":      {"#!/bin/sh\necho no such level\nexit 3\n", fault, "", "exit code 3; it said:\n  no such level"},
	} {
		dir := folder(t, map[string]string{"game.yaml": manifestText, "play": c.script})
		rows, err := checked(t.Context(), dir, options{image: "session:1", seconds: 1})
		require.NoError(t, err)
		results, found := map[string]result{}, ""
		for _, r := range rows {
			results[r.check] = r.result
			found += r.found + "\n"
		}
		assert.Equal(t, c.start, results["start"], "%s: %s", name, found)
		assert.Equal(t, c.stop, results["stop"], "%s: %s", name, found)
		assert.Contains(t, found, c.words, name)
		assert.Contains(t, found, "(of session:1)")
	}
	for _, option := range []string{"--network none", "--read-only", "--cap-drop ALL", ",target=/opt/game,readonly", "--entrypoint /run/checkgame session:1 inside /opt/game 1"} {
		assert.Contains(t, called(), option)
	}
}

func TestAGamesWindowIsSeen(t *testing.T) {
	needsScreen(t)
	if process.Executable("/usr/bin/glxgears") != nil {
		t.Skip("needs glxgears")
	}
	docker(t)
	rows := rowsOf(t, "start", "../games/intraverse", options{image: "session:1", seconds: 5})
	assert.Equal(t, good, rows[0].result, rows[0].found)
	assert.Contains(t, rows[0].found, "its window came after")
}

func TestADockerThatFailsIsTold(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\necho no such image >&2\nexit 125\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r := rowsOf(t, "container", folder(t, map[string]string{"game.yaml": manifestText, "play": "#!/bin/sh\n"}), options{image: "session:1"})[0]
	assert.Equal(t, fault, r.result)
	assert.Contains(t, r.found, "no such image")
}
