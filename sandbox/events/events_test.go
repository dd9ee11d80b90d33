package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/events"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

// cloud is a gateway with EventBridge before a real moto server.
type cloud struct {
	*events.Service
	url string
	log *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func newCloud(t *testing.T) cloud {
	t.Helper()
	moto := mototest.Moto(t)
	reset, err := http.Post(moto.JoinPath("moto-api/reset").String(), "", nil) // every test begins with nothing
	require.NoError(t, err)
	reset.Body.Close()
	said := &safeBuffer{}
	rights := gateway.NewRights(moto)
	rights.AccessKey = administrator
	s := events.New(events.Config{
		Moto: moto, Grants: rights.Grants, Admits: rights.Admits, FirstRetry: 5 * time.Millisecond, Now: time.Now, NewID: newID,
		Logf: log.New(io.MultiWriter(said, t.Output()), "", 0).Printf,
	})
	g, err := gateway.New(gateway.Config{
		Upstream: moto, Registry: "127.0.0.1:1", StartID: "start-1", Log: said,
		Behaviours:    append(s.Behaviours(), rights.Behaviour()),
		ObjectChanged: s.ObjectChanged, Pages: map[string]http.HandlerFunc{events.Path: s.Page},
	})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return cloud{s, server.URL, said}
}

func newID() string { return batch.UUID(batch.RandomID()) }

// json makes a call in the JSON protocol through the gateway.
func (c cloud) json(t *testing.T, service, target string, in any) (answer map[string]any, raw string) {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	return c.call(t, service, http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}, body)
}

func (c cloud) events(t *testing.T, operation string, in any) (answer map[string]any) {
	t.Helper()
	answer, _ = c.json(t, "events", "AWSEvents."+operation, in)
	return answer
}

// query makes one in the query protocol.
func (c cloud) query(t *testing.T, service, version, action string, params ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	_, raw := c.call(t, service, http.Header{"Content-Type": {local.Form}}, []byte(form.Encode()))
	return raw
}

func (c cloud) call(t *testing.T, service string, header http.Header, body []byte) (answer map[string]any, raw string) {
	t.Helper()
	status, raw := c.try(t, service, header, body)
	require.Equal(t, http.StatusOK, status, raw)
	_ = json.Unmarshal([]byte(raw), &answer)
	return answer, raw
}

func (c cloud) try(t *testing.T, service string, header http.Header, body []byte) (status int, raw string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, c.url+"/", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header = header
	r.Header.Set("Authorization", local.Authorization(administrator, service))
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// mailbox makes a topic to which rules may publish, and a queue of the same name
// that gets its messages.
func (c cloud) mailbox(t *testing.T, name string) (topicARN string) {
	topicARN = c.topic(t, name, allowEvents("sns:Publish", topics+name, ""))
	c.query(t, "sns", "2010-03-31", "Subscribe", "TopicArn", topicARN, "Protocol", "sqs", "Endpoint", c.queue(t, name))
	return topicARN
}

// published waits for the next message of a mailbox.
func (c cloud) published(t *testing.T, mailbox string) string {
	t.Helper()
	var notification struct{ Message string }
	require.NoError(t, json.Unmarshal([]byte(c.receive(t, mailbox).Body), &notification))
	return notification.Message
}

// queue makes a queue to which rules of the account may send.
func (c cloud) queue(t *testing.T, name string) (arn string) {
	arn = "arn:aws:sqs:us-east-1:123456789012:" + name
	c.query(t, "sqs", "2012-11-05", "CreateQueue", "QueueName", name, "Attribute.1.Name", "Policy",
		"Attribute.1.Value", allowEvents("sqs:SendMessage", arn, `{"ArnLike":{"aws:SourceArn":"arn:aws:events:us-east-1:123456789012:rule/*"}}`))
	return arn
}

// topic makes a topic with a policy; "" is the one that AWS makes.
func (c cloud) topic(t *testing.T, name, policy string, more ...string) (arn string) {
	arn = topics + name
	params := append([]string{"Name", name}, more...)
	if policy != "" {
		params = append(params, "Attributes.entry.1.key", "Policy", "Attributes.entry.1.value", policy)
	}
	c.query(t, "sns", "2010-03-31", "CreateTopic", params...)
	return arn
}

// administrator is the access key of the account's administrator.
const administrator = "sandbox"

const topics = "arn:aws:sns:us-east-1:123456789012:"

// allowEvents is a policy that lets EventBridge in, under a condition; "" is none.
func allowEvents(action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"` + action + `","Resource":"` + resource + `"` + condition + `}]}`
}

type message struct {
	Body              string
	MessageAttributes map[string]struct{ StringValue string }
}

// receive waits for a queue's next message.
func (c cloud) receive(t *testing.T, queue string) message {
	t.Helper()
	var got message
	require.Eventually(t, func() bool {
		_, raw := c.json(t, "sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": c.url + "/123456789012/" + queue, "MessageAttributeNames": []string{"All"}})
		var answer struct{ Messages []message }
		require.NoError(t, json.Unmarshal([]byte(raw), &answer))
		if len(answer.Messages) > 0 {
			got = answer.Messages[0]
		}
		return len(answer.Messages) > 0
	}, 20*time.Second, 20*time.Millisecond)
	return got
}

// settled waits until an event's deliveries by a rule are no longer under way.
func (c cloud) settled(t *testing.T, rule string, n int) []events.Outcome {
	t.Helper()
	var of []events.Outcome
	require.Eventually(t, func() bool {
		of = nil
		for _, o := range c.Status().Deliveries {
			if o.Rule == rule && o.State != "delivering" && o.State != "retrying" {
				of = append(of, o)
			}
		}
		return len(of) >= n
	}, 20*time.Second, 10*time.Millisecond)
	return of
}

// publish publishes an event.
func (c cloud) publish(source, detail string) {
	c.Publish(events.Event{Version: "0", ID: newID(), DetailType: "test", Source: source, Detail: json.RawMessage(detail)})
}

func (c cloud) s3() *s3.Client {
	return s3.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(c.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(administrator, local.SecretKey, ""),
	}, func(o *s3.Options) { o.UsePathStyle = true })
}

// bucket creates a bucket with versions that sends its events to EventBridge.
func (c cloud) bucket(t *testing.T, name string) *s3.Client {
	t.Helper()
	client := c.s3()
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	require.NoError(t, err)
	_, err = client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	require.NoError(t, err)
	notify(t, client, name, &types.EventBridgeConfiguration{})
	return client
}

func notify(t *testing.T, client *s3.Client, bucket string, bridge *types.EventBridgeConfiguration) {
	t.Helper()
	_, err := client.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: &bucket, NotificationConfiguration: &types.NotificationConfiguration{EventBridgeConfiguration: bridge},
	})
	require.NoError(t, err)
}

func putObject(t *testing.T, client *s3.Client, bucket, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	require.NoError(t, err)
	return out
}

// role is one that EventBridge may take; it may invoke the given resource.
func (c cloud) role(t *testing.T, name, resource string) (arn string) {
	c.query(t, "iam", "2010-05-08", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"events.amazonaws.com"}}]}`)
	c.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", name, "PolicyName", "invoke", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"events:InvokeApiDestination","Resource":"`+resource+`"}]}`)
	return "arn:aws:iam::123456789012:role/" + name
}

// called is a call that the receiver got.
type called struct {
	method, host, uri, body string
	header                  http.Header
}

// receiver stands for the API; it answers with the status that is set.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	calls  []called
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, called{q.Method, q.Host, q.URL.RequestURI(), string(body), q.Header})
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) taken() []called {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

const token = "the-real-token"

// destination creates an API destination with a connection. A later call sets its
// token, as `make delivery-token` does.
func (c cloud) destination(t *testing.T, name, endpoint string) (arn string) {
	connection := c.events(t, "CreateConnection", map[string]any{
		"Name": name, "AuthorizationType": "API_KEY", "AuthParameters": map[string]any{
			"ApiKeyAuthParameters": map[string]any{"ApiKeyName": "Authorization", "ApiKeyValue": "placeholder"},
		},
	})
	c.events(t, "UpdateConnection", map[string]any{"Name": name, "AuthorizationType": "API_KEY", "AuthParameters": map[string]any{
		"ApiKeyAuthParameters": map[string]any{"ApiKeyName": "Authorization", "ApiKeyValue": "Bearer " + token},
	}})
	made := c.events(t, "CreateApiDestination", map[string]any{
		"Name": name, "ConnectionArn": connection["ConnectionArn"], "InvocationEndpoint": endpoint, "HttpMethod": "POST", "InvocationRateLimitPerSecond": 10,
	})
	return made["ApiDestinationArn"].(string)
}

func (c cloud) rule(t *testing.T, name, pattern string, targets ...map[string]any) {
	t.Helper()
	c.events(t, "PutRule", map[string]any{"Name": name, "EventPattern": pattern})
	for i, target := range targets {
		target["Id"] = string(rune('a' + i))
	}
	c.events(t, "PutTargets", map[string]any{"Rule": name, "Targets": targets})
	t.Cleanup(func() { c.events(t, "DisableRule", map[string]any{"Name": name}) })
}

const buildsPattern = `{"source":["aws.s3"],"detail-type":["Object Created"],"detail":{"bucket":{"name":["BUCKET"]},"object":{"key":[{"wildcard":"builds/*.tar.zst"}]}}}`

func TestAnObjectStartsTheWorkflowAndWhatFailsIsRetriedThenInTheDeadLetterQueue(t *testing.T) {
	c, api := newCloud(t), newReceiver(t)
	client := c.bucket(t, "builds")
	destination := c.destination(t, "dispatch", "https://api.example.com/repos/team/dispatches")
	retries := 2
	c.rule(t, "build", strings.ReplaceAll(buildsPattern, "BUCKET", "builds"), map[string]any{
		"Arn": destination, "RoleArn": c.role(t, "dispatcher", destination),
		"HttpParameters": map[string]any{
			"HeaderParameters": map[string]string{"Accept": "application/json", "Authorization": "overridden", "Range": "overridden"},
		},
		"InputTransformer": map[string]any{
			"InputPathsMap": map[string]string{"key": "$.detail.object.key", "version": "$.detail.object.version-id", "size": "$.detail.object.size"},
			"InputTemplate": `{"ref": "main", "inputs": {"key": <key>, "version": "<version>", "size": <size>}}`,
		},
		"RetryPolicy":      map[string]int{"MaximumRetryAttempts": retries, "MaximumEventAgeInSeconds": 3600},
		"DeadLetterConfig": map[string]string{"Arn": c.queue(t, "undelivered")},
	})

	putObject(t, client, "builds", "builds/0.tar.zst", "nobody answers yet")
	unmapped := c.settled(t, "build", 1)[0]
	require.Equal(t, "dead letter", unmapped.State)
	require.Contains(t, unmapped.Error, "reaches nothing outside this machine")
	require.Equal(t, "0", c.receive(t, "undelivered").MessageAttributes["RETRY_ATTEMPTS"].StringValue)

	res, err := http.Post(c.url+events.Path+"?host=api.example.com&to="+url.QueryEscape(api.URL), "", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	res.Body.Close()

	put := putObject(t, client, "builds", "builds/1.tar.zst", "a game")
	putObject(t, client, "builds", "builds/1.txt", "no game")
	require.Equal(t, "delivered", c.settled(t, "build", 2)[1].State)
	calls := api.taken()
	require.Len(t, calls, 1, "once, and for the build only")
	got := calls[0]
	require.Equal(t, "POST", got.method)
	require.Equal(t, "api.example.com", got.host)
	require.Equal(t, "/repos/team/dispatches", got.uri)
	require.Equal(t, `{"ref":"main","inputs":{"key":"builds/1.tar.zst","version":"`+*put.VersionId+`","size":6}}`, got.body)
	for name, want := range map[string]string{
		"Authorization": "Bearer " + token, "Accept": "application/json",
		"Content-Type": "application/json; charset=utf-8", "User-Agent": "Amazon/EventBridge/ApiDestinations", "Range": "bytes=0-1048575",
	} {
		require.Equal(t, want, got.header.Get(name), name)
	}

	api.answer(http.StatusServiceUnavailable)
	putObject(t, client, "builds", "builds/2.tar.zst", "x")
	dead := c.receive(t, "undelivered")
	require.Len(t, api.taken(), 1+retries)
	c.isDead(t, dead, "builds/2.tar.zst", map[string]string{
		"RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/build", "TARGET_ARN": destination, "ERROR_CODE": "ERROR_FROM_TARGET",
		"ERROR_MESSAGE": destination + " answers with the status 503 Service Unavailable", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "RETRY_ATTEMPTS": "2",
	})

	api.answer(http.StatusNotFound)
	putObject(t, client, "builds", "builds/3.tar.zst", "x")
	c.isDead(t, c.receive(t, "undelivered"), "builds/3.tar.zst", map[string]string{
		"RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/build", "TARGET_ARN": destination, "ERROR_CODE": "SDK_CLIENT_ERROR",
		"ERROR_MESSAGE": destination + " answers with the status 404 Not Found", "RETRY_ATTEMPTS": "0",
	})

	api.Close() // nobody listens any more
	putObject(t, client, "builds", "builds/4.tar.zst", "x")
	dead = c.receive(t, "undelivered")
	require.Equal(t, "CONNECTION_FAILURE", dead.MessageAttributes["ERROR_CODE"].StringValue)
	require.Equal(t, "2", dead.MessageAttributes["RETRY_ATTEMPTS"].StringValue)

	page, err := http.Get(c.url + events.Path)
	require.NoError(t, err)
	shown, err := io.ReadAll(page.Body)
	page.Body.Close()
	require.NoError(t, err)
	_, described := c.json(t, "events", "AWSEvents.DescribeConnection", map[string]string{"Name": "dispatch"})
	require.Contains(t, described, `"ApiKeyName": "Authorization"`)
	for where, text := range map[string]string{"the log": c.log.text(), "the page": string(shown), "DescribeConnection": described, "the dead letter": dead.Body} {
		require.NotContains(t, text, token, where)
		require.NotContains(t, text, "placeholder", where)
	}
}

// isDead compares a dead letter: the event as it came, and exactly the attributes.
func (c cloud) isDead(t *testing.T, got message, key string, attributes map[string]string) {
	t.Helper()
	var event events.Event
	require.NoError(t, json.Unmarshal([]byte(got.Body), &event))
	require.Contains(t, string(event.Detail), `"key":"`+key+`"`)
	has := map[string]string{}
	for name, value := range got.MessageAttributes {
		has[name] = value.StringValue
	}
	require.Equal(t, attributes, has)
}

func TestARoleWithoutTheRightInvokesNothing(t *testing.T) {
	c, api := newCloud(t), newReceiver(t)
	require.NoError(t, c.DeliverTo("api.example.com", api.URL))
	destination := c.destination(t, "forbidden", "https://api.example.com/x")
	c.rule(t, "forbidden", `{"source":["forbidden"]}`,
		map[string]any{"Arn": destination, "RoleArn": c.role(t, "elsewhere", "arn:aws:events:us-east-1:123456789012:api-destination/other/*")},
		map[string]any{"Arn": destination + "x"})
	c.publish("forbidden", `{}`)
	for _, o := range c.settled(t, "forbidden", 2) {
		require.Contains(t, o.Error, "NO_PERMISSIONS")
		require.Contains(t, o.Error, "events:InvokeApiDestination")
	}
	require.Empty(t, api.taken())
}

// The conditions are those that a guarded topic would like to have.
func TestATopicsPolicyAdmitsEventsOnlyWithoutACondition(t *testing.T) {
	c := newCloud(t)
	publish := func(topic, condition string) string { return allowEvents("sns:Publish", topics+topic, condition) }
	key := func(policy string) (arn string) {
		made, _ := c.json(t, "kms", "TrentService.CreateKey", map[string]string{"Policy": policy})
		return made["KeyMetadata"].(map[string]any)["Arn"].(string)
	}
	encrypted := func(name, keyID string) string {
		return c.topic(t, name, publish(name, ""), "Attributes.entry.2.key", "KmsMasterKeyId", "Attributes.entry.2.value", keyID)
	}
	const account = `{"StringEquals":{"aws:SourceAccount":"123456789012"}}`
	wants := map[string]string{
		c.topic(t, "plain", publish("plain", "")):                            "",
		c.topic(t, "default", ""):                                            "sns:Publish on resource: " + topics + "default",
		c.topic(t, "conditional", publish("conditional", account)):           "no statement without a Condition",
		c.topic(t, "another", publish("plain", "")):                          "sns:Publish on resource: " + topics + "another",
		encrypted("encrypted", key(allowEvents("kms:*", "*", ""))):           "",
		encrypted("half", key(allowEvents("kms:GenerateDataKey*", "*", ""))): "kms:Decrypt on resource: arn:aws:kms:",
		encrypted("locked", key(allowEvents("kms:*", "*", account))):         "kms:GenerateDataKey on resource: arn:aws:kms:",
		encrypted("awss-own", "alias/aws/sns"):                               "alias/aws/sns: it is AWS's own",
	}
	var targets []map[string]any
	for topic := range wants {
		targets = append(targets, map[string]any{"Arn": topic})
	}
	c.rule(t, "topics", `{"source":["topics"]}`, targets...)
	c.publish("topics", `{}`)
	for _, o := range c.settled(t, "topics", len(wants)) {
		if want := wants[o.Target]; want == "" {
			require.Equal(t, "delivered ", o.State+" "+o.Error, o.Target)
		} else {
			require.Contains(t, o.Error, "NO_PERMISSIONS", o.Target)
			require.Contains(t, o.Error, want, o.Target)
		}
	}
}

// The documents are the stack's own, which the tests of components/userresources hold.
func TestEventBridgePublishesToTheTeamsTopic(t *testing.T) {
	c := newCloud(t)
	document := func(name string) string {
		text, err := os.ReadFile("../../components/userresources/testdata/" + name + ".json")
		require.NoError(t, err)
		return string(text)
	}
	made, _ := c.json(t, "kms", "TrentService.CreateKey", map[string]string{"Policy": document("topics-key")})
	key := made["KeyMetadata"].(map[string]any)["Arn"].(string)
	team := c.topic(t, "secrets-team-0a1b2c3", document("team-topic"), "Attributes.entry.2.key", "KmsMasterKeyId", "Attributes.entry.2.value", key)
	c.query(t, "sns", "2010-03-31", "Subscribe", "TopicArn", team, "Protocol", "sqs", "Endpoint", c.queue(t, "mailbox"))
	c.rule(t, "new-build", `{"source":["builds"]}`, map[string]any{"Arn": team})
	c.publish("builds", `{"key":"game.zip"}`)
	require.Equal(t, "", c.settled(t, "new-build", 1)[0].Error)
	require.Contains(t, c.receive(t, "mailbox").Body, "game.zip")
}

func TestADeadLetterQueuesPolicyAdmitsEventsByTheirRule(t *testing.T) {
	c := newCloud(t)
	queue := func(name, condition string) (arn string) {
		arn = "arn:aws:sqs:us-east-1:123456789012:" + name
		c.query(t, "sqs", "2012-11-05", "CreateQueue", "QueueName", name)
		if condition != "" {
			c.query(t, "sqs", "2012-11-05", "SetQueueAttributes", "QueueUrl", c.url+"/123456789012/"+name, "Attribute.1.Name", "Policy",
				"Attribute.1.Value", allowEvents("sqs:SendMessage", arn, condition))
		}
		return arn
	}
	const rule = "arn:aws:events:us-east-1:123456789012:rule/"
	queues := map[string]string{ // why an event is lost
		queue("by-rule", `{"ArnEquals":{"aws:SourceArn":"`+rule+`queues"}}`):         "",
		queue("by-account", `{"StringEquals":{"AWS:SourceAccount":"123456789012"}}`): "",
		queue("without", ""): "AccessDenied",
		queue("by-another-rule", `{"ArnEquals":{"aws:SourceArn":"`+rule+`queue"}}`):          "AccessDenied",
		queue("by-another-account", `{"StringEquals":{"aws:SourceAccount":"210987654321"}}`): "AccessDenied",
		queue("odd", `{"StringEquals":{"aws:SourceOrgID":"o-1"}}`):                           "aws:SourceOrgID",
	}
	topic := func(queue string) string { return topics + "gone-" + queue[strings.LastIndex(queue, ":")+1:] }
	var targets []map[string]any
	for queue := range queues {
		targets = append(targets, map[string]any{"Arn": topic(queue), "DeadLetterConfig": map[string]string{"Arn": queue}})
	}
	c.rule(t, "queues", `{"source":["queues"]}`, targets...)
	c.publish("queues", `{}`)
	states := map[string]string{}
	for _, o := range c.settled(t, "queues", len(queues)) {
		require.Contains(t, o.Error, "NO_RESOURCE")
		states[o.Target] = o.State
	}
	for queue, lost := range queues {
		if lost == "" {
			require.Equal(t, "dead letter", states[topic(queue)], queue)
		} else {
			require.Equal(t, "lost", states[topic(queue)], queue)
			require.Regexp(t, topic(queue)+": .*its dead-letter queue does not take it: .*"+lost, c.log.text())
		}
	}
}

func TestObjectsEventsAreAsS3DocumentsThem(t *testing.T) {
	c := newCloud(t)
	client := c.bucket(t, "watched")
	c.rule(t, "watched", `{"source":["aws.s3"],"detail":{"bucket":{"name":["watched"]}}}`, map[string]any{"Arn": c.mailbox(t, "watched")})
	next := func() (e events.Event, detail map[string]any) {
		require.NoError(t, json.Unmarshal([]byte(c.published(t, "watched")), &e))
		require.NoError(t, json.Unmarshal(e.Detail, &detail))
		return e, detail
	}

	put := putObject(t, client, "watched", "a b/c+d.txt", "hello")
	e, detail := next()
	require.Equal(t, "Object Created", e.DetailType)
	require.Equal(t, []string{"arn:aws:s3:::watched"}, e.Resources)
	require.Equal(t, []string{"0", "aws.s3", "123456789012", "us-east-1"}, []string{e.Version, e.Source, e.Account, e.Region})
	require.Len(t, e.ID, 36)
	_, err := time.Parse(time.RFC3339, e.Time)
	require.NoError(t, err)
	object := detail["object"].(map[string]any)
	require.Equal(t, "a b/c+d.txt", object["key"])
	require.EqualValues(t, 5, object["size"])
	require.Equal(t, strings.Trim(*put.ETag, `"`), object["etag"])
	require.Equal(t, *put.VersionId, object["version-id"])
	require.NotEmpty(t, object["sequencer"])
	require.Equal(t, []any{"0", "PutObject", "123456789012", "127.0.0.1"}, []any{detail["version"], detail["reason"], detail["requester"], detail["source-ip-address"]})
	require.NotEmpty(t, detail["request-id"])

	_, err = client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("watched"), Key: aws.String("copy"), CopySource: aws.String("watched/a%20b/c%2Bd.txt")})
	require.NoError(t, err)
	_, detail = next()
	require.Equal(t, "CopyObject", detail["reason"])

	upload, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("watched"), Key: aws.String("big")})
	require.NoError(t, err)
	part, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("watched"), Key: aws.String("big"), UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	require.NoError(t, err)
	_, err = client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String("watched"), Key: aws.String("big"), UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}}})
	require.NoError(t, err)
	_, detail = next()
	require.Equal(t, "CompleteMultipartUpload", detail["reason"], "and nothing for its parts")
	require.EqualValues(t, 4, detail["object"].(map[string]any)["size"])

	marker, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("watched"), Key: aws.String("copy")})
	require.NoError(t, err)
	e, detail = next()
	require.Equal(t, "Object Deleted", e.DetailType)
	require.Equal(t, []any{"DeleteObject", "Delete Marker Created"}, []any{detail["reason"], detail["deletion-type"]})
	require.Equal(t, *marker.VersionId, detail["object"].(map[string]any)["version-id"])

	_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("watched"), Key: aws.String("copy"), VersionId: marker.VersionId})
	require.NoError(t, err)
	_, detail = next()
	require.Equal(t, "Permanently Deleted", detail["deletion-type"])

	notify(t, client, "watched", nil)
	putObject(t, client, "watched", "unheard", "x")
	notify(t, client, "watched", &types.EventBridgeConfiguration{})
	putObject(t, client, "watched", "heard", "x")
	_, detail = next()
	require.Equal(t, "heard", detail["object"].(map[string]any)["key"], "a bucket that is switched off tells nothing")
}

func TestAnEventReachesATopicOnce(t *testing.T) {
	c := newCloud(t)
	topic := c.mailbox(t, "told")
	transformer := map[string]any{"InputPathsMap": map[string]string{"n": "$.detail.n"}, "InputTemplate": `"it is <n>"`}
	c.rule(t, "told", `{"source":["team"],"detail":{"n":[2]}}`, map[string]any{"Arn": topic, "InputTransformer": transformer}, map[string]any{"Arn": topics + "gone"})
	c.rule(t, "off", `{"source":["team"]}`, map[string]any{"Arn": topic})
	c.events(t, "DisableRule", map[string]any{"Name": "off"})
	c.publish("team", `{"n":1}`)
	c.publish("team", `{"n":2}`)

	states := map[string]string{}
	for _, o := range c.settled(t, "told", 2) {
		states[o.Target] = o.State + " " + o.Error
	}
	require.Equal(t, "delivered ", states[topic])
	require.Contains(t, states[topics+"gone"], "lost NO_RESOURCE")
	require.Equal(t, `"it is 2"`, c.published(t, "told"))
	_, raw := c.json(t, "sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": c.url + "/123456789012/told"})
	require.NotContains(t, raw, "Body", "nothing comes twice")
}

func TestAJobsNewStateIsAnEvent(t *testing.T) {
	c := newCloud(t)
	arn := "arn:aws:batch:us-east-1:123456789012:job/1"
	c.rule(t, "jobs", `{"source":["aws.batch"],"detail-type":["Batch Job State Change"],"detail":{"status":["FAILED"]}}`, map[string]any{"Arn": c.mailbox(t, "jobs")})
	c.JobChanged(arn, map[string]string{"status": "RUNNING"})
	c.JobChanged(arn, map[string]string{"status": "FAILED", "jobArn": arn})
	var e events.Event
	require.NoError(t, json.Unmarshal([]byte(c.published(t, "jobs")), &e))
	require.Equal(t, []string{arn}, e.Resources)
	require.JSONEq(t, `{"status":"FAILED","jobArn":"`+arn+`"}`, string(e.Detail))
}

func TestABlockedQueueIsAnEventWithItsReason(t *testing.T) {
	c := newCloud(t)
	const job, queue = "arn:aws:batch:us-east-1:123456789012:job/1", "arn:aws:batch:us-east-1:123456789012:job-queue/q"
	c.rule(t, "blocked", `{"source":["aws.batch"],"detail-type":["Batch Job Queue Blocked"],"detail":{"jobQueue":["`+queue+`"]}}`, map[string]any{"Arn": c.mailbox(t, "blocked")})
	detail := map[string]string{"jobQueue": queue, "statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"}
	c.JobChanged(job, detail)
	c.QueueBlocked(job, queue, detail)
	var e events.Event
	require.NoError(t, json.Unmarshal([]byte(c.published(t, "blocked")), &e))
	require.Equal(t, []string{job, queue}, e.Resources)
	require.Contains(t, string(e.Detail), detail["statusReason"])
}

func TestACallThatTheSandboxDoesNotKnowIsRefusedByItsPart(t *testing.T) {
	c := newCloud(t)
	topic := `"Arn":"` + topics + `t"`
	target := func(members string) string { return `{"Rule":"r","Targets":[{"Id":"a",` + members + `}]}` }
	keyed := func(members string) string {
		return `{"Name":"c","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"n","ApiKeyValue":"v"}` + members + `}}`
	}
	for _, call := range []struct{ operation, body, part string }{
		{"PutEvents", `{"Entries":[]}`, "PutEvents"},
		{"CreateEventBus", `{"Name":"team"}`, "CreateEventBus"},
		{"CreateArchive", `{"ArchiveName":"a","EventSourceArn":"arn"}`, "CreateArchive"},
		{"StartReplay", `{"ReplayName":"r"}`, "StartReplay"},
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 hour)"}`, "ScheduleExpression"},
		{"PutRule", `{"Name":"r","EventPattern":"{\"source\":[{\"sounds-like\":\"team\"}]}"}`, "sounds-like"},
		{"PutTargets", target(`"Arn":"arn:aws:sqs:us-east-1:123456789012:q"`), "does not deliver to arn:aws:sqs:us-east-1:123456789012:q"},
		{"PutTargets", target(`"Arn":"arn:aws:logs:us-east-1:123456789012:log-group:g"`), "does not deliver to arn:aws:logs"},
		{"PutTargets", target(topic + `,"Input":"{}"`), "Targets[0].Input of PutTargets"},
		{"PutTargets", target(topic + `,"InputPath":"$.detail"`), "Targets[0].InputPath of PutTargets"},
		{"PutTargets", target(topic + `,"SqsParameters":{"MessageGroupId":"g"}`), "Targets[0].SqsParameters of PutTargets"},
		{"PutTargets", target(topic + `,"HttpParameters":{"PathParameterValues":["x"]}`), "Targets[0].HttpParameters.PathParameterValues of PutTargets"},
		{"PutTargets", target(topic + `,"HttpParameters":{"QueryStringParameters":{"a":"b"}}`), "Targets[0].HttpParameters.QueryStringParameters of PutTargets"},
		{"PutTargets", target(topic + `,"HttpParameters":{"HeaderParameters":{"X-Key":"$.id"}}`), `"$.id" of the header X-Key`},
		{"PutTargets", target(topic + `,"InputTransformer":{"InputTemplate":"<aws.events.rule-arn>"}`), "<aws.events.rule-arn>"},
		{"PutTargets", target(topic + `,"InputTransformer":{"InputPathsMap":{"v":"$.resources[0]"},"InputTemplate":"<v>"}`), `"$.resources[0]"`},
		{"CreateApiDestination", `{"Name":"d","InvocationEndpoint":"https://api.example.com/*"}`, "https://api.example.com/*"},
		{"CreateConnection", keyed(`,"InvocationHttpParameters":{"BodyParameters":[{"Key":"a","Value":"b"}]}`), "AuthParameters.InvocationHttpParameters"},
		{"UpdateConnection", keyed(`,"BasicAuthParameters":{"Username":"u","Password":"p"}`), "AuthParameters.BasicAuthParameters"},
		{"CreateConnection", `{"Name":"c","AuthorizationType":"OAUTH_CLIENT_CREDENTIALS","AuthParameters":{}}`, "API_KEY"},
		{"UpdateConnection", `{"Name":"c","AuthorizationType":"API_KEY"}`, "ApiKeyValue"},
	} {
		status, said := c.try(t, "events", http.Header{"X-Amz-Target": {"AWSEvents." + call.operation}}, []byte(call.body))
		require.GreaterOrEqual(t, status, http.StatusBadRequest, call.body)
		require.NotContains(t, said, "ResourceNotFoundException", call.body)
		var fault struct{ Message string }
		require.NoError(t, json.Unmarshal([]byte(said), &fault))
		require.Contains(t, fault.Message, call.part, call.operation)
	}
}
