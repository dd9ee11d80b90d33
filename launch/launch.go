// Package launch starts, finds, shows and ends sessions of one stack, as the
// website, support and the command launch do. It needs the stack's outputs and
// AWS credentials with the policy that the output launcherPolicyArn names, and no
// Pulumi.
//
//	stack, err := outputs.Parse(text) // of `pulumi stack output --json`
//	launcher, err := launch.New(cfg, stack)
//	session, err := launcher.Start(ctx, "alice", launch.StartOptions{Wait: true})
//	fmt.Println(session.URL)
//
// A user has one session at a time. AWS Batch knows no such rule and its
// SubmitJob no client token, so each launcher looks before and after it submits:
// of two that came at once the older stays, and the other's launcher ends it.
//
// Errors have types, and the command an exit code for each:
//
//	0    done
//	1    a fault: what AWS answered, or what stands in its way
//	2    usage
//	3    *UnknownUser: the stack has no such user
//	4    ErrNoSession: the user has no session
//	5    *Failed: the session ended before it was ready
//	6    *LimitPassed: it took longer than the limit; the session goes on
//	7    *Denied: the caller lacks a right, which is named
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

// New makes a Launcher of a stack. The Region is the stack's, whatever the
// configuration says. It fails for outputs of a release that had no launcher.
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
	}
	for _, option := range options {
		option(l)
	}
	return l, nil
}
