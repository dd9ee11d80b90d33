package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// zipped is an entry of a zip archive.
type zipped struct {
	zip.FileHeader
	text string
}

// zipOf is a zip archive of entries as they are.
func zipOf(t *testing.T, entries ...zipped) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.CreateHeader(&e.FileHeader)
		require.NoError(t, err)
		_, err = io.WriteString(f, e.text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// onWindows is an entry as Windows PowerShell's Compress-Archive writes it: made on
// DOS, without Unix's permissions, with the time of day in steps of two seconds,
// and with backslashes.
func onWindows(name, text string) zipped {
	h := zip.FileHeader{Name: name, Method: zip.Deflate, ExternalAttrs: 0x20}
	h.ModifiedDate = uint16(when.Year()-1980)<<9 | uint16(when.Month())<<5 | uint16(when.Day())   //nolint:staticcheck // Modified would add the times that Windows does not write
	h.ModifiedTime = uint16(when.Hour())<<11 | uint16(when.Minute())<<5 | uint16(when.Second()/2) //nolint:staticcheck // likewise
	return zipped{h, text}
}

// onUnix is an entry as Info-ZIP's zip writes it.
func onUnix(name string, mode fs.FileMode, text string) zipped {
	h := zip.FileHeader{Name: name, Method: zip.Deflate, Modified: when}
	h.SetMode(mode)
	return zipped{h, text}
}

func windowsChess() []zipped {
	return []zipped{onWindows("game.yaml", manifest), onWindows(`bin\play`, "#!/bin/sh\n"), onWindows(`data\`, ""), onWindows(`data\level 1`, "abc")}
}

func TestAZipMadeOnWindowsIsAGameWhoseExecutableGetsItsPermission(t *testing.T) {
	const evenSecond = -1 // of when, which is odd
	at := when.Unix() + evenSecond
	dir, out, err := fromArchive(t, "chess.zip", zipOf(t, windowsChess()...))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"drwxr-xr-x . 0 ",
		"drwxr-xr-x bin 0 ",
		fmt.Sprintf("-rwxr-xr-x bin/play %d %s", at, sumOf([]byte("#!/bin/sh\n"))[:8]),
		fmt.Sprintf("drwxr-xr-x data %d ", at),
		fmt.Sprintf("-rw-r--r-- data/level 1 %d %s", at, sumOf([]byte("abc"))[:8]),
		fmt.Sprintf("-rw-r--r-- game.yaml %d %s", at, sumOf([]byte(manifest))[:8]),
	}, listing(t, dir))
	assert.Equal(t, "bin/play: it lacked the permission to be executed, as files made on Windows do, and has it now\n"+
		fmt.Sprintf("Chess 1.2: 3 files, %d bytes in %s\n", len(manifest)+10+3, dir), out)
}

func TestAZipMadeOnUnixKeepsPermissionsAndLinks(t *testing.T) {
	dir, out, err := fromArchive(t, "chess.zip", zipOf(t,
		onUnix("chess/", fs.ModeDir|0o700, ""), onUnix("chess/game.yaml", 0o600, manifest), onUnix("chess/bin/play", fs.ModeSetuid|0o750, "#!/bin/sh\n"),
		onUnix("chess/play", fs.ModeSymlink|0o777, "bin/play"), onUnix(`chess/a\b`, 0o644, "")))
	require.NoError(t, err)
	assert.Equal(t, []string{
		fmt.Sprintf("drwxr-xr-x . %d ", when.Unix()),
		fmt.Sprintf(`-rw-r--r-- a\b %d %s`, when.Unix(), sumOf(nil)[:8]),
		"drwxr-xr-x bin 0 ",
		fmt.Sprintf("-rwxr-xr-x bin/play %d %s", when.Unix(), sumOf([]byte("#!/bin/sh\n"))[:8]),
		fmt.Sprintf("-rw-r--r-- game.yaml %d %s", when.Unix(), sumOf([]byte(manifest))[:8]),
		fmt.Sprintf("Lrwxrwxrwx play %d bin/play", when.Unix()),
	}, listing(t, dir))
	assert.NotContains(t, out, "lacked the permission")
}

func TestAZipIsAsBoundedAsATarArchive(t *testing.T) {
	secret := onWindows("secret", "")
	secret.Flags = 1
	for words, bad := range map[string][]zipped{
		`"../evil" leads out`:                             {onWindows(`..\evil`, "")},
		`"data/../evil" leads out`:                        {onUnix("data/../evil", 0o644, "")},
		`"/etc/evil" leads out`:                           {onUnix("/etc/evil", 0o644, "")},
		`"/evil" leads out`:                               {onWindows(`\evil`, "")},
		`"users" is a link to "/etc/passwd", which`:       {onUnix("users", fs.ModeSymlink|0o777, "/etc/passwd")},
		`"bin/up" is a link to "../../up", which`:         {onUnix("bin/up", fs.ModeSymlink|0o777, "../../up")},
		`"in" is a file or a link, and has files below`:   {onUnix("in", fs.ModeSymlink|0o777, "data"), onUnix("in/evil", 0o644, "")},
		`"data/level 1" stands there twice`:               {onUnix("data/level 1", 0o644, "another")},
		`"pipe" (prw-r--r--) is neither file, folder nor`: {onUnix("pipe", fs.ModeNamedPipe|0o644, "")},
		`"sda" (Drw-r--r--) is neither file, folder nor`:  {onUnix("sda", fs.ModeDevice|0o644, "")},
		`"secret" is encrypted`:                           {secret},
	} {
		_, _, err := fromArchive(t, "chess.zip", zipOf(t, append(windowsChess(), bad...)...))
		assert.ErrorContains(t, err, words)
	}

	// Go's writer makes no Deflate64: the method is changed in both headers.
	content := zipOf(t, append(windowsChess(), onWindows("large", "text"))...)
	at := bytes.Index(content, []byte("large")) - 30
	content[at+8] = 9
	at = bytes.LastIndex(content, []byte("large")) - 46
	content[at+10] = 9
	_, _, err := fromArchive(t, "chess.zip", content)
	assert.ErrorContains(t, err, `"large" is compressed by method 9; allowed are 8 (Deflate) and 0 (none)`)
	assert.ErrorContains(t, err, "tar -a -c -f game.zip")
}

func TestAZipThatIsNotWholeIsRefused(t *testing.T) {
	whole := zipOf(t, append(windowsChess(), onWindows("large", strings.Repeat("some text ", 1000)))...)
	for name, content := range map[string][]byte{"half": whole[:len(whole)/2], "last byte": whole[:len(whole)-1], "list": whole[:len(whole)-60]} {
		_, _, err := fromArchive(t, "a.zip", content)
		assert.ErrorContains(t, err, "the archive is cut off", name)
	}
	damaged := bytes.Clone(whole)
	stored := bytes.Index(damaged, []byte("abc")) // too short to be compressed
	if stored < 0 {
		stored = bytes.Index(damaged, []byte("game.yaml")) + len("game.yaml") + 20
	}
	damaged[stored] ^= 0xff
	_, _, err := fromArchive(t, "a.zip", damaged)
	assert.ErrorContains(t, err, "the archive (at its entry")
}

func TestALargeZipNeedsLittleMemory(t *testing.T) {
	const size = 200 << 20
	dir := t.TempDir()
	archive, err := os.Create(dir + "/a.zip")
	require.NoError(t, err)
	w := zip.NewWriter(archive)
	for _, e := range append(windowsChess(), onWindows("large", "")) {
		f, err := w.CreateHeader(&e.FileHeader)
		require.NoError(t, err)
		_, err = io.WriteString(f, e.text)
		require.NoError(t, err)
		if e.Name == "large" {
			_, err = io.CopyN(f, zeros{}, size)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, archive.Close())
	most := watchMemory(t)
	_, out, err := fetched(t, map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": dir})
	used := most()
	require.NoError(t, err)
	assert.Contains(t, out, "4 files, 209715")
	assert.Less(t, used>>20, uint64(48), "MiB in use at most")
}
