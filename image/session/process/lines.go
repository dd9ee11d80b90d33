package process

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// LongestLine is how many bytes of a line are passed on; AWS's logs take more,
// readers don't. A longer one ends in Cut.
const (
	LongestLine = 2000
	Cut         = "…"
)

// lineSink passes the lines of several streams on, one at a time.
type lineSink struct {
	mu   sync.Mutex
	pass func(string) // nil drops them
}

func (e *lineSink) line(line string) {
	if e.pass == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pass(line)
}

// lineWriter cuts a stream into lines and passes each on.
type lineWriter struct {
	each   func(string)
	broken []byte // the line that is not whole yet, as far as it is kept
}

func (l *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			l.keep(b)
			return n, nil
		}
		l.keep(b[:end])
		l.pass()
		b = b[end+1:]
	}
}

// keep keeps one byte too many, by which pass knows that a line is to be cut.
func (l *lineWriter) keep(b []byte) {
	l.broken = append(l.broken, b[:min(len(b), LongestLine+1-len(l.broken))]...)
}

// pass passes the buffered text on, as a line.
func (l *lineWriter) pass() {
	line := strings.TrimRight(strings.ToValidUTF8(Shorten(string(l.broken)), "?"), "\r \t")
	l.broken = l.broken[:0]
	if line != "" {
		l.each(line)
	}
}

// Shorten cuts a line that is too long, between two characters.
func Shorten(line string) string {
	if len(line) <= LongestLine {
		return line
	}
	end := LongestLine - len(Cut)
	for range utf8.UTFMax - 1 { // so many bytes may follow a character's first
		if utf8.RuneStart(line[end]) {
			break
		}
		end--
	}
	return line[:end] + Cut
}
