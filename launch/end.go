package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// EndOptions are the options of End.
type EndOptions struct {
	// Progress is called with the words for each thing that End does.
	Progress func(words string)
	// Limit is the longest that End takes; 0 is DefaultEndLimit.
	Limit time.Duration
}

// DefaultEndLimit is the default of EndOptions.Limit.
const DefaultEndLimit = 3 * time.Minute

// maxReason is the number of bytes of a reason that a session takes.
const maxReason = 256

// End ends a user's session and returns it when it has ended. The reason, up to 256
// bytes, goes to the session's log.
//
// A session that is ready is asked to end: it exits by itself and is SUCCEEDED. One
// that isn't ready, can't be reached or refuses is ended by AWS Batch, which marks it
// FAILED; Session.Reason then says why.
//
// It fails with ErrNoSession; with *LimitPassed, *Denied and context.Canceled.
func (l *Launcher) End(ctx context.Context, user, reason string, o EndOptions) (Session, error) {
	ctx, cancel := withLimit(ctx, o.Limit, DefaultEndLimit)
	defer cancel()
	live, err := l.liveJobsOf(ctx, user)
	if err != nil {
		return Session{}, explainStop(ctx, err, user, "", "")
	}
	if len(live) == 0 {
		return Session{}, l.noSession(user)
	}
	e := end{Launcher: l, reason: trimReason(reason), progress: o.Progress}
	var first Session
	for i, j := range live { // more than one if two launchers started one at once
		ended, err := e.end(ctx, j)
		if err != nil {
			return ended, explainStop(ctx, err, user, j.id(), "it was asked to end and has not ended")
		}
		if i == 0 {
			first = ended
		}
	}
	return first, nil
}

// trimReason returns a reason as sessions and AWS Batch take it.
func trimReason(reason string) string {
	if reason == "" {
		return "no reason was given"
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") // a character may be cut in two
	}
	return reason
}

// end is one call of End.
type end struct {
	*Launcher
	reason   string
	progress func(string)
}

func (e end) report(words string) {
	if e.progress != nil {
		e.progress(words)
	}
}

func (e end) end(ctx context.Context, j job) (Session, error) {
	why := e.ask(ctx, j)
	if why == nil {
		e.report("the session was asked to end")
	} else {
		e.report(fmt.Sprintf("AWS Batch ends it, since %v", why))
		if err := e.terminate(ctx, j.id(), e.reason); err != nil {
			return sessionOf(j), err
		}
	}
	j, err := e.awaitEnd(ctx, j)
	if err != nil {
		return sessionOf(j), err
	}
	s, err := e.describeSession(ctx, j, queueState{})
	if err == nil && why != nil && j.Status == types.JobStatusFailed {
		s.Reason = fmt.Sprintf("asked to end: %s; AWS Batch ended it, since %v, and so the queue shows it as FAILED", e.reason, why)
	}
	return s, err
}

// ask asks a session that is ready to end. The error says why AWS Batch has to end it.
func (e end) ask(ctx context.Context, j job) error {
	if j.Status != types.JobStatusRunning {
		return errors.New("it did not run yet")
	}
	log := newSessionLog(j.attemptStream())
	if err := e.updateLog(ctx, &log); err != nil {
		return fmt.Errorf("its log can't be read: %w", asDenied(err))
	}
	if log.ended != nil {
		return nil // it ends already
	}
	if log.ready == nil {
		return errors.New("it was not ready yet")
	}
	return e.requestEnd(ctx, *log.ready, j, e.reason)
}

// awaitEnd waits until AWS Batch says that the job has ended.
func (l *Launcher) awaitEnd(ctx context.Context, j job) (job, error) {
	for {
		next, err := l.describeOne(ctx, j.id())
		if err != nil {
			return j, err
		}
		if next.described() {
			j = next
		}
		if j.ended() {
			return j, nil
		}
		if err := sleep(ctx, l.poll); err != nil {
			return j, err
		}
	}
}

// terminate makes AWS Batch end a job in any state. It does nothing to one that has
// ended.
func (l *Launcher) terminate(ctx context.Context, id, reason string) error {
	_, err := l.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: &reason})
	return err
}
