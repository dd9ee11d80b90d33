// Package launch starts, finds, shows and ends sessions of one stack, for a website,
// for support and for the command launch. It needs the stack's outputs and AWS
// credentials with the policy of the output launcherPolicyArn, and no Pulumi.
//
//	stack, err := outputs.Parse(text) // of `pulumi stack output --json`
//	launcher, err := launch.New(cfg, stack)
//	session, err := launcher.Start(ctx, "alice", launch.StartOptions{Wait: true})
//	fmt.Println(session.URL)
//
// A user has one session at a time. AWS Batch knows no such rule and its
// SubmitJob takes no client token, so a launcher looks for the user's jobs before and
// after it submits one: of two jobs at once the older stays, and the launcher that
// submitted the younger one ends it.
//
// Errors have types, and the command an exit code for each:
//
//	0    done
//	1    a fault, which the message names
//	2    usage
//	3    *UnknownUser: the stack has no such user
//	4    ErrNoSession: the user has no session
//	5    *Failed: the session ended before it was ready
//	6    *LimitPassed: it took longer than the limit; the session goes on
//	7    *Denied: the caller lacks a right, which the message names
//	8    *Occupied: people play or wait
//	130  context.Canceled: interrupted; the session goes on
package launch

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/intraverse/dcv-sessions/outputs"
)

// Launcher starts, finds and ends the sessions of one stack. It may be used by
// several goroutines at once.
type Launcher struct {
	stack   outputs.Outputs
	config  aws.Config
	batch   *batch.Client
	logs    *cloudwatchlogs.Client
	secrets *secretsmanager.Client
	poll    time.Duration

	answerLimit time.Duration
}

// Option changes a Launcher's defaults.
type Option func(*Launcher)

// DefaultPoll is the time between two looks at AWS. A look at a session that waits
// is at most five calls of AWS Batch, which takes 50 a second from an account in a
// Region (AWS re:Post, "Getting error Too Many Requests"): ten may wait at once.
const DefaultPoll = time.Second

// WithPoll sets the time between two looks at AWS; without it, it is DefaultPoll.
func WithPoll(interval time.Duration) Option {
	return func(l *Launcher) { l.poll = interval }
}

// New returns a Launcher for a stack, in the stack's Region. It fails for outputs of a
// release that had no launcher.
func New(cfg aws.Config, stack outputs.Outputs, options ...Option) (*Launcher, error) {
	if stack.Stack == "" {
		return nil, errors.New(`the stack's outputs have no "stack": run pulumi up once with this release`)
	}
	cfg = cfg.Copy()
	cfg.Region = stack.Region
	l := &Launcher{
		stack:   stack,
		config:  cfg,
		batch:   batch.NewFromConfig(cfg),
		logs:    cloudwatchlogs.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg),
		poll:    DefaultPoll,

		answerLimit: answerLimit,
	}
	for _, option := range options {
		option(l)
	}
	return l, nil
}
