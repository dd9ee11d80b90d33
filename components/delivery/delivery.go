// Package delivery declares the way of a new game build: from the bucket's event to a
// run of the GitHub workflow that deploys it or, without a repository, to a message to
// the team.
package delivery

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// DeliveryArgs are plain values, which decide the resources that there are, and the
// outputs of other components.
type DeliveryArgs struct {
	// Stack ends the connection's name.
	Stack string
	// Bucket is the bucket of game builds, which sends its events to EventBridge. Prefix
	// begins the keys of the builds that are delivered.
	Bucket pulumi.StringInput
	Prefix string
	// Repository is OWNER/NAME at GitHub's API, Workflow a file of it and Ref the
	// branch that it runs on. Without Repository the team is notified
	// instead.
	Repository, Workflow, Ref, API string
	// TeamTopicARN gets a message of each event that could not be delivered.
	TeamTopicARN pulumi.StringInput
	// BoundaryARN is the permissions boundary of the role by which EventBridge calls GitHub.
	BoundaryARN pulumi.StringInput
	// Tags are put on every resource that takes tags.
	Tags map[string]string
}

// Delivery is the way from an event to a deployment.
type Delivery struct {
	pulumi.ResourceState

	UndeliveredURL pulumi.StringOutput // the queue of events that could not be delivered
}

// EventBridge retries an event for an hour, not for a day as by default: after that the
// team is notified, and the next upload starts the workflow anew.
const (
	retrySeconds    = 3600
	retryTimes      = 20
	keptSeconds     = 14 * 24 * 3600                                            // the longest that SQS keeps a message
	dispatchPerSec  = 1                                                         // several uploads at once are still one deployment
	placeholder     = AuthorizationScheme + "none, make delivery-token sets it" // no colon: EventBridge allows none in the value of an API key
	githubMediaType = "application/vnd.github+json"
	githubVersion   = "2022-11-28" // of its API
)

// A connection sends its token to GitHub in a header. EventBridge keeps the value as a
// secret.
const (
	AuthorizationType   = "API_KEY"
	AuthorizationHeader = "Authorization"
	AuthorizationScheme = "Bearer "
)

var (
	prefixPattern     = regexp.MustCompile(`^([A-Za-z0-9._-]+/)*$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$`)
	workflowPattern   = regexp.MustCompile(`^[A-Za-z0-9._-]+\.ya?ml$`)
	refPattern        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$`)
)

// validPrefix reports whether a text can begin the key of a game build.
func validPrefix(text string) bool { return len(text) <= 256 && prefixPattern.MatchString(text) }

// ValidRepository reports whether a text is OWNER/NAME.
func ValidRepository(text string) bool { return repositoryPattern.MatchString(text) }

// validWorkflow reports whether a text is the name of a workflow's file.
func validWorkflow(text string) bool { return workflowPattern.MatchString(text) }

// ValidRef reports whether a text is a branch or a tag.
func ValidRef(text string) bool { return refPattern.MatchString(text) }

// ValidAPI reports whether a text is an address that EventBridge calls.
func ValidAPI(text string) bool {
	at, err := url.Parse(text)
	return err == nil && at.Scheme == "https" && at.Host != "" && at.User == nil && at.RawQuery == "" && at.Fragment == "" && !strings.Contains(text, "*")
}

// ConnectionName returns the fixed name of a stack's connection, by which its token is
// set.
func ConnectionName(stack string) string { return "delivery-" + stack }

// Check adds the faults of the fields that shape the delivery. at returns the path of a
// property. A delivery without a repository needs no workflow.
func (a *DeliveryArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Check(validPrefix(a.Prefix), at("prefix"), a.Prefix, "empty, or folders of letters, digits and . _ - with a / behind each")
	f.Check(a.Repository == "" || ValidRepository(a.Repository), at("repository"), a.Repository, "OWNER/NAME")
	if a.Repository == "" && a.Workflow == "" && a.Ref == "" && a.API == "" {
		return
	}
	f.Check(validWorkflow(a.Workflow), at("workflow"), a.Workflow, "the name of a file in .github/workflows, such as release.yml")
	f.Check(ValidRef(a.Ref), at("ref"), a.Ref, "a branch or a tag")
	f.Check(ValidAPI(a.API), at("api"), a.API, "an https:// URL")
}

func (a *DeliveryArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Required(a.Bucket != nil, "bucket", "the bucket of game builds")
	f.Required(a.TeamTopicARN != nil, "teamTopicArn", "an ARN")
	f.Required(a.BoundaryARN != nil, "boundaryArn", "an ARN")
	return f.Err("delivery")
}

// NewDelivery declares the rule, its target, and the queue of undelivered events.
func NewDelivery(ctx *pulumi.Context, name string, args *DeliveryArgs, opts ...pulumi.ResourceOption) (*Delivery, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	d := &Delivery{}
	if err := ctx.RegisterComponentResource("dcv:delivery:Delivery", name, d, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(d)
	rule, err := cloudwatch.NewEventRule(ctx, name, &cloudwatch.EventRuleArgs{
		Description:  pulumi.String("a new game build"),
		EventPattern: args.Bucket.ToStringOutput().ApplyT(func(bucket string) string { return pattern(bucket, args.Prefix) }).(pulumi.StringOutput),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	undelivered, err := keepUndelivered(ctx, name, args, rule, child)
	if err != nil {
		return nil, err
	}
	target := &cloudwatch.EventTargetArgs{
		Rule:             rule.Name,
		DeadLetterConfig: cloudwatch.EventTargetDeadLetterConfigArgs{Arn: undelivered.Arn},
		RetryPolicy: cloudwatch.EventTargetRetryPolicyArgs{
			MaximumEventAgeInSeconds: pulumi.Int(retrySeconds), MaximumRetryAttempts: pulumi.Int(retryTimes),
		},
	}
	if args.Repository == "" {
		target.Arn, target.InputTransformer = args.TeamTopicARN, message(ctx.Stack())
	} else if err := dispatch(ctx, name, args, target, child); err != nil {
		return nil, err
	}
	if _, err := cloudwatch.NewEventTarget(ctx, name, target, child); err != nil {
		return nil, err
	}
	d.UndeliveredURL = undelivered.Url
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"undeliveredUrl": d.UndeliveredURL})
}

// keepUndelivered declares the queue of undelivered events, and the alarm that notifies
// the team of them.
func keepUndelivered(ctx *pulumi.Context, name string, args *DeliveryArgs, rule *cloudwatch.EventRule, child pulumi.ResourceOption) (*sqs.Queue, error) {
	queue, err := sqs.NewQueue(ctx, name+"-undelivered", &sqs.QueueArgs{
		SqsManagedSseEnabled:    pulumi.Bool(true),
		MessageRetentionSeconds: pulumi.Int(keptSeconds),
		Tags:                    pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	_, err = sqs.NewQueuePolicy(ctx, name+"-undelivered", &sqs.QueuePolicyArgs{
		QueueUrl: queue.Url,
		Policy: pulumi.All(queue.Arn, rule.Arn).ApplyT(func(arns []any) string {
			return undeliveredPolicy(arns[0].(string), arns[1].(string))
		}).(pulumi.StringOutput),
	}, child)
	if err != nil {
		return nil, err
	}
	_, err = cloudwatch.NewMetricAlarm(ctx, name+"-undelivered", &cloudwatch.MetricAlarmArgs{
		AlarmDescription: pulumi.String("A new game build started no deployment. Players go on with the build that they have. Stack: " + args.Stack +
			". Runbook: " + PageURL(args.API, args.Repository, args.Ref, "docs/delivery.md") + "#when-a-step-of-a-release-fails"),
		Namespace:          pulumi.String("AWS/SQS"),
		MetricName:         pulumi.String("ApproximateNumberOfMessagesVisible"),
		Dimensions:         pulumi.StringMap{"QueueName": queue.Name},
		Statistic:          pulumi.String("Maximum"),
		Period:             pulumi.Int(60),
		EvaluationPeriods:  pulumi.Int(1),
		ComparisonOperator: pulumi.String("GreaterThanThreshold"),
		Threshold:          pulumi.Float64(0),
		TreatMissingData:   pulumi.String("notBreaching"), // SQS is silent about a queue that nobody uses
		AlarmActions:       pulumi.Array{args.TeamTopicARN},
		Tags:               pulumi.ToStringMap(args.Tags),
	}, child)
	return queue, err
}

func undeliveredPolicy(queue, rule string) string {
	on := iampolicy.List{queue}
	return iampolicy.JSON(
		iampolicy.Statement{Sid: "Undelivered", Effect: "Allow", Principal: &iampolicy.Principal{Service: iampolicy.List{"events.amazonaws.com"}},
			Action: iampolicy.List{"sqs:SendMessage"}, Resource: on}.When("StringEquals", "aws:SourceArn", rule),
		iampolicy.TLSOnly(iampolicy.List{"sqs:*"}, on),
	)
}

// dispatch sets the target to the workflow.
//
// The connection gets its token later, by a command: from here it would be in the state.
// The connection is never updated, even if its declaration changes: an update would
// replace the token by the placeholder.
func dispatch(ctx *pulumi.Context, name string, args *DeliveryArgs, target *cloudwatch.EventTargetArgs, child pulumi.ResourceOption) error {
	connection, err := cloudwatch.NewEventConnection(ctx, name, &cloudwatch.EventConnectionArgs{
		Name:              pulumi.String(ConnectionName(args.Stack)),
		Description:       pulumi.String("starts a workflow; make delivery-token STACK=" + args.Stack + " sets its token"),
		AuthorizationType: pulumi.String(AuthorizationType),
		AuthParameters: cloudwatch.EventConnectionAuthParametersArgs{ApiKey: cloudwatch.EventConnectionAuthParametersApiKeyArgs{
			Key: pulumi.String(AuthorizationHeader), Value: pulumi.String(placeholder),
		}},
	}, child, pulumi.IgnoreChanges([]string{"authParameters", "authorizationType", "description"}))
	if err != nil {
		return err
	}
	destination, err := cloudwatch.NewEventApiDestination(ctx, name, &cloudwatch.EventApiDestinationArgs{
		Description:   pulumi.String("starts " + args.Workflow + " of " + args.Repository),
		ConnectionArn: connection.Arn,
		HttpMethod:    pulumi.String("POST"),
		InvocationEndpoint: pulumi.String(strings.TrimSuffix(args.API, "/") +
			"/repos/" + args.Repository + "/actions/workflows/" + args.Workflow + "/dispatches"),
		InvocationRateLimitPerSecond: pulumi.Int(dispatchPerSec),
	}, child)
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Description:         pulumi.String("EventBridge: starts the workflow that deploys a game build"),
		AssumeRolePolicy:    pulumi.String(iampolicy.JSON(iampolicy.Trust("events.amazonaws.com"))),
		PermissionsBoundary: args.BoundaryARN,
		Tags:                pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return err
	}
	_, err = iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Role: role.Name,
		Policy: destination.Arn.ApplyT(func(arn string) string {
			return iampolicy.JSON(iampolicy.Allow("StartWorkflow", iampolicy.List{"events:InvokeApiDestination"}, iampolicy.List{arn}))
		}).(pulumi.StringOutput),
	}, child)
	target.Arn, target.RoleArn, target.InputTransformer = destination.Arn, role.Arn, workflowInputs(args.Ref)
	target.HttpTarget = cloudwatch.EventTargetHttpTargetArgs{HeaderParameters: pulumi.StringMap{
		"Accept": pulumi.String(githubMediaType), "X-GitHub-Api-Version": pulumi.String(githubVersion),
	}}
	return err
}
