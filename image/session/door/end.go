package door

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// EnderConfig is whose session it is, and where AWS is asked.
type EnderConfig struct {
	Session, Stack, Region string
	Endpoint               string // of CloudWatch Logs where the environment names one, else ""
	TaskMetadata           string // of the ECS agent, else ""
}

// Ender takes requests to end the session, and passes on those that AWS vouches
// for: see contract.Proof.
type Ender struct {
	EnderConfig
	asked  chan<- string
	client *http.Client

	mu     sync.Mutex
	checks []time.Time // the latest ones
}

const (
	maxEndRequest = 16 << 10
	proofLimit    = 5 * time.Second
	// Nobody makes a session call AWS more often than that.
	maxChecks = 5
	perWindow = time.Second
)

// NewEnder sends the reasons of requests that are granted to asked, while somebody
// reads it.
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
		return http.StatusBadRequest, errors.New("no request to end a session")
	}
	if err := e.wellFormed(in); err != nil {
		return http.StatusBadRequest, err
	}
	if !e.mayCheck(time.Now()) {
		return http.StatusTooManyRequests, errors.New("too many requests: try again in a second")
	}
	if !e.vouchedFor(r.Context(), in.Proof) {
		return http.StatusForbidden, errors.New("AWS does not let the caller read this stack's session log")
	}
	select {
	case e.asked <- in.Reason:
	default: // it ends already
	}
	return http.StatusAccepted, nil
}

// wellFormed sees to it that a proof is the one call that it may be, to AWS
// itself, signed for this session.
func (e *Ender) wellFormed(in contract.EndRequest) error {
	var body struct {
		LogGroupName string `json:"logGroupName"`
	}
	signed := signedHeaders(in.Proof.Headers["Authorization"])
	for _, check := range []struct {
		holds bool
		fault string
	}{
		{in.Session == e.Session, "session: it is not this one"},
		{in.Reason != "" && len(in.Reason) <= 256, "reason: 1 to 256 characters"},
		{e.isLogs(in.Proof.URL), "proof.url: it is not CloudWatch Logs of this session's Region"},
		{in.Proof.Headers["X-Amz-Target"] == contract.ProofTarget, "proof.headers: X-Amz-Target is not " + contract.ProofTarget},
		{in.Proof.Headers[contract.HeaderSession] == e.Session, "proof.headers: " + contract.HeaderSession + " is not this session"},
		{contains(signed, "host", "x-amz-target", strings.ToLower(contract.HeaderSession)), "proof.headers: the signature has to cover Host, X-Amz-Target and " + contract.HeaderSession},
		{json.Unmarshal([]byte(in.Proof.Body), &body) == nil && strings.HasPrefix(body.LogGroupName, contract.LogGroupPrefix(e.Stack)),
			"proof.body: logGroupName is not this stack's log group"},
	} {
		if !check.holds {
			return errors.New(check.fault)
		}
	}
	return nil
}

// isLogs tells whether a URL is where CloudWatch Logs of the session's Region is
// (AWS General Reference, "CloudWatch Logs endpoints"), or where the environment
// says that it is.
func (e *Ender) isLogs(address string) bool {
	at, err := url.Parse(address)
	if err != nil || at.User != nil {
		return false
	}
	if e.Endpoint != "" {
		named, err := url.Parse(e.Endpoint)
		return err == nil && at.Scheme == named.Scheme && at.Host == named.Host
	}
	var hosts []string
	for _, form := range []string{"logs.%s.amazonaws.com", "logs-fips.%s.amazonaws.com", "logs.%s.amazonaws.com.cn", "logs.%s.api.aws"} {
		hosts = append(hosts, fmt.Sprintf(form, e.Region))
	}
	return at.Scheme == "https" && slices.Contains(hosts, at.Host)
}

// signedHeaders are those that a signature covers, in lower case (AWS Signature
// Version 4, "SignedHeaders").
func signedHeaders(authorization string) []string {
	_, after, _ := strings.Cut(authorization, "SignedHeaders=")
	list, _, _ := strings.Cut(after, ",")
	return strings.Split(strings.TrimSpace(list), ";")
}

func contains(list []string, all ...string) bool {
	return !slices.ContainsFunc(all, func(one string) bool { return !slices.Contains(list, one) })
}

// mayCheck counts.
func (e *Ender) mayCheck(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checks = slices.DeleteFunc(e.checks, func(at time.Time) bool { return now.Sub(at) >= perWindow })
	if len(e.checks) >= maxChecks {
		return false
	}
	e.checks = append(e.checks, now)
	return true
}

// sent are the headers of a proof that go on to AWS.
var sent = []string{"Accept-Encoding", "Authorization", "Content-Type", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Target", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", contract.HeaderSession}

// vouchedFor sends the proof. Nothing of AWS's answer goes to who asked.
//
// That AWS answers is not enough: everybody may sign for an account of their own
// and have a log group of the same name there. The streams that it lists must be
// of this session's account, and of this stack's group, whatever the proof said.
func (e *Ender) vouchedFor(ctx context.Context, p contract.Proof) bool {
	account, err := e.account(ctx)
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader([]byte(p.Body)))
	if err != nil {
		return false
	}
	for name, value := range p.Headers {
		if slices.Contains(sent, http.CanonicalHeaderKey(name)) {
			req.Header.Set(name, value)
		}
	}
	var answer struct {
		LogStreams []struct {
			ARN string `json:"arn"`
		} `json:"logStreams"`
	}
	if err := e.fetch(req, &answer); err != nil || len(answer.LogStreams) == 0 {
		return false // this session's own stream would be there
	}
	for _, stream := range answer.LogStreams {
		if !e.isOwn(stream.ARN, account) {
			return false
		}
	}
	return true
}

// isOwn tells whether a log stream is of this stack's log group in an account:
// arn:aws:logs:REGION:ACCOUNT:log-group:NAME:log-stream:NAME.
func (e *Ender) isOwn(arn, account string) bool {
	parts := strings.SplitN(arn, ":", 8)
	return len(parts) == 8 && parts[2] == "logs" && parts[3] == e.Region && parts[4] == account &&
		parts[5] == "log-group" && strings.HasPrefix(parts[6], contract.LogGroupPrefix(e.Stack))
}

// account is the AWS account that the session runs in, as the ECS agent tells it
// (ECS developer guide, "Task metadata endpoint version 4"). A session elsewhere
// belongs to no account, and nobody can vouch for who asks it to end.
func (e *Ender) account(ctx context.Context) (string, error) {
	if e.TaskMetadata == "" {
		return "", errors.New("the session is no ECS task")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.TaskMetadata+"/task", nil)
	if err != nil {
		return "", err
	}
	var task struct{ TaskARN string }
	if err := e.fetch(req, &task); err != nil {
		return "", err
	}
	parts := strings.SplitN(task.TaskARN, ":", 6) // arn:aws:ecs:REGION:ACCOUNT:task/…
	if len(parts) != 6 || parts[4] == "" {
		return "", fmt.Errorf("the ECS agent names the task %q", task.TaskARN)
	}
	return parts[4], nil
}

// fetch reads a JSON answer of status 200.
func (e *Ender) fetch(req *http.Request, into any) error {
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(into)
}
