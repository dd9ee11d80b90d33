package cloudwatch

import (
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// notification is the message of an alarm's new state, as AWS sends it to a topic.
type notification struct {
	AlarmName                          string
	AlarmDescription                   *string
	AWSAccountID                       string `json:"AWSAccountId"`
	AlarmConfigurationUpdatedTimestamp string
	NewStateValue                      State
	NewStateReason                     string
	StateChangeTime                    string
	Region                             string
	AlarmARN                           string `json:"AlarmArn"`
	OldStateValue                      State
	OKActions                          []string
	AlarmActions                       []string
	InsufficientDataActions            []string
	Trigger                            trigger
}

// trigger has the metric, or the queries of an alarm over an expression.
type trigger struct {
	*triggerMetric
	Period                           int
	EvaluationPeriods                int
	DatapointsToAlarm                int
	ComparisonOperator               string
	Threshold                        float64
	TreatMissingData                 string
	EvaluateLowSampleCountPercentile string
	Metrics                          []triggerQuery `json:",omitempty"`
}

type triggerMetric struct {
	MetricName, Namespace string
	StatisticType         string
	Statistic             string `json:",omitempty"`
	ExtendedStatistic     string `json:",omitempty"`
	Unit                  *string
	Dimensions            []triggerDimension
}

type triggerDimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

type triggerQuery struct {
	ID         string       `json:"Id"`
	Expression string       `json:",omitempty"`
	Label      string       `json:",omitempty"`
	MetricStat *triggerStat `json:",omitempty"`
	ReturnData bool
}

type triggerStat struct {
	Metric struct {
		Dimensions            []triggerDimension
		MetricName, Namespace string
	}
	Period int
	Stat   string
}

const stampLayout = "2006-01-02T15:04:05.000-0700"

// notification returns the message after a change of state.
func (a *alarm) notification(from State) notification {
	return notification{
		AlarmName: a.AlarmName, AlarmDescription: orNil(a.AlarmDescription), AWSAccountID: local.Account,
		AlarmConfigurationUpdatedTimestamp: stamp(a.configured), NewStateValue: a.state, NewStateReason: a.reason, StateChangeTime: stamp(a.changed),
		Region: regionName, AlarmARN: a.arn(), OldStateValue: from,
		OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientDataActions: list(a.InsufficientDataActions),
		Trigger: a.trigger(),
	}
}

func (a *alarm) trigger() trigger {
	t := trigger{
		Period: a.queries.period, EvaluationPeriods: a.EvaluationPeriods, DatapointsToAlarm: a.DatapointsToAlarm,
		ComparisonOperator: a.ComparisonOperator, Threshold: *a.Threshold, TreatMissingData: a.TreatMissingData,
		EvaluateLowSampleCountPercentile: a.EvaluateLowSampleCountPercentile,
	}
	if len(a.Metrics) == 0 {
		kind := "Statistic"
		if a.ExtendedStatistic != "" {
			kind = "ExtendedStatistic"
		}
		t.triggerMetric = &triggerMetric{a.MetricName, a.Namespace, kind, strings.ToUpper(a.Statistic), a.ExtendedStatistic, orNil(a.Unit), dimensionsOf(a.Dimensions)}
	}
	for _, q := range a.Metrics {
		shown := triggerQuery{ID: q.ID, Expression: q.Expression, Label: q.Label, ReturnData: q.returned()}
		if q.MetricStat != nil {
			shown.MetricStat = &triggerStat{Period: q.MetricStat.Period, Stat: q.MetricStat.Stat}
			m := &shown.MetricStat.Metric
			m.Dimensions, m.MetricName, m.Namespace = dimensionsOf(q.MetricStat.Metric.Dimensions), q.MetricStat.Metric.MetricName, q.MetricStat.Metric.Namespace
		}
		t.Metrics = append(t.Metrics, shown)
	}
	return t
}

// subject returns the message's subject, at most 100 characters, as SNS wants.
func (a *alarm) subject() string {
	s := string(a.state) + `: "` + a.AlarmName + `" in ` + regionName
	if letters := []rune(s); len(letters) > 100 {
		s = string(letters[:97]) + "..."
	}
	return s
}

func (a *alarm) arn() string {
	return "arn:aws:cloudwatch:" + local.Region + ":" + local.Account + ":alarm:" + a.AlarmName
}

// actions returns the topics for the alarm's state.
func (a *alarm) actions() []string {
	if a.ActionsEnabled != nil && !*a.ActionsEnabled {
		return nil
	}
	return map[State][]string{InAlarm: a.AlarmActions, OK: a.OKActions, InsufficientData: a.InsufficientDataActions}[a.state]
}

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// regionName is local.Region in the words of messages.
const regionName = "US East (N. Virginia)"

// orNil returns nil, which is null in JSON, for an empty text.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func list(items []string) []string { return append([]string{}, items...) }

func dimensionsOf(all []Dimension) []triggerDimension {
	shown := []triggerDimension{}
	for _, d := range all {
		shown = append(shown, triggerDimension{d.Value, d.Name})
	}
	return shown
}
