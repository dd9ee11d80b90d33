package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

// sandbox is a gateway in front of a moto server and a registry, each real.
type sandbox struct {
	aws.Config // for SDK clients
	url        string
	registry   string
}

func TestMain(m *testing.M) {
	if err := os.Setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true"); err != nil { // moto has AWS's own policies only then
		panic(err)
	}
	mototest.Main(m)
}

// newSandbox skips the test if the machine has no moto or no registry.
func newSandbox(t *testing.T) sandbox {
	t.Helper()
	registry := mototest.Registry(t)
	address := serve(t, Config{Upstream: mototest.Moto(t), Registry: registry, StartID: "start-1", Models: mototest.Models(t)})
	return sandbox{Config: clientConfig(address), url: address, registry: registry}
}

func serve(t *testing.T, config Config) string {
	t.Helper()
	config.Log = t.Output()
	g, err := New(config)
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return server.URL
}

func clientConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	}
}

// upstream is a gateway before a handler that plays moto.
func upstream(t *testing.T, moto http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(moto)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	return serve(t, Config{Upstream: u, Registry: "127.0.0.1:1", StartID: "start-1"})
}

func TestAConfigWithoutUpstreamOrRegistryIsRefused(t *testing.T) {
	_, err := New(Config{Registry: "127.0.0.1:1"})
	require.ErrorContains(t, err, "Upstream")
	_, err = New(Config{Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}})
	require.ErrorContains(t, err, "Registry")
}

func TestWhatNoBehaviourWantsPassesThroughUnchanged(t *testing.T) {
	var got *http.Request
	var body []byte
	gateway := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Amz-Request-Id", "42")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "as it is")
	})
	req, err := http.NewRequest(http.MethodPut, gateway+"/bucket/a%2Fb%20c?x;y=1&empty", io.MultiReader(strings.NewReader("chunk"), strings.NewReader("ed")))
	require.NoError(t, err)
	req.Host = strings.Replace(strings.TrimPrefix(gateway, "http://"), "127.0.0.1", "localhost", 1)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=s")
	req.Header.Set("Expect", "100-continue")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)

	require.Equal(t, "/bucket/a%2Fb%20c?x;y=1&empty", got.URL.RequestURI())
	require.Equal(t, req.Host, got.Host)
	require.Equal(t, req.Header.Get("Authorization"), got.Header.Get("Authorization"))
	require.Equal(t, "chunked", string(body))
	require.Equal(t, http.StatusTeapot, res.StatusCode)
	require.Equal(t, "42", res.Header.Get("X-Amz-Request-Id"))
	require.Equal(t, "as it is", string(answer))
}

func TestAnAnswerIsPassedOnWhileItIsWritten(t *testing.T) {
	more := make(chan struct{})
	gateway := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, " second")
	})
	res, err := http.Get(gateway + "/bucket/object")
	require.NoError(t, err)
	defer res.Body.Close()
	first := make([]byte, len("first"))
	_, err = io.ReadFull(res.Body, first)
	require.NoError(t, err)
	require.Equal(t, "first", string(first))
	close(more)
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, " second", string(rest))
}

func TestAMissingMotoIsABadGateway(t *testing.T) {
	gateway := serve(t, Config{Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Registry: "127.0.0.1:1"})
	res, err := http.Get(gateway + "/")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusBadGateway, res.StatusCode)
}

func TestACallIsKnownByServiceAndOperation(t *testing.T) {
	signed := func(r *http.Request, service string) *http.Request {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=K/20260101/eu-west-1/"+service+"/aws4_request, SignedHeaders=host, Signature=s")
		return r
	}
	request := func(method, target, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return r
	}
	targeted := func(target string) *http.Request {
		r := request("POST", "/", "application/x-amz-json-1.1", "{}")
		r.Header.Set("X-Amz-Target", target)
		return r
	}
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for name, c := range map[string]struct {
		request                    *http.Request
		service, operation, region string
	}{
		"JSON":                 {signed(targeted("AmazonEC2ContainerRegistry_V20150921.DescribeImages"), "ecr"), "ecr", "DescribeImages", "eu-west-1"},
		"query, form":          {signed(request("POST", "/", form, "Action=DescribeVpcs&Version=2016-11-15"), "ec2"), "ec2", "DescribeVpcs", "eu-west-1"},
		"query, URL":           {signed(request("GET", "/?Action=ListTopics", "", ""), "sns"), "sns", "ListTopics", "eu-west-1"},
		"REST, Batch":          {signed(request("POST", "/v1/createjobqueue", "application/json", "{}"), "batch"), "batch", "createjobqueue", "eu-west-1"},
		"REST, Batch tags":     {signed(request("GET", "/v1/tags/arn%3Aaws%3Abatch", "", ""), "batch"), "batch", "listtagsforresource", "eu-west-1"},
		"S3 part of a bucket":  {signed(request("PUT", "/bucket?policy=", "", "{}"), "s3"), "s3", "PutBucketPolicy", "eu-west-1"},
		"S3 bucket":            {signed(request("DELETE", "/bucket?x-id=DeleteBucket", "", ""), "s3"), "s3", "DeleteBucket", "eu-west-1"},
		"S3 bucket with slash": {signed(request("DELETE", "/bucket/", "", ""), "s3"), "s3", "DeleteBucket", "eu-west-1"},
		"S3 other part":        {signed(request("DELETE", "/bucket?lifecycle", "", ""), "s3"), "s3", "DELETE", "eu-west-1"},
		"S3 object":            {signed(request("DELETE", "/bucket/key", "", ""), "s3"), "s3", "DELETE", "eu-west-1"},
		"S3 object named so":   {signed(request("PUT", "/bucket/key?policy", "", ""), "s3"), "s3", "PUT", "eu-west-1"},
		"S3 presigned":         {request("GET", "/bucket/key?X-Amz-Credential=K%2F20260101%2Feu-west-1%2Fs3%2Faws4_request", "", ""), "s3", "GET", "eu-west-1"},
		"REST, other":          {signed(request("GET", "/2015-03-31/functions", "", ""), "lambda"), "lambda", "GET", "eu-west-1"},
		"nothing tells":        {request("GET", "/", "", ""), "", "GET", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identify(c.request)
			require.NoError(t, err)
			require.Equal(t, c.service, got.Service)
			require.Equal(t, c.operation, got.Operation)
			require.Equal(t, c.region, got.Region)
		})
	}
}

func TestFurtherBehavioursComeBeforeTheBuiltInOnes(t *testing.T) {
	var order []string
	note := func(name string) Handler {
		return func(c *Call) (*http.Response, error) {
			order = append(order, name)
			var sent map[string]string
			require.NoError(t, c.JSON(&sent))
			require.Equal(t, "jobs", sent["jobQueue"], "every behaviour can read the body")
			return c.Forward()
		}
	}
	var body []byte
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(moto.Close)
	u, err := url.Parse(moto.URL)
	require.NoError(t, err)
	gateway := serve(t, Config{Upstream: u, Registry: "127.0.0.1:1", Behaviours: []Behaviour{
		{Name: "host", Service: "batch", Answers: map[string]Handler{"SubmitJob": note("host")}},
		{Name: "faults", Service: "*", Answers: map[string]Handler{"*": note("faults")}},
		{Name: "other", Service: "batch", Answers: map[string]Handler{"ListJobs": note("other")}},
	}})
	res, err := local.Call(ctx, local.MotoKey, gateway+"/v1/submitjob", "batch", http.Header{}, []byte(`{"jobQueue":"jobs"}`))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, []string{"faults", "host"}, order)
	require.JSONEq(t, `{"jobQueue":"jobs"}`, string(body))
}

func TestAFaultIsAnsweredInTheServicesProtocol(t *testing.T) {
	fault := &Fault{http.StatusNotFound, "NoSuchThing", "there is <none>"}
	res := fault.response(&Call{Service: "s3"})
	body, err := readBody(res)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Contains(t, string(body), "<Error><Code>NoSuchThing</Code><Message>there is &lt;none&gt;</Message></Error>")

	res = fault.response(&Call{Service: "batch"})
	body, err = readBody(res)
	require.NoError(t, err)
	require.Equal(t, "NoSuchThing", res.Header.Get("X-Amzn-Errortype"))
	require.JSONEq(t, `{"__type":"NoSuchThing","message":"there is <none>"}`, string(body))
}

func TestTheHealthPageTellsStartAndCounts(t *testing.T) {
	gateway := upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"jobQueues":[]}`) })
	for range 2 {
		res, err := local.Call(ctx, local.MotoKey, gateway+"/v1/describejobqueues", "batch", http.Header{}, []byte("{}"))
		require.NoError(t, err)
		res.Body.Close()
	}
	res, err := http.Get(gateway + HealthPath)
	require.NoError(t, err)
	defer res.Body.Close()
	var health Health
	require.NoError(t, json.NewDecoder(res.Body).Decode(&health))
	require.Equal(t, Health{
		StartID:    "start-1",
		Calls:      map[string]int{"batch.describejobqueues": 2},
		Behaviours: map[string]int{"batch kept properties": 2},
	}, health)
}

var ctx = context.Background()

// query calls an operation of a query-protocol service, for which no SDK client
// is worth compiling here.
func (s sandbox) query(t *testing.T, service, version, action string, params ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=sandbox/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=none")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(body))
	return string(body)
}

// AWS's SDKs for Go lose an answer that comes too early, or in two parts (see
// distance).
func TestAnAnswerIsWrittenAtOnceAndNotAtOnceAfterTheCall(t *testing.T) {
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1500)) }))
	defer moto.Close()
	upstream, err := url.Parse(moto.URL)
	require.NoError(t, err)
	g, err := New(Config{Upstream: upstream, Registry: "127.0.0.1:1"})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	sent := time.Now()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: "+server.Listener.Addr().String()+"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nAction=X")
	require.NoError(t, err)
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(sent), distance)
	head, body, _ := strings.Cut(string(answer[:n]), "\r\n\r\n")
	require.Contains(t, head, "Content-Length: 1500")
	require.Len(t, body, 1500)
}
