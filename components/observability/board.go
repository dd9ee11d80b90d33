package observability

import (
	"fmt"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// board is the dashboard with the names of the queue and the log group that it shows.
type board struct {
	*DashboardArgs

	queue, group string
}

// period is that of graphs as long as their time range is short.
const period = 300

// recent is the time range of the figures about now. It is short, so that CloudWatch's
// periods are minutes, whatever the dashboard's range.
const recent = "-PT15M"

// The colours of lines. All of them differ for readers with any kind of colour blindness, and
// stand out from a white and from a black page (TestTheColoursOfAGraphDifferForEveryReader).
// Red is for alarms only.
const (
	blue   = "#1f52c8" // the middle of all sessions
	orange = "#d57416" // the worst of them
	green  = "#00a86b"
	purple = "#85448b"
	brown  = "#9e592c"
	grey   = "#6d747a"
	sky    = "#6e97ce"
	red    = "#c62828"
)

// body returns the dashboard, the urgent things first: how it is now, how long players
// wait, why sessions ended, the players' experience, and the room that hosts have left.
//
// Of metric math it uses + - * /, numbers, FILL(ID, 0), PERIOD(ID), DIFF(ID) and CEIL
// (CloudWatch user guide, "Using math expressions with CloudWatch metrics").
func (b board) body() dashboard.Body {
	body := dashboard.Body{Start: "-PT12H", PeriodOverride: "auto"}
	head := func(format string, args ...any) {
		body.Row(1, dashboard.Text{Markdown: fmt.Sprintf(format, args...), Background: dashboard.Transparent})
	}
	head("[Alarms: their causes, and what to do](%s#alarms) · [Players wait: the reasons](%[1]s#nothing-starts-sessions-stay-runnable)", b.Runbooks)
	body.Row(3, b.now()...)
	body.Row(6, b.traffic()...)
	head("## The wait: from the submission of a session until it answers")
	body.Row(6, b.wait()...)
	head("## The end of sessions")
	body.Row(7, b.ends()...)
	if b.UsageSeconds > 0 {
		head("## The player's experience")
		body.Row(6, b.experience()...)
		head("## Load and limits")
		body.Row(6, b.limits()...)
	}
	head("## Players")
	body.Row(5, b.people()...)
	return body
}

// now returns the figures of the last minutes, and those of the whole time range.
func (b board) now() []dashboard.Properties {
	tiles := []dashboard.Properties{
		lately(b.whole("Queue, last 15 min", dashboard.ViewNumber, counts(
			coloured(blue, b.batch("JobsSubmitted", "submitted", "submitted")), coloured(green, b.batch("JobsMovedToRunning", "started", "started")))...)),
		b.whole("Wait for a session", dashboard.ViewNumber, b.middle("WaitSeconds"), b.high("WaitSeconds")),
		b.whole("Sessions ended", dashboard.ViewNumber, b.outcomes()...),
		b.whole("Time played", dashboard.ViewNumber, hidden(b.metric("PlayedSeconds", "played", "")), coloured(blue, expression("FILL(played, 0) / 3600", "", "hours, of ended sessions"))),
		lately(stated("Maximum", b.whole("vCPUs of GPU hosts", dashboard.ViewNumber, counts(
			coloured(blue, gpuHosts("G/OnDemand", "demand", "on demand")), coloured(green, gpuHosts("G/Spot", "spot", "Spot")))...))),
	}
	if b.UsageSeconds == 0 {
		return tiles
	}
	sessions := b.graph("Now", dashboard.ViewNumber, "SampleCount", append(b.latest("CPUCores", blue, "sessions"), b.latest("MegabitsToPlayer", green, "played")...)...)
	sessions.Period = (b.UsageSeconds + 59) / 60 * 60
	return append([]dashboard.Properties{lately(sessions)}, tiles...)
}

// reporting returns how many sessions report a metric, over the count of its events: each
// session reports once in UsageSeconds. Those with a player report the traffic to it.
func (b board) reporting(metric, colour, label string) (events, sessions dashboard.Metric) {
	id := "events" + metric
	sessions = expression(fmt.Sprintf("FILL(%s, 0) * %d / PERIOD(%[1]s)", id, b.UsageSeconds), "sessions"+metric, label)
	return hidden(b.metric(metric, id, "")), coloured(colour, sessions)
}

// latest returns how many sessions reported a metric in the latest period that is over: a
// period that is under way has a part of its events only. A value less its DIFF is the
// value before. A session that began or ended in that period counts in full.
func (b board) latest(metric, colour, label string) []dashboard.Metric {
	events, sessions := b.reporting(metric, "", "")
	now := expression(fmt.Sprintf("CEIL(%s - DIFF(%[1]s))", sessions.Options.ID), "", label)
	return []dashboard.Metric{events, hidden(sessions), coloured(colour, now)}
}

// gpuHosts is EC2's own count of the running vCPUs of a quota (Amazon EC2 user guide,
// "EC2 usage metrics"). AWS has no metric of a compute environment's hosts.
func gpuHosts(class, id, label string) dashboard.Metric {
	return dashboard.Metric{Namespace: "AWS/Usage", Name: "ResourceCount", Dimensions: []dashboard.Dimension{
		{Name: "Type", Value: "Resource"}, {Name: "Resource", Value: "vCPU"}, {Name: "Service", Value: "EC2"}, {Name: "Class", Value: class},
	}, Options: dashboard.Options{ID: id, Label: label}}
}

// traffic returns how many sessions there were, and how the queue moved. AWS Batch has no
// metric of the jobs that wait, and a difference of its counts would be wrong: jobs that
// are terminated while they wait count like others, and a transition may be missing.
func (b board) traffic() []dashboard.Properties {
	queue := b.graph("Queue: sessions submitted and started, by period", dashboard.ViewTimeSeries, "Sum", counts(
		coloured(blue, b.batch("JobsSubmitted", "submitted", "submitted")), coloured(green, b.batch("JobsMovedToRunning", "started", "started")),
		coloured(orange, b.batch("JobsRetried", "retried", "again on another host")), coloured(purple, b.batch("JobsCancelled", "cancelled", "cancelled in the queue")))...)
	if b.UsageSeconds == 0 {
		return []dashboard.Properties{queue}
	}
	reports, all := b.reporting("CPUCores", "", "")
	traffic, played := b.reporting("MegabitsToPlayer", blue, "played")
	sessions := b.graph("Sessions", dashboard.ViewTimeSeries, "SampleCount", reports, hidden(all), traffic, played,
		coloured(sky, expression(all.Options.ID+" - "+played.Options.ID, "", "without a player")))
	sessions.Stacked = true
	return []dashboard.Properties{sessions, queue}
}

// wait returns how long players waited, and the steps that they waited for.
func (b board) wait() []dashboard.Properties {
	return []dashboard.Properties{
		lined(b.graph("The whole wait (seconds)", dashboard.ViewTimeSeries, "p50", b.middle("WaitSeconds"), b.high("WaitSeconds")),
			alarmLine("alarm", float64(b.WaitMinutes*60))),
		b.graph("Its parts, median (seconds)", dashboard.ViewTimeSeries, "p50", b.parts()...),
		b.graph("Its parts, 95th percentile (seconds)", dashboard.ViewTimeSeries, "p95", b.parts()...),
	}
}

// parts returns the parts of a wait: for a host, for the image and the container, and for
// each step of the session's own start. Percentiles of parts don't add up.
func (b board) parts() []dashboard.Metric {
	parts := []dashboard.Metric{
		hidden(b.batch("JobAttemptRunnableToStartingDuration", "host", "")), coloured(blue, expression("host / 1000", "", "a host")),
		hidden(b.batch("JobAttemptStartingToRunningDuration", "container", "")), coloured(orange, expression("container / 1000", "", "image and container")),
		coloured(grey, b.metric("ContainerSeconds", "", "of it the container")),
	}
	colours := []string{green, purple, brown, sky}
	for i, step := range contract.Steps {
		parts = append(parts, coloured(colours[i%len(colours)], b.valued("StartSeconds", contract.DimensionState, string(step))))
	}
	return parts
}

// exits returns the counts of the sessions that ended, by the names of their exit codes.
func (b board) exits() []dashboard.Metric {
	var exits []dashboard.Metric
	for _, code := range contract.ExitCodes {
		colour := orange
		if code.Code == contract.ExitOK {
			colour = blue
		}
		exits = append(exits, coloured(colour, b.valued("SessionsEnded", contract.DimensionExit, code.Name)))
	}
	return exits
}

// outcomes returns how many sessions ended well, and how many did not.
func (b board) outcomes() []dashboard.Metric {
	var all []dashboard.Metric
	sums := map[bool][]string{}
	for i, m := range b.exits() {
		code := contract.ExitCodes[i]
		m.Options.ID = "ended_" + strings.ReplaceAll(code.Name, "-", "_")
		all = append(all, hidden(m))
		well := code.Code == contract.ExitOK
		sums[well] = append(sums[well], "FILL("+m.Options.ID+", 0)")
	}
	return append(all, coloured(blue, expression(strings.Join(sums[true], " + "), "", "well")), coloured(orange, expression(strings.Join(sums[false], " + "), "", "failed")))
}

// ends returns why sessions ended.
func (b board) ends() []dashboard.Properties {
	return []dashboard.Properties{
		b.whole("Why sessions ended", dashboard.ViewBar, b.exits()...),
		b.query("Latest failures", `fields @timestamp, user, exit, reason
| filter event = "ended" and exit != "ok"
| sort @timestamp desc
| limit 20`),
	}
}

// experience returns how smooth the picture was for players.
func (b board) experience() []dashboard.Properties {
	low := coloured(orange, as("p5", b.metric("FramesPerSecond", "", "5th percentile")))
	frames := b.graph("Frame rate (new pictures a second)", dashboard.ViewTimeSeries, "p50", b.middle("FramesPerSecond"), low)
	if b.FramesPerSecond > 0 {
		frames = lined(frames, alarmLine("alarm, on average", float64(b.FramesPerSecond)))
	}
	return []dashboard.Properties{
		frames,
		b.graph("To the player and back (milliseconds)", dashboard.ViewTimeSeries, "p50", b.middle("RoundTripMilliseconds"), b.high("RoundTripMilliseconds")),
		b.graph("Data to a player (megabits a second)", dashboard.ViewTimeSeries, "p50", b.middle("MegabitsToPlayer"), b.highest("MegabitsToPlayer")),
	}
}

// limits returns the parts of their resources that sessions use. Two limits that are close have
// graphs of their own: their labels would cover each other.
func (b board) limits() []dashboard.Properties {
	return []dashboard.Properties{
		percent(b.graph("Busiest GPU (percent)", dashboard.ViewTimeSeries, "Maximum",
			coloured(blue, b.metric("GPUPercent", "", "GPU")), coloured(orange, b.metric("EncoderPercent", "", "video encoder"))), alarmLine("alarm: encoder", EncoderFull)),
		percent(b.graph("Fullest GPU memory (percent)", dashboard.ViewTimeSeries, "Maximum",
			coloured(orange, b.metric("GPUMemoryPercent", "", "highest"))), alarmLine("alarm", GPUMemoryFull)),
		percent(b.graph("Memory (percent of its limit)", dashboard.ViewTimeSeries, "p50", b.middle("MemoryPercent"), b.highest("MemoryPercent")), alarmLine("alarm", MemoryFull)),
		lined(b.graph("Processor (cores of a session)", dashboard.ViewTimeSeries, "p50", b.middle("CPUCores"), b.highest("CPUCores")),
			dashboard.Line{Label: "session.vcpus", Value: float64(b.SessionVCPUs), Color: grey}),
	}
}

// people returns who played. A query's time range is the dashboard's.
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

// graph returns a graph. One over time begins at 0, and has its unit in the title.
func (b board) graph(title string, view dashboard.View, stat string, metrics ...dashboard.Metric) dashboard.Graph {
	g := dashboard.Graph{Title: title, Region: b.Region, View: view, Stat: stat, Period: period, Metrics: metrics}
	if view == dashboard.ViewTimeSeries {
		least := 0.
		g.YAxis = &dashboard.YAxis{Left: dashboard.Axis{Min: &least}}
	}
	return g
}

// whole returns a graph of the sums of the whole time range.
func (b board) whole(title string, view dashboard.View, metrics ...dashboard.Metric) dashboard.Graph {
	g := b.graph(title, view, "Sum", metrics...)
	g.WholeRange = true
	return g
}

// lately returns a graph of the last minutes, whatever the dashboard's time range.
func lately(g dashboard.Graph) dashboard.Graph {
	g.Start = recent
	return g
}

func stated(stat string, g dashboard.Graph) dashboard.Graph {
	g.Stat = stat
	return g
}

// metric returns one of contract.Metrics without a dimension of its own.
func (b board) metric(name, id, label string) dashboard.Metric {
	return dashboard.Metric{
		Namespace: contract.MetricNamespace, Name: name, Dimensions: []dashboard.Dimension{{Name: contract.DimensionStack, Value: b.Stack}},
		Options: dashboard.Options{ID: id, Label: label},
	}
}

// middle, high and highest return statistics of a metric over all sessions.
func (b board) middle(name string) dashboard.Metric {
	return coloured(blue, as("p50", b.metric(name, "", "median")))
}

func (b board) high(name string) dashboard.Metric {
	return coloured(orange, as("p95", b.metric(name, "", "95th percentile")))
}

func (b board) highest(name string) dashboard.Metric {
	return coloured(orange, as("Maximum", b.metric(name, "", "highest")))
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

// counts shows metrics, which have ids, with 0 when they have no data: nothing happened.
func counts(metrics ...dashboard.Metric) []dashboard.Metric {
	var all []dashboard.Metric
	for _, m := range metrics {
		all = append(all, hidden(m), coloured(m.Options.Color, expression("FILL("+m.Options.ID+", 0)", "", m.Options.Label)))
	}
	return all
}

func expression(math, id, label string) dashboard.Metric {
	return dashboard.Metric{Options: dashboard.Options{Expression: math, ID: id, Label: label}}
}

// hidden returns a metric that only expressions use.
func hidden(m dashboard.Metric) dashboard.Metric {
	shown := false
	m.Options.Visible, m.Options.Label, m.Options.Color = &shown, "", ""
	return m
}

// as returns a metric with a statistic of its own.
func as(stat string, m dashboard.Metric) dashboard.Metric {
	m.Options.Stat = stat
	return m
}

func coloured(colour string, m dashboard.Metric) dashboard.Metric {
	m.Options.Color = colour
	return m
}

func alarmLine(label string, value float64) dashboard.Line {
	return dashboard.Line{Label: label, Value: value, Color: red}
}

func lined(g dashboard.Graph, lines ...dashboard.Line) dashboard.Graph {
	g.Annotations = &dashboard.Annotations{Horizontal: lines}
	return g
}

func percent(g dashboard.Graph, lines ...dashboard.Line) dashboard.Graph {
	most := 100.
	g.YAxis.Left.Max = &most
	return lined(g, lines...)
}
