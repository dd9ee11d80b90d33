// Package events writes a session's events to stdout, one JSON object per line. Nothing
// else writes there: metric filters and the launcher read it.
package events

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

const (
	gamePart = "game"
	mask     = "***"

	// Lines per second. Logs are charged by size.
	gameLinesPerSecond = 50
	partLinesPerSecond = 10 // of each part
)

// Writer writes events. It is safe for many at once.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	common  contract.Event // the fields of every event
	secrets []string       // longest first
	limits  map[string]*lineLimit
}

// New makes a writer. Each of its events carries common's session, stack, user
// and image.
func New(out io.Writer, common contract.Event) *Writer {
	return &Writer{out: out, common: common, limits: map[string]*lineLimit{}}
}

// Hide replaces these texts by "***" in all later events: a game or a server may print
// them. Lines arrive one by one, so a text of several lines is hidden line by line.
func (w *Writer) Hide(secrets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, secret := range secrets {
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); line != "" {
				w.secrets = append(w.secrets, line)
			}
		}
	}
	// The longest first, since a secret may be a part of another.
	slices.SortFunc(w.secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	w.secrets = slices.Compact(w.secrets)
}

// Write completes an event and writes it.
func (w *Writer) Write(event contract.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(event)
}

// Game writes a line of the game, within the limit per second. The next line, or Flush,
// has the number of dropped ones.
func (w *Writer) Game(line string) {
	w.limited(gamePart, gameLinesPerSecond, contract.Event{Event: contract.EventGame, Part: gamePart, Line: line})
}

// Part writes a line of a part of the session, as Game does.
func (w *Writer) Part(part, line string) {
	w.limited(part, partLinesPerSecond, contract.Event{Event: contract.EventPart, Part: part, Line: line})
}

// Lines returns a writer that makes each write a Part: an output of the standard
// library's loggers.
func (w *Writer) Lines(part string) io.Writer { return partWriter{w, part} }

type partWriter struct {
	to   *Writer
	part string
}

func (l partWriter) Write(text []byte) (int, error) {
	l.to.Part(l.part, strings.TrimSpace(string(text)))
	return len(text), nil
}

// Flush writes the number of lines dropped since the last one of each part.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range slices.Sorted(maps.Keys(w.limits)) {
		if dropped := w.limits[part].take(); dropped > 0 {
			name := contract.EventPart
			if part == gamePart {
				name = contract.EventGame
			}
			w.write(contract.Event{Event: name, Part: part, Dropped: dropped})
		}
	}
}

func (w *Writer) limited(part string, perSecond int, event contract.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.limits[part]
	if l == nil {
		l = &lineLimit{passed: make([]time.Time, perSecond)}
		w.limits[part] = l
	}
	if !l.allow(time.Now()) {
		return
	}
	event.Dropped = l.take()
	w.write(event)
}

func (w *Writer) write(event contract.Event) {
	event.Time = time.Now().UTC().Format(contract.TimeFormat)
	event.Session, event.Stack, event.User = w.common.Session, w.common.Stack, w.common.User
	if event.Event != contract.EventUsage {
		event.Image = w.common.Image
	}
	event.Line, event.Reason = process.Shorten(w.hide(event.Line)), w.hide(event.Reason)
	if event.Check != nil {
		check := *event.Check // the caller's stays as it is
		check.Found, check.Change = w.hide(check.Found), w.hide(check.Change)
		event.Check = &check
	}
	line, err := json.Marshal(event)
	if err != nil { // strings and numbers only: it can't happen
		panic(err)
	}
	// A log that can't be written is no reason to end a game.
	_, _ = w.out.Write(append(line, '\n'))
}

// hide replaces the secrets, and the beginning of a secret at the end of a cut line.
func (w *Writer) hide(text string) string {
	text = strings.ToValidUTF8(text, "?")
	for _, secret := range w.secrets {
		text = strings.ReplaceAll(text, secret, mask)
	}
	if whole, isCut := strings.CutSuffix(text, process.Cut); isCut {
		return strings.TrimSuffix(whole, w.begun(whole)) + process.Cut
	}
	return text
}

// begun returns the longest beginning of a secret at the end of a text.
func (w *Writer) begun(text string) string {
	longest := ""
	for _, secret := range w.secrets {
		for n := min(len(secret), len(text)); n > len(longest); n-- {
			if strings.HasSuffix(text, secret[:n]) {
				longest = secret[:n]
			}
		}
	}
	return longest
}

// lineLimit limits the lines per second.
type lineLimit struct {
	passed  []time.Time // when the latest lines were passed on, a ring
	oldest  int
	dropped int
}

func (l *lineLimit) allow(now time.Time) bool {
	if now.Sub(l.passed[l.oldest]) < time.Second {
		l.dropped++
		return false
	}
	l.passed[l.oldest] = now
	l.oldest = (l.oldest + 1) % len(l.passed)
	return true
}

// take returns the number of dropped lines, and resets it.
func (l *lineLimit) take() int {
	dropped := l.dropped
	l.dropped = 0
	return dropped
}
