// Checkgame checks a game before an image is built from it:
//
//	checkgame [--image SESSION-IMAGE] [--seconds 10] [--stop-seconds 30] [--max-gib 40] FOLDER|ARCHIVE
//
// Libraries and the start are tried in a container of the session image; without
// one, this machine's libraries are looked at and nothing is started. It prints a
// row for each check and exits with 1 if one of them is a fault.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/image/game"
)

// result of a check.
type result string

// Results. Only a fault keeps a game from being played.
const (
	good   result = "good"
	look   result = "look" // a person should
	fault  result = "FAULT"
	unseen result = "not seen"
)

// row is one check of the table.
type row struct {
	check  string
	result result
	found  string
	do     string // "" if there is nothing to do
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM) // for life
	if len(os.Args) > 1 && os.Args[1] == insideCommand {
		os.Exit(inside(ctx, os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.image, "image", "", "the session image whose libraries the game gets")
	flag.IntVar(&o.seconds, "seconds", 10, "how long the game is run")
	flag.IntVar(&o.stopSeconds, "stop-seconds", 0, "session.stopSeconds of the stack, if it is to be checked")
	flag.IntVar(&o.maxGiB, "max-gib", unpack.DefaultGiB, "image.gameMaxGib of the stack")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: checkgame [--image SESSION-IMAGE] [--seconds 10] [--stop-seconds 30] [--max-gib 40] FOLDER|ARCHIVE")
		os.Exit(2)
	}
	rows, err := checked(ctx, flag.Arg(0), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "checkgame:", err)
		os.Exit(1)
	}
	show(os.Stdout, rows)
	if slices.ContainsFunc(rows, func(r row) bool { return r.result == fault }) {
		os.Exit(1)
	}
}

type options struct {
	image       string
	seconds     int
	stopSeconds int
	maxGiB      int // 0: the default
}

func (o options) limits() unpack.Limits { return unpack.UpTo(cmp.Or(o.maxGiB, unpack.DefaultGiB)) }

// show prints each row, with its advice on a line below: both may be long.
func show(w io.Writer, rows []row) {
	widest := 0
	for _, r := range rows {
		widest = max(widest, len(r.check))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%-*s  %-8s  %s\n", widest, r.check, r.result, strings.ReplaceAll(r.found, "\n", "\n"+strings.Repeat(" ", widest+12)))
		if r.do != "" {
			fmt.Fprintf(w, "%*s  to do: %s\n", widest+10, "", r.do)
		}
	}
}

// checked goes through all checks. Its error is one of this command, not of the
// game.
func checked(ctx context.Context, path string, o options) ([]row, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	dir, archive := path, path
	if info.IsDir() {
		if archive, err = unpack.ArchiveIn(path); err != nil {
			return []row{{"folder", fault, err.Error(), "docs/your-game.md describes a game's folder"}}, nil
		}
	}
	if archive != "" {
		if dir, err = os.MkdirTemp("", "checkgame-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if err := unpacked(archive, dir, o.limits()); err != nil {
			return []row{{"archive", fault, err.Error(), "make the archive again; docs/your-game.md describes its contents"}}, nil
		}
	}
	t, err := read(dir)
	if err != nil {
		return nil, err
	}
	m, rows := manifest(dir, o.stopSeconds)
	if m != nil {
		rows = append(rows, permission(dir, m, archive != "")...)
	}
	rows = append(rows, t.bad...)
	if err := o.limits().CheckSize(t.bytes); err != nil {
		rows = append(rows, row{"size", fault, err.Error(), "leave out files that players don't need"})
	}
	rows = append(rows, layer(t)...)
	if m == nil {
		return append(rows, row{"the rest", unseen, "it needs the manifest", "fix the manifest first"}), nil
	}
	rows = append(rows, program(t, m), graphics(t, m), sound(t))
	rows = append(rows, hints(t)...)
	tried, where, err := try(ctx, dir, o)
	if err != nil {
		return append(rows, row{"container", fault, err.Error(), "look at Docker and the image's name; leave --image out to do without"}), nil
	}
	rows = append(rows, libraries(tried, t, m, where)...)
	return append(rows, starts(tried, m)...), nil
}

func unpacked(archive, dir string, limits unpack.Limits) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Chmod(dir, 0o755); err != nil { // for the container's user
		return err
	}
	t, err := unpack.New(dir, limits)
	if err != nil {
		return err
	}
	defer t.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.Archive(f, info.Size()); err != nil {
		return err
	}
	return t.Finish()
}

func manifest(dir string, stopSeconds int) (*game.Manifest, []row) {
	const do = "docs/your-game.md explains each key"
	m, err := game.LoadSource(dir)
	if err != nil {
		var rows []row
		for line := range strings.Lines(err.Error()) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if !strings.HasSuffix(line, "faults:") {
				rows = append(rows, row{"manifest", fault, line, ""})
			}
		}
		rows[len(rows)-1].do = do
		return nil, rows
	}
	if stopSeconds > 0 {
		if err := m.CheckStop(stopSeconds); err != nil {
			return m, []row{{"manifest", fault, err.Error(), do}}
		}
	}
	return m, []row{{"manifest", good, m.Name + " " + m.Version, ""}}
}

// permission looks whether the executable may be executed. In a copy that was
// unpacked for this check it may from here on, as in the image.
func permission(dir string, m *game.Manifest, isCopy bool) []row {
	has, err := m.Permitted(dir)
	if err == nil && !has && isCopy {
		_, err = m.Permit(dir)
	}
	switch {
	case err != nil:
		return []row{{"permission", fault, err.Error(), "make every file readable"}}
	case !has:
		return []row{{"permission", look, m.Executable + " lacks the permission to be executed, as files made on Windows do: the image's build adds it",
			"programs that the game itself starts get none: if there are any, make the archive on Linux, by tar"}}
	}
	return nil
}

// noImage is why nothing is started without --image.
const noImage = "there is no session image given"

// tryLimit is the time that a container may take in addition to the game's own.
const tryLimit = 2 * time.Minute

// try checks libraries and starts the game in a container; without an image it only
// checks libraries, on this machine. where is the place, for messages.
func try(ctx context.Context, dir string, o options) (report, string, error) {
	if o.image == "" {
		return report{Libraries: missing(ctx, dir), Start: start{Skipped: noImage}}, "this machine's, not the image's", nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.seconds)*time.Second+tryLimit)
	defer cancel()
	text, err := contained(ctx, dir, o)
	if err != nil {
		return report{}, "", err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, "", fmt.Errorf("the container said %q: %w", text, err)
	}
	return r, "of " + o.image, nil
}

func libraries(r report, t *tree, m *game.Manifest, where string) []row {
	var rows []row
	for _, l := range r.Libraries {
		found := fmt.Sprintf("%s: %s (%s)", l.File, strings.Join(l.Missing, "; "), where)
		if l.File != m.Executable && t.has(l.Missing) {
			rows = append(rows, row{"libraries", look, found, "the game has it elsewhere: see that it is loaded first, or named in environment.LD_LIBRARY_PATH"})
			continue
		}
		rows = append(rows, row{"libraries", fault, found,
			"ship the library with the game (its folder in environment.LD_LIBRARY_PATH, or a run path), or add its Debian package to image/packages/system.txt"})
	}
	if len(rows) == 0 {
		return []row{{"libraries", good, "every program and library of the game finds its libraries (" + where + ")", ""}}
	}
	return rows
}

func starts(r report, m *game.Manifest) []row {
	s := r.Start
	if s.Skipped != "" {
		do := ""
		if s.Skipped == noImage {
			do = "name a session image with VNC: make check-game GAME=… IMAGE=…"
		}
		return []row{{"start", unseen, s.Skipped, do}}
	}
	last := ""
	if len(s.Lines) > 0 {
		last = "; it said:\n  " + strings.Join(s.Lines, "\n  ")
	}
	if s.Ended != "" {
		return []row{{"start", fault, fmt.Sprintf("ended by itself after %.1f s: %s%s", s.Seconds, s.Ended, last), "try it under a virtual screen without a GPU, in the image"}}
	}
	rows := []row{{"start", good, fmt.Sprintf("runs, its window came after %.1f s (rendered by the processor: no measure of its speed)", s.Window), ""}}
	if s.Window == 0 {
		rows[0] = row{"start", look, fmt.Sprintf("runs, but showed no window within %.0f s%s", s.Seconds, last), "a session lets nobody in before there is one; give it longer with --seconds"}
	}
	if s.Killed {
		return append(rows, row{"stop", fault, fmt.Sprintf("did not end within the %d s of stop.seconds after %s", m.Stop.Seconds, m.Stop.Signal), "handle the signal: save and exit"})
	}
	if s.Unheard {
		return append(rows, row{"stop", look, fmt.Sprintf("%s ended it at once, as one that it does not handle (%s)", m.Stop.Signal, s.Stopped), "handle the signal if the game has anything to save"})
	}
	return append(rows, row{"stop", good, fmt.Sprintf("ended %.1f s after %s: %s", s.Stopping, m.Stop.Signal, s.Stopped), ""})
}
