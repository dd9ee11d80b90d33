// Package observability declares the resources by which the stack's owners observe it:
// the sessions' log group.
package observability

import (
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// LogsArgs are plain values.
type LogsArgs struct {
	// NamePrefix begins the log group's name. The rest is random, so that a group that a
	// killed run left behind is in nobody's way. Up to 480 letters, digits and "_-/.#", not beginning with "aws/"
	// (CloudWatch Logs API reference, CreateLogGroup: 512 in all).
	NamePrefix string
	// RetentionDays is one of Retentions.
	RetentionDays int
	// Tags are put on the log group.
	Tags map[string]string
}

// Retentions are the days that CloudWatch Logs takes (API reference,
// PutRetentionPolicy).
var Retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

var groupName = regexp.MustCompile(`^[A-Za-z0-9_\-/.#]{1,480}$`)

// Logs is the log group that all sessions of a stack write to.
type Logs struct {
	pulumi.ResourceState

	LogGroupName pulumi.StringOutput
	LogGroupARN  pulumi.StringOutput // without the ":*" of its streams
}

// Check adds the faults of the fields other than NamePrefix. at returns the path of a
// property.
func (a LogsArgs) Check(f *faults.Faults, at func(property string) string) {
	faults.OneOf(f, at("retentionDays"), a.RetentionDays, Retentions...)
}

func (a LogsArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Check(groupName.MatchString(a.NamePrefix) && !strings.HasPrefix(a.NamePrefix, "aws/"), "namePrefix", a.NamePrefix,
		`1 to 480 letters, digits and "_-/.#", not beginning with "aws/"`)
	return f.Err("logs")
}

// NewLogs declares the log group.
func NewLogs(ctx *pulumi.Context, name string, args *LogsArgs, opts ...pulumi.ResourceOption) (*Logs, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	l := &Logs{}
	if err := ctx.RegisterComponentResource("dcv:observability:Logs", name, l, opts...); err != nil {
		return nil, err
	}
	group, err := cloudwatch.NewLogGroup(ctx, name, &cloudwatch.LogGroupArgs{
		NamePrefix:      pulumi.String(args.NamePrefix),
		RetentionInDays: pulumi.Int(args.RetentionDays),
		Tags:            pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(l))
	if err != nil {
		return nil, err
	}
	l.LogGroupName, l.LogGroupARN = group.Name, group.Arn
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{"logGroupName": l.LogGroupName, "logGroupArn": l.LogGroupARN})
}
