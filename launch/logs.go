package launch

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// LogLine is one line of a session's log.
type LogLine struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// event is the line as an event of a session's life; another kind of line has
// none.
func (line LogLine) event() contract.Event {
	var e contract.Event
	if json.Unmarshal([]byte(line.Message), &e) != nil {
		return contract.Event{}
	}
	return e
}

// tail reads a log stream from its head, as far as it was written.
type tail struct {
	stream string
	token  *string // of the next page; nil: from the head
}

// read gives the lines that came since the last read. A stream that isn't there
// yet has none.
func (l *Launcher) read(ctx context.Context, t *tail) ([]LogLine, error) {
	var lines []LogLine
	for t.stream != "" {
		page, err := l.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &l.stack.LogGroup, LogStreamName: &t.stream, StartFromHead: aws.Bool(true), NextToken: t.token,
		})
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		for _, e := range page.Events {
			lines = append(lines, LogLine{moment(e.Timestamp), aws.ToString(e.Message)})
		}
		// The end is where the token stays the same; a page may be empty before it.
		atEnd := aws.ToString(page.NextForwardToken) == aws.ToString(t.token)
		t.token = page.NextForwardToken
		if atEnd {
			return lines, nil
		}
	}
	return lines, nil
}

// events are what a session's log tells of it.
type events struct{ ready, ended *contract.Event }

func (e *events) add(lines []LogLine) {
	for _, line := range lines {
		switch event := line.event(); event.Event {
		case contract.EventReady:
			e.ready = &event
		case contract.EventEnded:
			e.ended = &event
		}
	}
}

// told reads a whole stream; "" has no events.
func (l *Launcher) told(ctx context.Context, stream string) (events, error) {
	lines, err := l.read(ctx, &tail{stream: stream})
	var e events
	e.add(lines)
	return e, err
}

// late is how many looks an ended session's log is given to arrive.
const late = 10

// Logs hands out the lines of the log of a user's session, or of their last one
// where it is over, in order and as they are. Without follow it returns after the
// last one that there is now; with it when the session is over, and goes on to
// the log of each further attempt.
func (l *Launcher) Logs(ctx context.Context, user string, follow bool, out func(LogLine)) error {
	j, err := l.current(ctx, user)
	if err != nil {
		return explain(err)
	}
	f := follower{Launcher: l, out: out}
	if !follow {
		return explain(f.take(ctx, j.newest()))
	}
	for quiet := 0; ; {
		if err := f.take(ctx, j.newest()); err != nil {
			return stopped(ctx, err, user, j.id(), "")
		}
		if j.ended() {
			if quiet++; f.over || f.stream == "" || quiet > late {
				return nil
			}
		}
		if err := pause(ctx, l.poll); err != nil {
			return stopped(ctx, err, user, j.id(), "")
		}
		next, err := l.again(ctx, j.id())
		if err != nil {
			return stopped(ctx, err, user, j.id(), "")
		}
		if next.told() {
			j = next
		}
	}
}

// follower hands out a session's lines, stream after stream.
type follower struct {
	*Launcher
	tail
	out  func(LogLine)
	over bool // the stream's session said that it ended
}

// take hands out what is new: first the rest of the stream before, where an
// attempt followed upon another.
func (f *follower) take(ctx context.Context, stream string) error {
	if err := f.drain(ctx); err != nil || stream == f.stream {
		return err
	}
	f.tail, f.over = tail{stream: stream}, false
	return f.drain(ctx)
}

func (f *follower) drain(ctx context.Context) error {
	lines, err := f.read(ctx, &f.tail)
	for _, line := range lines {
		f.out(line)
		f.over = f.over || line.event().Event == contract.EventEnded
	}
	return err
}
