package batch

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// submitInput are the fields of SubmitJob that are supported; others are refused.
type submitInput struct {
	JobName            string `json:"jobName"`
	JobQueue           string `json:"jobQueue"`      // a name or an ARN
	JobDefinition      string `json:"jobDefinition"` // a name or an ARN, with or without a revision
	ContainerOverrides struct {
		Command              []string      `json:"command"`
		Environment          []KeyValue    `json:"environment"`
		ResourceRequirements []Requirement `json:"resourceRequirements"`
	} `json:"containerOverrides"`
	RetryStrategy *RetryStrategy    `json:"retryStrategy"`
	Timeout       *Timeout          `json:"timeout"`
	Tags          map[string]string `json:"tags"`
	PropagateTags *bool             `json:"propagateTags"`
}

// clientFault is AWS Batch's one error for everything that the caller did.
func clientFault(format string, args ...any) *gateway.Fault {
	return &gateway.Fault{Status: http.StatusBadRequest, Code: "ClientException", Message: fmt.Sprintf(format, args...)}
}

// read decodes a call, and refuses fields that this Batch does not support.
func read(c *gateway.Call, into any) error {
	all := map[string]any{}
	if err := c.JSON(&all); err != nil {
		return err
	}
	if list := gateway.Unknown(all, reflect.TypeOf(into)); len(list) > 0 {
		return clientFault("the sandbox's AWS Batch does not know %s", strings.Join(list, ", "))
	}
	return c.JSON(into)
}

func (s *Service) submit(c *gateway.Call) (*http.Response, error) {
	var in submitInput
	if err := read(c, &in); err != nil {
		return nil, err
	}
	if err := s.refresh(c.Request.Context()); err != nil {
		return nil, err
	}
	queue, err := s.queue(in.JobQueue)
	if err != nil {
		return nil, err
	}
	definition, err := s.definition(c, in.JobDefinition)
	if err != nil {
		return nil, err
	}
	submission, err := in.with(queue, definition)
	if err != nil {
		return nil, err
	}
	j, err := s.scheduler.Submit(submission)
	if err != nil {
		return nil, clientFault("%v", err)
	}
	s.measureSubmission(queue.Name)
	return c.Answer(map[string]string{"jobArn": j.ARN, "jobId": j.ID, "jobName": j.Name}), nil
}

// queue is one that takes jobs.
func (s *Service) queue(named string) (Queue, error) {
	q, err := s.find(named)
	if err == nil && !q.Enabled {
		return q, clientFault("Job queue %s is DISABLED: it takes no new jobs", named)
	}
	return q, err
}

func (s *Service) find(named string) (Queue, error) {
	for _, q := range s.scheduler.queues() {
		if q.ARN == named || q.Name == named {
			return q, nil
		}
	}
	return Queue{}, clientFault("Job queue %s does not exist.", named)
}

// definition is the active revision that a submission names, or the latest.
func (s *Service) definition(c *gateway.Call, named string) (Definition, error) {
	name, revision, err := splitDefinition(named)
	if err != nil {
		return Definition{}, err
	}
	all, err := s.control.definitions(c.Request.Context(), name)
	if err != nil {
		return Definition{}, err
	}
	var d definition
	for _, each := range all {
		if each.Status == "ACTIVE" && (revision == 0 || each.Revision == revision) && each.Revision > d.Revision {
			d = each
		}
	}
	if d.Revision == 0 {
		return Definition{}, clientFault("Job definition %s does not exist or is INACTIVE.", named)
	}
	faults := d.unknown()
	if d.Type != "container" {
		faults = append(faults, "type "+d.Type)
	}
	if s.Check != nil {
		for _, err := range s.Check(d.Container) {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return Definition{}, clientFault("job definition %s:%d has what the sandbox's agent does not run: %s", d.Name, d.Revision, strings.Join(faults, ", "))
	}
	return d.Definition, nil
}

// splitDefinition takes NAME, NAME:REVISION or an ARN of either.
func splitDefinition(named string) (name string, revision int, err error) {
	name = named[strings.LastIndex(named, "/")+1:]
	name, digits, numbered := strings.Cut(name, ":")
	if numbered {
		revision, err = strconv.Atoi(digits)
	}
	if name == "" || err != nil || numbered && revision < 1 {
		return "", 0, clientFault("%q names no job definition", named)
	}
	return name, revision, nil
}

var (
	jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)
	// pattern matches the conditions of retry rules (API reference, EvaluateOnExit).
	pattern  = regexp.MustCompile(`^[0-9A-Za-z.:\s]{0,511}\*?$`)
	exitCode = regexp.MustCompile(`^[0-9]{0,511}\*?$`)
)

// with checks a submission and puts it over its definition.
func (in submitInput) with(q Queue, d Definition) (Submission, error) {
	s := Submission{
		Name: in.JobName, QueueARN: q.ARN, Definition: d, Container: in.container(d.Container),
		RetryStrategy: d.RetryStrategy, Timeout: d.Timeout, Tags: in.Tags, PropagateTags: d.PropagateTags,
	}
	if in.RetryStrategy != nil {
		s.RetryStrategy = *in.RetryStrategy // it replaces, and is not merged
	}
	if in.Timeout != nil {
		s.Timeout = *in.Timeout
	}
	if in.PropagateTags != nil {
		s.PropagateTags = *in.PropagateTags
	}
	for _, check := range []struct {
		holds bool
		fault string
	}{
		{jobName.MatchString(in.JobName), "jobName has up to 128 letters, digits, hyphens and underscores, the first a letter or digit"},
		{s.Timeout.AttemptDurationSeconds == 0 || s.Timeout.AttemptDurationSeconds >= 60, "attemptDurationSeconds must be at least 60"},
		{s.RetryStrategy.Attempts >= 0 && s.RetryStrategy.Attempts <= 10, "attempts must be from 1 to 10"},
		{len(s.RetryStrategy.EvaluateOnExit) == 0 || s.RetryStrategy.Attempts > 0, "RetryAttempts must be provided with retry strategy"},
		{len(s.RetryStrategy.EvaluateOnExit) <= 5, "evaluateOnExit has at most 5 rules"},
		{s.RetryStrategy.wellFormed(), "Evaluate on exit condition contains restricted characters"},
		{len(in.Tags) <= 50, "a job has at most 50 tags"},
		{!slices.ContainsFunc(s.Container.Environment, func(v KeyValue) bool { return strings.HasPrefix(v.Name, "AWS_BATCH") }), "environment names must not begin with AWS_BATCH"},
	} {
		if !check.holds {
			return s, clientFault("Error executing request, Exception : %s", check.fault)
		}
	}
	return s, nil
}

func (s RetryStrategy) wellFormed() bool {
	return !slices.ContainsFunc(s.EvaluateOnExit, func(r Rule) bool {
		return !pattern.MatchString(r.OnStatusReason) || !pattern.MatchString(r.OnReason) || !exitCode.MatchString(r.OnExitCode)
	})
}

// container is the definition's with the overrides: variables and requirements
// one by one, a command as a whole.
func (in submitInput) container(c ContainerProperties) ContainerProperties {
	c.Command, c.Secrets = append([]string{}, c.Command...), append([]Secret{}, c.Secrets...) // AWS shows empty lists
	if len(in.ContainerOverrides.Command) > 0 {
		c.Command = in.ContainerOverrides.Command
	}
	variables := map[string]string{}
	for _, v := range slices.Concat(c.Environment, in.ContainerOverrides.Environment) {
		variables[v.Name] = v.Value
	}
	c.Environment = []KeyValue{}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		c.Environment = append(c.Environment, KeyValue{name, variables[name]})
	}
	needs := map[string]string{}
	for _, r := range slices.Concat(c.ResourceRequirements, in.ContainerOverrides.ResourceRequirements) {
		needs[r.Type] = r.Value
	}
	c.ResourceRequirements = nil
	for _, kind := range slices.Sorted(maps.Keys(needs)) {
		c.ResourceRequirements = append(c.ResourceRequirements, Requirement{kind, needs[kind]})
	}
	c.LogConfiguration.LogDriver = cmp.Or(c.LogConfiguration.LogDriver, "awslogs")
	return c
}
