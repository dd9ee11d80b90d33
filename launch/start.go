package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/intraverse/dcv-sessions/contract"
)

// StartOptions say how Start goes about it.
type StartOptions struct {
	// Wait has Start return when the session is ready; else it returns when the
	// session is in the queue.
	Wait bool
	// Progress is called, from Start's own goroutine, when another step begins or
	// a step's words change.
	Progress func(Step)
	// Limit is the longest that Start takes; 0 is DefaultStartLimit.
	Limit time.Duration
}

// DefaultStartLimit is how long Start waits at most, if nothing else is said.
const DefaultStartLimit = 20 * time.Minute

const (
	submitTries = 3                // how often a session is submitted where AWS does not answer
	submitLimit = 30 * time.Second // for one answer
	lookups     = 5                // looks for a job whose submission was not answered
	settling    = 10               // looks for one's own job in AWS Batch's lists
)

// Start gives a user a session: the one that they have, or a new one. The session
// that it returns beside an error is as far as it came.
//
// It fails with *UnknownUser; with *Failed where the session ends before it is
// ready; with *LimitPassed and, where ctx is cancelled, context.Canceled: then
// the session stays in the queue, and another Start takes it up; with *Denied.
func (l *Launcher) Start(ctx context.Context, user string, o StartOptions) (Session, error) {
	if err := l.known(user); err != nil {
		return Session{}, err
	}
	ctx, cancel := under(ctx, o.Limit, DefaultStartLimit)
	defer cancel()
	s := &start{Launcher: l, user: user, nonce: rand.Text(), began: time.Now(), progress: o.Progress}
	err := s.run(ctx, o.Wait)
	return s.session(), stopped(ctx, err, user, s.followed.id(), s.waits)
}

// start is one call of Start.
type start struct {
	*Launcher
	user      string
	nonce     string // contract.EnvLaunch of what this call submits
	submitted bool
	id        string // of what was submitted, if AWS answered
	followed  job    // the session, as AWS Batch told last
	seen      Session
	log       sessionLog // of the followed job's present attempt
	began     time.Time
	steps     []Step
	progress  func(Step)
	waits     string // for what, in words
}

func (s *start) run(ctx context.Context, wait bool) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if wait {
		return s.wait(ctx)
	}
	_, err := s.judge(ctx)
	return err
}

// session is how far the start came.
func (s *start) session() Session {
	if s.seen.JobID == "" && s.followed.JobId != nil {
		s.seen = plain(s.followed)
	}
	s.seen.User, s.seen.New, s.seen.Steps = s.user, s.mine(s.followed), s.timed()
	return s.seen
}

// take takes the session that the user has, or submits one. One that is leaving
// is none: its player would be told an address that is gone in a moment.
func (s *start) take(ctx context.Context) error {
	for {
		live, err := s.live(ctx, s.user)
		if err != nil {
			return err
		}
		if len(live) == 0 {
			return s.submit(ctx)
		}
		leaving, err := s.leaving(ctx, live[0])
		if err != nil {
			return err
		}
		if !leaving {
			s.followed = live[0]
			return nil
		}
		s.step(StepQueue, "the last session is ending")
		if err := pause(ctx, s.poll); err != nil {
			return err
		}
	}
}

func (s *start) leaving(ctx context.Context, j job) (bool, error) {
	if aws.ToBool(j.IsTerminated) || aws.ToBool(j.IsCancelled) {
		return true, nil
	}
	log := sessionLog{logCursor: logCursor{stream: j.stream()}}
	err := s.readEnd(ctx, &log)
	return log.ended != nil, err
}

// submit submits a session. Where it stays open whether AWS took it, it looks
// before it tries again: SubmitJob has no client token, and the SDK's own retries
// would make two.
func (s *start) submit(ctx context.Context) error {
	for try := 1; ; try++ {
		id, err := s.submitOnce(ctx)
		if err == nil {
			s.id, s.followed = id, job{types.JobDetail{JobId: &id, Status: types.JobStatusSubmitted}}
			return nil
		}
		if !open(err) || try == submitTries || ctx.Err() != nil {
			return err
		}
		found, lookErr := s.lookUp(ctx)
		if found || lookErr != nil {
			return lookErr
		}
	}
}

func (s *start) submitOnce(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, submitLimit)
	defer cancel()
	s.submitted = true
	out, err := s.batch.SubmitJob(ctx, &batch.SubmitJobInput{
		JobName:       aws.String(contract.JobName(s.stack.Stack, s.user)),
		JobQueue:      &s.stack.QueueARN,
		JobDefinition: aws.String(s.stack.JobDefinitions[s.user]),
		Tags:          contract.JobTags(s.stack.Stack, s.user),
		PropagateTags: aws.Bool(true),
		ContainerOverrides: &types.ContainerOverrides{
			Environment: []types.KeyValuePair{{Name: aws.String(contract.EnvLaunch), Value: &s.nonce}},
		},
	}, func(o *batch.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", err
	}
	return aws.ToString(out.JobId), nil
}

// open tells whether a session may be there, or may be submitted again, though
// SubmitJob failed: AWS did not answer, or not with a plain no.
func open(err error) bool {
	throttled := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	if throttled.IsErrorThrottle(err) == aws.TrueTernary {
		return true
	}
	var (
		answer   *smithyhttp.ResponseError
		unsent   *smithyhttp.RequestSendError
		canceled *smithy.CanceledError
	)
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()/100 != 4
	}
	return errors.As(err, &unsent) || errors.As(err, &canceled)
}

// lookUp looks for what a submission without an answer may have left.
func (s *start) lookUp(ctx context.Context) (bool, error) {
	for range lookups {
		if err := pause(ctx, s.poll); err != nil {
			return false, err
		}
		live, err := s.live(ctx, s.user)
		if err != nil {
			return false, err
		}
		if len(live) > 0 {
			s.followed = live[0]
			return true, nil
		}
	}
	return false, nil
}

// settle waits until AWS Batch's lists have what was submitted, so that two
// launchers who came at once see each other. That is not for ever: every later
// look compares again.
func (s *start) settle(ctx context.Context) error {
	for range settling {
		if !s.submitted {
			return nil
		}
		live, err := s.live(ctx, s.user)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(live, s.mine) {
			return s.contest(ctx, live)
		}
		if err := pause(ctx, s.poll); err != nil {
			return err
		}
	}
	return nil
}

// mine tells the jobs of this call: by the id that AWS answered, or, where the
// answer was lost, by the nonce.
func (s *start) mine(j job) bool {
	return s.submitted && (j.id() == s.id || j.variable(contract.EnvLaunch) == s.nonce)
}

// contest has the oldest session stay, and ends what this call submitted beside
// it. The other launchers do alike, each with its own.
func (s *start) contest(ctx context.Context, live []job) error {
	for _, j := range live[1:] {
		if s.mine(j) && !aws.ToBool(j.IsTerminated) {
			if err := s.terminate(ctx, j.id(), "another session of "+s.user+" was there first"); err != nil {
				return err
			}
		}
	}
	s.followed = live[0]
	return nil
}
