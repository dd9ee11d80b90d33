// Package queue declares the job queue of sessions.
package queue

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// QueueArgs are the compute environments and the longest wait.
type QueueArgs struct {
	// EnvironmentARNs are tried in this order: one to three (AWS Batch quotas), a number
	// that is known before they are.
	EnvironmentARNs []pulumi.StringInput
	// MaxWaitMinutes is the time after which a session at the queue's head that can't be
	// placed is cancelled, 10 to 1440 (API reference,
	// JobStateTimeLimitAction). Until then it blocks all behind it.
	MaxWaitMinutes int
	// Tags are put on the queue.
	Tags map[string]string
}

// Queue is the job queue.
type Queue struct {
	pulumi.ResourceState

	ARN  pulumi.StringOutput
	Name pulumi.StringOutput
}

// stuckReasons are all reasons for which AWS Batch takes a time limit (user guide,
// "Troubleshooting RUNNABLE jobs").
var stuckReasons = []string{
	"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
	"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
	"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
}

// Check adds the faults of the plain fields. at returns the path of a property.
func (a QueueArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Between(at("maxWaitMinutes"), a.MaxWaitMinutes, 10, 24*60)
}

func (a QueueArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Check(len(a.EnvironmentARNs) >= 1 && len(a.EnvironmentARNs) <= 3, "environmentArns", len(a.EnvironmentARNs), "one to three environments")
	for i, arn := range a.EnvironmentARNs {
		f.Required(arn != nil, fmt.Sprintf("environmentArns[%d]", i), "an ARN")
	}
	return f.Err("queue")
}

// NewQueue declares the queue. It has no scheduling policy, so sessions start
// first in, first out: a policy could later be replaced, but never removed.
func NewQueue(ctx *pulumi.Context, name string, args *QueueArgs, opts ...pulumi.ResourceOption) (*Queue, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	q := &Queue{}
	if err := ctx.RegisterComponentResource("dcv:queue:Queue", name, q, opts...); err != nil {
		return nil, err
	}
	var orders batch.JobQueueComputeEnvironmentOrderArray
	for i, arn := range args.EnvironmentARNs {
		orders = append(orders, batch.JobQueueComputeEnvironmentOrderArgs{ComputeEnvironment: arn, Order: pulumi.Int(i + 1)})
	}
	var limits batch.JobQueueJobStateTimeLimitActionArray
	for _, reason := range stuckReasons {
		limits = append(limits, batch.JobQueueJobStateTimeLimitActionArgs{
			Action: pulumi.String("CANCEL"), State: pulumi.String("RUNNABLE"),
			Reason: pulumi.String(reason), MaxTimeSeconds: pulumi.Int(args.MaxWaitMinutes * 60),
		})
	}
	made, err := batch.NewJobQueue(ctx, name, &batch.JobQueueArgs{
		State:                    pulumi.String("ENABLED"),
		Priority:                 pulumi.Int(1),
		ComputeEnvironmentOrders: orders,
		JobStateTimeLimitActions: limits,
		Tags:                     pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(q))
	if err != nil {
		return nil, err
	}
	q.ARN, q.Name = made.Arn, made.Name
	return q, ctx.RegisterResourceOutputs(q, pulumi.Map{"arn": q.ARN, "name": q.Name})
}
