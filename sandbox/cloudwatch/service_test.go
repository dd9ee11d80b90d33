package cloudwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

var ctx = context.Background()

// world is CloudWatch behind a gateway with AWS's models, before a real moto. Its clock
// is set by hand, and alarms are evaluated by hand.
type world struct {
	*Service
	t       *testing.T
	url     string
	metrics *sdk.Client
	logs    *cloudwatchlogs.Client
	topics  *sns.Client
	queues  *sqs.Client
	now     atomic.Pointer[time.Time]
	name    string // of resources: moto is shared by the tests
}

var worlds atomic.Int64

// newWorld makes the test parallel to the others: they wait for moto and the gateway.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{t: t, name: fmt.Sprintf("w%d", worlds.Add(1))}
	w.set(time.Now().Truncate(time.Minute))
	moto := mototest.Moto(t)
	ids := 0
	w.Service = New(Config{
		Moto: moto, Minute: time.Minute, Logf: t.Logf,
		Admits: func(context.Context, string, string, string, string) error { return nil },
		Now:    func() time.Time { return *w.now.Load() },
		NewID:  func() string { ids++; return fmt.Sprintf("%s-%d", w.name, ids) },
	})
	g, err := gateway.New(gateway.Config{Upstream: moto, Registry: "127.0.0.1:1", Models: mototest.Models(t), Behaviours: w.Behaviours()})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	w.url = server.URL
	config := aws.Config{Region: local.Region, BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", ""), RetryMaxAttempts: 1}
	w.metrics, w.logs, w.topics, w.queues = sdk.NewFromConfig(config), cloudwatchlogs.NewFromConfig(config), sns.NewFromConfig(config), sqs.NewFromConfig(config)
	return w
}

func (w *world) set(at time.Time) { w.now.Store(&at) }

// after lets time pass, and evaluates the alarms.
func (w *world) after(d time.Duration) {
	w.set(w.config.Now().Add(d))
	w.Evaluate(ctx)
}

// group makes a log group with a stream.
func (w *world) group() string {
	name := "/" + w.name + "/sessions"
	_, err := w.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	require.NoError(w.t, err)
	_, err = w.logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &name, LogStreamName: aws.String("session")})
	require.NoError(w.t, err)
	return name
}

// log writes lines at the present time.
func (w *world) log(group string, lines ...string) { w.logEach(1, group, lines...) }

// logEach writes lines at the present time and at that of each further minute.
func (w *world) logEach(minutes int, group string, lines ...string) {
	w.t.Helper()
	var events []logtypes.InputLogEvent
	for minute := range minutes {
		at := w.config.Now().Add(time.Duration(minute) * time.Minute).UnixMilli()
		for _, line := range lines {
			events = append(events, logtypes.InputLogEvent{Timestamp: &at, Message: aws.String(line)})
		}
	}
	_, err := w.logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: aws.String("session"), LogEvents: events})
	require.NoError(w.t, err)
}

func (w *world) filter(group, pattern string, t logtypes.MetricTransformation) error {
	_, err := w.logs.PutMetricFilter(ctx, &cloudwatchlogs.PutMetricFilterInput{
		FilterName: t.MetricName, FilterPattern: &pattern, LogGroupName: &group, MetricTransformations: []logtypes.MetricTransformation{t},
	})
	return err
}

// topic makes a topic with a queue that gets its messages.
func (w *world) topic() (topic, queue string) {
	made, err := w.topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(w.name)})
	require.NoError(w.t, err)
	q, err := w.queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(w.name)})
	require.NoError(w.t, err)
	_, err = w.topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"),
		Endpoint: aws.String("arn:aws:sqs:" + local.Region + ":" + local.Account + ":" + w.name)})
	require.NoError(w.t, err)
	return *made.TopicArn, *q.QueueUrl
}

type mail struct{ Subject, Message string }

// mails takes the messages out of a queue.
func (w *world) mails(queue string) []mail {
	w.t.Helper()
	var all []mail
	for {
		got, err := w.queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
		require.NoError(w.t, err)
		if len(got.Messages) == 0 {
			return all
		}
		for _, m := range got.Messages {
			var one mail
			require.NoError(w.t, json.Unmarshal([]byte(*m.Body), &one))
			all = append(all, one)
			w.remove(queue, m)
		}
	}
}

func (w *world) remove(queue string, m sqstypes.Message) {
	_, err := w.queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle})
	require.NoError(w.t, err)
}

func (w *world) state(alarm string) (types.StateValue, string) {
	w.t.Helper()
	got, err := w.metrics.DescribeAlarms(ctx, &sdk.DescribeAlarmsInput{AlarmNames: []string{alarm}})
	require.NoError(w.t, err)
	require.Len(w.t, got.MetricAlarms, 1)
	return got.MetricAlarms[0].StateValue, aws.ToString(got.MetricAlarms[0].StateReason)
}

func (w *world) put(namespace, name string, dimensions []types.Dimension, values ...float64) {
	m := Metric{Namespace: namespace, MetricName: name}
	for _, d := range dimensions {
		m.Dimensions = append(m.Dimensions, Dimension{*d.Name, *d.Value})
	}
	for _, v := range values {
		w.Put(m, Single(w.config.Now(), "Seconds", v))
	}
}

func (w *world) sum(m Metric) float64 {
	return statistic("Sum", w.store.between(m, "", time.Time{}, w.config.Now().Add(time.Hour)))
}

// requireUnsupported requires the sandbox's refusal, by name, of something unknown.
func requireUnsupported(t *testing.T, err error, parts ...string) {
	t.Helper()
	require.Error(t, err)
	require.Contains(t, err.Error(), "NotImplemented")
	for _, part := range parts {
		require.Contains(t, err.Error(), part)
	}
}

const usage = `{"event":"usage","stack":"dev","user":"player1","usage":{"cpuCores":%v,"memoryPercent":%v}}`

func usageLine(cores, memory any) string {
	return fmt.Sprintf(usage, cores, memory)
}
