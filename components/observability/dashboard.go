package observability

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// DashboardArgs are plain values, and the outputs of other components.
type DashboardArgs struct {
	Stack, Region string
	// QueueName is the job queue's name, and LogGroupName that of the sessions' log group.
	QueueName, LogGroupName pulumi.StringInput
	// UsageSeconds is the time between two usage events of a session; 0: there are none.
	UsageSeconds int
	// SessionVCPUs are reserved for a session.
	SessionVCPUs int
	// WaitMinutes and FramesPerSecond are the limits of the alarms.
	WaitMinutes, FramesPerSecond int
	// Runbooks is the address of docs/operations.md.
	Runbooks string
}

// Dashboard is the stack's CloudWatch dashboard.
type Dashboard struct {
	pulumi.ResourceState

	Name pulumi.StringOutput
	URL  pulumi.StringOutput // in the AWS console
}

func (a *DashboardArgs) validate() error {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Required(a.Region != "", "region", "an AWS Region")
	f.Required(a.QueueName != nil, "queueName", "the job queue's name")
	f.Required(a.LogGroupName != nil, "logGroupName", "the log group of the sessions")
	f.Required(a.Runbooks != "", "runbooks", "the address of docs/operations.md")
	return f.Err("dashboard")
}

// consoles are the hosts of the AWS console, by partition; that of a Region begins with it
// (AWS General Reference, "AWS Management Console endpoints and quotas"; the other
// partitions' have the same form).
var consoles = map[string]string{
	"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com",
}

// console returns the address of CloudWatch in the console of the provider's partition.
func (a *DashboardArgs) console(ctx *pulumi.Context, parent pulumi.InvokeOption) (string, error) {
	partition, err := aws.GetPartition(ctx, &aws.GetPartitionArgs{}, parent)
	if err != nil {
		return "", err
	}
	host, known := consoles[partition.Partition]
	var f faults.Faults
	f.Check(known, "region", a.Region, "a Region of the partitions "+strings.Join(slices.Sorted(maps.Keys(consoles)), ", ")+", whose AWS console is known; this one is of "+partition.Partition)
	return fmt.Sprintf("https://%s.%s/cloudwatch/home?region=%[1]s", a.Region, host), f.Err("dashboard")
}

// NewDashboard declares the dashboard. Its name is fixed: make dashboard reads it.
func NewDashboard(ctx *pulumi.Context, name string, args *DashboardArgs, opts ...pulumi.ResourceOption) (*Dashboard, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	d := &Dashboard{}
	if err := ctx.RegisterComponentResource("dcv:observability:Dashboard", name, d, opts...); err != nil {
		return nil, err
	}
	console, err := args.console(ctx, pulumi.Parent(d))
	if err != nil {
		return nil, err
	}
	made, err := cloudwatch.NewDashboard(ctx, name, &cloudwatch.DashboardArgs{
		DashboardName: pulumi.String(contract.NamePrefix(args.Stack) + "sessions"),
		DashboardBody: pulumi.All(args.QueueName, args.LogGroupName).ApplyT(func(names []any) string {
			return board{args, names[0].(string), names[1].(string)}.body().String()
		}).(pulumi.StringOutput),
	}, pulumi.Parent(d))
	if err != nil {
		return nil, err
	}
	d.Name = made.DashboardName
	d.URL = pulumi.Sprintf("%s#dashboards/dashboard/%s", console, made.DashboardName)
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"name": d.Name, "url": d.URL})
}
