package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const manifest = "name: Chess\nversion: 1.2\nexecutable: bin/play\ngraphics: opengl\nstop: {seconds: 20}\n"

var (
	when  = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	later = when.Add(time.Hour)
)

func file(name, text string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o640, ModTime: when, Size: int64(len(text))}, text}
}

func program(name string) entry {
	e := file(name, "#!/bin/sh\n")
	e.Mode = 0o4750 // setuid
	return e
}

func folder(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700, ModTime: later}, ""}
}

func link(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, ModTime: when}, ""}
}

func hardLink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, ModTime: when}, ""}
}

type entry struct {
	tar.Header
	text string
}

// chess is a whole game, with an entry of each kind.
func chess() []entry {
	return []entry{
		folder("./"), file("./game.yaml", manifest), folder("bin/"), program("bin/play"), file("data/level 1", "abc"),
		link("bin/data", "../data"), hardLink("data/level 2", "data/level 1"),
	}
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		require.NoError(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func gz(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zst(t *testing.T, plain []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return w.EncodeAll(plain, nil)
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// folderWith is a context's folder with one file.
func folderWith(t *testing.T, name string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	return dir
}

// fetched runs `fetch game` into a new folder, with a folder for temporary files
// of its own that has to be empty afterwards.
func fetched(t *testing.T, env map[string]string) (dir, out string, err error) {
	t.Helper()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	require.NoError(t, os.Chtimes(temporary, when, when))
	opt := filepath.Join(t.TempDir(), "opt")
	require.NoError(t, os.Mkdir(opt, 0o755))
	require.NoError(t, os.Chtimes(opt, when, when))
	dir = filepath.Join(opt, "game")
	var said bytes.Buffer
	err = run(t.Context(), []string{"game", dir}, func(name string) string { return env[name] }, &said, io.Discard)
	left, readErr := os.ReadDir(temporary)
	require.NoError(t, readErr)
	assert.Empty(t, left, "what was downloaded is gone")
	untouched := []string{temporary}
	if err == nil {
		untouched = append(untouched, opt)
	} else {
		assert.NoDirExists(t, dir, "nothing is left behind: %v", err)
	}
	for _, folder := range untouched {
		info, statErr := os.Stat(folder)
		require.NoError(t, statErr)
		assert.True(t, info.ModTime().Equal(when), "%s looks as before, so that the layer is the same the next time", folder)
	}
	return dir, said.String(), err
}

func fromArchive(t *testing.T, name string, content []byte) (dir, out string, err error) {
	t.Helper()
	return fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": folderWith(t, name, content)})
}

// listing is every file with its rights, time and content.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(path)
			require.NoError(t, err)
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			content = sumOf(b)[:8]
		}
		name, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		all = append(all, fmt.Sprintf("%s %s %d %s", info.Mode(), name, info.ModTime().Unix(), content))
		return nil
	}))
	return all
}

func TestEachFormOfArchiveGivesTheSameGame(t *testing.T) {
	plain := tarOf(t, chess()...)
	want := []string{
		fmt.Sprintf("drwxr-xr-x . %d ", later.Unix()),
		fmt.Sprintf("drwxr-xr-x bin %d ", later.Unix()),
		fmt.Sprintf("Lrwxrwxrwx bin/data %d ../data", when.Unix()),
		fmt.Sprintf("-rwxr-xr-x bin/play %d %s", when.Unix(), sumOf([]byte("#!/bin/sh\n"))[:8]),
		"drwxr-xr-x data 0 ",
		fmt.Sprintf("-rw-r--r-- data/level 1 %d %s", when.Unix(), sumOf([]byte("abc"))[:8]),
		fmt.Sprintf("-rw-r--r-- data/level 2 %d %s", when.Unix(), sumOf([]byte("abc"))[:8]),
		fmt.Sprintf("-rw-r--r-- game.yaml %d %s", when.Unix(), sumOf([]byte(manifest))[:8]),
	}
	for name, archive := range map[string][]byte{
		"chess.tar": plain, "chess.tar.gz": gz(t, plain), "chess.tgz": gz(t, plain), "chess.tar.zst": zst(t, plain),
	} {
		dir, out, err := fromArchive(t, name, archive)
		require.NoError(t, err, name)
		assert.Equal(t, want, listing(t, dir), name)
		assert.Equal(t, fmt.Sprintf("Chess 1.2: 5 files, %d bytes in %s\n", len(manifest)+10+3, dir), out, name)
	}
}

func TestAGameInAFolderOfItsOwnIsMovedUp(t *testing.T) {
	inside := []entry{folder("chess-1.2")}
	for _, e := range chess()[1:] {
		e.Name = "chess-1.2/" + strings.TrimPrefix(e.Name, "./")
		if e.Typeflag == tar.TypeLink {
			e.Linkname = "chess-1.2/" + e.Linkname
		}
		inside = append(inside, e)
	}
	inside = append(inside, folder("chess-1.2/chess-1.2"), file("chess-1.2/chess-1.2/of its own name", ""))
	direct := append(chess(), folder("chess-1.2"), file("chess-1.2/of its own name", ""))

	moved, _, err := fromArchive(t, "a.tar", tarOf(t, inside...))
	require.NoError(t, err)
	plain, _, err := fromArchive(t, "a.tar", tarOf(t, direct...))
	require.NoError(t, err)
	assert.Equal(t, listing(t, plain), listing(t, moved))
}

func TestAFolderIsTakenAsItIs(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(from, "bin"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from, "game.yaml"), []byte(manifest), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(from, "bin/play"), []byte("#!/bin/sh\n"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from, "maps.tar"), []byte("the game's own"), 0o600))
	require.NoError(t, os.Symlink("bin/play", filepath.Join(from, "play")))
	for _, name := range []string{"bin/play", "bin", "game.yaml", "maps.tar", "."} {
		require.NoError(t, os.Chtimes(filepath.Join(from, name), when, when))
	}
	dir, _, err := fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from})
	require.NoError(t, err)
	have := listing(t, dir)
	assert.Len(t, have, 6)
	for _, rights := range []string{"drwxr-xr-x bin", "-rwxr-xr-x bin/play", "-rw-r--r-- game.yaml", "-rw-r--r-- maps.tar"} {
		assert.True(t, slices.ContainsFunc(have, func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("%s %d ", rights, when.Unix()))
		}), "%s in %v", rights, have)
	}

	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(from, "users")))
	_, _, err = fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from})
	assert.ErrorContains(t, err, `"users" is a link to "/etc/passwd", which leads out of the game's folder`)
}

func TestNoEntryLeavesTheGamesFolder(t *testing.T) {
	for words, bad := range map[string][]entry{
		`"../evil" leads out`:                                        {file("../evil", "")},
		`"/etc/evil" leads out`:                                      {file("/etc/evil", "")},
		`"bin/../../evil" leads out`:                                 {file("bin/../../evil", "")},
		`"data/../evil" leads out`:                                   {file("data/../evil", "")},
		`"../up/" leads out`:                                         {folder("../up/")},
		`"users" is a link to "/etc/passwd", which`:                  {link("users", "/etc/passwd")},
		`"bin/up" is a link to "../../up", which`:                    {link("bin/up", "../../up")},
		`"in" is a file or a link, and has files below it`:           {link("in", "data"), file("in/evil", "")},
		`"data/level 1" is a file or a link`:                         {file("data/level 1/below", "")},
		`"users" is a hard link: "/etc/passwd" leads out`:            {hardLink("users", "/etc/passwd")},
		`"users" is a hard link: "../../passwd" leads out`:           {hardLink("users", "../../passwd")},
		`"two" is a hard link to "nothing", which is no file`:        {hardLink("two", "nothing")},
		`"two" is a hard link to "in/level 1", which is no file`:     {link("in", "data"), hardLink("two", "in/level 1")},
		`"two" is a hard link to "in", which is no file`:             {link("in", "data"), hardLink("two", "in")},
		`"data/level 1" stands there twice`:                          {file("data/level 1", "another")},
		`"sda" is a device`:                                          {entry{tar.Header{Typeflag: tar.TypeBlock, Name: "sda"}, ""}},
		`"null" is a device`:                                         {entry{tar.Header{Typeflag: tar.TypeChar, Name: "null"}, ""}},
		`"pipe" is a device, a pipe`:                                 {entry{tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}, ""}},
		`"out" is a link that can't be followed within the game's f`: {folder("a/b"), link("a/b/top", "../.."), link("out", "a/b/top/../passwd")},
		`"loop" is a link that can't be followed`:                    {link("loop", "loop")},
	} {
		_, _, err := fromArchive(t, "chess.tar", tarOf(t, append(chess(), bad...)...))
		assert.ErrorContains(t, err, words)
	}
}

func TestAnArchiveThatIsNotWholeIsRefused(t *testing.T) {
	plain := tarOf(t, append(chess(), file("large", strings.Repeat("some text ", 1000)))...)
	cut := map[string][]byte{"in a file.tar": plain[:len(plain)-4096]}
	// Between two entries: Go's own reader takes this for a whole archive.
	cut["between.tar"] = bytes.TrimRight(tarOf(t, chess()...), "\x00")
	cut["between.tar"] = cut["between.tar"][:len(cut["between.tar"])/512*512]
	for _, packed := range []struct {
		end     string
		content []byte
	}{{".tar.gz", gz(t, plain)}, {".tar.zst", zst(t, plain)}} {
		cut["half"+packed.end] = packed.content[:len(packed.content)/2]
		cut["last byte"+packed.end] = packed.content[:len(packed.content)-1]
	}
	cut["repacked.tar.gz"] = gz(t, plain[:len(plain)-4096])
	for name, content := range cut {
		_, _, err := fromArchive(t, name, content)
		assert.ErrorContains(t, err, "the archive is cut off", name)
	}

	damaged := gz(t, plain)
	damaged[len(damaged)-6] ^= 1 // in its checksum
	_, _, err := fromArchive(t, "a.tgz", damaged)
	assert.ErrorContains(t, err, "gzip: invalid checksum")

	for words, content := range map[string][]byte{
		"the archive: it is empty":                             {},
		"the archive: it is neither a zip archive nor a tar":   []byte(strings.Repeat("no archive at all ", 100)),
		"the archive: it is neither a zip archive nor a tar a": []byte("7z\xbc\xaf and so on"),
		"the archive is cut off":                               []byte("PK\x03\x04 and so on"),
	} {
		_, _, err := fromArchive(t, "a.tar", content)
		assert.ErrorContains(t, err, words)
	}
}

func TestAnArchiveWithoutAGameSaysWhatItHolds(t *testing.T) {
	for words, entries := range map[string][]entry{
		"at the top: nothing":                {},
		"at the top: bin, data":              {program("bin/play"), file("data/level 1", "")},
		"at the top: chess, checkers":        {file("chess/game.yaml", manifest), file("checkers/game.yaml", manifest)},
		"at the top: a":                      {file("a/b/game.yaml", manifest)},
		"not a file of at most 65536 bytes":  {folder("game.yaml")},
		"at the top: b0, b1, b2, b3, b4, b5": {file("b0/x", ""), file("b1/x", ""), file("b2/x", ""), file("b3/x", ""), file("b4/x", ""), file("b5/x", ""), file("b6/x", ""), file("b7/x", ""), file("b8/x", "")},
	} {
		_, _, err := fromArchive(t, "a.tar", tarOf(t, entries...))
		require.Error(t, err, words)
		if !strings.Contains(words, "at most") {
			assert.ErrorIs(t, err, fs.ErrNotExist)
			assert.ErrorContains(t, err, "game.yaml is neither at the top nor in the only folder there")
		}
		for _, name := range strings.Split(strings.TrimPrefix(words, "at the top: "), ", ") {
			assert.ErrorContains(t, err, name)
		}
	}
}

func TestEveryFaultOfAManifestIsToldAndNothingStays(t *testing.T) {
	bad := "name: ''\nversion: 1\nexecutable: play\ngraphics: directx\nwindow: {width: 1}\nlevel: 3\n"
	_, _, err := fromArchive(t, "a.tar", tarOf(t, file("game.yaml", bad)))
	assert.ErrorContains(t, err, "game.yaml has 5 faults")
	for _, key := range []string{"name", "executable", "graphics", "window.width", "level"} {
		assert.ErrorContains(t, err, "\n  - "+key+" is ")
	}
}

func TestAGameThatNeedsLongerToSaveThanASessionHasIsRefused(t *testing.T) {
	from := folderWith(t, "a.tar", tarOf(t, chess()...))
	_, _, err := fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from, "STOP_SECONDS": "29"})
	assert.ErrorContains(t, err, "session.stopSeconds (29)")
	_, _, err = fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from, "STOP_SECONDS": "30"})
	assert.NoError(t, err)
}

func TestEveryWrongBuildArgumentIsTold(t *testing.T) {
	_, _, err := fetched(t, map[string]string{"GAME_SOURCE": "s3", "GAME_VERSION": "null", "GAME_SHA256": "abc", "STOP_SECONDS": "soon"})
	assert.ErrorContains(t, err, "the build arguments has 5 faults")
	for _, name := range []string{"GAME_BUCKET", "GAME_KEY", "GAME_VERSION", "GAME_SHA256", "STOP_SECONDS"} {
		assert.ErrorContains(t, err, "\n  - "+name)
	}
	_, _, err = fetched(t, nil)
	assert.ErrorContains(t, err, `GAME_SOURCE is ""; allowed: folder or s3`)
}

func TestAFolderHoldsAGameOrOneArchive(t *testing.T) {
	empty := t.TempDir()
	_, _, err := fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": empty})
	assert.ErrorContains(t, err, "holds 0 archives () and no game.yaml")

	two := folderWith(t, "a.tar", tarOf(t, chess()...))
	require.NoError(t, os.WriteFile(filepath.Join(two, "b.tgz"), nil, 0o644))
	_, _, err = fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": two})
	assert.ErrorContains(t, err, "holds 2 archives (a.tar, b.tgz)")
}

func TestAFolderWithSomethingInItIsLeftAlone(t *testing.T) {
	from := folderWith(t, "a.tar", tarOf(t, chess()...))
	target := folderWith(t, "precious", nil)
	env := map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from}
	err := run(t.Context(), []string{"game", target}, func(name string) string { return env[name] }, io.Discard, io.Discard)
	assert.ErrorContains(t, err, "is not empty: it holds precious")
	assert.FileExists(t, filepath.Join(target, "precious"))

	// A folder that existed before stays, empty, when the game is refused.
	require.NoError(t, os.Remove(filepath.Join(target, "precious")))
	env["STOP_SECONDS"] = "1"
	err = run(t.Context(), []string{"game", target}, func(name string) string { return env[name] }, io.Discard, io.Discard)
	require.Error(t, err)
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestALargeGameNeedsLittleMemory(t *testing.T) {
	const size = 200 << 20
	for _, form := range []string{".tar", ".tar.gz", ".tar.zst"} {
		dir := t.TempDir()
		archive, err := os.Create(filepath.Join(dir, "a"+form))
		require.NoError(t, err)
		packed := map[string]io.WriteCloser{".tar": archive}
		packed[".tar.gz"], _ = gzip.NewWriterLevel(archive, gzip.BestSpeed)
		packed[".tar.zst"], err = zstd.NewWriter(archive)
		require.NoError(t, err)
		w := tar.NewWriter(packed[form])
		for _, e := range chess() {
			require.NoError(t, w.WriteHeader(&e.Header))
			_, err := io.WriteString(w, e.text)
			require.NoError(t, err)
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "large", Size: size, ModTime: when}))
		_, err = io.CopyN(w, zeros{}, size)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, packed[form].Close())

		most := watchMemory(t)
		game, out, err := fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": dir})
		used := most()
		require.NoError(t, err)
		assert.Contains(t, out, "6 files, 209715")
		assert.Less(t, used>>20, uint64(48), "%s: MiB in use at most", form)
		require.NoError(t, os.RemoveAll(game))
		require.NoError(t, os.RemoveAll(dir))
	}
}

// watchMemory returns a function that returns by how much the heap has grown at
// most.
func watchMemory(t *testing.T) (most func() uint64) {
	t.Helper()
	runtime.GC()
	now := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := now()
	var peak atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			peak.Store(max(peak.Load(), now()))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() uint64 {
		stop()
		<-over
		return max(peak.Load(), before) - before
	}
}
