package launch

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/contract"
)

// job is AWS Batch's detail of a session.
type job struct{ types.JobDetail }

func (j job) id() string { return aws.ToString(j.JobId) }

func (j job) user() string { return j.Tags[contract.TagUser] }

func (j job) ended() bool { return over(j.Status) }

func over(s types.JobStatus) bool {
	return s == types.JobStatusSucceeded || s == types.JobStatusFailed
}

// told is whether AWS Batch described the job yet: its lists and its
// descriptions may each lag behind.
func (j job) told() bool { return j.CreatedAt != nil }

// attempt counts from 1: the one that runs or is waited for; of an ended session
// its last, 0 if it never ran.
func (j job) attempt() int {
	if j.ended() {
		return len(j.Attempts)
	}
	return len(j.Attempts) + 1
}

// last is the newest attempt that is over, nil if none is.
func (j job) last() *types.AttemptDetail {
	if len(j.Attempts) == 0 {
		return nil
	}
	return &j.Attempts[len(j.Attempts)-1]
}

// newest is the log stream of the newest attempt that has one.
func (j job) newest() string {
	if j.Container != nil && j.Container.LogStreamName != nil {
		return *j.Container.LogStreamName
	}
	if last := j.last(); last != nil && last.Container != nil {
		return aws.ToString(last.Container.LogStreamName)
	}
	return ""
}

// stream is the log stream of this very attempt: between two attempts the job
// still names the last one's.
func (j job) stream() string {
	name := j.newest()
	if j.ended() {
		return name
	}
	if last := j.last(); j.Status != types.JobStatusRunning || last != nil && last.Container != nil && aws.ToString(last.Container.LogStreamName) == name {
		return ""
	}
	return name
}

// variable is one of the container's environment variables.
func (j job) variable(name string) string {
	if j.Container == nil {
		return ""
	}
	for _, pair := range j.Container.Environment {
		if aws.ToString(pair.Name) == name {
			return aws.ToString(pair.Value)
		}
	}
	return ""
}

// older orders jobs by when they were submitted, then by id. It is a total order
// that every launcher sees alike: of two sessions the first one stays.
func older(a, b job) int {
	return cmp.Or(cmp.Compare(created(a), created(b)), strings.Compare(a.id(), b.id()))
}

func created(j job) int64 {
	if j.CreatedAt == nil {
		return math.MaxInt64
	}
	return *j.CreatedAt
}

// live are a user's sessions that are not over, the oldest first.
func (l *Launcher) live(ctx context.Context, user string) ([]job, error) {
	jobs, err := l.find(ctx, contract.JobName(l.stack.Stack, user), func(s types.JobSummary) bool { return !over(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// playing are the sessions of all users that are not over, the oldest first.
func (l *Launcher) playing(ctx context.Context) ([]job, error) {
	jobs, err := l.find(ctx, contract.NamePrefix(l.stack.Stack)+"*", func(s types.JobSummary) bool { return !over(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// current is the user's session, or their last one where it is over.
func (l *Launcher) current(ctx context.Context, user string) (job, error) {
	jobs, err := l.find(ctx, contract.JobName(l.stack.Stack, user), func(types.JobSummary) bool { return true })
	if err != nil {
		return job{}, err
	}
	if i := slices.IndexFunc(jobs, func(j job) bool { return !j.ended() }); i >= 0 {
		return jobs[i], nil
	}
	if len(jobs) == 0 {
		return job{}, l.nothing(user)
	}
	return jobs[len(jobs)-1], nil
}

// find lists and describes the stack's jobs by name, exact or with a "*" at the
// end, the oldest first. With a filter AWS Batch lists every state, and compares
// without regard to case.
func (l *Launcher) find(ctx context.Context, name string, keep func(types.JobSummary) bool) ([]job, error) {
	listed, err := l.list(ctx, &batch.ListJobsInput{Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{name}}}})
	if err != nil {
		return nil, err
	}
	prefix, isPrefix := strings.CutSuffix(name, "*")
	var ids []string
	for _, s := range listed {
		if has := aws.ToString(s.JobName); (has == name || isPrefix && strings.HasPrefix(has, prefix)) && keep(s) {
			ids = append(ids, aws.ToString(s.JobId))
		}
	}
	described, err := l.describe(ctx, ids)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, s := range listed {
		if !slices.Contains(ids, aws.ToString(s.JobId)) {
			continue
		}
		// The tag decides, so that nothing is taken that the stack's launchers may
		// not end; what isn't described yet is taken by its name.
		if j, known := described[aws.ToString(s.JobId)]; !known {
			jobs = append(jobs, l.undescribed(s))
		} else if j.Tags[contract.TagStack] == l.stack.Stack {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, older)
	return jobs, nil
}

// undescribed is a job as far as a list tells.
func (l *Launcher) undescribed(s types.JobSummary) job {
	user := strings.TrimPrefix(aws.ToString(s.JobName), contract.NamePrefix(l.stack.Stack))
	return job{types.JobDetail{
		JobId: s.JobId, JobName: s.JobName, Status: s.Status, StatusReason: s.StatusReason,
		CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, StoppedAt: s.StoppedAt,
		Tags: contract.JobTags(l.stack.Stack, user),
	}}
}

// list pages through ListJobs on the stack's queue.
func (l *Launcher) list(ctx context.Context, in *batch.ListJobsInput) ([]types.JobSummary, error) {
	in.JobQueue = &l.stack.QueueARN
	var all []types.JobSummary
	for pages := batch.NewListJobsPaginator(l.batch, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.JobSummaryList...)
	}
	return all, nil
}

// describe gives details by id, of those that AWS Batch knows: up to 100 a call
// (AWS Batch API reference, DescribeJobs).
func (l *Launcher) describe(ctx context.Context, ids []string) (map[string]job, error) {
	known := map[string]job{}
	for chunk := range slices.Chunk(ids, 100) {
		out, err := l.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: chunk})
		if err != nil {
			return nil, err
		}
		for _, detail := range out.Jobs {
			known[aws.ToString(detail.JobId)] = job{detail}
		}
	}
	return known, nil
}

// again is a job's newest detail. AWS Batch may not know a new job yet: then
// nothing but its id is told.
func (l *Launcher) again(ctx context.Context, id string) (job, error) {
	known, err := l.describe(ctx, []string{id})
	if j, there := known[id]; there || err != nil {
		return j, err
	}
	return job{types.JobDetail{JobId: &id, Status: types.JobStatusSubmitted}}, nil
}

// line is how things stand in the queue.
type line struct {
	before map[string]int // how many sessions are before each waiting one, by job id
	full   bool           // as many run as the stack has room for
}

// line looks at the queue. A session that is tried again goes to the front, and
// by its age it stands there.
func (l *Launcher) line(ctx context.Context) (line, error) {
	byStatus := map[types.JobStatus][]types.JobSummary{}
	for _, status := range []types.JobStatus{types.JobStatusRunnable, types.JobStatusStarting, types.JobStatusRunning} {
		var err error
		if byStatus[status], err = l.list(ctx, &batch.ListJobsInput{JobStatus: status}); err != nil {
			return line{}, err
		}
	}
	var queue []job
	for _, s := range byStatus[types.JobStatusRunnable] {
		queue = append(queue, l.undescribed(s))
	}
	slices.SortFunc(queue, older)
	now := line{before: map[string]int{}}
	for i, j := range queue {
		now.before[j.id()] = i
	}
	placed := len(byStatus[types.JobStatusStarting]) + len(byStatus[types.JobStatusRunning])
	now.full = l.stack.MaxSessions > 0 && placed >= l.stack.MaxSessions
	return now, nil
}

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
func plain(j job) Session {
	s := Session{
		JobID: j.id(), User: j.user(), State: string(j.Status), Attempt: j.attempt(), LogStream: j.newest(),
		Created: moment(j.CreatedAt), Started: moment(j.StartedAt), Stopped: moment(j.StoppedAt),
	}
	if j.ended() && j.Container != nil && j.Container.ExitCode != nil {
		code := int(*j.Container.ExitCode)
		s.ExitCode = &code
	}
	return s
}

func moment(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}

// view is all of a session: with its place in the queue and the events of its log.
func (l *Launcher) view(ctx context.Context, j job, now line) (Session, error) {
	s := plain(j)
	log := sessionLog{logCursor: logCursor{stream: j.stream()}}
	if j.ended() {
		err := l.readEnd(ctx, &log)
		s.Reason = ending(j, log.ended)
		return s, err
	}
	if err := l.update(ctx, &log); err != nil {
		return s, err
	}
	if log.ready != nil && log.ended == nil {
		s.URL, s.Certificate = log.ready.URL, log.ready.Certificate
	} else {
		_, s.Wait = waiting(j, now, log)
	}
	return s, nil
}

// ListOptions say what List lists.
type ListOptions struct {
	// Ended adds sessions that are over, as long as AWS Batch keeps them: 7 days.
	Ended bool
}

// parallel is how many sessions' logs are read at once.
const parallel = 8

// List lists the stack's sessions, by user, each user's oldest first.
func (l *Launcher) List(ctx context.Context, o ListOptions) ([]Session, error) {
	keep := func(s types.JobSummary) bool { return o.Ended || !over(s.Status) }
	jobs, err := l.find(ctx, contract.NamePrefix(l.stack.Stack)+"*", keep)
	if err != nil {
		return nil, explain(err)
	}
	now, err := l.lineFor(ctx, jobs...)
	if err != nil {
		return nil, explain(err)
	}
	sessions := make([]Session, len(jobs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, j := range jobs {
		group.Go(func() (err error) {
			sessions[i], err = l.view(ctx, j, now)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, explain(err)
	}
	sessions = slices.DeleteFunc(sessions, func(s Session) bool { return !keep(types.JobSummary{Status: types.JobStatus(s.State)}) })
	slices.SortStableFunc(sessions, func(a, b Session) int { return strings.Compare(a.User, b.User) })
	return sessions, nil
}

// lineFor looks at the queue only where one of the jobs waits for its turn.
func (l *Launcher) lineFor(ctx context.Context, jobs ...job) (line, error) {
	if !slices.ContainsFunc(jobs, func(j job) bool { return j.Status == types.JobStatusRunnable }) {
		return line{}, nil
	}
	return l.line(ctx)
}

// Show is a user's session, or their last one where it is over. It fails with
// ErrNoSession where AWS Batch knows none, and with *UnknownUser.
func (l *Launcher) Show(ctx context.Context, user string) (Session, error) {
	j, err := l.current(ctx, user)
	if err != nil {
		return Session{}, explain(err)
	}
	now, err := l.lineFor(ctx, j)
	if err != nil {
		return plain(j), explain(err)
	}
	s, err := l.view(ctx, j, now)
	return s, explain(err)
}
