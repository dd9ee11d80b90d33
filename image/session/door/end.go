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

// EnderConfig says which session it is, and where AWS is asked.
type EnderConfig struct {
	Session, Stack string
	Endpoint       string // of AWS Batch if the environment names one, else ""
	TaskMetadata   string // of the ECS agent, else ""
}

// Ender takes requests to end the session, and grants those whose proof AWS
// accepts: see contract.Proof.
type Ender struct {
	EnderConfig
	asked   chan<- string
	client  *http.Client
	refused proofs
}

const (
	maxEndRequest = 16 << 10
	proofLimit    = 5 * time.Second
)

// NewEnder returns an Ender that sends the reasons of granted requests to asked,
// as long as they are read there.
func NewEnder(c EnderConfig, asked chan<- string) *Ender {
	return &Ender{
		EnderConfig: c, asked: asked,
		client: &http.Client{
			Timeout:       proofLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ServeHTTP answers 202 and has the session end, or says why not.
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
		return http.StatusForbidden, fmt.Errorf("the session can't ask AWS who may end it: %w", err)
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
	default: // it ends already
	}
	return http.StatusAccepted, nil
}

var (
	// authorization is AWS Signature Version 4's header, in the one form in which AWS's
	// SDKs write it: scope's Region and service, and the signed headers.
	authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=\w+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`)
	signedAt      = regexp.MustCompile(`^\d{8}T\d{6}Z$`)
)

// call returns the call of AWS that a proof is for. What it sends the session has
// made itself, or has checked as it is sent: the signature has to cover all of it.
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
	parts := authorization.FindStringSubmatch(p.Authorization)
	switch {
	case !signedAt.MatchString(p.Date):
		return nil, errors.New("proof.date: it is not a date as X-Amz-Date has it")
	case parts == nil:
		return nil, errors.New("proof.authorization: it is not a signature of AWS's version 4")
	case parts[1] != job.region || parts[2] != contract.ProofService:
		return nil, errors.New("proof.authorization: it is not signed for AWS Batch in the session's Region")
	case parts[3] != covered:
		return nil, fmt.Errorf("proof.authorization: allowed: SignedHeaders=%s", covered)
	}
	req.Header.Set("Authorization", p.Authorization)
	return req, nil
}

// signedHeaders returns the names of a call's headers as a signature lists them.
func signedHeaders(req *http.Request) string {
	names := []string{"content-length", "host"}
	for name := range maps.Keys(req.Header) {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}

// hosts are those of AWS Batch in a Region, by partition: regular, with FIPS, with
// both IP versions, and with both (aws-sdk-go-v2, service/batch/endpoints.go).
var hosts = map[string][]string{
	"aws":        {"batch.%s.amazonaws.com", "fips.batch.%s.amazonaws.com", "batch.%s.api.aws", "batch-fips.%s.api.aws"},
	"aws-cn":     {"batch.%s.amazonaws.com.cn", "batch-fips.%s.amazonaws.com.cn", "batch.%s.api.amazonwebservices.com.cn", "batch-fips.%s.api.amazonwebservices.com.cn"},
	"aws-eusc":   {"batch.%s.amazonaws.eu", "batch-fips.%s.amazonaws.eu", "batch.%s.api.amazonwebservices.eu", "batch-fips.%s.api.amazonwebservices.eu"},
	"aws-us-gov": {"batch.%s.amazonaws.com", "batch.%s.api.aws", "batch-fips.%s.api.aws"},
}

// Endpoints returns where AWS Batch is in a Region. It returns none for a
// partition that it does not know.
func Endpoints(partition, region string) []string {
	var list []string
	for _, host := range hosts[partition] {
		list = append(list, "https://"+fmt.Sprintf(host, region))
	}
	return list
}

// jobARN names a job of AWS Batch.
type jobARN struct{ partition, region, account, id string }

func (j jobARN) String() string {
	return fmt.Sprintf("arn:%s:batch:%s:%s:job/%s", j.partition, j.region, j.account, j.id)
}

// taskARN is an ECS task's: arn:aws:ecs:REGION:ACCOUNT:task/….
var taskARN = regexp.MustCompile(`^arn:(aws[a-z-]*):ecs:([a-z0-9-]+):(\d{12}):task/`)

// job returns the session's own job, whose account and Region the ECS agent knows
// (Amazon ECS developer guide, "Task metadata endpoint version 4"). A session that
// does not run in AWS has none, and nobody can prove anything to it.
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
	parts := taskARN.FindStringSubmatch(task.TaskARN)
	if parts == nil {
		return jobARN{}, fmt.Errorf("the ECS agent names the task %q", task.TaskARN)
	}
	return jobARN{partition: parts[1], region: parts[2], account: parts[3], id: e.Session}, nil
}

// fetch reads a JSON answer of status 200; into nil, nothing of it.
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
