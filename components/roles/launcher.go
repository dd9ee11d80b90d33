package roles

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// LauncherPolicyArgs are the arguments of NewLauncherPolicy.
type LauncherPolicyArgs struct {
	Stack       string
	QueueARN    pulumi.StringInput
	LogGroupARN pulumi.StringInput
	Tags        map[string]string
}

// LauncherPolicy is the managed policy of those that start, find and end sessions: a
// website, support, a player's own launcher. The stack attaches it to no identity but
// GitHub's deploy role.
type LauncherPolicy struct {
	pulumi.ResourceState

	ARN pulumi.StringOutput
}

// NewLauncherPolicy declares the policy.
func NewLauncherPolicy(ctx *pulumi.Context, name string, args *LauncherPolicyArgs, opts ...pulumi.ResourceOption) (*LauncherPolicy, error) {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(args.Stack), "stack", args.Stack, contract.StackPattern.String())
	f.Required(args.QueueARN != nil, "queueArn", "an ARN")
	f.Required(args.LogGroupARN != nil, "logGroupArn", "an ARN")
	if err := f.Err("launcher policy"); err != nil {
		return nil, err
	}
	l := &LauncherPolicy{}
	if err := ctx.RegisterComponentResource("dcv:roles:LauncherPolicy", name, l, opts...); err != nil {
		return nil, err
	}
	at, err := arns.Lookup(ctx, args.Stack, pulumi.Parent(l))
	if err != nil {
		return nil, err
	}
	policy, err := iam.NewPolicy(ctx, name, &iam.PolicyArgs{
		Description: pulumi.String("start, find and end DCV sessions of stack " + args.Stack),
		Policy: pulumi.All(args.QueueARN, args.LogGroupARN).ApplyT(func(arns []any) string {
			return iampolicy.JSON(launch(at, arns[0].(string), arns[1].(string))...)
		}).(pulumi.StringOutput),
		Tags: pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(l))
	if err != nil {
		return nil, err
	}
	l.ARN = policy.Arn
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{"arn": l.ARN})
}
