package door

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// logsService is AWS as a proof meets it, and the ECS agent.
type logsService struct {
	*httptest.Server
	status atomic.Int32
	calls  atomic.Int32 // of proofs
	last   atomic.Pointer[http.Request]
	answer atomic.Value // a string
	task   atomic.Value // a string: the session's ARN
}

// streamOf is what AWS answers of a log group.
func streamOf(account, group string) string {
	return fmt.Sprintf(`{"logStreams":[{"arn":"arn:aws:logs:us-east-1:%s:log-group:%s:log-stream:player1/default/1"}]}`, account, group)
}

func newLogsService(t *testing.T) *logsService {
	t.Helper()
	s := &logsService{}
	s.status.Store(http.StatusOK)
	s.answer.Store(streamOf("111111111111", "/dcv-sessions/dev/sessions-1"))
	s.task.Store("arn:aws:ecs:us-east-1:111111111111:task/hosts_Batch/1")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v4/1/task" {
			_ = json.NewEncoder(w).Encode(map[string]any{"TaskARN": s.task.Load()})
			return
		}
		s.calls.Add(1)
		s.last.Store(r)
		w.WriteHeader(int(s.status.Load()))
		_, _ = io.WriteString(w, s.answer.Load().(string))
	}))
	t.Cleanup(s.Close)
	return s
}

func proof(address string) contract.Proof {
	return contract.Proof{
		URL: address + "/",
		Headers: map[string]string{
			"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/logs/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target;x-dcv-session, Signature=s",
			"X-Amz-Target":  contract.ProofTarget, contract.HeaderSession: "job-1", "X-Amz-Date": "20261124T000000Z", "Cookie": "not sent on",
		},
		Body: `{"logGroupName":"/dcv-sessions/dev/sessions-1","limit":1}`,
	}
}

func (s *logsService) ender(asked chan<- string) *Ender {
	return NewEnder(EnderConfig{Session: "job-1", Stack: "dev", Region: "us-east-1", Endpoint: s.URL, TaskMetadata: s.URL + "/v4/1"}, asked)
}

func ask(e *Ender, in contract.EndRequest) (int, string) {
	body, _ := json.Marshal(in)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, contract.EndPath, bytes.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestASessionEndsWhenSomebodyAsksForWhomAWSVouches(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	h := start(t, func(c *Config) { c.End = aws.ender(asked) })
	body, err := json.Marshal(contract.EndRequest{Session: "job-1", Reason: "support", Proof: proof(aws.URL)})
	require.NoError(t, err)
	res, err := h.client().Post(h.url+contract.EndPath, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusAccepted, res.StatusCode)
	assert.Equal(t, "support", <-asked)
}

func TestAProofIsSentToAWSWithItsOwnHeadersOnly(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	code, _ := ask(aws.ender(asked), contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
	require.Equal(t, http.StatusAccepted, code)
	got := aws.last.Load()
	assert.Equal(t, contract.ProofTarget, got.Header.Get("X-Amz-Target"))
	assert.Equal(t, "job-1", got.Header.Get(contract.HeaderSession))
	assert.Empty(t, got.Header.Get("Cookie"))
	assert.Equal(t, "x", <-asked)
}

func TestWhomAWSDoesNotVouchForEndsNothingAndLearnsNothing(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusFound, http.StatusInternalServerError} {
		aws.status.Store(int32(status))
		code, body := ask(aws.ender(asked), contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
		assert.Equal(t, http.StatusForbidden, code)
		assert.NotContains(t, body, "log-stream")
	}
	aws.Close()
	code, _ := ask(aws.ender(asked), contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
	assert.Equal(t, http.StatusForbidden, code)
	assert.Empty(t, asked)
}

// Everybody has an account of their own, and may have a log group of any name
// there; and a proof may be read by AWS otherwise than by the session.
func TestWhoMayReadAnotherLogEndsNothing(t *testing.T) {
	const own, group = "111111111111", "/dcv-sessions/dev/sessions-1"
	for name, answer := range map[string]string{
		"another account":   streamOf("222222222222", group),
		"another stack":     streamOf(own, "/dcv-sessions/dev2/sessions-1"),
		"another log group": streamOf(own, "/aws/batch/job"),
		"another Region":    strings.ReplaceAll(streamOf(own, group), "us-east-1", "us-east-2"),
		"no stream":         `{"logStreams":[]}`,
		"one of two":        strings.Replace(streamOf(own, group), "]", `,{"arn":"arn:aws:logs:us-east-1:222222222222:log-group:`+group+`:log-stream:a"}]`, 1),
		"no JSON":           "OK",
	} {
		aws, asked := newLogsService(t), make(chan string, 1)
		aws.answer.Store(answer)
		code, _ := ask(aws.ender(asked), contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
		assert.Equal(t, http.StatusForbidden, code, name)
		assert.Empty(t, asked, name)
	}
}

func TestASessionThatDoesNotKnowItsAccountBelievesNobody(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	e := aws.ender(asked)
	for _, arn := range []string{"", "arn:aws:ecs:us-east-1", "arn:aws:ecs:us-east-1::task/1"} {
		aws.task.Store(arn)
		code, _ := ask(e, contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
		assert.Equal(t, http.StatusForbidden, code)
	}
	e.TaskMetadata = ""
	code, _ := ask(e, contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
	assert.Equal(t, http.StatusForbidden, code)
	assert.Zero(t, aws.calls.Load(), "AWS is not even asked")
	assert.Empty(t, asked)
}

func TestAProofThatIsNotThisSessionsCallOfAWSIsNeverSent(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	for name, change := range map[string]func(*contract.EndRequest){
		"another session":             func(r *contract.EndRequest) { r.Session = "job-2" },
		"a proof for another session": func(r *contract.EndRequest) { r.Proof.Headers[contract.HeaderSession] = "job-2" },
		"a session that isn't signed": func(r *contract.EndRequest) {
			r.Proof.Headers["Authorization"] = strings.ReplaceAll(r.Proof.Headers["Authorization"], ";x-dcv-session", "")
		},
		"no signature":       func(r *contract.EndRequest) { delete(r.Proof.Headers, "Authorization") },
		"another operation":  func(r *contract.EndRequest) { r.Proof.Headers["X-Amz-Target"] = "Logs_20140328.DeleteLogGroup" },
		"another stack":      func(r *contract.EndRequest) { r.Proof.Body = `{"logGroupName":"/dcv-sessions/dev2/sessions-1"}` },
		"no body":            func(r *contract.EndRequest) { r.Proof.Body = "" },
		"another host":       func(r *contract.EndRequest) { r.Proof.URL = "http://127.0.0.1:1/" },
		"a host with a user": func(r *contract.EndRequest) { r.Proof.URL = strings.Replace(aws.URL, "://", "://u@", 1) },
		"no reason":          func(r *contract.EndRequest) { r.Reason = "" },
		"too much":           func(r *contract.EndRequest) { r.Reason = strings.Repeat("x", maxEndRequest) },
	} {
		in := contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)}
		change(&in)
		code, _ := ask(aws.ender(asked), in)
		assert.Equal(t, http.StatusBadRequest, code, name)
	}
	assert.Zero(t, aws.calls.Load())
	assert.Empty(t, asked)
}

func TestOnAWSAProofGoesToCloudWatchLogsOfItsRegionOnly(t *testing.T) {
	e := NewEnder(EnderConfig{Session: "job-1", Stack: "dev", Region: "eu-west-1"}, nil)
	for address, is := range map[string]bool{
		"https://logs.eu-west-1.amazonaws.com/": true, "https://logs-fips.eu-west-1.amazonaws.com": true, "https://logs.eu-west-1.api.aws/": true,
		"http://logs.eu-west-1.amazonaws.com/": false, "https://logs.us-east-1.amazonaws.com/": false, "https://logs.eu-west-1.amazonaws.com.evil.example/": false,
		"https://evil.example/logs.eu-west-1.amazonaws.com": false, "https://logs.eu-west-1.amazonaws.com:444/": false, "://": false,
	} {
		assert.Equal(t, is, e.isLogs(address), address)
	}
}

func TestNobodyMakesASessionCallAWSEndlessly(t *testing.T) {
	aws, asked := newLogsService(t), make(chan string, 1)
	aws.status.Store(http.StatusForbidden)
	e := aws.ender(asked)
	codes := map[int]int{}
	for range 50 {
		code, _ := ask(e, contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(aws.URL)})
		codes[code]++
	}
	assert.NotZero(t, codes[http.StatusTooManyRequests], fmt.Sprint(codes))
	now := time.Now().Add(time.Minute)
	for range maxChecks {
		assert.True(t, e.mayCheck(now))
	}
	assert.False(t, e.mayCheck(now))
	assert.True(t, e.mayCheck(now.Add(perWindow)))
}
