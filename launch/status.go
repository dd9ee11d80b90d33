package launch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// Status is a stack at a moment. The JSON names are those of `launch status --json`
// and stay as they are. A day begins at midnight UTC.
type Status struct {
	Stack  string    `json:"stack"`
	Region string    `json:"region"`
	At     time.Time `json:"at"`

	Sessions []Session `json:"sessions"` // that have not ended, by user
	Ended    int       `json:"ended"`    // sessions that ended today
	Failed   int       `json:"failed"`   // those of them that failed
	Failures []Session `json:"failures"` // the last of those that failed, the newest first
	// Hours is the sum of the times that sessions had a container today, in hours.
	Hours float64 `json:"sessionHours"`

	UsedVCPUs int `json:"usedVcpus"` // reserved by the sessions that have a host
	UsedHosts int `json:"usedHosts"` // hosts with a session
	// Environments are the queue's compute environments, in its order; empty if AWS
	// denied them, for which NoEnvironments is the reason.
	Environments   []Environment `json:"environments,omitempty"`
	NoEnvironments string        `json:"noEnvironments,omitempty"`
}

// Environment is a compute environment, with the hosts that AWS Batch wants it to have.
type Environment struct {
	Name          string   `json:"name"`
	Status        string   `json:"status"`           // AWS Batch's: VALID, UPDATING, INVALID, …
	Reason        string   `json:"reason,omitempty"` // AWS Batch's, for Status
	InstanceTypes []string `json:"instanceTypes"`
	Spot          bool     `json:"spot,omitempty"`
	VCPUs         int      `json:"vcpus"` // of its hosts, those that start too
	MaxVCPUs      int      `json:"maxVcpus"`
}

// lastFailures is the number of failed sessions that Status describes.
const lastFailures = 5

// Status returns the stack's present state. The launcher policy grants all of it but
// the compute environments.
func (l *Launcher) Status(ctx context.Context) (Status, error) {
	at := time.Now().UTC()
	s := Status{Stack: l.stack.Stack, Region: l.stack.Region, At: at}
	day := at.Truncate(24 * time.Hour)
	jobs, err := l.findJobs(ctx, contract.NamePrefix(l.stack.Stack)+"*", func(j types.JobSummary) bool {
		return !hasEnded(j.Status) || !endedAt(j).Before(day)
	})
	if err != nil {
		return s, asDenied(err)
	}
	s.count(jobs, day)
	var live, failures []job
	for _, j := range jobs {
		switch {
		case !j.ended():
			live = append(live, j)
		case j.Status == types.JobStatusFailed:
			failures = append(failures, j)
		}
	}
	slices.SortFunc(failures, func(a, b job) int { return cmp.Compare(aws.ToInt64(b.StoppedAt), aws.ToInt64(a.StoppedAt)) })
	if s.Sessions, err = l.describeSessions(ctx, live); err != nil {
		return s, asDenied(err)
	}
	if s.Failures, err = l.describeSessions(ctx, failures[:min(len(failures), lastFailures)]); err != nil {
		return s, asDenied(err)
	}
	slices.SortStableFunc(s.Sessions, byUser)
	s.Environments, err = l.environments(ctx)
	if denied := new(Denied); errors.As(asDenied(err), &denied) {
		s.NoEnvironments, err = denied.Error(), nil
	}
	return s, err
}

// endedAt returns when a job ended. One that never ran may have no such time; it ended
// after its submission.
func endedAt(j types.JobSummary) time.Time {
	if stopped := timeOf(j.StoppedAt); !stopped.IsZero() {
		return stopped
	}
	return timeOf(j.CreatedAt)
}

// count adds the figures of the jobs.
func (s *Status) count(jobs []job, day time.Time) {
	hosts := map[string]bool{}
	for _, j := range jobs {
		for _, ran := range j.runs(s.At) {
			s.Hours += ran.within(day, s.At).Hours()
		}
		switch j.Status {
		case types.JobStatusSucceeded:
			s.Ended++
		case types.JobStatusFailed:
			s.Ended, s.Failed = s.Ended+1, s.Failed+1
		case types.JobStatusStarting, types.JobStatusRunning:
			s.UsedVCPUs += j.vcpus()
			if host := j.host(); host != "" {
				hosts[host] = true
			}
		}
	}
	s.UsedHosts = len(hosts)
}

// span is a time of a container.
type span struct{ start, end time.Time }

// within returns how much of the span lies between two times.
func (s span) within(from, to time.Time) time.Duration {
	if s.start.After(from) {
		from = s.start
	}
	if s.end.Before(to) {
		to = s.end
	}
	return max(to.Sub(from), 0)
}

// runs returns the times in which the job had a container. A run that goes on lasts
// until now.
func (j job) runs(now time.Time) []span {
	var runs []span
	for _, a := range j.Attempts {
		if a.StartedAt != nil && a.StoppedAt != nil {
			runs = append(runs, span{timeOf(a.StartedAt), timeOf(a.StoppedAt)})
		}
	}
	if j.Status == types.JobStatusRunning && j.StartedAt != nil {
		runs = append(runs, span{timeOf(j.StartedAt), now})
	}
	return runs
}

// vcpus returns the number of vCPUs that the job reserves.
func (j job) vcpus() int {
	if j.Container == nil {
		return 0
	}
	return cmp.Or(resourcesOf(j.Container.ResourceRequirements).VCPUs, int(aws.ToInt32(j.Container.Vcpus)))
}

// host returns the ARN of the container instance on which the job runs, or "".
func (j job) host() string {
	if j.Container == nil {
		return ""
	}
	return aws.ToString(j.Container.ContainerInstanceArn)
}

// environments returns the queue's compute environments, in its order.
func (l *Launcher) environments(ctx context.Context) ([]Environment, error) {
	queues, err := l.batch.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{l.stack.QueueARN}})
	if err != nil || len(queues.JobQueues) == 0 {
		return nil, err
	}
	order := queues.JobQueues[0].ComputeEnvironmentOrder
	slices.SortFunc(order, func(a, b types.ComputeEnvironmentOrder) int {
		return cmp.Compare(aws.ToInt32(a.Order), aws.ToInt32(b.Order))
	})
	var arns []string
	for _, place := range order {
		arns = append(arns, aws.ToString(place.ComputeEnvironment))
	}
	described, err := l.batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: arns})
	if err != nil {
		return nil, err
	}
	var all []Environment
	for _, arn := range arns {
		i := slices.IndexFunc(described.ComputeEnvironments, func(e types.ComputeEnvironmentDetail) bool {
			return aws.ToString(e.ComputeEnvironmentArn) == arn
		})
		if i >= 0 {
			all = append(all, environmentOf(described.ComputeEnvironments[i]))
		}
	}
	return all, nil
}

func environmentOf(d types.ComputeEnvironmentDetail) Environment {
	e := Environment{Name: aws.ToString(d.ComputeEnvironmentName), Status: string(d.Status), Reason: aws.ToString(d.StatusReason)}
	if r := d.ComputeResources; r != nil {
		e.InstanceTypes, e.Spot = r.InstanceTypes, r.Type == types.CRTypeSpot
		e.VCPUs, e.MaxVCPUs = int(aws.ToInt32(r.DesiredvCpus)), int(aws.ToInt32(r.MaxvCpus))
	}
	return e
}
