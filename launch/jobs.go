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

// job is a session as AWS Batch describes it.
type job struct{ types.JobDetail }

func (j job) id() string { return aws.ToString(j.JobId) }

func (j job) user() string { return j.Tags[contract.TagUser] }

func (j job) ended() bool { return hasEnded(j.Status) }

func hasEnded(s types.JobStatus) bool {
	return s == types.JobStatusSucceeded || s == types.JobStatusFailed
}

// described reports whether AWS Batch has described the job: its lists and its
// descriptions may each lag behind a submission.
func (j job) described() bool { return j.CreatedAt != nil }

// attempt returns the number, from 1, of the attempt that runs or is waited for. Of a
// session that has ended it is the last one's, and 0 if it never ran.
func (j job) attempt() int {
	if j.ended() {
		return len(j.Attempts)
	}
	return len(j.Attempts) + 1
}

// lastAttempt returns the newest attempt that has ended, or nil.
func (j job) lastAttempt() *types.AttemptDetail {
	if len(j.Attempts) == 0 {
		return nil
	}
	return &j.Attempts[len(j.Attempts)-1]
}

// latestStream returns the log stream of the newest attempt that has one.
func (j job) latestStream() string {
	if j.Container != nil && j.Container.LogStreamName != nil {
		return *j.Container.LogStreamName
	}
	if last := j.lastAttempt(); last != nil && last.Container != nil {
		return aws.ToString(last.Container.LogStreamName)
	}
	return ""
}

// attemptStream returns the log stream of the present attempt, or "": between two
// attempts the job still names the last one's.
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

// variable returns the value of one of the container's environment variables.
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

// byAge orders jobs by the time of their submission, then by id. Every launcher sees
// the same order: of a user's two sessions the first one stays.
func byAge(a, b job) int {
	return cmp.Or(cmp.Compare(createdAt(a), createdAt(b)), strings.Compare(a.id(), b.id()))
}

func createdAt(j job) int64 {
	if j.CreatedAt == nil {
		return math.MaxInt64
	}
	return *j.CreatedAt
}

// liveJobsOf returns a user's sessions that have not ended, the oldest first.
func (l *Launcher) liveJobsOf(ctx context.Context, user string) ([]job, error) {
	jobs, err := l.findJobs(ctx, contract.JobName(l.stack.Stack, user), func(s types.JobSummary) bool { return !hasEnded(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// liveJobs returns all users' sessions that have not ended, the oldest first.
func (l *Launcher) liveJobs(ctx context.Context) ([]job, error) {
	jobs, err := l.findJobs(ctx, contract.NamePrefix(l.stack.Stack)+"*", func(s types.JobSummary) bool { return !hasEnded(s.Status) })
	return slices.DeleteFunc(jobs, job.ended), err
}

// currentJob returns the user's session, or their last one if all have ended.
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

// findJobs lists and describes the stack's jobs by name, exact or with a "*" at the
// end, the oldest first. Given a filter, AWS Batch lists jobs of every state, and
// compares names without regard to case.
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
		// The tag decides, so that every job found is one that the stack's launchers
		// may end; a job that isn't described yet is taken by its name.
		if j, known := described[aws.ToString(s.JobId)]; !known {
			jobs = append(jobs, l.jobFromSummary(s))
		} else if j.Tags[contract.TagStack] == l.stack.Stack {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, byAge)
	return jobs, nil
}

// jobFromSummary returns a job with the properties that a list has.
func (l *Launcher) jobFromSummary(s types.JobSummary) job {
	user := strings.TrimPrefix(aws.ToString(s.JobName), contract.NamePrefix(l.stack.Stack))
	return job{types.JobDetail{
		JobId: s.JobId, JobName: s.JobName, Status: s.Status, StatusReason: s.StatusReason,
		CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, StoppedAt: s.StoppedAt,
		Tags: contract.JobTags(l.stack.Stack, user),
	}}
}

// listJobs returns the jobs of the stack's queue that ListJobs finds, on all pages.
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

// describeJobs returns, by id, the jobs that AWS Batch knows. A call takes up to 100
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

// describeOne returns a job as it is now. AWS Batch may not know a new job yet: then
// it has an id and nothing else.
func (l *Launcher) describeOne(ctx context.Context, id string) (job, error) {
	known, err := l.describeJobs(ctx, []string{id})
	if j, there := known[id]; there || err != nil {
		return j, err
	}
	return job{types.JobDetail{JobId: &id, Status: types.JobStatusSubmitted}}, nil
}

// queueState is the state of the stack's queue.
type queueState struct {
	before map[string]int // the number of sessions before each waiting one, by job id
	full   bool           // outputs.Fields.MaxSessions run
}

// queueState returns the state of the queue now. AWS Batch puts a session that is
// tried again at the front, and so does the order by age.
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
