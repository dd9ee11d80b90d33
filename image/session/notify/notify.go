// Package notify sends a user the message that the session is ready.
package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/logging"

	"github.com/intraverse/dcv-sessions/contract"
)

// Config has the recipient and the contents of a notification.
type Config struct {
	Region       string
	Notification contract.Notification
	URL          string // the session's
	User, Stack  string
}

// A later message would be of no use: the player has found the session already.
const (
	totalLimit   = 30 * time.Second // for all attempts together
	maxAttempts  = 5
	attemptLimit = 10 * time.Second
	maxBackoff   = 5 * time.Second // between two attempts
)

// Notify publishes to the user's topic, with the job's role; the SDK finds its
// credentials and AWS in the environment. Temporary failures are retried;
// if only AWS's answer was lost, the user gets two messages.
func Notify(ctx context.Context, c Config) error { return notifyWithin(ctx, c, maxBackoff) }

func notifyWithin(ctx context.Context, c Config, longestWait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	loaded, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(c.Region),
		config.WithLogger(logging.Nop{}), // the log is for events
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(attemptLimit)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = maxAttempts, longestWait })
		}))
	if err != nil {
		return err
	}
	_, err = sns.NewFromConfig(loaded).Publish(ctx, c.message())
	return err
}

// message is the mail: no password is in it, and none can be found by it. A
// subject is ASCII, under 100 characters (SNS API reference, Publish).
func (c Config) message() *sns.PublishInput {
	return &sns.PublishInput{
		TopicArn: &c.Notification.TopicARN,
		Subject:  aws.String("Your game session is ready"),
		Message: aws.String(fmt.Sprintf(`The game session of %[1]s is ready. Open it in a browser:

%[2]s

Sign in as %[1]s, with the password that you were given. A session that nobody comes to ends by itself.

%[3]s, %[4]s
`, c.User, c.URL, contract.Product, c.Stack)),
	}
}
