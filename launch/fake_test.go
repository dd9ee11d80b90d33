package launch_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

const (
	account  = "123456789012"
	queueARN = "arn:aws:batch:us-east-1:" + account + ":job-queue/queue-1"
	logGroup = "/dcv-sessions/dev/sessions-0a1b2c3"
)

// cloud answers the calls that a launcher makes: those of AWS Batch and CloudWatch Logs,
// and for one secret. It has no clock: a job takes the next step of its script when it
// is described.
type cloud struct {
	*httptest.Server
	mu      sync.Mutex
	jobs    []*fakeJob
	streams map[string][]string
	calls   map[string]int

	page, emptyPages int // the lines of a page of a log, and the empty pages before it

	// For the next submissions.
	script   []step          // of each new job
	lag      int             // listings that don't have a new job yet
	blind    int             // descriptions that don't have a new job yet
	cut      int             // submissions whose answer is lost
	refuse   func() bool     // whether a submission is answered with 500 and does nothing
	together *sync.WaitGroup // submissions wait for each other
	instant  bool            // all jobs have the same createdAt
	denied   map[string]bool

	results     [][][]map[string]string // of queries, by their id
	queryStatus map[string]string       // of a query that was looked at once
	queryEnds   string                  // the status in which queries end; "": Complete
}

// step changes a job between two looks.
type step func(c *cloud, j *fakeJob)

type fakeJob struct {
	id, name, status, statusReason string
	created, started, stopped      int64
	tags                           map[string]string
	environment, reserved          []map[string]string
	attempts                       []map[string]any
	stream, reason, vcpus, host    string
	exit                           *int
	terminated                     bool
	unlisted, undescribed          int
	script                         []step
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{
		streams: map[string][]string{}, calls: map[string]int{}, denied: map[string]bool{}, page: 1, emptyPages: 1,
		script: []step{to("RUNNABLE"), to("STARTING"), running("1"), isReady("https://192.0.2.1:8443/", "00")},
	}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) outputs() outputs.Outputs {
	return outputs.Outputs{
		ContractVersion: contract.Version, Stack: "dev", Region: "us-east-1", QueueARN: queueARN, LogGroup: logGroup,
		JobDefinitions:  map[string]string{"alice": "dcv-sessions_dev_alice", "bob": "dcv-sessions_dev_bob"},
		CredentialsARNs: map[string]string{"alice": "arn:alice", "bob": "arn:bob"},
	}
}

func (c *cloud) config() aws.Config {
	return aws.Config{
		Region: "elsewhere", BaseEndpoint: aws.String(c.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "session-token"),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func (c *cloud) launcher(t *testing.T) *launch.Launcher {
	t.Helper()
	l, err := launch.New(c.config(), c.outputs(), launch.WithPoll(time.Millisecond), launch.WithAnswerLimit(time.Hour))
	require.NoError(t, err)
	return l
}

// add puts a job of the stack into the queue that no launcher of the test submitted.
func (c *cloud) add(user string, script ...step) *fakeJob {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.submit(contract.JobName("dev", user), contract.JobTags("dev", user), script)
}

func (c *cloud) submit(name string, tags map[string]string, script []step) *fakeJob {
	created := int64(1_700_000_000_000)
	if !c.instant {
		created += int64(len(c.jobs))
	}
	j := &fakeJob{
		id: fmt.Sprintf("job-%d", len(c.jobs)+1), name: name, status: "SUBMITTED", created: created, tags: tags,
		script: slices.Clone(script), unlisted: c.lag, undescribed: c.blind,
	}
	c.jobs = append(c.jobs, j)
	return j
}

// with calls a function under the lock, since launchers look meanwhile.
func (c *cloud) with(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

func (c *cloud) count(operation string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[operation]
}

// alive returns the ids of the jobs that have not ended.
func (c *cloud) alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, j := range c.jobs {
		if !j.over() {
			ids = append(ids, j.id)
		}
	}
	return ids
}

func (j *fakeJob) arn() string { return "arn:aws:batch:us-east-1:" + account + ":job/" + j.id }

func (j *fakeJob) over() bool { return j.status == "SUCCEEDED" || j.status == "FAILED" }

func to(status string) step { return func(_ *cloud, j *fakeJob) { j.status = status } }

func blocked(reason string) step {
	return func(_ *cloud, j *fakeJob) { j.status, j.statusReason = "RUNNABLE", reason }
}

func nothing(*cloud, *fakeJob) {}

// running begins an attempt, with a stream of this name.
func running(stream string) step {
	return func(c *cloud, j *fakeJob) {
		j.status, j.started, j.statusReason = "RUNNING", j.created+1000, ""
		j.stream = "user/default/" + j.id + "-" + stream
		c.log(j, contract.Event{Event: contract.EventStarting})
	}
}

func isReady(url, certificate string) step {
	return func(c *cloud, j *fakeJob) {
		c.log(j, contract.Event{Event: contract.EventReady, URL: url, Certificate: certificate})
	}
}

// exits ends a job by the exit of its container.
func exits(code int, reason string) step {
	return func(c *cloud, j *fakeJob) {
		c.log(j, contract.Event{Event: contract.EventEnded, Reason: reason, ExitCode: &code})
		j.status, j.exit = "FAILED", &code
		if code == 0 {
			j.status = "SUCCEEDED"
		}
		j.endAttempt("Essential container in task exited")
	}
}

// fails ends a job without an exit of its container.
func fails(statusReason, reason string) step {
	return func(_ *cloud, j *fakeJob) {
		j.status, j.reason = "FAILED", reason
		j.endAttempt(statusReason)
	}
}

// retried ends an attempt of a job that has another one left.
func retried(statusReason string) step {
	return func(_ *cloud, j *fakeJob) {
		j.status = "RUNNABLE"
		j.endAttempt(statusReason)
		j.statusReason = ""
	}
}

func (j *fakeJob) endAttempt(statusReason string) {
	j.statusReason, j.stopped = statusReason, j.created+2000
	container := map[string]any{"logStreamName": j.stream, "reason": j.reason}
	if j.exit != nil {
		container["exitCode"] = *j.exit
	}
	j.attempts = append(j.attempts, map[string]any{"startedAt": j.started, "stoppedAt": j.stopped, "statusReason": statusReason, "container": container})
}

func (c *cloud) log(j *fakeJob, e contract.Event) {
	line, _ := json.Marshal(e)
	c.streams[j.stream] = append(c.streams[j.stream], string(line))
}

// serve answers a call of AWS.
func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	operation = cmp.Or(operation, strings.TrimPrefix(r.URL.Path, "/v1/"))
	if strings.HasPrefix(operation, "tags/") {
		operation = "tagresource"
	}
	do, known := map[string]func(http.ResponseWriter, *http.Request, []byte){
		"submitjob": c.submitJob, "listjobs": c.listJobs, "describejobs": c.describeJobs, "terminatejob": c.terminateJob,
		"tagresource": c.tagResource, "GetLogEvents": c.getLogEvents, "GetSecretValue": c.getSecretValue,
		"/latest/api/token": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			fmt.Fprint(w, "token")
		},
		"/latest/meta-data/local-ipv4": func(w http.ResponseWriter, _ *http.Request, _ []byte) { fmt.Fprint(w, "127.0.0.1") },
		"/v4/1/task": func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			answer(w, map[string]any{"TaskARN": "arn:aws:ecs:us-east-1:" + account + ":task/1"})
		},
		"/":                      assumeRole,
		"describejobdefinitions": describeJobDefinitions,
		"describejobqueues":      describeJobQueues, "describecomputeenvironments": describeComputeEnvironments,
		"DescribeLogGroups": describeLogGroups, "StartQuery": c.startQuery, "GetQueryResults": c.getQueryResults,
	}[operation]
	c.mu.Lock()
	c.calls[operation]++
	denied := c.denied[operation]
	c.mu.Unlock()
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case denied:
		fault(w, http.StatusForbidden, "AccessDeniedException", "no identity-based policy allows it")
	default:
		do(w, r, body)
	}
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(document)
}

func fault(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

func (c *cloud) submitJob(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct {
		JobName, JobQueue, JobDefinition string
		Tags                             map[string]string
		PropagateTags                    bool
		ContainerOverrides               struct {
			Environment          []map[string]string
			Command              []string
			ResourceRequirements []map[string]string
		}
		RetryStrategy struct{ Attempts int }
	}
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	together := c.together
	c.mu.Unlock()
	if together != nil {
		together.Done()
		together.Wait()
	}
	c.mu.Lock()
	if stack := in.Tags[contract.TagStack]; stack != "dev" {
		foreign := c.denied["foreign"]
		if !foreign {
			c.submit(in.JobName, in.Tags, nil)
		}
		id := c.jobs[len(c.jobs)-1].id
		c.mu.Unlock()
		if foreign {
			fault(w, http.StatusForbidden, "AccessDeniedException", "batch:TagResource")
			return
		}
		answer(w, map[string]string{"jobId": id, "jobName": in.JobName})
		return
	}
	user := in.Tags[contract.TagUser]
	name, attempts := contract.JobName("dev", user), 0
	if slices.Equal(in.ContainerOverrides.Command, []string{contract.CommandDoctor}) {
		name, attempts = contract.DoctorName("dev", user), 1
	}
	if in.JobQueue != queueARN || in.JobDefinition != contract.JobDefinition("dev", user) || in.JobName != name || in.RetryStrategy.Attempts != attempts || !in.PropagateTags {
		c.mu.Unlock()
		fault(w, http.StatusBadRequest, "ClientException", "not how a session is submitted")
		return
	}
	if c.refuse != nil && c.refuse() {
		c.mu.Unlock()
		fault(w, http.StatusInternalServerError, "ServerException", "AWS has a bad moment")
		return
	}
	j := c.submit(in.JobName, in.Tags, c.script)
	j.environment, j.reserved = in.ContainerOverrides.Environment, in.ContainerOverrides.ResourceRequirements
	cut := c.cut > 0
	if cut {
		c.cut--
	}
	c.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler)
	}
	answer(w, map[string]string{"jobId": j.id, "jobName": j.name})
}

// listJobs answers with pages of two jobs, the newest first.
func (c *cloud) listJobs(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct {
		JobQueue, JobStatus, NextToken string
		Filters                        []struct {
			Name   string
			Values []string
		}
	}
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []map[string]any
	for _, j := range slices.Backward(c.jobs) {
		if in.NextToken == "" && j.unlisted > 0 {
			j.unlisted--
			continue
		}
		shown := j.status == cmp.Or(in.JobStatus, "RUNNING")
		if len(in.Filters) == 1 {
			pattern, prefix := strings.CutSuffix(strings.ToLower(in.Filters[0].Values[0]), "*")
			name := strings.ToLower(j.name)
			shown = name == pattern || prefix && strings.HasPrefix(name, pattern)
		}
		if shown {
			found = append(found, map[string]any{"jobId": j.id, "jobName": j.name, "createdAt": j.created, "stoppedAt": j.stopped, "status": j.status})
		}
	}
	from := 0
	_, _ = fmt.Sscan(in.NextToken, &from)
	page := map[string]any{"jobSummaryList": found[min(from, len(found)):min(from+2, len(found))]}
	if from+2 < len(found) {
		page["nextToken"] = fmt.Sprint(from + 2)
	}
	answer(w, page)
}

func (c *cloud) describeJobs(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct{ Jobs []string }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	details := []map[string]any{}
	for _, j := range c.jobs {
		switch {
		case !slices.Contains(in.Jobs, j.id):
		case j.undescribed > 0:
			j.undescribed--
		default:
			if len(j.script) > 0 && !j.over() {
				j.script[0](c, j)
				j.script = j.script[1:]
			}
			details = append(details, j.detail())
		}
	}
	answer(w, map[string]any{"jobs": details})
}

func (j *fakeJob) detail() map[string]any {
	container := map[string]any{"environment": j.environment}
	for name, value := range map[string]string{"logStreamName": j.stream, "containerInstanceArn": j.host} {
		if value != "" {
			container[name] = value
		}
	}
	if j.vcpus != "" {
		container["resourceRequirements"] = []map[string]string{{"type": "MEMORY", "value": "4096"}, {"type": "VCPU", "value": j.vcpus}}
	}
	if j.over() {
		container["reason"] = j.reason
		if j.exit != nil {
			container["exitCode"] = *j.exit
		}
	}
	d := map[string]any{
		"jobId": j.id, "jobArn": j.arn(), "jobName": j.name, "jobQueue": queueARN, "status": j.status, "createdAt": j.created, "tags": j.tags,
		"attempts": j.attempts, "container": container, "isTerminated": j.terminated, "isCancelled": false,
	}
	maps.DeleteFunc(d, func(_ string, v any) bool { return v == nil })
	for name, value := range map[string]int64{"startedAt": j.started, "stoppedAt": j.stopped} {
		if value != 0 {
			d[name] = value
		}
	}
	if j.statusReason != "" {
		d["statusReason"] = j.statusReason
	}
	return d
}

func (c *cloud) terminateJob(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct{ JobID, Reason string }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if j.id == in.JobID && !j.over() {
			j.terminated = true
			j.script = []step{fails(in.Reason, "")}
		}
	}
	answer(w, map[string]any{})
}

// getLogEvents answers with pages as AWS does: empty ones may come before the lines, and
// the last page returns the token that it was requested with.
func (c *cloud) getLogEvents(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct {
		LogGroupName, LogStreamName, NextToken string
		StartFromHead                          bool
		Limit                                  int
	}
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	lines, there := c.streams[in.LogStreamName]
	if !there || in.LogGroupName != logGroup {
		fault(w, http.StatusBadRequest, "ResourceNotFoundException", "The specified log stream does not exist.")
		return
	}
	if strings.HasPrefix(in.NextToken, "f/") && !in.StartFromHead {
		fault(w, http.StatusBadRequest, "InvalidParameterException", "a forward token takes startFromHead")
		return
	}
	at, came := 0, 0 // the place in the stream, and the empty pages that came there
	if !in.StartFromHead {
		at = len(lines)
	}
	if in.NextToken != "" {
		_, _ = fmt.Sscanf(in.NextToken[2:], "%d/%d", &at, &came)
	}
	from, to := at, min(at+min(cmp.Or(in.Limit, c.page), c.page), len(lines))
	if !in.StartFromHead {
		from, to = max(at-min(cmp.Or(in.Limit, c.page), c.page), 0), at
	}
	empty := from < to && came < c.emptyPages
	switch {
	case empty:
		from, to, came = at, at, came+1
	case from < to:
		came = 0
	}
	events := []map[string]any{}
	for i, line := range lines[from:to] {
		at := int64(1_700_000_000_000 + from + i)
		var event contract.Event
		_ = json.Unmarshal([]byte(line), &event)
		if known, err := time.Parse(contract.TimeFormat, event.Time); err == nil {
			at = known.UnixMilli()
		}
		events = append(events, map[string]any{"timestamp": at, "message": line})
	}
	answer(w, map[string]any{
		"events": events, "nextForwardToken": fmt.Sprintf("f/%d/%d", to, came), "nextBackwardToken": fmt.Sprintf("b/%d/%d", from, came),
	})
}

// tagResource answers proofs. Their signature must fit the request.
func (c *cloud) tagResource(w http.ResponseWriter, r *http.Request, body []byte) {
	var in struct{ Tags map[string]string }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	i := slices.IndexFunc(c.jobs, func(j *fakeJob) bool { return r.URL.Path == "/v1/tags/"+j.arn() })
	c.mu.Unlock()
	switch {
	case i < 0:
		fault(w, http.StatusBadRequest, "ClientException", "the job does not exist")
	case in.Tags[contract.TagStack] != "dev" || !signatureFits(r, body):
		fault(w, http.StatusForbidden, "AccessDeniedException", "the signature does not fit")
	default:
		answer(w, map[string]any{})
	}
}

func signatureFits(r *http.Request, body []byte) bool {
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	signed, _, _ := strings.Cut(after, ",")
	again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.EscapedPath(), strings.NewReader(string(body)))
	for _, name := range strings.Split(signed, ";") {
		if value := r.Header.Get(name); value != "" && name != "content-length" {
			again.Header.Set(name, value)
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	hash := sha256.Sum256(body)
	own := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret", SessionToken: "session-token"}
	if err != nil || v4.NewSigner().SignHTTP(r.Context(), own, again, hex.EncodeToString(hash[:]), "batch", "us-east-1", at) != nil {
		return false
	}
	return again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func (c *cloud) getSecretValue(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct{ SecretID string }
	_ = json.Unmarshal(body, &in)
	answer(w, map[string]string{"SecretString": `{"username":"` + strings.TrimPrefix(in.SecretID, "arn:") + `","password":"correct-horse"}`})
}
