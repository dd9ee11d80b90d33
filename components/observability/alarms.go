package observability

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// AlarmsArgs are plain values, and the outputs of other components.
type AlarmsArgs struct {
	// Stack is the dimension of the sessions' metrics and begins the alarms' names.
	Stack string
	// QueueName and QueueARN are of the job queue.
	QueueName, QueueARN pulumi.StringInput
	// TeamTopicARN gets the messages.
	TeamTopicARN pulumi.StringInput
	// WaitMinutes is the wait for a session that is an alarm.
	WaitMinutes int
	// FramesPerSecond is the lowest frame rate that is no alarm; 0: none is.
	FramesPerSecond int
	// Runbooks is the address of docs/operations.md, to which every message refers.
	Runbooks string
	// Tags are put on every resource that takes tags.
	Tags map[string]string
}

// Alarms are the alarms on the sessions' and the queue's metrics, and the messages about
// events of AWS Batch. They go to the team's topic.
type Alarms struct {
	pulumi.ResourceState
}

// The percentages above which something is nearly full. Beyond the first a session loses
// frames, beyond the second textures, beyond the third it ends.
const (
	EncoderFull   = 90
	GPUMemoryFull = 95
	MemoryFull    = 90
)

// retriesAnHour are unusual: a single one is an ordinary retry.
const retriesAnHour = 3

// batchNamespace has AWS Batch's own metrics, by job queue. AWS publishes them at its best
// effort, so a transition may be missing (AWS Batch user guide, "Using CloudWatch metrics
// with AWS Batch").
const (
	batchNamespace = "AWS/Batch"
	batchDimension = "JobQueueName"
)

// alarm is a row of the table. Missing data is never an alarm: no session, no data.
type alarm struct {
	name      string // ends the alarm's name; "alarm-" before it, it is the runbook's anchor
	happened  string // a sentence without its dot
	players   string // the meaning for players, likewise
	source    source
	metric    string
	exit      string // of a metric with DimensionExit
	statistic string
	minutes   int // of a period
	periods   int // one after another that have to be beyond the threshold
	below     bool
	threshold float64 // reaching it is an alarm, if not below
}

// source is a source of metrics.
type source int

const (
	sessions source = iota // contract.Metrics
	queue                  // AWS Batch's
)

// table returns the alarms.
func (a *AlarmsArgs) table() []alarm {
	var all []alarm
	for _, code := range contract.ExitCodes {
		if !alarmed(code) {
			continue
		}
		all = append(all, alarm{
			name: "failed-" + code.Name, happened: fmt.Sprintf("A session ended with exit code %d, %s: %s", code.Code, code.Name, code.Meaning),
			players: "The player saw an error page, and has to start again",
			metric:  "SessionsEnded", exit: code.Name, statistic: "Sum", minutes: 5, periods: 1, threshold: 1,
		})
	}
	all = append(all,
		alarm{
			name: "waited", happened: fmt.Sprintf("A player waited %d minutes or longer for a session (alarms.waitMinutes)", a.WaitMinutes),
			players: "The session is ready now, but the player may have given up",
			metric:  "WaitSeconds", statistic: "Maximum", minutes: 5, periods: 1, threshold: float64(a.WaitMinutes * 60),
		}, alarm{
			name: "retried", happened: fmt.Sprintf("AWS Batch started sessions again on another host, %d times or more within an hour", retriesAnHour),
			players: "They waited twice as long, and a session that runs out of attempts fails",
			source:  queue, metric: "JobsRetried", statistic: "Sum", minutes: 60, periods: 1, threshold: retriesAnHour,
		}, alarm{
			name: "memory-full", happened: fmt.Sprintf("A session has used %d %% or more of its memory for 15 minutes", MemoryFull),
			players: "If it needs more than session.memoryMib, Linux kills it in the middle of the game",
			metric:  "MemoryPercent", statistic: "Maximum", minutes: 5, periods: 3, threshold: MemoryFull,
		}, alarm{
			name: "gpu-memory-full", happened: fmt.Sprintf("A GPU's memory has been %d %% full or more for 15 minutes", GPUMemoryFull),
			players: "The game stutters, shows coarse textures, or fails",
			metric:  "GPUMemoryPercent", statistic: "Maximum", minutes: 5, periods: 3, threshold: GPUMemoryFull,
		}, alarm{
			name: "encoder-full", happened: fmt.Sprintf("A GPU's video encoder has been %d %% busy or more for 15 minutes", EncoderFull),
			players: "The picture of every session on this GPU becomes slow and jerky",
			metric:  "EncoderPercent", statistic: "Maximum", minutes: 5, periods: 3, threshold: EncoderFull,
		})
	if a.FramesPerSecond > 0 {
		all = append(all, alarm{
			name: "few-frames", happened: fmt.Sprintf("For 15 minutes players have seen fewer than %d new pictures a second on average (alarms.framesPerSecond)", a.FramesPerSecond),
			players: "The game is not fluent",
			metric:  "FramesPerSecond", statistic: "Average", minutes: 5, periods: 3, below: true, threshold: float64(a.FramesPerSecond),
		})
	}
	return all
}

// alarmed reports whether an exit code is an alarm: the session failed, and another
// attempt is of no use.
func alarmed(code contract.ExitCode) bool { return code.Code != contract.ExitOK && !code.Retry }

// Check adds the faults of the plain fields other than Stack and Runbooks. at returns the
// path of a property.
func (a *AlarmsArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Between(at("waitMinutes"), a.WaitMinutes, 1, 24*60)
	f.Between(at("framesPerSecond"), a.FramesPerSecond, 0, 240)
}

func (a *AlarmsArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Required(a.QueueName != nil, "queueName", "the job queue's name")
	f.Required(a.QueueARN != nil, "queueArn", "an ARN")
	f.Required(a.TeamTopicARN != nil, "teamTopicArn", "an ARN")
	f.Required(a.Runbooks != "", "runbooks", "the address of docs/operations.md")
	return f.Err("alarms")
}

// NewAlarms declares the alarms. Their names are fixed: an e-mail's subject is the name.
func NewAlarms(ctx *pulumi.Context, name string, args *AlarmsArgs, opts ...pulumi.ResourceOption) (*Alarms, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	a := &Alarms{}
	if err := ctx.RegisterComponentResource("dcv:observability:Alarms", name, a, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(a)
	for _, row := range args.table() {
		if err := args.declare(ctx, name, row, child); err != nil {
			return nil, err
		}
	}
	for _, row := range args.notices() {
		if err := args.notify(ctx, name, row, child); err != nil {
			return nil, err
		}
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{})
}

func (a *AlarmsArgs) declare(ctx *pulumi.Context, name string, row alarm, child pulumi.ResourceOption) error {
	namespace, dimensions := contract.MetricNamespace, pulumi.StringMap{contract.DimensionStack: pulumi.String(a.Stack)}
	if row.source == queue {
		namespace, dimensions = batchNamespace, pulumi.StringMap{batchDimension: a.QueueName}
	}
	if row.exit != "" {
		dimensions[contract.DimensionExit] = pulumi.String(row.exit)
	}
	comparison := "GreaterThanOrEqualToThreshold"
	if row.below {
		comparison = "LessThanThreshold"
	}
	_, err := cloudwatch.NewMetricAlarm(ctx, name+"-"+row.name, &cloudwatch.MetricAlarmArgs{
		Name:               pulumi.String(contract.NamePrefix(a.Stack) + row.name),
		AlarmDescription:   pulumi.String(a.text(row.name, row.happened, row.players)),
		Namespace:          pulumi.String(namespace),
		MetricName:         pulumi.String(row.metric),
		Dimensions:         dimensions,
		Statistic:          pulumi.String(row.statistic),
		Period:             pulumi.Int(row.minutes * 60),
		EvaluationPeriods:  pulumi.Int(row.periods),
		ComparisonOperator: pulumi.String(comparison),
		Threshold:          pulumi.Float64(row.threshold),
		TreatMissingData:   pulumi.String("notBreaching"),
		AlarmActions:       pulumi.Array{a.TeamTopicARN},
		Tags:               pulumi.ToStringMap(a.Tags),
	}, child)
	return err
}

// text returns a message for people: the event, its meaning for players, its runbook.
func (a *AlarmsArgs) text(name, happened, players string) string {
	return fmt.Sprintf("%s. %s. Stack: %s. Runbook: %s#alarm-%s", happened, players, a.Stack, a.Runbooks, name)
}
