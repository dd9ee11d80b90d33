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
	"github.com/intraverse/dcv-sessions/internal/dashboard"
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

// board is the dashboard with the names of the queue and the log group that it shows.
type board struct {
	*DashboardArgs

	queue, group string
}

// period is that of graphs as long as their time range is short.
const period = 300

// body returns the dashboard: the present, how long players wait, why sessions end,
// how well players see the game, and the room that hosts have left.
//
// Of metric math it uses + - * /, numbers, FILL(ID, 0) and PERIOD(ID) (CloudWatch user
// guide, "Using math expressions with CloudWatch metrics").
func (b board) body() dashboard.Body {
	body := dashboard.Body{Start: "-PT12H", PeriodOverride: "auto"}
	body.Row(1, dashboard.Text{Markdown: fmt.Sprintf("# Sessions of the stack %s  \n[What to do about an alarm](%s#alarms)", b.Stack, b.Runbooks)})
	body.Row(4, b.now()...)
	body.Row(6, b.traffic()...)
	body.Row(6, b.wait()...)
	body.Row(6, b.ends()...)
	body.Row(6, b.experience()...)
	body.Row(6, b.limits()...)
	body.Row(8, b.people()...)
	return body
}

// now returns the current state, and that of the whole time range.
func (b board) now() []dashboard.Properties {
	return []dashboard.Properties{
		b.graph("Playing now", dashboard.ViewNumber, "SampleCount", b.counted("MegabitsToPlayer", "playing")...),
		b.graph("Sessions now", dashboard.ViewNumber, "SampleCount", b.counted("CPUCores", "sessions")...),
		b.whole("Waiting, of those submitted in this time range", dashboard.ViewNumber,
			hidden(b.batch("JobsMovedToRunnable", "runnable", "")), hidden(b.batch("JobsMovedToStarting", "starting", "")), hidden(b.batch("JobsCancelled", "cancelled", "")),
			expression("FILL(runnable, 0) - FILL(starting, 0) - FILL(cancelled, 0)", "waiting")),
		b.whole("Wait in this time range", dashboard.ViewNumber, as("p50", b.metric("WaitSeconds", "", "median")), as("p95", b.metric("WaitSeconds", "", "95th percentile"))),
		b.whole("Played in this time range", dashboard.ViewNumber, hidden(b.metric("PlayedSeconds", "played", "")), expression("played / 3600", "hours, of sessions that ended")),
		b.graph("vCPUs of GPU hosts, all stacks of the account", dashboard.ViewNumber, "Maximum", gpuHosts("G/OnDemand", "on demand"), gpuHosts("G/Spot", "Spot")),
	}
}

// counted returns how many sessions report a metric: each does once in UsageSeconds.
// Those with a player report the traffic to the player.
func (b board) counted(metric, label string) []dashboard.Metric {
	id := "events" + metric
	return []dashboard.Metric{
		hidden(b.metric(metric, id, "")),
		expression(fmt.Sprintf("%s * %d / PERIOD(%[1]s)", id, b.UsageSeconds), label),
	}
}

// gpuHosts is EC2's own count of the running vCPUs of a quota (Amazon EC2 user guide,
// "EC2 usage metrics"). AWS has no metric of a compute environment's hosts.
func gpuHosts(class, label string) dashboard.Metric {
	return dashboard.Metric{Namespace: "AWS/Usage", Name: "ResourceCount", Dimensions: []dashboard.Dimension{
		{Name: "Type", Value: "Resource"}, {Name: "Resource", Value: "vCPU"}, {Name: "Service", Value: "EC2"}, {Name: "Class", Value: class},
	}, Options: dashboard.Options{Label: label}}
}

// traffic returns how many sessions there were, and how many of those submitted started.
func (b board) traffic() []dashboard.Properties {
	return []dashboard.Properties{
		b.graph("Sessions", dashboard.ViewTimeSeries, "SampleCount", append(b.counted("CPUCores", "sessions"), b.counted("MegabitsToPlayer", "playing")...)...),
		b.graph("Submitted and started", dashboard.ViewTimeSeries, "Sum",
			b.batch("JobsSubmitted", "", "submitted"), b.batch("JobsMovedToRunning", "", "started"),
			b.batch("JobsRetried", "", "started again"), b.batch("JobsMovedToFailed", "", "failed or terminated")),
	}
}

// wait returns how long players waited, and the step that they waited for.
func (b board) wait() []dashboard.Properties {
	limit := dashboard.Line{Label: "alarm", Value: float64(b.WaitMinutes * 60)}
	return []dashboard.Properties{
		lined(b.graph("The wait, seconds", dashboard.ViewTimeSeries, "p50",
			as("p50", b.metric("WaitSeconds", "", "median")), as("p95", b.metric("WaitSeconds", "", "95th percentile"))), limit),
		b.graph("Its parts, median, seconds", dashboard.ViewTimeSeries, "p50", b.parts()...),
		b.graph("Its parts, 95th percentile, seconds", dashboard.ViewTimeSeries, "p95", b.parts()...),
	}
}

// parts returns the parts of a wait: for a host, for the image and the container, and for
// each step of the session's own start. Percentiles of parts don't add up.
func (b board) parts() []dashboard.Metric {
	parts := []dashboard.Metric{
		hidden(b.batch("JobAttemptRunnableToStartingDuration", "host", "")), expression("host / 1000", "a host"),
		hidden(b.batch("JobAttemptStartingToRunningDuration", "container", "")), expression("container / 1000", "image and container"),
		b.metric("ContainerSeconds", "", "the container alone"),
	}
	for _, step := range contract.Steps {
		parts = append(parts, b.valued("StartSeconds", contract.DimensionState, string(step)))
	}
	return parts
}

// ends returns why sessions ended.
func (b board) ends() []dashboard.Properties {
	var exits []dashboard.Metric
	for _, code := range contract.ExitCodes {
		exits = append(exits, b.valued("SessionsEnded", contract.DimensionExit, code.Name))
	}
	return []dashboard.Properties{
		b.whole("Why sessions ended", dashboard.ViewBar, exits...),
		b.query("Latest failures", `fields @timestamp, user, exit, reason
| filter event = "ended" and exit != "ok"
| sort @timestamp desc
| limit 20`),
	}
}

// experience returns how smooth the picture was for players.
func (b board) experience() []dashboard.Properties {
	frames := b.graph("New pictures a second", dashboard.ViewTimeSeries, "p50",
		as("p50", b.metric("FramesPerSecond", "", "median")), as("p5", b.metric("FramesPerSecond", "", "5th percentile")))
	if b.FramesPerSecond > 0 {
		frames = lined(frames, dashboard.Line{Label: "alarm, on average", Value: float64(b.FramesPerSecond)})
	}
	return []dashboard.Properties{
		frames,
		b.graph("To the player and back, milliseconds", dashboard.ViewTimeSeries, "p50",
			as("p50", b.metric("RoundTripMilliseconds", "", "median")), as("p95", b.metric("RoundTripMilliseconds", "", "95th percentile"))),
		b.graph("Megabits a second to a player", dashboard.ViewTimeSeries, "p50",
			as("p50", b.metric("MegabitsToPlayer", "", "median")), as("Maximum", b.metric("MegabitsToPlayer", "", "highest"))),
	}
}

// limits returns the shares of their limits that sessions use.
func (b board) limits() []dashboard.Properties {
	return []dashboard.Properties{
		percent(b.graph("The fullest GPU, percent", dashboard.ViewTimeSeries, "Maximum",
			b.metric("GPUPercent", "", "GPU"), b.metric("GPUMemoryPercent", "", "memory"), b.metric("EncoderPercent", "", "encoder")),
			dashboard.Line{Label: "alarm: memory", Value: GPUMemoryFull}, dashboard.Line{Label: "alarm: encoder", Value: EncoderFull}),
		percent(b.graph("A session's memory, percent of its limit", dashboard.ViewTimeSeries, "Maximum",
			as("p50", b.metric("MemoryPercent", "", "median")), b.metric("MemoryPercent", "", "highest")),
			dashboard.Line{Label: "alarm", Value: MemoryFull}),
		lined(b.graph("A session's processor cores", dashboard.ViewTimeSeries, "Maximum",
			as("p50", b.metric("CPUCores", "", "median")), b.metric("CPUCores", "", "highest")),
			dashboard.Line{Label: "session.vcpus", Value: float64(b.SessionVCPUs)}),
	}
}

// people returns the users that played. A query's time range is the dashboard's.
func (b board) people() []dashboard.Properties {
	return []dashboard.Properties{
		b.query(HoursTitle, `filter event = "summary"
| stats sum(summary.playedSeconds) / 3600 as hours, count(*) as sessions by user
| sort hours desc
| limit 100`),
	}
}

// HoursTitle is the title of the query of hours, which is meant for a month's time range.
const HoursTitle = "Hours played and sessions by user (choose the month as time range)"

// query returns a CloudWatch Logs Insights query over the sessions' events. Of its syntax
// the dashboard uses fields, filter with = != and, sort, limit, and stats with sum() and
// count(*), divided by a number and named by "as", by a field (CloudWatch Logs user guide,
// "CloudWatch Logs Insights query syntax").
func (b board) query(title, query string) dashboard.Query {
	return dashboard.Query{Title: title, Region: b.Region, View: "table", Query: "SOURCE '" + b.group + "' | " + query}
}

func (b board) graph(title string, view dashboard.View, stat string, metrics ...dashboard.Metric) dashboard.Graph {
	return dashboard.Graph{Title: title, Region: b.Region, View: view, Stat: stat, Period: period, Metrics: metrics}
}

// whole returns a graph of the sums of the whole time range.
func (b board) whole(title string, view dashboard.View, metrics ...dashboard.Metric) dashboard.Graph {
	g := b.graph(title, view, "Sum", metrics...)
	g.WholeRange = true
	return g
}

// metric returns one of contract.Metrics without a dimension of its own.
func (b board) metric(name, id, label string) dashboard.Metric {
	return dashboard.Metric{
		Namespace: contract.MetricNamespace, Name: name, Dimensions: []dashboard.Dimension{{Name: contract.DimensionStack, Value: b.Stack}},
		Options: dashboard.Options{ID: id, Label: label},
	}
}

// valued returns one of contract.Metrics with a value of its dimension, which is its
// label.
func (b board) valued(name, dimension, value string) dashboard.Metric {
	m := b.metric(name, "", value)
	m.Dimensions = append(m.Dimensions, dashboard.Dimension{Name: dimension, Value: value})
	return m
}

// batch returns a metric of AWS Batch.
func (b board) batch(name, id, label string) dashboard.Metric {
	return dashboard.Metric{
		Namespace: batchNamespace, Name: name, Dimensions: []dashboard.Dimension{{Name: batchDimension, Value: b.queue}},
		Options: dashboard.Options{ID: id, Label: label},
	}
}

func expression(math, label string) dashboard.Metric {
	return dashboard.Metric{Options: dashboard.Options{Expression: math, Label: label}}
}

// hidden returns a metric that only expressions use.
func hidden(m dashboard.Metric) dashboard.Metric {
	shown := false
	m.Options.Visible = &shown
	return m
}

// as returns a metric with a statistic of its own.
func as(stat string, m dashboard.Metric) dashboard.Metric {
	m.Options.Stat = stat
	return m
}

func lined(g dashboard.Graph, lines ...dashboard.Line) dashboard.Graph {
	g.Annotations = &dashboard.Annotations{Horizontal: lines}
	return g
}

func percent(g dashboard.Graph, lines ...dashboard.Line) dashboard.Graph {
	least, most := 0., 100.
	g.YAxis = &dashboard.YAxis{Left: dashboard.Axis{Min: &least, Max: &most}}
	return lined(g, lines...)
}
