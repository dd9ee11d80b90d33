package main

import (
	"fmt"
	"io"
	"time"
)

// every is the time between two lines of progress: people read a build's log.
const every = 2 * time.Second

// progress counts the bytes that pass through it and logs how many there were.
type progress struct {
	log            io.Writer
	what           string
	whole          int64 // bytes, 0 if not known
	done           int64
	began, printed time.Time
}

func newProgress(log io.Writer, what string, whole int64) *progress {
	now := time.Now()
	return &progress{log: log, what: what, whole: whole, began: now, printed: now}
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if time.Since(p.printed) >= every {
		p.print()
	}
	return len(b), nil
}

// print writes a line; call it once more at the end.
func (p *progress) print() {
	p.printed = time.Now()
	of := ""
	if p.whole > 0 {
		of = fmt.Sprintf(" of %s", megabytes(p.whole))
	}
	speed := 0.0
	if took := p.printed.Sub(p.began).Seconds(); took > 0 {
		speed = float64(p.done) / 1e6 / took
	}
	fmt.Fprintf(p.log, "fetch: %s: %s%s, %.0f MB/s\n", p.what, megabytes(p.done), of, speed)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
