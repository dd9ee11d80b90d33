package main

import (
	"context"
	"math"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/host"
)

// longestWait is the longest wait that a session believes. The time of the submission is
// another machine's, and the submitter may write anything.
const longestWait = 7 * 24 * time.Hour

// sinceSubmit returns the seconds since contract.EnvSubmitted, or nil if it is not there,
// not a time, in the future or too long ago. A wrong clock leaves a wait out rather than
// make one of 0, which would make the others look shorter.
func (s settings) sinceSubmit() *float64 {
	at, err := time.Parse(contract.TimeFormat, s.submitted)
	if err != nil {
		return nil
	}
	return secondsSince(at)
}

// sinceCreated returns the seconds since the creation of the container, or nil if the ECS
// agent does not know.
func sinceCreated(ctx context.Context, taskMetadata string, log *events.Writer) *float64 {
	if taskMetadata == "" {
		return nil
	}
	at, err := host.Created(ctx, taskMetadata)
	if err != nil {
		log.Part("waits", "the time since the container's creation is not known: "+err.Error())
		return nil
	}
	return secondsSince(at)
}

func secondsSince(at time.Time) *float64 {
	since := time.Since(at)
	if since < 0 || since > longestWait {
		return nil
	}
	seconds := math.Round(since.Seconds()*100) / 100
	return &seconds
}
