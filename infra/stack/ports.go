package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// live lists the states of jobs that have not ended.
var live = []types.JobStatus{
	types.JobStatusSubmitted, types.JobStatusPending, types.JobStatusRunnable, types.JobStatusStarting, types.JobStatusRunning,
}

// checkPorts returns an error if a session that has not ended may use ports that
// the configuration no longer admits: its player could not come back. A job keeps
// the range of the definition that it was submitted with. Before the stack's
// first deployment there is no queue, and nothing to check.
func (d *deployment) checkPorts() error {
	endpoint, err := d.account.endpoint("batch")
	if err != nil {
		return err
	}
	client := batch.NewFromConfig(d.account.client, func(o *batch.Options) { override(&o.BaseEndpoint, endpoint) })
	jobs, err := liveJobs(d.ctx.Context(), client, d.stack)
	if err != nil {
		return fmt.Errorf("sessions that have not ended: %w", err)
	}
	players := map[string][]string{}
	admitted := append(d.cfg.FormerPorts(), d.cfg.Ports())
	for _, j := range jobs {
		used, ok := portsOf(j)
		if ok && !slices.ContainsFunc(admitted, func(r contract.PortRange) bool { return r.Contains(used) }) {
			players[used.String()] = append(players[used.String()], j.Tags[contract.TagUser])
		}
	}
	var f faults.Faults
	for _, ports := range slices.Sorted(maps.Keys(players)) {
		slices.Sort(players[ports])
		f.Add(contract.Product+":session.formerPorts", d.cfg.Session.FormerPorts, fmt.Sprintf(
			"a list with %q too, as long as sessions use these ports (now: %s); the present range is %s",
			ports, strings.Join(slices.Compact(players[ports]), ", "), d.cfg.Ports()))
	}
	return f.Err("the stack's configuration")
}

// liveJobs returns the jobs of a stack's queues that have not ended. The queues are
// found by their tag.
func liveJobs(ctx context.Context, client *batch.Client, stack string) ([]types.JobDetail, error) {
	var ids []string
	for queues := batch.NewDescribeJobQueuesPaginator(client, &batch.DescribeJobQueuesInput{}); queues.HasMorePages(); {
		page, err := queues.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, q := range page.JobQueues {
			if q.Tags[contract.TagStack] != stack {
				continue
			}
			found, err := liveIDs(ctx, client, q.JobQueueArn)
			if err != nil {
				return nil, err
			}
			ids = append(ids, found...)
		}
	}
	var jobs []types.JobDetail
	for chunk := range slices.Chunk(ids, 100) { // as many as a call takes (AWS Batch API reference, DescribeJobs)
		described, err := client.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: chunk})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, described.Jobs...)
	}
	return jobs, nil
}

func liveIDs(ctx context.Context, client *batch.Client, queue *string) ([]string, error) {
	var ids []string
	for _, status := range live {
		for jobs := batch.NewListJobsPaginator(client, &batch.ListJobsInput{JobQueue: queue, JobStatus: status}); jobs.HasMorePages(); {
			page, err := jobs.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, j := range page.JobSummaryList {
				ids = append(ids, aws.ToString(j.JobId))
			}
		}
	}
	return ids, nil
}

// portsOf returns the range that a session takes its port from, and reports whether
// the job is a session.
func portsOf(j types.JobDetail) (contract.PortRange, bool) {
	if j.Container == nil {
		return contract.PortRange{}, false
	}
	ends := map[string]int{}
	for _, v := range j.Container.Environment {
		if n, err := strconv.Atoi(aws.ToString(v.Value)); err == nil {
			ends[aws.ToString(v.Name)] = n
		}
	}
	r := contract.PortRange{First: ends[contract.EnvPortFirst], Last: ends[contract.EnvPortLast]}
	return r, r.First > 0 && r.Last >= r.First
}
