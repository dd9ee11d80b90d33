package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// events writes the session's life to stdout, a JSON object a line. Nobody else
// writes there: metric filters and the launcher read it.
type events struct {
	mu     sync.Mutex
	out    io.Writer
	common contract.Event // what every event of this session carries
}

func newEvents(out io.Writer, s settings) *events {
	return &events{out: out, common: contract.Event{Session: s.session, Stack: s.stack, User: s.user, Image: s.image}}
}

// write completes an event and writes it.
func (e *events) write(event contract.Event) {
	event.Time = time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00")
	event.Session, event.Stack, event.User, event.Image = e.common.Session, e.common.Stack, e.common.User, e.common.Image
	line, err := json.Marshal(event)
	if err != nil { // strings and numbers only: it can't happen
		panic(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// A log that can't be written is no reason to end somebody's game.
	_, _ = e.out.Write(append(line, '\n'))
}
