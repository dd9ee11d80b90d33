package main

import (
	"fmt"
	"io"
	"time"
)

// every is how often progress is told: a build's log is read by people.
const every = 2 * time.Second

// progress counts what passes through it and tells how far it is.
type progress struct {
	log         io.Writer
	what        string
	whole       int64 // bytes, 0 where not known
	done        int64
	began, told time.Time
}

func newProgress(log io.Writer, what string, whole int64) *progress {
	now := time.Now()
	return &progress{log: log, what: what, whole: whole, began: now, told: now}
}

func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if time.Since(p.told) >= every {
		p.tell()
	}
	return len(b), nil
}

// tell writes a line; call it once more at the end.
func (p *progress) tell() {
	p.told = time.Now()
	of := ""
	if p.whole > 0 {
		of = fmt.Sprintf(" of %s", megabytes(p.whole))
	}
	speed := 0.0
	if took := p.told.Sub(p.began).Seconds(); took > 0 {
		speed = float64(p.done) / 1e6 / took
	}
	fmt.Fprintf(p.log, "fetch: %s: %s%s, %.0f MB/s\n", p.what, megabytes(p.done), of, speed)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
