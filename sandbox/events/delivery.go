package events

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// delivery is an event on its way to a rule's target.
type delivery struct {
	event    Event
	received time.Time
	rule     Rule
	target   Target

	attempts  int      // those that were made
	failed    *failure // of the last one; nil where it arrived
	exhausted string   // which condition of the retry policy ended it; "" for none
}

// failure is why an attempt failed, with one of AWS's error codes (EventBridge
// user guide, "Using dead-letter queues"). It never holds a secret.
type failure struct {
	code, message string
	retry         bool          // whether another attempt may help
	after         time.Duration // how long the target asks to be left alone
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func failed(code, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

// again makes a failure one that is tried again.
func (f *failure) again() *failure {
	f.retry = true
	return f
}

// AWS's retry policy where a target has none.
const (
	defaultRetries = 185
	defaultAge     = 24 * time.Hour
)

// longestWait is the limit of the back-off, in first waits.
const longestWait = 40

// deliver tries until the event arrives, trying again is of no use or the retry
// policy is exhausted; then the dead-letter queue has it.
func (s *Service) deliver(ctx context.Context, d *delivery) {
	s.tell(d, "delivering")
	retries, deadline := d.policy()
	for wait := s.config.FirstRetry; ; wait = min(2*wait, longestWait*s.config.FirstRetry) {
		d.attempts++
		if d.failed = s.send(ctx, d); d.failed == nil {
			s.tell(d, "delivered")
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
			s.tell(d, "retrying")
			select {
			case <-time.After(pause):
				continue
			case <-ctx.Done(): // the sandbox ends, and forgets everything
				return
			}
		}
		break
	}
	s.giveUp(ctx, d)
}

// policy is how often an attempt is repeated, and until when.
func (d *delivery) policy() (retries int, deadline time.Time) {
	retries, age := defaultRetries, defaultAge
	if set := d.target.RetryPolicy.MaximumRetryAttempts; set != nil {
		retries = *set
	}
	if set := d.target.RetryPolicy.MaximumEventAgeInSeconds; set != nil {
		age = time.Duration(*set) * time.Second
	}
	return retries, d.received.Add(age)
}

func (s *Service) giveUp(ctx context.Context, d *delivery) {
	state, end := "dead letter", "is in its dead-letter queue"
	if d.target.DeadLetterConfig.ARN == "" {
		state, end = "lost", "is lost, the target has no dead-letter queue"
	} else if err := s.bury(ctx, d); err != nil {
		state, end = "lost", fmt.Sprintf("is lost, its dead-letter queue does not take it: %v", err)
	}
	s.config.Logf("rule %s, target %s: the event %s %s after %d attempts: %v", d.rule.Name, d.target.ARN, d.event.ID, end, d.attempts, d.failed)
	s.tell(d, state)
}

// deadLetter sends the event as it came, with what AWS tells of its failure.
func (s *Service) deadLetter(ctx context.Context, d *delivery) error {
	queue := d.target.DeadLetterConfig.ARN
	in, err := message(queue, d.event.text())
	if err != nil {
		return err
	}
	if err := s.config.Admits(ctx, principal, d.rule.ARN, sendMessage, queue); err != nil {
		return err
	}
	n := 0
	for _, attribute := range []struct{ name, value string }{
		{"RULE_ARN", d.rule.ARN},
		{"TARGET_ARN", d.target.ARN},
		{"ERROR_CODE", d.failed.code},
		{"ERROR_MESSAGE", d.failed.message},
		{"EXHAUSTED_RETRY_CONDITION", d.exhausted},
		{"RETRY_ATTEMPTS", strconv.Itoa(d.attempts - 1)},
	} {
		if attribute.value != "" { // SQS takes none that is empty
			n++
			prefix := fmt.Sprintf("MessageAttribute.%d.", n)
			in.Set(prefix+"Name", attribute.name)
			in.Set(prefix+"Value.DataType", "String")
			in.Set(prefix+"Value.StringValue", attribute.value)
		}
	}
	return s.moto.form(ctx, "sqs", in)
}

// message is a SendMessage to a queue.
func message(queueARN string, body []byte) (url.Values, error) {
	parts := strings.Split(queueARN, ":")
	if len(parts) != 6 || parts[2] != "sqs" {
		return nil, fmt.Errorf("%q is no queue's ARN", queueARN)
	}
	return url.Values{
		"Action": {"SendMessage"}, "Version": {"2012-11-05"}, "MessageBody": {string(body)},
		"QueueUrl": {"http://sqs." + parts[3] + ".amazonaws.com/" + parts[4] + "/" + parts[5]}, // a name: it goes to moto
	}, nil
}
