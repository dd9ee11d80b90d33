package main

import (
	"context"
	"io"
	logger "log"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/status"
	"github.com/intraverse/dcv-sessions/image/session/usage"
)

// run reads the environment, runs a mode, and writes the events of its start and end. It
// returns the process's exit code.
func run(ctx context.Context, given boot.Given, stdout io.Writer, mode func(context.Context, settings, *events.Writer) status.Ending) int {
	s, err := readSettings(given)
	log := events.New(stdout, contract.Event{Session: s.session, Stack: s.Stack, User: s.User, Image: s.Image})
	log.Hide(s.secrets()...)
	logger.SetFlags(0)
	logger.SetOutput(log.Lines("session")) // the output of libraries, which would go to stderr
	starting := contract.Event{Event: contract.EventStarting, SinceSubmit: s.sinceSubmit()}
	if err == nil { // otherwise the agent's address may be anybody's
		starting.SinceCreated = sinceCreated(ctx, s.taskMetadata, log)
	}
	log.Write(starting)
	if len(given.Dropped) > 0 {
		log.Part("environment", "left out, since no session has a use for them: "+strings.Join(given.Dropped, " "))
	}
	end := status.Ending{Code: contract.ExitConfiguration}
	if err != nil {
		end.Reason = err.Error()
	} else {
		end = mode(ctx, s, log)
	}
	log.Flush()
	log.Write(contract.Event{Event: contract.EventEnded, Reason: end.Reason, ExitCode: &end.Code, Exit: contract.ExitName(end.Code)})
	return end.Code
}

// runSession runs one session, from its port to its end, and writes its summary.
func runSession(ctx context.Context, s settings, log *events.Writer) status.Ending {
	meter := usage.New(time.Now())
	end := play(ctx, s, log, meter)
	summary := meter.Summary(end.Code)
	log.Write(contract.Event{Event: contract.EventSummary, Summary: &summary})
	return end
}

func play(ctx context.Context, s settings, log *events.Writer, meter *usage.Meter) status.Ending {
	front, end := openFront(ctx, s, log)
	if front == nil {
		return end
	}
	p := newParts(s, front, log)
	p.meter = meter
	meter.Start(usage.Config{
		Interval: s.Usage, GPU: s.gpu, Traffic: front.Traffic, Playing: front.Playing, Write: log.Write, Log: log.Part,
	})
	return p.session().Live(ctx)
}
