package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
)

// small are limits that a test reaches soon.
var small = unpack.Limits{Bytes: 1 << 20, Entries: 20}

// written unpacks an archive within small limits and returns the bytes that it left.
func written(t *testing.T, archive []byte) (int64, error) {
	t.Helper()
	dir := t.TempDir()
	tree, err := unpack.New(dir, small)
	require.NoError(t, err)
	defer tree.Close()
	unpacking := tree.Archive(bytes.NewReader(archive), int64(len(archive)))
	var left int64
	require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, err := d.Info()
			require.NoError(t, err)
			left += info.Size()
		}
		return err
	}))
	return left, unpacking
}

// sparse is an archive by GNU tar of a file of a tebibyte without content.
func sparse(t *testing.T, format string) []byte {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hole"), nil, 0o644))
	require.NoError(t, os.Truncate(filepath.Join(dir, "hole"), 1<<40))
	archive, err := exec.Command("tar", "--directory", dir, "--create", "--sparse", "--format", format, "hole").Output()
	require.NoError(t, err)
	require.Less(t, len(archive), 1<<20)
	return archive
}

// lying returns a zip archive with one file that is larger than its entry says.
func lying(t *testing.T) []byte {
	t.Helper()
	var packed, archive bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	require.NoError(t, err)
	_, err = io.CopyN(w, zeros{}, 8<<20)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	z := zip.NewWriter(&archive)
	f, err := z.CreateRaw(&zip.FileHeader{Name: "bomb", Method: zip.Deflate, UncompressedSize64: 10, CompressedSize64: uint64(packed.Len())})
	require.NoError(t, err)
	_, err = f.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return archive.Bytes()
}

func many(of func(i int) entry) []entry {
	entries := []entry{file("file", "")}
	for i := range small.Entries {
		entries = append(entries, of(i))
	}
	return entries
}

func TestNoArchiveWritesMoreThanAGameMayTake(t *testing.T) {
	const size = "the game takes more than 0.0009765625 GiB unpacked, the limit of image.gameMaxGib"
	const number = "the game has more than 20 files, folders and links"
	half := strings.Repeat("x", 600<<10)
	plain := tarOf(t, chess()...)
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"one large file":                {tarOf(t, file("large", half+half)), size},
		"files that are large together": {tarOf(t, file("a", half), file("b", half)), size},
		"a compressed one":              {gz(t, tarOf(t, file("large", half+half))), size},
		"a sparse file":                 {sparse(t, "gnu"), size},
		"a sparse file of POSIX":        {sparse(t, "posix"), size},
		"a zip archive":                 {zipOf(t, onUnix("a", 0o644, half), onUnix("b", 0o644, half)), size},
		"a zip archive that lies":       {lying(t), "the archive (at its entry"},
		"zeros after the end":           {gz(t, append(plain, make([]byte, 4<<20)...)), size},
		"comments without end":          {gz(t, bytes.Join([][]byte{comments(t, 4<<20), plain}, nil)), size},
		"files":                         {tarOf(t, many(func(i int) entry { return file(fmt.Sprint(i), "") })...), number},
		"folders":                       {tarOf(t, many(func(i int) entry { return folder(fmt.Sprint(i)) })...), number},
		"links":                         {tarOf(t, many(func(i int) entry { return link(fmt.Sprint(i), "file") })...), number},
		"hard links":                    {tarOf(t, many(func(i int) entry { return hardLink(fmt.Sprint(i), "file") })...), number},
		"folders of one file":           {tarOf(t, file(strings.Repeat("a/", 30)+"file", "")), number},
		"folder in folder in folder":    {tarOf(t, file(strings.Repeat("a/", 101)+"file", "")), "is in 101 folders, one in the other; allowed are 100"},
		"a long name":                   {tarOf(t, file(strings.Repeat("a", 1025), "")), "has 1025 bytes; allowed are 1024"},
	} {
		left, err := written(t, c.archive)
		assert.ErrorContains(t, err, c.want, name)
		assert.LessOrEqual(t, left, small.Bytes+1, name)
	}
	_, err := written(t, tarOf(t, file("a", half), file("b", half[:small.Bytes-int64(len(half))])))
	assert.NoError(t, err, "just as much as it may")
}

// comments are a tar archive's entries that write no file, of so many bytes.
func comments(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	for b.Len() < size {
		w := tar.NewWriter(&b)
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "comment", PAXRecords: map[string]string{"comment": strings.Repeat("x", 512<<10)}}))
		require.NoError(t, w.Flush())
	}
	return b.Bytes()
}

func TestAFolderIsNoLargerThanItSays(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(from, "hole"), nil, 0o644))
	require.NoError(t, os.Truncate(filepath.Join(from, "hole"), 1<<40))
	tree, err := unpack.New(t.TempDir(), small)
	require.NoError(t, err)
	defer tree.Close()
	assert.ErrorContains(t, tree.Folder(from), "image.gameMaxGib")
	assert.Zero(t, tree.Bytes)
}

func TestTheLimitIsABuildArgument(t *testing.T) {
	from := folderWith(t, "a.tar", append(sparse(t, "gnu")[:1024:1024], tarOf(t, chess()...)...)) // the hole alone: its two headers
	env := map[string]string{"GAME_SOURCE": "folder", "GAME_FOLDER": from}
	for gib, want := range map[string]string{
		"": "more than 40 GiB", "1": "more than 1 GiB", "1023": "more than 1023 GiB",
		"0": `GAME_MAX_GIB is "0"; allowed`, "16385": "a whole number from 1 to 16384", "much": "GAME_MAX_GIB",
	} {
		env["GAME_MAX_GIB"] = gib
		_, _, err := fetched(t, env)
		assert.ErrorContains(t, err, want, gib)
	}
}

// An archive may be made by root, of files as they lie on a system.
func TestNoFileOfAGameRunsWithMoreRightsThanItsPlayer(t *testing.T) {
	capable := program("bin/capable")
	capable.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	group := program("bin/group")
	group.Mode = 0o2755
	for name, archive := range map[string][]byte{
		"a.tar": tarOf(t, append(chess(), capable, group)...),
		"a.zip": zipOf(t, onUnix("game.yaml", 0o644, manifest), onUnix("bin/play", 0o755|fs.ModeSetuid, "#!/bin/sh\n"), onUnix("bin/group", 0o755|fs.ModeSetgid, "")),
	} {
		dir, _, err := fromArchive(t, name, archive)
		require.NoError(t, err, name)
		assert.NoError(t, checkRights(dir, io.Discard), name)
	}
}

func TestAnArchiveThatIsTooLargeIsNotDownloaded(t *testing.T) {
	bucket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(41<<30))
		_, _ = w.Write(make([]byte, 1<<20))
		panic(http.ErrAbortHandler) // the rest never comes
	})
	_, _, err := fetched(t, asked(nil))
	assert.ErrorContains(t, err, "more than 40 GiB unpacked, the limit of image.gameMaxGib")
}
