package observability

import (
	"encoding/json"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// Load is the use of a stack in a month, as far as it makes observing the stack cost
// something.
type Load struct {
	Users        int
	HoursEach    int // that a user plays
	SessionsEach int // in which a user plays them
	UsageSeconds int // between two usage events of a session
	LogDays      int // that logs are kept
	Views        int // of the dashboard: half in the AWS console, half by make dashboard
}

// UsualLoad is the load of a small studio: ten users who each play two hours on twenty
// days.
var UsualLoad = Load{Users: 10, HoursEach: 40, SessionsEach: 20, UsageSeconds: 30, LogDays: 30, Views: 100}

// Line is a line of the bill.
type Line struct {
	What     string
	Quantity float64
	Unit     string
	Price    float64 // USD a unit
}

// USD returns the amount of a line.
func (l Line) USD() float64 { return l.Quantity * l.Price }

// PricesFrom is the source of the prices: list prices without the free tier, which other
// stacks of the account may have used up.
const PricesFrom = "aws.amazon.com/cloudwatch/pricing and aws.amazon.com/sns/pricing, us-east-1, 28 November 2026"

// hoursOfMonth is AWS's month. A metric is paid by the hour, for hours with data.
const hoursOfMonth = 730

// Sizes of log events, in bytes.
const (
	usageEventBytes = 1000      // a usage event with every value
	sessionBytes    = 64 * 1024 // all other events of a session, with its game's lines
	logLineBytes    = 26        // CloudWatch Logs adds them to each event (user guide, "CloudWatch Logs quotas")
)

// messages is a number of e-mails that no team would put up with.
const messages = 300

// Cost returns the most that observing a stack costs in a month: the metrics, alarms,
// queries and graphs of the tables.
func Cost(load Load) []Line {
	played, sessions := load.Users*load.HoursEach, load.Users*load.SessionsEach
	usageEvents := 0
	if load.UsageSeconds > 0 {
		usageEvents = played * 3600 / load.UsageSeconds
	}
	gigabytes := float64(usageEvents*(usageEventBytes+logLineBytes)+sessions*sessionBytes) / 1e9
	metrics, queries := inDashboard(load.UsageSeconds)
	views := float64(load.Views) / 2
	return []Line{
		{"metrics, for hours in which they have data", metricHours(load) / hoursOfMonth, "metric and month", 0.30},
		{"alarms", float64(alarms()), "alarm", 0.10},
		{"the dashboard", 1, "dashboard", 3.00},
		{"log ingestion", gigabytes, "GB", 0.50},
		{"log storage", gigabytes * float64(load.LogDays) / 30, "GB and month", 0.03},
		{"the dashboard's queries over all of the log", float64(load.Views*queries) * gigabytes, "GB read", 0.005},
		{"graphs drawn by make dashboard", views * float64(metrics) / 1000, "1,000 metrics", 0.02},
		{"e-mails of the team's topic", messages / 100_000., "100,000 e-mails", 2.00},
		{"metric filters, AWS Batch's metrics, EventBridge's events of AWS, the budget", 1, "", 0},
	}
}

// Total returns the sum of lines.
func Total(lines []Line) float64 {
	sum := 0.
	for _, l := range lines {
		sum += l.USD()
	}
	return sum
}

// metricHours returns the hours in which metrics have data: those of usage events while
// somebody plays, each other one for each session once, or for each of its steps.
func metricHours(load Load) float64 {
	sessions := load.Users * load.SessionsEach
	hours := 0
	for _, row := range contract.Metrics {
		values := max(1, len(row.Values))
		switch {
		case row.Event == contract.EventUsage && load.UsageSeconds == 0:
		case row.Event == contract.EventUsage: // a session that begins within an hour has data in one more
			hours += min(hoursOfMonth, load.Users*load.HoursEach+sessions)
		case row.Dimension == contract.DimensionExit: // a session has one of the values
			hours += min(values*hoursOfMonth, sessions)
		default:
			hours += values * min(hoursOfMonth, sessions)
		}
	}
	return float64(hours)
}

// alarms returns the number of alarms, that of undelivered game builds included.
func alarms() int {
	every := AlarmsArgs{FramesPerSecond: 1}
	return len(every.table()) + 1
}

// inDashboard returns the number of metrics and of queries in the dashboard.
func inDashboard(usageSeconds int) (metrics, queries int) {
	for _, w := range (board{DashboardArgs: &DashboardArgs{UsageSeconds: usageSeconds}}).body().Widgets {
		switch w.Type {
		case dashboard.TypeLog:
			queries++
		case dashboard.TypeMetric:
			var graph struct{ Metrics [][]any }
			if err := json.Unmarshal(w.Properties, &graph); err != nil {
				panic("observability: " + err.Error()) // it was just written
			}
			for _, m := range graph.Metrics {
				if _, named := m[0].(string); named { // else it is an expression over others
					metrics++
				}
			}
		}
	}
	return metrics, queries
}
