package batch

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// jobDetail is a job as DescribeJobs shows it, without the fields that AWS leaves
// out in the job's state.
type jobDetail struct {
	ARN                  string            `json:"jobArn"`
	Name                 string            `json:"jobName"`
	ID                   string            `json:"jobId"`
	QueueARN             string            `json:"jobQueue"`
	Status               Status            `json:"status"`
	StatusReason         string            `json:"statusReason,omitempty"`
	Created              int64             `json:"createdAt"`
	Started              int64             `json:"startedAt,omitempty"`
	Stopped              int64             `json:"stoppedAt,omitempty"`
	DefinitionARN        string            `json:"jobDefinition"`
	Attempts             []attemptDetail   `json:"attempts"`
	RetryStrategy        retryDetail       `json:"retryStrategy"`
	Timeout              *Timeout          `json:"timeout,omitempty"`
	DependsOn            []string          `json:"dependsOn"`
	Parameters           map[string]string `json:"parameters"`
	Container            containerDetail   `json:"container"`
	Tags                 map[string]string `json:"tags"`
	PropagateTags        bool              `json:"propagateTags"`
	PlatformCapabilities []string          `json:"platformCapabilities"`
	IsCancelled          bool              `json:"isCancelled"`
	IsTerminated         bool              `json:"isTerminated"`
}

// retryDetail has always both fields.
type retryDetail struct {
	Attempts       int    `json:"attempts"`
	EvaluateOnExit []Rule `json:"evaluateOnExit"`
}

// containerDetail is the container as it was requested, with the result of its last
// attempt.
type containerDetail struct {
	ContainerProperties
	Volumes           []string `json:"volumes"`
	MountPoints       []string `json:"mountPoints"`
	Ulimits           []string `json:"ulimits"`
	NetworkInterfaces []string `json:"networkInterfaces"`
	runDetail
}

type runDetail struct {
	TaskARN     string `json:"taskArn,omitempty"`
	InstanceARN string `json:"containerInstanceArn,omitempty"`
	LogStream   string `json:"logStreamName,omitempty"`
	ExitCode    *int   `json:"exitCode,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

type attemptDetail struct {
	Started      int64            `json:"startedAt,omitempty"`
	Stopped      int64            `json:"stoppedAt,omitempty"`
	StatusReason string           `json:"statusReason,omitempty"`
	Container    attemptContainer `json:"container"`
}

type attemptContainer struct {
	runDetail
	NetworkInterfaces []string `json:"networkInterfaces"`
}

// jobSummary is a job as ListJobs shows it.
type jobSummary struct {
	ARN           string        `json:"jobArn"`
	ID            string        `json:"jobId"`
	Name          string        `json:"jobName"`
	Created       int64         `json:"createdAt"`
	Status        Status        `json:"status"`
	StatusReason  string        `json:"statusReason,omitempty"`
	Started       int64         `json:"startedAt,omitempty"`
	Stopped       int64         `json:"stoppedAt,omitempty"`
	Container     *endingDetail `json:"container,omitempty"`
	DefinitionARN string        `json:"jobDefinition"`
}

type endingDetail struct {
	ExitCode *int   `json:"exitCode,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (s *Service) describe(c *gateway.Call) (*http.Response, error) {
	var in struct {
		Jobs []string `json:"jobs"`
	}
	if err := read(c, &in); err != nil {
		return nil, err
	}
	if len(in.Jobs) > 100 {
		return nil, clientFault("Error executing request, Exception : Maximum number of jobs supported is  100")
	}
	details := []jobDetail{}
	for _, id := range in.Jobs {
		if j, there := s.scheduler.Job(id); there { // unknown ones are left out
			details = append(details, s.detail(j))
		}
	}
	return c.Answer(map[string]any{"jobs": details}), nil
}

func (s *Service) detail(j Job) jobDetail {
	d := jobDetail{
		ARN: j.ARN, Name: j.Name, ID: j.ID, QueueARN: j.QueueARN, Status: j.Status, StatusReason: j.StatusReason,
		Created: millis(j.Created), Started: millis(j.Started), Stopped: millis(j.Stopped), DefinitionARN: j.Definition.ARN,
		Attempts:      []attemptDetail{},
		RetryStrategy: retryDetail{max(j.RetryStrategy.Attempts, 1), append([]Rule{}, j.RetryStrategy.EvaluateOnExit...)},
		DependsOn:     []string{}, Parameters: map[string]string{}, Tags: j.Tags, PropagateTags: j.PropagateTags,
		PlatformCapabilities: j.Definition.PlatformCapabilities, IsCancelled: j.Cancelled, IsTerminated: j.Terminated,
		Container: containerDetail{
			ContainerProperties: j.Container, Volumes: []string{}, MountPoints: []string{}, Ulimits: []string{}, NetworkInterfaces: []string{},
			runDetail: s.runDetail(j.Last),
		},
	}
	if j.Timeout.AttemptDurationSeconds > 0 {
		d.Timeout = &j.Timeout
	}
	for _, a := range j.Attempts {
		d.Attempts = append(d.Attempts, attemptDetail{millis(a.Started), millis(a.Stopped), a.StatusReason, attemptContainer{s.runDetail(a), []string{}}})
	}
	return d
}

func (s *Service) runDetail(a Attempt) runDetail {
	if a.TaskARN == "" {
		return runDetail{}
	}
	return runDetail{
		TaskARN: a.TaskARN, LogStream: a.LogStream, ExitCode: a.ExitCode, Reason: a.Reason,
		InstanceARN: fmt.Sprintf("arn:aws:ecs:%s:%s:container-instance/%s", local.Region, local.Account, a.HostID),
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// listInput names one of jobStatus and filters; without either RUNNING jobs are
// shown, as on AWS.
type listInput struct {
	JobQueue   string `json:"jobQueue"`
	JobStatus  Status `json:"jobStatus"`
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
	Filters    []struct {
		Name   string   `json:"name"`
		Values []string `json:"values"`
	} `json:"filters"`
}

func (s *Service) list(c *gateway.Call) (*http.Response, error) {
	var in listInput
	if err := read(c, &in); err != nil {
		return nil, err
	}
	if err := s.refresh(c.Request.Context()); err != nil {
		return nil, err
	}
	queue, err := s.find(in.JobQueue)
	if err != nil {
		return nil, err
	}
	want, err := in.want()
	if err != nil {
		return nil, err
	}
	jobs := s.scheduler.Jobs(queue.ARN, want)
	slices.Reverse(jobs) // the newest first
	slices.SortStableFunc(jobs, func(a, b Job) int { return b.Created.Compare(a.Created) })
	jobs, next, err := in.page(jobs)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"jobSummaryList": summaries(jobs)}
	if next != "" {
		answer["nextToken"] = next
	}
	return c.Answer(answer), nil
}

// want returns the listing's filter; with a filter in the call, jobs of every state
// pass.
func (in listInput) want() (func(Job) bool, error) {
	switch {
	case len(in.Filters) > 1:
		return nil, clientFault("Error executing request, Exception : one filter a call")
	case len(in.Filters) == 1:
		f := in.Filters[0]
		if f.Name != "JOB_NAME" {
			return nil, clientFault("Error executing request, Exception : the sandbox knows no filter %s", f.Name)
		}
		return func(j Job) bool {
			return slices.ContainsFunc(f.Values, func(v string) bool { return matches(strings.ToLower(v), strings.ToLower(j.Name)) })
		}, nil
	case in.JobStatus == "":
		in.JobStatus = Running
	}
	return func(j Job) bool { return j.Status == in.JobStatus }, nil
}

// page cuts a listing: up to 1,000, with a filter up to 100. The token is the
// last job shown, so that jobs which come and go meanwhile shift nothing.
func (in listInput) page(jobs []Job) ([]Job, string, error) {
	size := 1000
	if len(in.Filters) > 0 {
		size = 100
	}
	if in.MaxResults > 0 {
		size = min(size, in.MaxResults)
	}
	if in.NextToken != "" {
		i := slices.IndexFunc(jobs, func(j Job) bool { return j.ID == in.NextToken })
		if i < 0 {
			return nil, "", clientFault("Error executing request, Exception : invalid nextToken")
		}
		jobs = jobs[i+1:]
	}
	if len(jobs) <= size {
		return jobs, "", nil
	}
	return jobs[:size], jobs[size-1].ID, nil
}

func summaries(jobs []Job) []jobSummary {
	list := []jobSummary{}
	for _, j := range jobs {
		summary := jobSummary{
			ARN: j.ARN, ID: j.ID, Name: j.Name, Created: millis(j.Created), Status: j.Status, StatusReason: j.StatusReason,
			Started: millis(j.Started), Stopped: millis(j.Stopped), DefinitionARN: j.Definition.ARN,
		}
		if j.Last.ExitCode != nil || j.Last.Reason != "" {
			summary.Container = &endingDetail{j.Last.ExitCode, j.Last.Reason}
		}
		list = append(list, summary)
	}
	return list
}

// endInput is CancelJob's and TerminateJob's.
type endInput struct {
	JobID  string `json:"jobId"`
	Reason string `json:"reason"`
}

func (s *Service) cancel(c *gateway.Call) (*http.Response, error) {
	return s.end(c, s.scheduler.Cancel)
}

func (s *Service) terminate(c *gateway.Call) (*http.Response, error) {
	return s.end(c, s.scheduler.Terminate)
}

func (s *Service) end(c *gateway.Call, do func(id, reason string)) (*http.Response, error) {
	var in endInput
	if err := read(c, &in); err != nil {
		return nil, err
	}
	if in.JobID == "" || in.Reason == "" || len(in.Reason) > 1024 {
		return nil, clientFault("Error executing request, Exception : jobId and a reason of up to 1024 characters are needed")
	}
	do(in.JobID, in.Reason)
	return c.Answer(struct{}{}), nil
}

// taggedARN returns the ARN that a call about tags names, if it is a job's.
func taggedARN(c *gateway.Call) (arn string, isJob bool) {
	arn, err := url.PathUnescape(strings.TrimPrefix(c.Request.URL.EscapedPath(), "/v1/tags/"))
	return arn, err == nil && strings.Contains(arn, ":job/")
}

// tagged answers a call about a job's tags. Of other resources moto has them.
func (s *Service) tagged(c *gateway.Call, do func(Job) (any, error)) (*http.Response, error) {
	arn, isJob := taggedARN(c)
	if !isJob {
		return c.Forward()
	}
	_, id, _ := strings.Cut(arn, ":job/")
	j, there := s.scheduler.Job(id)
	if !there || j.ARN != arn {
		return nil, clientFault("Resource %s does not exist.", arn)
	}
	answer, err := do(j)
	if err != nil {
		return nil, err
	}
	return c.Answer(answer), nil
}

func (s *Service) listTags(c *gateway.Call) (*http.Response, error) {
	return s.tagged(c, func(j Job) (any, error) {
		tags := map[string]string{}
		maps.Copy(tags, j.Tags)
		return map[string]any{"tags": tags}, nil
	})
}

func (s *Service) tag(c *gateway.Call) (*http.Response, error) {
	return s.tagged(c, func(j Job) (any, error) {
		var in struct {
			Tags map[string]string `json:"tags"`
		}
		if err := read(c, &in); err != nil {
			return nil, err
		}
		s.scheduler.Tag(j.ID, in.Tags)
		return struct{}{}, nil
	})
}

func (s *Service) untag(c *gateway.Call) (*http.Response, error) {
	return s.tagged(c, func(j Job) (any, error) {
		s.scheduler.Untag(j.ID, c.Request.URL.Query()["tagKeys"])
		return struct{}{}, nil
	})
}
