package events

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// delivery is the delivery of an event to a target of a rule.
type delivery struct {
	event    Event
	received time.Time
	rule     types.Rule
	target   types.Target

	attempts  int      // made so far
	failed    *failure // of the last one; nil if it succeeded
	exhausted string   // the condition of the retry policy that ended it, or ""
}

// failure is the reason for a failed attempt, with one of AWS's error codes
// (EventBridge user guide, "Using dead-letter queues"). It never holds a secret.
type failure struct {
	code, message string
	retry         bool          // whether another attempt may succeed
	after         time.Duration // the wait that the target asks for
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func failed(code, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

// again marks a failure as one that is retried.
func (f *failure) again() *failure {
	f.retry = true
	return f
}

// AWS's retry policy, if a target has none.
const (
	defaultRetries = 185
	defaultAge     = 24 * time.Hour
)

// longestWait is the limit of the back-off, as a multiple of the first wait.
const longestWait = 40

// deliver repeats attempts until the event is delivered, a retry is useless, or the
// retry policy is exhausted; then the event goes to the dead-letter queue.
func (s *Service) deliver(ctx context.Context, d *delivery) {
	s.record(d, "delivering")
	retries, deadline := d.policy()
	for wait := s.config.FirstRetry; ; wait = min(2*wait, longestWait*s.config.FirstRetry) {
		d.attempts++
		if d.failed = s.send(ctx, d); d.failed == nil {
			s.record(d, "delivered")
			return
		}
		pause := max(wait, d.failed.after)
		switch {
		case !d.failed.retry:
		case d.attempts > retries:
			d.exhausted = "MaximumRetryAttempts"
		case s.config.Now().Add(pause).After(deadline):
			d.exhausted = "MaximumEventAgeInSeconds"
		default:
			s.record(d, "retrying")
			select {
			case <-time.After(pause):
				continue
			case <-ctx.Done(): // the sandbox ends
				return
			}
		}
		break
	}
	s.giveUp(ctx, d)
}

// policy returns the greatest number of retries, and the time of the last.
func (d *delivery) policy() (retries int, deadline time.Time) {
	retries, age := defaultRetries, defaultAge
	if set := d.target.RetryPolicy; set != nil && set.MaximumRetryAttempts != nil {
		retries = int(*set.MaximumRetryAttempts)
	}
	if set := d.target.RetryPolicy; set != nil && set.MaximumEventAgeInSeconds != nil {
		age = time.Duration(*set.MaximumEventAgeInSeconds) * time.Second
	}
	return retries, d.received.Add(age)
}

func (s *Service) giveUp(ctx context.Context, d *delivery) {
	state, end := "dead letter", "is in its dead-letter queue"
	if d.target.DeadLetterConfig == nil {
		state, end = "lost", "is lost, the target has no dead-letter queue"
	} else if err := s.bury(ctx, d); err != nil {
		state, end = "lost", fmt.Sprintf("is lost, its dead-letter queue does not take it: %v", err)
	}
	s.config.Logf("rule %s, target %s: the event %s %s after %d attempts: %v", *d.rule.Name, *d.target.Arn, d.event.ID, end, d.attempts, d.failed)
	s.record(d, state)
}

// deadLetter sends the event as it came, with AWS's attributes.
func (s *Service) deadLetter(ctx context.Context, d *delivery) error {
	queue := *d.target.DeadLetterConfig.Arn
	at, err := queueURL(queue)
	if err != nil {
		return err
	}
	if err := s.config.Admits(ctx, principal, *d.rule.Arn, sendMessage, queue); err != nil {
		return err
	}
	attributes := map[string]sqstypes.MessageAttributeValue{}
	for name, value := range map[string]string{
		"RULE_ARN": *d.rule.Arn, "TARGET_ARN": *d.target.Arn, "ERROR_CODE": d.failed.code, "ERROR_MESSAGE": d.failed.message,
		"EXHAUSTED_RETRY_CONDITION": d.exhausted, "RETRY_ATTEMPTS": strconv.Itoa(d.attempts - 1),
	} {
		if value != "" { // SQS refuses empty ones
			attributes[name] = sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
	}
	_, err = s.moto.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: at, MessageBody: aws.String(string(d.event.text())), MessageAttributes: attributes})
	return err
}
