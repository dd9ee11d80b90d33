package launch

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/contract"
)

// Session is a session as AWS Batch describes it, with the events of its log. The
// JSON names are those of `launch --json` and stay as they are.
type Session struct {
	JobID string `json:"jobId"`
	User  string `json:"user"`
	// State is AWS Batch's: SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING,
	// SUCCEEDED or FAILED.
	State string `json:"state"`
	// Wait says in words why the player waits; empty if the session is ready or has
	// ended.
	Wait string `json:"wait,omitempty"`
	// URL is the session's address for the player; empty unless it is ready.
	URL string `json:"url,omitempty"`
	// Certificate is the SHA-256, hexadecimal, of the session's certificate: see
	// Client.
	Certificate string `json:"certificateSha256,omitempty"`
	// Host is the ARN of the host, a container instance of Amazon ECS, of the newest
	// attempt; empty before the session has one.
	Host string `json:"host,omitempty"`
	// InstanceType is the host's, which the session names when it is ready.
	InstanceType string `json:"instanceType,omitempty"`
	// New reports whether this Start submitted the session.
	New     bool      `json:"new,omitempty"`
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"` // of the newest attempt
	Stopped time.Time `json:"stopped,omitzero"`
	// Attempt counts from 1; 0 for a session that ended and never ran.
	Attempt int `json:"attempt"`
	// ExitCode is the session's own (contract.ExitCodes); nil if it did not end by
	// itself.
	ExitCode *int `json:"exitCode,omitempty"`
	// Reason says in words why the session ended.
	Reason string `json:"reason,omitempty"`
	// OutOfMemory reports whether the session ended because it used more memory than it
	// had reserved.
	OutOfMemory bool   `json:"outOfMemory,omitempty"`
	LogStream   string `json:"logStream,omitempty"`
	// Steps are the steps that a Start with Wait went through, in order.
	Steps []Step `json:"steps,omitempty"`
}

// sessionOf returns a session without its place in the queue and without its log.
func sessionOf(j job) Session {
	s := Session{
		JobID: j.id(), User: j.user(), State: string(j.Status), Attempt: j.attempt(), LogStream: j.latestStream(), Host: j.host(),
		Created: timeOf(j.CreatedAt), Started: timeOf(j.StartedAt), Stopped: timeOf(j.StoppedAt),
	}
	if j.ended() && j.Container != nil {
		s.OutOfMemory = strings.HasPrefix(aws.ToString(j.Container.Reason), contract.ReasonOutOfMemory)
		if j.Container.ExitCode != nil {
			code := int(*j.Container.ExitCode)
			s.ExitCode = &code
		}
	}
	return s
}

// add adds what the session's event `ready` names.
func (s *Session) add(ready contract.Event) {
	s.URL, s.Certificate, s.InstanceType = ready.URL, ready.Certificate, ready.InstanceType
}

func timeOf(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}

// describeSession returns a session with its place in the queue and the events of its
// log.
func (l *Launcher) describeSession(ctx context.Context, j job, now queueState) (Session, error) {
	s := sessionOf(j)
	log := newSessionLog(j.attemptStream())
	if j.ended() {
		err := l.readLogEnd(ctx, &log)
		s.Reason = endReason(j, log.ended)
		return s, err
	}
	if err := l.updateLog(ctx, &log); err != nil {
		return s, err
	}
	if log.ready != nil && log.ended == nil {
		s.add(*log.ready)
	} else {
		_, s.Wait = currentStep(j, now, log)
	}
	return s, nil
}

// ListOptions are the options of List.
type ListOptions struct {
	// Ended adds sessions that have ended, for as long as AWS Batch keeps them: 7 days.
	Ended bool
}

// parallelReads is the number of logs that are read at once.
const parallelReads = 8

// List returns the stack's sessions, by user, each user's oldest first.
func (l *Launcher) List(ctx context.Context, o ListOptions) ([]Session, error) {
	keep := func(s types.JobSummary) bool { return o.Ended || !hasEnded(s.Status) }
	jobs, err := l.findJobs(ctx, contract.NamePrefix(l.stack.Stack)+"*", keep)
	if err != nil {
		return nil, asDenied(err)
	}
	sessions, err := l.describeSessions(ctx, jobs)
	if err != nil {
		return nil, asDenied(err)
	}
	sessions = slices.DeleteFunc(sessions, func(s Session) bool { return !keep(types.JobSummary{Status: types.JobStatus(s.State)}) })
	slices.SortStableFunc(sessions, byUser)
	return sessions, nil
}

func byUser(a, b Session) int { return strings.Compare(a.User, b.User) }

// describeSessions returns the sessions of jobs, in their order.
func (l *Launcher) describeSessions(ctx context.Context, jobs []job) ([]Session, error) {
	now, err := l.queueStateFor(ctx, jobs...)
	if err != nil {
		return nil, err
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
	return sessions, group.Wait()
}

// queueStateFor looks at the queue only if one of the jobs waits in it.
func (l *Launcher) queueStateFor(ctx context.Context, jobs ...job) (queueState, error) {
	if !slices.ContainsFunc(jobs, func(j job) bool { return j.Status == types.JobStatusRunnable }) {
		return queueState{}, nil
	}
	return l.queueState(ctx)
}

// Show returns a user's session, or their last one if all have ended. It fails with
// ErrNoSession if AWS Batch knows none, and with *UnknownUser.
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
