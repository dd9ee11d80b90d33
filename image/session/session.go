package main

import (
	"context"
	"io"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/life"
)

// run is what all modes have in common: the environment is read, and events tell
// the beginning and the end. It returns the process's exit code.
func run(ctx context.Context, environ []string, stdout io.Writer, mode func(context.Context, settings, *events.Writer) life.Ending) int {
	s, err := readSettings(environ)
	log := events.New(stdout, contract.Event{Session: s.session, Stack: s.stack, User: s.user, Image: s.image})
	log.Hide(s.secrets()...)
	log.Write(contract.Event{Event: contract.EventStarting})
	end := life.Ending{Code: contract.ExitConfiguration}
	if err != nil {
		end.Reason = err.Error()
	} else {
		end = mode(ctx, s, log)
	}
	log.Flush()
	log.Write(contract.Event{Event: contract.EventEnded, Reason: end.Reason, ExitCode: &end.Code})
	return end.Code
}

// live is one session, from its port to its end.
func live(ctx context.Context, s settings, log *events.Writer) life.Ending {
	front, end := openFront(ctx, s, log)
	if front == nil {
		return end
	}
	p := newParts(s, front, log)
	return p.session().Live(ctx)
}
