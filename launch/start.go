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

// StartOptions are the options of Start.
type StartOptions struct {
	// Wait makes Start return when the session is ready, and not when it is in the
	// queue.
	Wait bool
	// Progress is called, from Start's own goroutine, when another step begins or
	// a step's words change.
	Progress func(Step)
	// Limit is the longest that Start takes; 0 is DefaultStartLimit.
	Limit time.Duration
	// Reserve has the amounts that a new session reserves of its host, in place of those
	// of its job definition; a field that is 0 leaves the definition's. The GPUs stay: AWS Batch
	// can't take one from a job at its submission.
	Reserve Resources
}

// DefaultStartLimit is the default of StartOptions.Limit.
const DefaultStartLimit = 20 * time.Minute

const (
	submitTries     = 3                // submissions, if AWS does not answer
	submitLimit     = 30 * time.Second // for one answer
	looksForLostJob = 5                // looks for a job whose submission was not answered
	looksForOwnJob  = 10               // looks for one's own job in AWS Batch's lists
)

// Start gives a user a session: the one that they have, or a new one. Beside an error
// it returns the session as it was seen last.
//
// It fails with *UnknownUser; with *Denied; with *Failed if the session ends before it
// is ready; and with *LimitPassed or, if ctx is cancelled, context.Canceled: then the
// session stays in the queue, and another Start finds it there.
func (l *Launcher) Start(ctx context.Context, user string, o StartOptions) (Session, error) {
	if err := l.checkUser(user); err != nil {
		return Session{}, err
	}
	ctx, cancel := withLimit(ctx, o.Limit, DefaultStartLimit)
	defer cancel()
	s := &start{Launcher: l, user: user, nonce: rand.Text(), reserve: o.Reserve, began: time.Now(), progress: o.Progress}
	err := s.run(ctx, o.Wait)
	return s.session(), explainStop(ctx, err, user, s.followed.id(), s.waits)
}

// start is one call of Start.
type start struct {
	*Launcher
	user      string
	nonce     string    // contract.EnvLaunch of the job that this call submits
	reserve   Resources // of that job
	submitted time.Time // first; zero: not
	id        string    // of the submitted job, if AWS answered
	followed  job       // the session as AWS Batch described it last
	seen      Session
	log       sessionLog // of the followed job's present attempt
	began     time.Time
	steps     []Step
	progress  func(Step)
	waits     string // why it is not ready, in words
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

// session returns the session as it was seen last.
func (s *start) session() Session {
	if s.seen.JobID == "" && s.followed.JobId != nil {
		s.seen = sessionOf(s.followed)
	}
	s.seen.User, s.seen.New, s.seen.Steps = s.user, s.submittedByThis(s.followed), s.timed()
	return s.seen
}

// findOrSubmit follows the session that the user has, or submits one. A session that
// is ending is not followed: its address is gone in a moment.
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
	log := newSessionLog(j.attemptStream())
	err := s.readLogEnd(ctx, &log)
	return log.ended != nil, err
}

// submit submits a session. If a submission may have succeeded, it looks for the job
// before it tries again: SubmitJob takes no client token, so the SDK's own retries
// could make two.
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
	if s.submitted.IsZero() {
		s.submitted = time.Now()
	}
	out, err := s.batch.SubmitJob(ctx, &batch.SubmitJobInput{
		JobName:       aws.String(contract.JobName(s.stack.Stack, s.user)),
		JobQueue:      &s.stack.QueueARN,
		JobDefinition: aws.String(s.stack.JobDefinitions[s.user]),
		Tags:          contract.JobTags(s.stack.Stack, s.user),
		PropagateTags: aws.Bool(true),
		ContainerOverrides: &types.ContainerOverrides{
			Environment: []types.KeyValuePair{
				{Name: aws.String(contract.EnvLaunch), Value: &s.nonce},
				{Name: aws.String(contract.EnvSubmitted), Value: aws.String(s.submitted.UTC().Format(contract.TimeFormat))},
			},
			ResourceRequirements: s.reserve.requirements(),
		},
	}, func(o *batch.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", err
	}
	return aws.ToString(out.JobId), nil
}

// mayHaveBeenSubmitted reports whether there may be a session though SubmitJob failed,
// or SubmitJob may be called again: AWS did not answer, or did not refuse the call.
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

// lookUp looks for the job of a submission without an answer.
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

// settle waits until AWS Batch lists the submitted job, so that two launchers at once
// see each other's. It does not wait for long: every later look compares again.
func (s *start) settle(ctx context.Context) error {
	for range looksForOwnJob {
		if s.submitted.IsZero() {
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

// submittedByThis reports whether a job was submitted by this call: it has the id that
// AWS answered or, if the answer was lost, the nonce.
func (s *start) submittedByThis(j job) bool {
	return !s.submitted.IsZero() && (j.id() == s.id || j.variable(contract.EnvLaunch) == s.nonce)
}

// contest lets the oldest session stay, and ends a younger one that this call
// submitted. Every launcher does so with its own.
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

// wait looks again and again until the session is ready or has ended.
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

// renew looks at the user's sessions again. Lists may lag behind, so an older session
// may be listed later, and then it is the one that stays.
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
			return nil // without the time of its submission it can't be compared
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

// judge reports whether the session is ready, and fails if it has ended.
func (s *start) judge(ctx context.Context) (ready bool, err error) {
	j := s.followed
	if stream := j.attemptStream(); stream != s.log.stream {
		s.log = newSessionLog(stream)
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
		s.seen.add(*s.log.ready)
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
