package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Sources of a game.
const (
	fromFolder = "folder"
	fromS3     = "s3"
)

// wanted is which game is to be fetched, as the image's build arguments say it.
// One that is empty is as if it weren't given.
type wanted struct {
	source      string
	folder      string
	object      object
	sha256      string
	stopSeconds int // 0: not given
	limits      unpack.Limits
}

var sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func wantedGame(env func(string) string) (wanted, error) {
	w := wanted{
		source: env("GAME_SOURCE"),
		folder: cmp.Or(env("GAME_FOLDER"), "/run/game"),
		object: object{env("GAME_BUCKET"), env("GAME_KEY"), env("GAME_VERSION")},
		sha256: strings.ToLower(env("GAME_SHA256")),
	}
	var f faults.Faults
	f.Check(w.source == fromFolder || w.source == fromS3, "GAME_SOURCE", w.source, "folder or s3")
	if w.source == fromS3 {
		f.Check(w.object.bucket != "", "GAME_BUCKET", w.object.bucket, "the bucket's name")
		f.Check(w.object.key != "", "GAME_KEY", w.object.key, "the archive's key in the bucket")
		// Without it the same image would hold another game tomorrow.
		f.Check(w.object.version != "" && w.object.version != "null", "GAME_VERSION", w.object.version, "the archive's version id; the bucket needs versioning")
		f.Check(sha256Pattern.MatchString(w.sha256), "GAME_SHA256", w.sha256, "the archive's SHA-256, 64 hexadecimal digits")
	}
	if text := env("STOP_SECONDS"); text != "" {
		var err error
		w.stopSeconds, err = strconv.Atoi(text)
		f.Check(err == nil && w.stopSeconds > 0, "STOP_SECONDS", text, "a whole number of seconds, session.stopSeconds")
	}
	gib := unpack.DefaultGiB
	if text := env("GAME_MAX_GIB"); text != "" {
		var err error
		gib, err = strconv.Atoi(text)
		f.Check(err == nil && gib > 0 && gib <= unpack.MostGiB, "GAME_MAX_GIB", text, fmt.Sprintf("a whole number from 1 to %d, image.gameMaxGib", unpack.MostGiB))
	}
	w.limits = unpack.UpTo(gib)
	return w, f.Err("the build arguments")
}

// fetchGame puts a game into a folder, whole and checked, or leaves nothing there.
func fetchGame(ctx context.Context, env func(string) string, dir string, out, log io.Writer) error {
	w, err := wantedGame(env)
	if err != nil {
		return err
	}
	if w.source == fromS3 {
		archive, err := download(ctx, w.object, w.sha256, w.limits, log)
		if err != nil {
			return err
		}
		defer archive.remove()
		return fill(dir, w, out, func(t *unpack.Tree) error { return unpackFile(t, archive.file, log) })
	}
	archive, err := unpack.ArchiveIn(w.folder)
	switch {
	case err != nil:
		return err
	case archive == "":
		return fill(dir, w, out, func(t *unpack.Tree) error { return t.Folder(w.folder) })
	}
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	return fill(dir, w, out, func(t *unpack.Tree) error { return unpackFile(t, file, log) })
}

func unpackFile(t *unpack.Tree, archive *os.File, log io.Writer) error {
	info, err := archive.Stat()
	if err != nil {
		return err
	}
	p := newProgress(log, "unpacking", info.Size())
	defer p.print()
	return t.Archive(counted{archive, p}, info.Size())
}

// counted counts the bytes that are read of an archive.
type counted struct {
	io.ReaderAt
	progress *progress
}

func (c counted) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, at)
	_, _ = c.progress.Write(b[:n]) // it only counts
	return n, err
}

// fill fills a folder with a game and checks it there.
func fill(dir string, w wanted, out io.Writer, by func(*unpack.Tree) error) error {
	t, err := unpack.New(dir, w.limits)
	if err != nil {
		return err
	}
	defer t.Close()
	m, err := filled(t, dir, w.stopSeconds, out, by)
	if err != nil {
		return errors.Join(err, t.Clear())
	}
	fmt.Fprintf(out, "%s %s: %d files, %d bytes in %s\n", m.Name, m.Version, t.Files, t.Bytes, dir)
	return nil
}

func filled(t *unpack.Tree, dir string, stopSeconds int, out io.Writer, by func(*unpack.Tree) error) (*game.Manifest, error) {
	if err := by(t); err != nil {
		return nil, err
	}
	if err := t.Finish(); err != nil {
		return nil, err
	}
	m, err := game.LoadSource(dir)
	if err != nil {
		return nil, err
	}
	lacked, err := m.Permit(dir)
	if err != nil {
		return nil, err
	}
	if lacked {
		fmt.Fprintf(out, "%s: it lacked the permission to be executed, as files made on Windows do, and has it now\n", m.Executable)
	}
	if stopSeconds > 0 {
		return m, m.CheckStop(stopSeconds)
	}
	return m, nil
}
