package launch

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
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

// event returns the line as an event of a session's life. A line of another kind is
// the zero Event.
func (line LogLine) event() contract.Event {
	var e contract.Event
	if json.Unmarshal([]byte(line.Message), &e) != nil {
		return contract.Event{}
	}
	return e
}

// logCursor is a position in a log stream.
type logCursor struct {
	stream   string
	backward bool    // from the stream's end to its head, a few lines a page
	token    *string // of the next page; nil: the first one
}

// linesFromEnd is the number of last lines that are read to find a log's last event.
const linesFromEnd = 10

// pages returns the pages of a stream from a cursor on, and moves the cursor. A page
// may be empty though more follow: the last page returns the token that it was
// requested with (CloudWatch Logs API reference, GetLogEvents). A stream that does
// not exist yet has no pages.
func (l *Launcher) pages(ctx context.Context, at *logCursor) iter.Seq2[[]LogLine, error] {
	return func(yield func([]LogLine, error) bool) {
		for more := at.stream != ""; more; {
			page, err := l.logs.GetLogEvents(ctx, l.pageOf(*at))
			var missing *types.ResourceNotFoundException
			if errors.As(err, &missing) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			next := page.NextForwardToken
			if at.backward {
				next = page.NextBackwardToken
			}
			more = aws.ToString(next) != aws.ToString(at.token)
			at.token = next
			if !yield(linesOf(page.Events), nil) {
				return
			}
		}
	}
}

func (l *Launcher) pageOf(at logCursor) *cloudwatchlogs.GetLogEventsInput {
	in := &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &l.stack.LogGroup, LogStreamName: &at.stream, StartFromHead: aws.Bool(!at.backward), NextToken: at.token,
	}
	if at.backward {
		in.Limit = aws.Int32(linesFromEnd)
	}
	return in
}

func linesOf(events []types.OutputLogEvent) []LogLine {
	lines := make([]LogLine, len(events))
	for i, e := range events {
		lines[i] = LogLine{timeOf(e.Timestamp), aws.ToString(e.Message)}
	}
	return lines
}

// readNewLines returns the lines from a cursor to the end of its stream.
func (l *Launcher) readNewLines(ctx context.Context, at *logCursor) ([]LogLine, error) {
	var all []LogLine
	for lines, err := range l.pages(ctx, at) {
		if err != nil {
			return all, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

// sessionLog holds the events of one attempt's log that the launcher acts on. A game
// may print a lot, so the log is read from both ends: from its head until the session
// is ready, and then only its last lines.
type sessionLog struct {
	logCursor
	ready, ended *contract.Event
	state        contract.State // the one that was entered last, as far as was read
}

func newSessionLog(stream string) sessionLog {
	return sessionLog{logCursor: logCursor{stream: stream}}
}

func (log *sessionLog) add(lines []LogLine) {
	for _, line := range lines {
		switch event := line.event(); event.Event {
		case contract.EventEntered:
			log.state = event.State
		case contract.EventReady:
			log.ready = &event
		case contract.EventEnded:
			log.ended = &event
		}
	}
}

// updateLog reads the events that came since the last update.
func (l *Launcher) updateLog(ctx context.Context, log *sessionLog) error {
	if log.ready == nil {
		for lines, err := range l.pages(ctx, &log.logCursor) {
			if err != nil {
				return err
			}
			if log.add(lines); log.ready != nil {
				break
			}
		}
	}
	if log.ready == nil || log.ended != nil {
		return nil // all of it was read
	}
	return l.readLogEnd(ctx, log)
}

// readLogEnd reads only the last lines of a log.
func (l *Launcher) readLogEnd(ctx context.Context, log *sessionLog) error {
	for lines, err := range l.pages(ctx, &logCursor{stream: log.stream, backward: true}) {
		if err != nil {
			return err
		}
		if log.add(lines); len(lines) > 0 {
			break
		}
	}
	return nil
}

// looksForLastLines is the number of looks at an ended session's log: on AWS lines
// arrive seconds later.
const looksForLastLines = 10

// Logs calls out with each line of the log of a user's session, or of their last one
// if all have ended, in order. Without follow it returns after the last line that
// there is now. With follow it goes on to the log of each further attempt and returns
// when the session has ended.
func (l *Launcher) Logs(ctx context.Context, user string, follow bool, out func(LogLine)) error {
	j, err := l.currentJob(ctx, user)
	if err != nil {
		return asDenied(err)
	}
	f := follower{Launcher: l, out: out}
	if !follow {
		return asDenied(f.handOutNew(ctx, j.latestStream()))
	}
	for quiet := 0; ; {
		if err := f.handOutNew(ctx, j.latestStream()); err != nil {
			return explainStop(ctx, err, user, j.id(), "")
		}
		if j.ended() {
			if quiet++; f.ended || f.stream == "" || quiet > looksForLastLines {
				return nil
			}
		}
		if err := sleep(ctx, l.poll); err != nil {
			return explainStop(ctx, err, user, j.id(), "")
		}
		next, err := l.describeOne(ctx, j.id())
		if err != nil {
			return explainStop(ctx, err, user, j.id(), "")
		}
		if next.described() {
			j = next
		}
	}
}

// follower calls out with a session's lines, stream after stream.
type follower struct {
	*Launcher
	logCursor
	out   func(LogLine)
	ended bool // the stream has the event `ended`
}

// handOutNew calls out with new lines. If another attempt has begun, the rest of the
// last one's stream comes first.
func (f *follower) handOutNew(ctx context.Context, stream string) error {
	if err := f.drain(ctx); err != nil || stream == f.stream {
		return err
	}
	f.logCursor, f.ended = logCursor{stream: stream}, false
	return f.drain(ctx)
}

func (f *follower) drain(ctx context.Context) error {
	lines, err := f.readNewLines(ctx, &f.logCursor)
	for _, line := range lines {
		f.out(line)
		f.ended = f.ended || line.event().Event == contract.EventEnded
	}
	return err
}
