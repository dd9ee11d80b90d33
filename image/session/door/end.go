package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// EnderConfig identifies the session and the endpoints that it calls.
type EnderConfig struct {
	Session, Stack string
	Endpoint       string // of AWS Batch, if the environment sets one
	TaskMetadata   string // the ECS agent's endpoint; "" off ECS
}

// Ender serves requests to end the session. It grants a request if AWS accepts its
// proof: see contract.Proof.
type Ender struct {
	EnderConfig
	asked   chan<- string
	client  *http.Client
	refused proofLimiter
}

const (
	maxEndRequest = 16 << 10
	proofLimit    = 5 * time.Second
)

// NewEnder returns an Ender that sends the reasons of granted requests to asked. A
// reason is dropped if asked is full.
func NewEnder(c EnderConfig, asked chan<- string) *Ender {
	return &Ender{
		EnderConfig: c, asked: asked,
		client: &http.Client{
			Timeout:       proofLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ServeHTTP answers 202 and ends the session, or answers with the reason for a refusal.
func (e *Ender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, err := e.take(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer := struct {
		Error string `json:"error,omitempty"`
	}{}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (e *Ender) take(r *http.Request) (int, error) {
	var in contract.EndRequest
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxEndRequest)).Decode(&in); err != nil {
		return http.StatusBadRequest, errors.New("the body is not a request to end a session")
	}
	switch {
	case in.Session != e.Session:
		return http.StatusBadRequest, errors.New("session: this is another session")
	case in.Reason == "" || len(in.Reason) > 256:
		return http.StatusBadRequest, errors.New("reason: allowed: 1 to 256 characters")
	}
	from := addressOf(r.RemoteAddr)
	if !e.refused.admit(from, time.Now()) {
		return http.StatusTooManyRequests, errors.New("too many requests without a proof that AWS accepts: try again in a minute")
	}
	job, err := e.job(r.Context())
	if err != nil {
		return http.StatusForbidden, fmt.Errorf("the session can't check the proof: %w", err)
	}
	call, err := e.call(r.Context(), job, in.Proof)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := e.fetch(call, nil); err != nil {
		return http.StatusForbidden, errors.New("AWS does not accept the proof: it takes batch:TagResource on the session's job")
	}
	e.refused.forget(from)
	select {
	case e.asked <- in.Reason:
	default: // the session is ending already
	}
	return http.StatusAccepted, nil
}

var (
	// authorizationPattern matches the header of AWS Signature Version 4, in the one
	// form that AWS's SDKs write: the scope's Region and service, and the signed headers.
	authorizationPattern = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=\w+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)
	amzDatePattern       = regexp.MustCompile(`^\d{8}T\d{6}Z$`)
)

// call returns the AWS request that a proof belongs to. The session builds the request
// itself or checks its parts as they are sent: the signature has to cover all of it.
func (e *Ender) call(ctx context.Context, job jobARN, p contract.Proof) (*http.Request, error) {
	known := Endpoints(job.partition, job.region)
	if e.Endpoint != "" {
		known = []string{strings.TrimSuffix(e.Endpoint, "/")}
	}
	if !slices.Contains(known, p.Endpoint) {
		return nil, errors.New("proof.endpoint: it is not AWS Batch in the session's Region")
	}
	req, err := contract.ProofRequest(ctx, p.Endpoint, job.String(), e.Session, e.Stack)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Amz-Date", p.Date)
	if p.SecurityToken != "" {
		req.Header.Set("X-Amz-Security-Token", p.SecurityToken)
	}
	covered := signedHeaders(req)
	parts := authorizationPattern.FindStringSubmatch(p.Authorization)
	switch {
	case !amzDatePattern.MatchString(p.Date):
		return nil, errors.New("proof.date: it is not a date in the form of X-Amz-Date")
	case parts == nil:
		return nil, errors.New("proof.authorization: it is not an AWS Signature Version 4")
	case parts[1] != job.region || parts[2] != contract.ProofService:
		return nil, errors.New("proof.authorization: it is not signed for AWS Batch in the session's Region")
	case parts[3] != covered:
		return nil, fmt.Errorf("proof.authorization: allowed: SignedHeaders=%s", covered)
	}
	req.Header.Set("Authorization", p.Authorization)
	return req, nil
}

// signedHeaders returns the names of a request's headers in the form of a signature.
func signedHeaders(req *http.Request) string {
	names := []string{"content-length", "host"}
	for name := range maps.Keys(req.Header) {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}

// batchHosts are the hosts of AWS Batch in a Region, by partition: regular, FIPS,
// dual-stack, and FIPS with dual-stack (aws-sdk-go-v2, service/batch/endpoints.go).
var batchHosts = map[string][]string{
	"aws":        {"batch.%s.amazonaws.com", "fips.batch.%s.amazonaws.com", "batch.%s.api.aws", "batch-fips.%s.api.aws"},
	"aws-cn":     {"batch.%s.amazonaws.com.cn", "batch-fips.%s.amazonaws.com.cn", "batch.%s.api.amazonwebservices.com.cn", "batch-fips.%s.api.amazonwebservices.com.cn"},
	"aws-eusc":   {"batch.%s.amazonaws.eu", "batch-fips.%s.amazonaws.eu", "batch.%s.api.amazonwebservices.eu", "batch-fips.%s.api.amazonwebservices.eu"},
	"aws-us-gov": {"batch.%s.amazonaws.com", "batch.%s.api.aws", "batch-fips.%s.api.aws"},
}

// Endpoints returns the endpoints of AWS Batch in a Region, and none for an unknown
// partition.
func Endpoints(partition, region string) []string {
	var list []string
	for _, host := range batchHosts[partition] {
		list = append(list, "https://"+fmt.Sprintf(host, region))
	}
	return list
}

// jobARN is the ARN of an AWS Batch job.
type jobARN struct{ partition, region, account, id string }

func (j jobARN) String() string {
	return fmt.Sprintf("arn:%s:batch:%s:%s:job/%s", j.partition, j.region, j.account, j.id)
}

// taskARNPattern matches an ECS task: arn:aws:ecs:REGION:ACCOUNT:task/….
var taskARNPattern = regexp.MustCompile(`^arn:(aws[a-z-]*):ecs:([a-z0-9-]+):(\d{12}):task/`)

// job returns the session's own job. Its account and Region come from the ECS agent
// (Amazon ECS developer guide, "Task metadata endpoint version 4"). A session outside of
// ECS has no job and accepts no proof.
func (e *Ender) job(ctx context.Context) (jobARN, error) {
	if e.TaskMetadata == "" {
		return jobARN{}, errors.New("it is not an ECS task")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.TaskMetadata+"/task", nil)
	if err != nil {
		return jobARN{}, err
	}
	var task struct{ TaskARN string }
	if err := e.fetch(req, &task); err != nil {
		return jobARN{}, err
	}
	parts := taskARNPattern.FindStringSubmatch(task.TaskARN)
	if parts == nil {
		return jobARN{}, fmt.Errorf("the ECS agent names the task %q", task.TaskARN)
	}
	return jobARN{partition: parts[1], region: parts[2], account: parts[3], id: e.Session}, nil
}

// fetch decodes a JSON answer with status 200. If into is nil, it reads the status only.
func (e *Ender) fetch(req *http.Request, into any) error {
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(into)
}
