package launch

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/contract"
)

// Session is one session as AWS Batch and its log tell it. The JSON names are
// what `launch --json` prints and stay as they are.
type Session struct {
	JobID string `json:"jobId"`
	User  string `json:"user"`
	// State is AWS Batch's: SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING,
	// SUCCEEDED or FAILED.
	State string `json:"state"`
	// Wait is what the session waits for, in words; empty when it is ready or over.
	Wait string `json:"wait,omitempty"`
	// URL is where the player goes; empty unless the session is ready.
	URL string `json:"url,omitempty"`
	// Certificate is the SHA-256, hexadecimal, of the certificate that the session
	// answers with: see Client.
	Certificate string `json:"certificateSha256,omitempty"`
	// New tells that this Start submitted the session; it was there otherwise.
	New     bool      `json:"new,omitempty"`
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"` // of the newest attempt
	Stopped time.Time `json:"stopped,omitzero"`
	// Attempt counts from 1; 0 for a session that ended and never ran.
	Attempt int `json:"attempt"`
	// ExitCode is the session's own (contract.ExitCodes); nil where it did not end
	// by itself.
	ExitCode *int `json:"exitCode,omitempty"`
	// Reason is why the session ended, in words.
	Reason    string `json:"reason,omitempty"`
	LogStream string `json:"logStream,omitempty"`
	// Steps are what a Start with Wait waited for, in order.
	Steps []Step `json:"steps,omitempty"`
}

// plain is what the job alone tells.
func sessionOf(j job) Session {
	s := Session{
		JobID: j.id(), User: j.user(), State: string(j.Status), Attempt: j.attempt(), LogStream: j.latestStream(),
		Created: timeOf(j.CreatedAt), Started: timeOf(j.StartedAt), Stopped: timeOf(j.StoppedAt),
	}
	if j.ended() && j.Container != nil && j.Container.ExitCode != nil {
		code := int(*j.Container.ExitCode)
		s.ExitCode = &code
	}
	return s
}

func timeOf(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}

// view is all of a session: with its place in the queue and the events of its log.
func (l *Launcher) describeSession(ctx context.Context, j job, now queueState) (Session, error) {
	s := sessionOf(j)
	log := sessionLog{logCursor: logCursor{stream: j.attemptStream()}}
	if j.ended() {
		err := l.readLogEnd(ctx, &log)
		s.Reason = endReason(j, log.ended)
		return s, err
	}
	if err := l.updateLog(ctx, &log); err != nil {
		return s, err
	}
	if log.ready != nil && log.ended == nil {
		s.URL, s.Certificate = log.ready.URL, log.ready.Certificate
	} else {
		_, s.Wait = currentStep(j, now, log)
	}
	return s, nil
}

// ListOptions say what List lists.
type ListOptions struct {
	// Ended adds sessions that are over, as long as AWS Batch keeps them: 7 days.
	Ended bool
}

// parallel is how many sessions' logs are read at once.
const parallelReads = 8

// List lists the stack's sessions, by user, each user's oldest first.
func (l *Launcher) List(ctx context.Context, o ListOptions) ([]Session, error) {
	keep := func(s types.JobSummary) bool { return o.Ended || !hasEnded(s.Status) }
	jobs, err := l.findJobs(ctx, contract.NamePrefix(l.stack.Stack)+"*", keep)
	if err != nil {
		return nil, asDenied(err)
	}
	now, err := l.queueStateFor(ctx, jobs...)
	if err != nil {
		return nil, asDenied(err)
	}
	sessions := make([]Session, len(jobs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for i, j := range jobs {
		group.Go(func() (err error) {
			sessions[i], err = l.describeSession(ctx, j, now)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, asDenied(err)
	}
	sessions = slices.DeleteFunc(sessions, func(s Session) bool { return !keep(types.JobSummary{Status: types.JobStatus(s.State)}) })
	slices.SortStableFunc(sessions, func(a, b Session) int { return strings.Compare(a.User, b.User) })
	return sessions, nil
}

// lineFor looks at the queue only where one of the jobs waits for its turn.
func (l *Launcher) queueStateFor(ctx context.Context, jobs ...job) (queueState, error) {
	if !slices.ContainsFunc(jobs, func(j job) bool { return j.Status == types.JobStatusRunnable }) {
		return queueState{}, nil
	}
	return l.queueState(ctx)
}

// Show is a user's session, or their last one where it is over. It fails with
// ErrNoSession where AWS Batch knows none, and with *UnknownUser.
func (l *Launcher) Show(ctx context.Context, user string) (Session, error) {
	j, err := l.currentJob(ctx, user)
	if err != nil {
		return Session{}, asDenied(err)
	}
	now, err := l.queueStateFor(ctx, j)
	if err != nil {
		return sessionOf(j), asDenied(err)
	}
	s, err := l.describeSession(ctx, j, now)
	return s, asDenied(err)
}
