package observability

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// notice is a row of the table of messages that EventBridge makes of events of AWS Batch:
// each event is one message, with the session's name and AWS's reason, which no metric has.
type notice struct {
	name       string // as an alarm's
	about      string // the rule's description
	detailType string // of the event
	job        jobPattern
	happened   string // with "<job>", "<time>", "<reason>" and "<code>" of the event; as an alarm's
	players    string
}

// jobPattern matches the job of an event, which is as in DescribeJobs (AWS Batch user
// guide, "Job state change events" and "Job queue blocked events").
type jobPattern struct {
	JobQueue     []string          `json:"jobQueue"`
	JobName      []operator        `json:"jobName,omitempty"`
	Status       []string          `json:"status,omitempty"`
	StatusReason []operator        `json:"statusReason,omitempty"`
	IsTerminated []any             `json:"isTerminated,omitempty"`
	Container    *containerPattern `json:"container,omitempty"`
}

type containerPattern struct {
	ExitCode []operator `json:"exitCode"`
	Reason   []operator `json:"reason,omitempty"`
}

// operator is one of EventBridge's comparison operators (EventBridge user guide,
// "Comparison operators for use in event patterns"). All but exists match only a field
// that is there.
type operator struct {
	Prefix      string `json:"prefix,omitempty"`
	AnythingBut any    `json:"anything-but,omitempty"`
	Exists      *bool  `json:"exists,omitempty"`
}

// notices returns the messages. The first is about a session that waits. The others are
// about sessions that no failed- alarm counts: they ended without their last event, or
// with an exit code that is worth another attempt and after the last attempt.
func (a *AlarmsArgs) notices() []notice {
	missing, memory := operator{Exists: new(bool)}, operator{Prefix: contract.ReasonOutOfMemory}
	others := operator{AnythingBut: alarmedCodes()}
	return []notice{
		{
			name: "queue-blocked", about: "the session at the queue's front can't start", detailType: "Batch Job Queue Blocked",
			happened: "The session <job> can't start since <time>. AWS Batch's reason: <reason>",
			players:  "Its player waits, and so does everybody behind it",
		}, {
			name: "failed-memory", about: "a session used more than its memory", detailType: jobStateChange,
			job:      a.failed(containerPattern{ExitCode: []operator{others}, Reason: []operator{memory}}),
			happened: "The session <job> was killed at <time>, since it needed more memory than session.memoryMib (exit code <code>)",
			players:  "The player lost the game in the middle of it, and has to start again",
		}, {
			name: "failed-otherwise", about: "a session's container ended with an exit code that no alarm counts", detailType: jobStateChange,
			job:      a.failed(containerPattern{ExitCode: []operator{others}, Reason: []operator{{AnythingBut: memory}, missing}}),
			happened: "The session <job> failed at <time> with exit code <code> (AWS Batch's reason: <reason>)",
			players:  "The player has to start again",
		}, {
			name: "failed-without-code", about: "a session failed without an exit code", detailType: jobStateChange,
			job:      a.failed(containerPattern{ExitCode: []operator{missing}}),
			happened: "The session <job> failed at <time> without an exit code (AWS Batch's reason: <reason>)",
			players:  "The player has to start again",
		},
	}
}

const jobStateChange = "Batch Job State Change"

// failed matches the stack's sessions that failed without having been asked to end: the
// reason is then one of AWS's own, and never the text of a TerminateJob or CancelJob.
func (a *AlarmsArgs) failed(container containerPattern) jobPattern {
	p := jobPattern{
		JobName: []operator{{Prefix: contract.NamePrefix(a.Stack)}}, Status: []string{"FAILED"},
		IsTerminated: []any{false, operator{Exists: new(bool)}}, Container: &container,
	}
	for _, reason := range contract.ReasonsNotAsked {
		p.StatusReason = append(p.StatusReason, operator{Prefix: reason})
	}
	return p
}

// alarmedCodes are the exit codes that have an alarm.
func alarmedCodes() (codes []int) {
	for _, code := range contract.ExitCodes {
		if alarmed(code) {
			codes = append(codes, code.Code)
		}
	}
	return codes
}

// values are the parts of an event that messages have.
var values = map[string]string{"job": "$.detail.jobName", "time": "$.time", "reason": "$.detail.statusReason", "code": "$.detail.container.exitCode"}

// paths returns those that a text names.
func paths(text string) map[string]string {
	used := map[string]string{}
	for name, path := range values {
		if strings.Contains(text, "<"+name+">") {
			used[name] = path
		}
	}
	return used
}

// notify declares a message's rule and its target, the team's topic.
func (a *AlarmsArgs) notify(ctx *pulumi.Context, name string, row notice, child pulumi.ResourceOption) error {
	rule, err := cloudwatch.NewEventRule(ctx, name+"-"+row.name, &cloudwatch.EventRuleArgs{
		Name:         pulumi.String(contract.NamePrefix(a.Stack) + row.name),
		Description:  pulumi.String(row.about),
		EventPattern: a.QueueARN.ToStringOutput().ApplyT(row.pattern).(pulumi.StringOutput),
		Tags:         pulumi.ToStringMap(a.Tags),
	}, child)
	if err != nil {
		return err
	}
	_, err = cloudwatch.NewEventTarget(ctx, name+"-"+row.name, &cloudwatch.EventTargetArgs{
		Rule: rule.Name,
		Arn:  a.TeamTopicARN,
		InputTransformer: cloudwatch.EventTargetInputTransformerArgs{
			InputPaths: pulumi.ToStringMap(paths(row.happened)),
			// A text in quotes, into which EventBridge puts the values (EventBridge user guide,
			// "Input transformation"). It escapes none: so none is a container's reason, which
			// may have quotes.
			InputTemplate: pulumi.String(strconv.Quote(a.text(row.name, row.happened, row.players))),
		},
	}, child)
	return err
}

// pattern returns the event pattern for a job queue.
func (n notice) pattern(queueARN string) (string, error) {
	n.job.JobQueue = []string{queueARN}
	text, err := json.Marshal(struct {
		Source     []string   `json:"source"`
		DetailType []string   `json:"detail-type"`
		Detail     jobPattern `json:"detail"`
	}{[]string{"aws.batch"}, []string{n.detailType}, n.job})
	if err != nil {
		return "", fmt.Errorf("the event pattern of %s: %w", n.name, err)
	}
	return string(text), nil
}
