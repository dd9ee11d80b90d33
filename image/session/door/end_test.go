package door

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// batchService stands in for AWS Batch and the ECS agent.
type batchService struct {
	*httptest.Server
	status atomic.Int32
	calls  atomic.Int32 // of proofs
	last   atomic.Pointer[http.Request]
	body   atomic.Value // a string: of the last proof
	task   atomic.Value // a string: the session's ARN
}

func newBatchService(t *testing.T) *batchService {
	t.Helper()
	s := &batchService{}
	s.status.Store(http.StatusOK)
	s.task.Store("arn:aws:ecs:us-east-1:111111111111:task/hosts_Batch/1")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v4/1/task" {
			_ = json.NewEncoder(w).Encode(map[string]any{"TaskARN": s.task.Load()})
			return
		}
		body, _ := io.ReadAll(r.Body)
		s.body.Store(string(body))
		s.calls.Add(1)
		s.last.Store(r)
		w.WriteHeader(int(s.status.Load()))
		_, _ = io.WriteString(w, `{"message":"of AWS's"}`)
	}))
	t.Cleanup(s.Close)
	return s
}

const signed = "content-length;content-type;host;x-amz-date;x-amz-security-token;x-dcv-session"

func proof(address string) contract.Proof {
	return contract.Proof{
		Endpoint: address, Date: "20261124T000000Z", SecurityToken: "token",
		Authorization: "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261124/us-east-1/batch/aws4_request, SignedHeaders=" + signed + ", Signature=" + strings.Repeat("0a", 32),
	}
}

func (s *batchService) ender(asked chan<- string) *Ender {
	return NewEnder(EnderConfig{Session: "job-1", Stack: "dev", Endpoint: s.URL, TaskMetadata: s.URL + "/v4/1"}, asked)
}

func (s *batchService) request() contract.EndRequest {
	return contract.EndRequest{Session: "job-1", Reason: "x", Proof: proof(s.URL)}
}

func ask(e *Ender, in contract.EndRequest) (int, string) {
	body, _ := json.Marshal(in)
	return send(e, string(body), "192.0.2.1:1000")
}

func send(e *Ender, body, from string) (int, string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, contract.EndPath, strings.NewReader(body))
	r.RemoteAddr = from
	e.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestASessionEndsWhenAWSAcceptsTheProof(t *testing.T) {
	aws, asked := newBatchService(t), make(chan string, 1)
	h := start(t, func(c *Config) { c.End = aws.ender(asked) })
	body, err := json.Marshal(contract.EndRequest{Session: "job-1", Reason: "support", Proof: proof(aws.URL)})
	require.NoError(t, err)
	res, err := h.client().Post(h.url+contract.EndPath, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	assert.Equal(t, "support", <-asked)
}

// A proof belongs to one account, Region, job and tag: the session builds the call
// itself, and takes only the signature from the proof.
func TestAProofIsACallOnTheSessionsOwnJob(t *testing.T) {
	aws, asked := newBatchService(t), make(chan string, 1)
	code, body := ask(aws.ender(asked), aws.request())
	require.Equal(t, http.StatusAccepted, code, body)
	got := aws.last.Load()
	assert.Equal(t, "POST /v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A111111111111%3Ajob%2Fjob-1", got.Method+" "+got.RequestURI)
	assert.Equal(t, `{"tags":{"dcv-sessions:stack":"dev"}}`, aws.body.Load())
	own := proof(aws.URL)
	assert.Equal(t, []string{"job-1", own.Date, own.SecurityToken, own.Authorization, "application/json"}, []string{
		got.Header.Get(contract.HeaderSession), got.Header.Get("X-Amz-Date"), got.Header.Get("X-Amz-Security-Token"),
		got.Header.Get("Authorization"), got.Header.Get("Content-Type"),
	})
	assert.Equal(t, "x", <-asked)
}

func TestWhoseProofAWSRefusesEndsNothingAndLearnsNothing(t *testing.T) {
	for _, status := range []int{http.StatusCreated, http.StatusBadRequest, http.StatusForbidden, http.StatusFound, http.StatusInternalServerError} {
		aws, asked := newBatchService(t), make(chan string, 1)
		aws.status.Store(int32(status))
		code, body := ask(aws.ender(asked), aws.request())
		assert.Equal(t, http.StatusForbidden, code)
		assert.NotContains(t, body, "of AWS's")
		assert.Empty(t, asked)
	}
	aws, asked := newBatchService(t), make(chan string, 1)
	e := aws.ender(asked)
	require.Equal(t, http.StatusForbidden, func() int { aws.Close(); code, _ := ask(e, aws.request()); return code }())
	assert.Empty(t, asked)
}

func TestASessionThatDoesNotKnowItsAccountAcceptsNoProof(t *testing.T) {
	for _, arn := range []string{"", "arn:aws:ecs:us-east-1", "arn:aws:ecs:us-east-1::task/1", "arn:aws:ec2:us-east-1:111111111111:task/1"} {
		aws, asked := newBatchService(t), make(chan string, 1)
		aws.task.Store(arn)
		code, _ := ask(aws.ender(asked), aws.request())
		assert.Equal(t, http.StatusForbidden, code)
		assert.Zero(t, aws.calls.Load(), "AWS is not even asked")
		assert.Empty(t, asked)
	}
	aws, asked := newBatchService(t), make(chan string, 1)
	e := aws.ender(asked)
	e.TaskMetadata = ""
	code, _ := ask(e, aws.request())
	assert.Equal(t, http.StatusForbidden, code)
	assert.Zero(t, aws.calls.Load())
	assert.Empty(t, asked)
}

func TestAProofThatIsNotThisSessionsCallIsNeverSent(t *testing.T) {
	authorization := func(from, to string) func(*contract.EndRequest) {
		return func(r *contract.EndRequest) {
			changed := strings.ReplaceAll(r.Proof.Authorization, from, to)
			require.NotEqual(t, r.Proof.Authorization, changed)
			r.Proof.Authorization = changed
		}
	}
	for name, change := range map[string]func(*contract.EndRequest){
		"another session":               func(r *contract.EndRequest) { r.Session = "job-2" },
		"the session isn't signed":      authorization(";x-dcv-session", ""),
		"the host isn't signed":         authorization("host;", ""),
		"the content type isn't signed": authorization("content-type;", ""),
		"the token isn't signed":        authorization("x-amz-security-token;", ""),
		"a token that isn't sent":       func(r *contract.EndRequest) { r.Proof.SecurityToken = "" },
		"a header that isn't sent":      authorization("x-dcv-session", "x-amz-target;x-dcv-session"),
		"a header twice":                authorization("host;", "host;host;"),
		"two lists of headers":          authorization("SignedHeaders=", "SignedHeaders=host, SignedHeaders="),
		"a second header":               authorization("Signature=", "Signature=\r\nX-Amz-Target: a"),
		"no signature":                  func(r *contract.EndRequest) { r.Proof.Authorization = "" },
		"another service":               authorization("/batch/", "/logs/"),
		"another Region":                authorization("/us-east-1/", "/eu-west-1/"),
		"no date":                       func(r *contract.EndRequest) { r.Proof.Date = "" },
		"another host":                  func(r *contract.EndRequest) { r.Proof.Endpoint = "http://127.0.0.1:1" },
		"a host with a user":            func(r *contract.EndRequest) { r.Proof.Endpoint = strings.Replace(r.Proof.Endpoint, "://", "://u@", 1) },
		"a host with a path":            func(r *contract.EndRequest) { r.Proof.Endpoint += "/v1/tags/another?" },
		"no reason":                     func(r *contract.EndRequest) { r.Reason = "" },
		"too much":                      func(r *contract.EndRequest) { r.Reason = strings.Repeat("x", maxEndRequest) },
	} {
		aws, asked := newBatchService(t), make(chan string, 1)
		in := aws.request()
		change(&in)
		code, _ := ask(aws.ender(asked), in)
		assert.Equal(t, http.StatusBadRequest, code, name)
		assert.Zero(t, aws.calls.Load(), name)
		assert.Empty(t, asked, name)
	}
}

// A captured call of a read-only principal was once accepted as a proof: its headers
// were checked in one spelling and sent in another.
func TestACallThatWasCaughtIsNoProof(t *testing.T) {
	aws, asked := newBatchService(t), make(chan string, 1)
	caught := map[string]any{"session": "job-1", "reason": "x", "proof": map[string]any{
		"url": aws.URL + "/", "body": `{"logGroupName":"/dcv-sessions/dev/sessions-1","limit":1}`,
		"headers": map[string]string{
			"Authorization": "AWS4-HMAC-SHA256 SignedHeaders=host;x-amz-target;x-dcv-session, ",
			"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/logs/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=s",
			"X-Amz-Target":  "Logs_20140328.DescribeLogStreams", contract.HeaderSession: "job-1", "X-Amz-Date": "20261124T000000Z",
		},
	}}
	body, err := json.Marshal(caught)
	require.NoError(t, err)
	code, _ := send(aws.ender(asked), string(body), "192.0.2.1:1000")
	assert.Equal(t, http.StatusBadRequest, code)
	assert.Zero(t, aws.calls.Load())
	assert.Empty(t, asked)
}

// Go's JSON accepts a name in any case, and takes the last of two. The body is decoded
// once, so the checked values are those that are sent.
func TestOfAFieldThatIsThereTwiceOneIsCheckedAndSent(t *testing.T) {
	aws, asked := newBatchService(t), make(chan string, 1)
	own, err := json.Marshal(aws.request())
	require.NoError(t, err)
	other := strings.Replace(proof(aws.URL).Authorization, ";x-dcv-session", "", 1)
	twice := strings.Replace(string(own), `"authorization":`, `"Authorization":"`+other+`","authorization":`, 1)
	require.NotEqual(t, string(own), twice)
	code, _ := send(aws.ender(asked), twice, "192.0.2.1:1000")
	require.Equal(t, http.StatusAccepted, code)
	assert.Equal(t, []string{proof(aws.URL).Authorization}, aws.last.Load().Header["Authorization"])

	reverse := strings.Replace(string(own), `"date":`, `"AUTHORIZATION":"`+other+`","date":`, 1)
	code, _ = send(aws.ender(asked), reverse, "192.0.2.1:1000")
	assert.Equal(t, http.StatusBadRequest, code)
	assert.EqualValues(t, 1, aws.calls.Load())
}

func TestOnAWSAProofGoesToAWSBatchInTheSessionsRegionOnly(t *testing.T) {
	e := NewEnder(EnderConfig{Session: "job-1", Stack: "dev"}, nil)
	for address, is := range map[string]bool{
		"https://batch.eu-west-1.amazonaws.com": true, "https://fips.batch.eu-west-1.amazonaws.com": true, "https://batch.eu-west-1.api.aws": true,
		"http://batch.eu-west-1.amazonaws.com": false, "https://batch.us-east-1.amazonaws.com": false, "https://batch.eu-west-1.amazonaws.com.evil.example": false,
		"https://evil.example/batch.eu-west-1.amazonaws.com": false, "https://batch.eu-west-1.amazonaws.com:444": false, "https://batch.eu-west-1.amazonaws.com.cn": false, "": false,
	} {
		p := proof(address)
		p.Authorization = strings.Replace(p.Authorization, "us-east-1", "eu-west-1", 1)
		_, err := e.call(t.Context(), jobARN{"aws", "eu-west-1", "111111111111", "job-1"}, p)
		assert.Equal(t, is, err == nil, "%s: %v", address, err)
	}
	assert.Empty(t, Endpoints("aws-iso-x", "eu-west-1"), "an unknown partition has none")
}

func TestForgedProofsHoldUpNoRealOne(t *testing.T) {
	aws, asked := newBatchService(t), make(chan string, 1)
	aws.status.Store(http.StatusForbidden)
	e := aws.ender(asked)
	body, err := json.Marshal(aws.request())
	require.NoError(t, err)
	codes := map[int]int{}
	for i := range 200 { // of forty households, each with many addresses
		code, _ := send(e, string(body), fmt.Sprintf("[2001:db8:0:%x::%x]:1000", i%40, i))
		codes[code]++
	}
	assert.Greater(t, codes[http.StatusTooManyRequests], 100, fmt.Sprint(codes))
	assert.Equal(t, codes[http.StatusForbidden], int(aws.calls.Load()))

	aws.status.Store(http.StatusOK)
	code, _ := send(e, string(body), "192.0.2.1:1000")
	require.Equal(t, http.StatusAccepted, code, "a household that was not refused")
	assert.Equal(t, "x", <-asked)
}

func TestAHouseholdIsRefusedForAMinuteAndNoMoreIsRemembered(t *testing.T) {
	var p proofLimiter
	now := time.Now()
	one := netip.MustParseAddr("192.0.2.1")
	for range proofsPerHousehold {
		assert.True(t, p.admit(one, now))
	}
	assert.False(t, p.admit(one, now))
	assert.False(t, p.admit(one, now.Add(proofWindow-1)))
	assert.True(t, p.admit(one, now.Add(proofWindow)))
	p.forget(one)
	assert.Empty(t, p.refused)

	others := one
	for i := range maxHouseholds + 100 {
		assert.True(t, p.admit(others, now.Add(time.Duration(i))))
		others = others.Next()
	}
	assert.Len(t, p.refused, maxHouseholds)
	assert.NotContains(t, p.refused, one, "the one that was refused longest ago is forgotten")
}
