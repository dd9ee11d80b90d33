package launch

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// job is AWS Batch's detail of a session.
type job struct{ types.JobDetail }

func (j job) id() string { return aws.ToString(j.JobId) }

func (j job) user() string { return j.Tags[contract.TagUser] }

func (j job) ended() bool { return hasEnded(j.Status) }

func hasEnded(s types.JobStatus) bool {
	return s == types.JobStatusSucceeded || s == types.JobStatusFailed
}

// told is whether AWS Batch described the job yet: its lists and its
// descriptions may each lag behind.
func (j job) described() bool { return j.CreatedAt != nil }

// attempt counts from 1: the one that runs or is waited for; of an ended session
// its last, 0 if it never ran.
func (j job) attempt() int {
	if j.ended() {
		return len(j.Attempts)
	}
	return len(j.Attempts) + 1
}

// last is the newest attempt that is over, nil if none is.
func (j job) lastAttempt() *types.AttemptDetail {
	if len(j.Attempts) == 0 {
		return nil
	}
	return &j.Attempts[len(j.Attempts)-1]
}

// newest is the log stream of the newest attempt that has one.
func (j job) latestStream() string {
	if j.Container != nil && j.Container.LogStreamName != nil {
		return *j.Container.LogStreamName
	}
	if last := j.lastAttempt(); last != nil && last.Container != nil {
		return aws.ToString(last.Container.LogStreamName)
	}
	return ""
}

// stream is the log stream of this very attempt: between two attempts the job
// still names the last one's.
func (j job) attemptStream() string {
	name := j.latestStream()
	if j.ended() {
		return name
	}
	if last := j.lastAttempt(); j.Status != types.JobStatusRunning || last != nil && last.Container != nil && aws.ToString(last.Container.LogStreamName) == name {
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
func byAge(a, b job) int {
	return cmp.Or(cmp.Compare(createdAt(a), createdAt(b)), strings.Compare(a.id(), b.id()))
}

func createdAt(j job) int64 {
	if j.CreatedAt == nil {
		return math.MaxInt64
	}
	return *j.CreatedAt
}

// live are a user's sessions that are not over, the oldest first.
func (l *Launcher) liveJobsOf(ctx context.Context, user string) ([]job, error) {
	jobs, err := l.findJobs(ctx, contract.JobName(l.stack.Stack, user), func(s types.JobSummary) bool { return !hasEnded(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// playing are the sessions of all users that are not over, the oldest first.
func (l *Launcher) liveJobs(ctx context.Context) ([]job, error) {
	jobs, err := l.findJobs(ctx, contract.NamePrefix(l.stack.Stack)+"*", func(s types.JobSummary) bool { return !hasEnded(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// current is the user's session, or their last one where it is over.
func (l *Launcher) currentJob(ctx context.Context, user string) (job, error) {
	jobs, err := l.findJobs(ctx, contract.JobName(l.stack.Stack, user), func(types.JobSummary) bool { return true })
	if err != nil {
		return job{}, err
	}
	if i := slices.IndexFunc(jobs, func(j job) bool { return !j.ended() }); i >= 0 {
		return jobs[i], nil
	}
	if len(jobs) == 0 {
		return job{}, l.noSession(user)
	}
	return jobs[len(jobs)-1], nil
}

// find lists and describes the stack's jobs by name, exact or with a "*" at the
// end, the oldest first. With a filter AWS Batch lists every state, and compares
// without regard to case.
func (l *Launcher) findJobs(ctx context.Context, name string, keep func(types.JobSummary) bool) ([]job, error) {
	listed, err := l.listJobs(ctx, &batch.ListJobsInput{Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{name}}}})
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
	described, err := l.describeJobs(ctx, ids)
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
			jobs = append(jobs, l.jobFromSummary(s))
		} else if j.Tags[contract.TagStack] == l.stack.Stack {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, byAge)
	return jobs, nil
}

// undescribed is a job as far as a list tells.
func (l *Launcher) jobFromSummary(s types.JobSummary) job {
	user := strings.TrimPrefix(aws.ToString(s.JobName), contract.NamePrefix(l.stack.Stack))
	return job{types.JobDetail{
		JobId: s.JobId, JobName: s.JobName, Status: s.Status, StatusReason: s.StatusReason,
		CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, StoppedAt: s.StoppedAt,
		Tags: contract.JobTags(l.stack.Stack, user),
	}}
}

// list pages through ListJobs on the stack's queue.
func (l *Launcher) listJobs(ctx context.Context, in *batch.ListJobsInput) ([]types.JobSummary, error) {
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
func (l *Launcher) describeJobs(ctx context.Context, ids []string) (map[string]job, error) {
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
func (l *Launcher) describeOne(ctx context.Context, id string) (job, error) {
	known, err := l.describeJobs(ctx, []string{id})
	if j, there := known[id]; there || err != nil {
		return j, err
	}
	return job{types.JobDetail{JobId: &id, Status: types.JobStatusSubmitted}}, nil
}

// line is how things stand in the queue.
type queueState struct {
	before map[string]int // how many sessions are before each waiting one, by job id
	full   bool           // as many run as the stack has room for
}

// line looks at the queue. A session that is tried again goes to the front, and
// by its age it stands there.
func (l *Launcher) queueState(ctx context.Context) (queueState, error) {
	byStatus := map[types.JobStatus][]types.JobSummary{}
	for _, status := range []types.JobStatus{types.JobStatusRunnable, types.JobStatusStarting, types.JobStatusRunning} {
		var err error
		if byStatus[status], err = l.listJobs(ctx, &batch.ListJobsInput{JobStatus: status}); err != nil {
			return queueState{}, err
		}
	}
	var queue []job
	for _, s := range byStatus[types.JobStatusRunnable] {
		queue = append(queue, l.jobFromSummary(s))
	}
	slices.SortFunc(queue, byAge)
	now := queueState{before: map[string]int{}}
	for i, j := range queue {
		now.before[j.id()] = i
	}
	placed := len(byStatus[types.JobStatusStarting]) + len(byStatus[types.JobStatusRunning])
	now.full = l.stack.MaxSessions > 0 && placed >= l.stack.MaxSessions
	return now, nil
}
