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
	submitTries     = 3                // how often a session is submitted where AWS does not answer
	submitLimit     = 30 * time.Second // for one answer
	looksForLostJob = 5                // looks for a job whose submission was not answered
	looksForOwnJob  = 10               // looks for one's own job in AWS Batch's lists
)

// Start gives a user a session: the one that they have, or a new one. The session
// that it returns beside an error is as far as it came.
//
// It fails with *UnknownUser; with *Failed where the session ends before it is
// ready; with *LimitPassed and, where ctx is cancelled, context.Canceled: then
// the session stays in the queue, and another Start takes it up; with *Denied.
func (l *Launcher) Start(ctx context.Context, user string, o StartOptions) (Session, error) {
	if err := l.checkUser(user); err != nil {
		return Session{}, err
	}
	ctx, cancel := withLimit(ctx, o.Limit, DefaultStartLimit)
	defer cancel()
	s := &start{Launcher: l, user: user, nonce: rand.Text(), began: time.Now(), progress: o.Progress}
	err := s.run(ctx, o.Wait)
	return s.session(), explainStop(ctx, err, user, s.followed.id(), s.waits)
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
	if err := s.findOrSubmit(ctx); err != nil {
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
		s.seen = sessionOf(s.followed)
	}
	s.seen.User, s.seen.New, s.seen.Steps = s.user, s.submittedByThis(s.followed), s.timed()
	return s.seen
}

// take takes the session that the user has, or submits one. One that is leaving
// is none: its player would be told an address that is gone in a moment.
func (s *start) findOrSubmit(ctx context.Context) error {
	for {
		live, err := s.liveJobsOf(ctx, s.user)
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
		if err := sleep(ctx, s.poll); err != nil {
			return err
		}
	}
}

func (s *start) leaving(ctx context.Context, j job) (bool, error) {
	if aws.ToBool(j.IsTerminated) || aws.ToBool(j.IsCancelled) {
		return true, nil
	}
	log := sessionLog{logCursor: logCursor{stream: j.attemptStream()}}
	err := s.readLogEnd(ctx, &log)
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
		if !mayHaveBeenSubmitted(err) || try == submitTries || ctx.Err() != nil {
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
func mayHaveBeenSubmitted(err error) bool {
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
	for range looksForLostJob {
		if err := sleep(ctx, s.poll); err != nil {
			return false, err
		}
		live, err := s.liveJobsOf(ctx, s.user)
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
	for range looksForOwnJob {
		if !s.submitted {
			return nil
		}
		live, err := s.liveJobsOf(ctx, s.user)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(live, s.submittedByThis) {
			return s.contest(ctx, live)
		}
		if err := sleep(ctx, s.poll); err != nil {
			return err
		}
	}
	return nil
}

// mine tells the jobs of this call: by the id that AWS answered, or, where the
// answer was lost, by the nonce.
func (s *start) submittedByThis(j job) bool {
	return s.submitted && (j.id() == s.id || j.variable(contract.EnvLaunch) == s.nonce)
}

// contest has the oldest session stay, and ends what this call submitted beside
// it. The other launchers do alike, each with its own.
func (s *start) contest(ctx context.Context, live []job) error {
	for _, j := range live[1:] {
		if s.submittedByThis(j) && !aws.ToBool(j.IsTerminated) {
			if err := s.terminate(ctx, j.id(), "another session of "+s.user+" was there first"); err != nil {
				return err
			}
		}
	}
	s.followed = live[0]
	return nil
}

// wait looks again and again until the session is ready, or over.
func (s *start) wait(ctx context.Context) error {
	for {
		if ready, err := s.judge(ctx); ready || err != nil {
			return err
		}
		if err := sleep(ctx, s.poll); err != nil {
			return err
		}
		if err := s.renew(ctx); err != nil {
			return err
		}
	}
}

// renew looks at the user's sessions anew. Lists may lag behind, so an older
// session may come to light late, and then it stays.
func (s *start) renew(ctx context.Context) error {
	live, err := s.liveJobsOf(ctx, s.user)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(live, func(j job) bool { return j.id() == s.followed.id() }) {
		j, err := s.describeOne(ctx, s.followed.id())
		if err != nil {
			return err
		}
		if !j.described() {
			return nil // without the time of its submission it can't be compared with others
		}
		s.followed = j
		if j.ended() {
			return nil
		}
		live = append(live, j)
		slices.SortFunc(live, byAge)
	}
	return s.contest(ctx, live)
}

// judge tells whether the session is ready, and fails where it is over.
func (s *start) judge(ctx context.Context) (ready bool, err error) {
	j := s.followed
	if stream := j.attemptStream(); stream != s.log.stream {
		s.log = sessionLog{logCursor: logCursor{stream: stream}}
	}
	if err := s.updateLog(ctx, &s.log); err != nil {
		return false, err
	}
	s.seen = sessionOf(j)
	if j.ended() {
		s.seen.Reason = endReason(j, s.log.ended)
		return false, s.failure(j)
	}
	if s.log.ready != nil && s.log.ended == nil {
		s.seen.URL, s.seen.Certificate = s.log.ready.URL, s.log.ready.Certificate
		s.step(StepReady, "the session is ready")
		return true, nil
	}
	now, err := s.queueStateFor(ctx, j)
	if err != nil {
		return false, err
	}
	name, text := currentStep(j, now, s.log)
	s.seen.Wait = text
	s.step(name, text)
	return false, nil
}

func (s *start) failure(j job) error {
	failed := &Failed{User: s.user, JobID: j.id(), Words: s.seen.Reason, Status: aws.ToString(j.StatusReason)}
	if j.Container != nil {
		failed.Container = aws.ToString(j.Container.Reason)
	}
	return failed
}
