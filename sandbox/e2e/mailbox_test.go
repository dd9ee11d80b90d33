package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// mailbox gets the messages of the team's topic.
type mailbox struct {
	queues *sqs.Client
	url    string
	kept   []string // by await
}

// mailbox subscribes a queue of that name to the team's topic, until the test ends.
func (s *sandbox) mailbox(t *testing.T, out outputs.Outputs, name string) *mailbox {
	t.Helper()
	m, topics := &mailbox{queues: s.aws(t).sqs}, sns.NewFromConfig(s.config(t))
	made, err := m.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	require.NoError(t, err)
	m.url = *made.QueueUrl
	subscribed, err := topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &out.TeamTopicARN, Protocol: aws.String("sqs"),
		Endpoint: aws.String("arn:aws:sqs:" + local.Region + ":" + local.Account + ":" + name)})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := topics.Unsubscribe(context.Background(), &sns.UnsubscribeInput{SubscriptionArn: subscribed.SubscriptionArn})
		assert.NoError(t, err)
		_, err = m.queues.DeleteQueue(context.Background(), &sqs.DeleteQueueInput{QueueUrl: &m.url})
		assert.NoError(t, err)
	})
	return m
}

// mails takes the messages that are there, each with its subject as its first line.
func (m *mailbox) mails(t *testing.T) (texts []string) {
	t.Helper()
	for {
		got, err := m.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &m.url, MaxNumberOfMessages: 10})
		require.NoError(t, err)
		if len(got.Messages) == 0 {
			return texts
		}
		for _, message := range got.Messages {
			var mail struct{ Subject, Message string }
			require.NoError(t, json.Unmarshal([]byte(*message.Body), &mail))
			texts = append(texts, strings.TrimSpace(mail.Subject+"\n"+mail.Message))
			_, err := m.queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &m.url, ReceiptHandle: message.ReceiptHandle})
			require.NoError(t, err)
		}
	}
}

// await waits for the message with an alarm's runbook, takes it and keeps the others.
func (m *mailbox) await(t *testing.T, alarm string) (text string) {
	t.Helper()
	require.True(t, local.WaitUntil(time.Minute, func() bool {
		m.kept = append(m.kept, m.mails(t)...)
		i := slices.IndexFunc(m.kept, func(text string) bool { return strings.Contains(text, "#alarm-"+alarm+`"`) })
		if i >= 0 {
			text = m.kept[i]
			m.kept = slices.Delete(m.kept, i, i+1)
		}
		return i >= 0
	}), "no message of %s, but %q", alarm, m.kept)
	t.Log("\n" + text)
	return text
}

// rest takes all other messages but those of some alarms.
func (m *mailbox) rest(t *testing.T, but ...string) []string {
	t.Helper()
	return slices.DeleteFunc(append(m.kept, m.mails(t)...), func(text string) bool {
		return slices.ContainsFunc(but, func(alarm string) bool { return strings.Contains(text, "#alarm-"+alarm+`"`) })
	})
}
