package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/intraverse/dcv-sessions/contract"
)

// Check is one row of an acceptance run.
type Check struct {
	Name    string  `json:"name"`
	Result  string  `json:"result"` // Passed, NotPassed or NotChecked
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
	LookAt  string  `json:"lookAt,omitempty"` // when it failed
}

// The results of a Check.
const (
	Passed     = "ok"
	NotPassed  = "FAILED"
	NotChecked = "not checked"
)

// AcceptanceOptions are the options of Accept.
type AcceptanceOptions struct {
	User    string // the user of the session; "": see Accept
	Role    string // ARN of a role with the launcher policy and nothing else; "" leaves the policy's limits unchecked
	Limit   time.Duration
	OnCheck func(Check) // called with every row as it is done
}

// AcceptanceUser is the name of a user that a stack may have for acceptance runs only,
// so that they never wait for a player.
const AcceptanceUser = "acceptance"

// Busy says that an acceptance run tried nothing, since people play.
type Busy struct{ Why string }

// Error says why, and how a stack always has a user who is free.
func (e *Busy) Error() string {
	return fmt.Sprintf("nothing was tried: %s (a user named %q, for acceptance runs only, is always free)", e.Why, AcceptanceUser)
}

// Accept tries a deployed stack through the launcher, as a website would use it: a
// session of one user, from start to end. It ends the session that it started and
// returns every row. Given a role, it does so with the role's rights.
//
// It disturbs no player: it fails if the given user has a session. Without one, it
// takes AcceptanceUser or else the first user by name that has no session. It returns
// *Busy if all users play, or if outputs.Fields.MaxSessions run.
func (l *Launcher) Accept(ctx context.Context, o AcceptanceOptions) ([]Check, error) {
	a := &acceptance{Launcher: l, caller: l, AcceptanceOptions: o}
	if o.Role != "" {
		config := l.config.Copy()
		config.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(l.config), o.Role))
		own, err := New(config, l.stack, WithPoll(l.poll))
		if err != nil {
			return nil, err
		}
		a.Launcher = own
	}
	if err := a.chooseUser(ctx); err != nil {
		return nil, asDenied(err)
	}
	defer a.tidy()
	for _, row := range a.rows() {
		if ctx.Err() != nil {
			return a.done, ctx.Err()
		}
		a.run(ctx, row)
	}
	return a.done, nil
}

// chooseUser checks that the given user is free, or finds one.
func (a *acceptance) chooseUser(ctx context.Context) error {
	if a.User != "" {
		if err := a.checkUser(a.User); err != nil {
			return err
		}
		found, err := a.liveJobsOf(ctx, a.User)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("%s has a session (job %s): name a user without one, with --user", a.User, found[0].id())
		}
		return err
	}
	users := slices.SortedFunc(maps.Keys(a.stack.JobDefinitions), acceptanceUserFirst)
	if len(users) == 0 {
		return a.checkUser(AcceptanceUser)
	}
	playing, err := a.liveJobs(ctx)
	if err != nil {
		return err
	}
	free := slices.IndexFunc(users, func(user string) bool {
		return !slices.ContainsFunc(playing, func(j job) bool { return j.user() == user })
	})
	if free < 0 {
		return &Busy{"every user has a session"}
	}
	if now, err := a.queueState(ctx); err != nil {
		return err
	} else if now.full {
		return &Busy{fmt.Sprintf("as many sessions run as the stack has room for, %d", a.stack.MaxSessions)}
	}
	a.User = users[free]
	return nil
}

// acceptanceUserFirst orders users by name, with AcceptanceUser before all.
func acceptanceUserFirst(a, b string) int {
	switch AcceptanceUser {
	case a:
		return -1
	case b:
		return 1
	}
	return strings.Compare(a, b)
}

// acceptance is one run.
type acceptance struct {
	*Launcher // with the role's rights, if one is given
	AcceptanceOptions
	caller  *Launcher // with the caller's own
	done    []Check
	session Session // that it started, or zero
	ended   bool    // the session has ended
}

// errSkipped says that a row could not be tried.
var errSkipped = errors.New("")

// row is something that must hold, and the place to look if it does not.
type row struct {
	name, lookAt string
	check        func(context.Context) (detail string, err error)
}

func (a *acceptance) rows() []row {
	const (
		operations    = "docs/operations.md, "
		otherPolicies = "other policies of the role"
	)
	return []row{
		{"a session starts and is ready", operations + "\"Nothing starts\" and \"A user can't connect\"; launch logs " + a.User, a.starts},
		{"it answers at its address, with the certificate that its log names", operations + "\"A user can't connect\": network.playerCidrs, public subnets", a.answers},
		{"a repeated start gives the same session", "batch:ListJobs of the launcher policy; is the queue shared with another stack of this name?", a.repeats},
		{"the list shows it", "the job's tags: was it submitted with contract.JobTags?", a.lists},
		{"its log has its events", "logs.retentionDays, the execution role's logs:PutLogEvents", a.logged("starting", "ready")},
		{"it ends when asked, and its job has SUCCEEDED", "can this machine reach the session's address? Otherwise AWS Batch ends it, and its job is FAILED", a.ends},
		{"its log says that it ended", "the `ended` event's reason", a.logged("ended")},
		{"the launcher policy reads no password", otherPolicies, a.readsNoPassword},
		{"the launcher policy starts nothing for another stack", otherPolicies, a.startsNothingElse},
		{"the launcher policy tags no job that is not its stack's", otherPolicies, a.tagsNothingElse},
	}
}

func (a *acceptance) run(ctx context.Context, r row) {
	began := time.Now()
	detail, err := r.check(ctx)
	c := Check{Name: r.name, Result: Passed, Seconds: time.Since(began).Seconds(), Detail: detail}
	switch {
	case errors.Is(err, errSkipped):
		c.Result = NotChecked
	case err != nil:
		c.Result, c.Detail, c.LookAt = NotPassed, err.Error(), r.lookAt
	}
	a.done = append(a.done, c)
	if a.OnCheck != nil {
		a.OnCheck(c)
	}
}

func (a *acceptance) starts(ctx context.Context) (string, error) {
	s, err := a.Start(ctx, a.User, StartOptions{Wait: true, Limit: a.Limit})
	if !s.New && s.JobID != "" {
		return "", fmt.Errorf("somebody else started a session just now (job %s), which is left alone", s.JobID)
	}
	a.session = s
	return s.Took(), err
}

// ready returns errSkipped unless the session is ready.
func (a *acceptance) ready() error {
	if a.session.URL == "" {
		return errSkipped
	}
	return nil
}

func (a *acceptance) answers(ctx context.Context) (string, error) {
	if err := a.ready(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, a.answerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.session.URL, "/")+contract.HealthPath, nil)
	if err != nil {
		return "", err
	}
	res, err := a.session.Client().Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", a.session.URL, res.Status)
	}
	return a.session.URL, nil
}

func (a *acceptance) repeats(ctx context.Context) (string, error) {
	if err := a.ready(); err != nil {
		return "", err
	}
	again, err := a.Start(ctx, a.User, StartOptions{Wait: true, Limit: a.Limit})
	if err == nil && again.JobID != a.session.JobID {
		err = fmt.Errorf("job %s, and not %s", again.JobID, a.session.JobID)
	}
	return "job " + again.JobID, err
}

func (a *acceptance) lists(ctx context.Context) (string, error) {
	if err := a.ready(); err != nil {
		return "", err
	}
	all, err := a.List(ctx, ListOptions{})
	if err != nil {
		return "", err
	}
	for _, s := range all {
		if s.JobID == a.session.JobID && s.URL == a.session.URL {
			return s.State, nil
		}
	}
	return "", fmt.Errorf("job %s with its address is not in the list of %d", a.session.JobID, len(all))
}

func (a *acceptance) logged(events ...contract.EventName) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := a.ready(); err != nil {
			return "", err
		}
		missing := map[contract.EventName]bool{}
		for _, e := range events {
			missing[e] = true
		}
		const tries = 15 // on AWS lines arrive up to 5 seconds later
		for range tries {
			lines, err := a.readNewLines(ctx, &logCursor{stream: a.session.LogStream})
			for _, line := range lines {
				e := line.event()
				delete(missing, e.Event)
				if e.Event == contract.EventEnded && (e.ExitCode == nil || *e.ExitCode != contract.ExitOK) {
					return "", fmt.Errorf("it ended otherwise: %s", line.Message)
				}
			}
			if err != nil || len(missing) == 0 {
				return a.session.LogStream, err
			}
			if err := sleep(ctx, a.poll); err != nil {
				return "", err
			}
		}
		return "", fmt.Errorf("the stream %s lacks %v", a.session.LogStream, missing)
	}
}

func (a *acceptance) ends(ctx context.Context) (string, error) {
	if err := a.ready(); err != nil {
		return "", err
	}
	s, err := a.End(ctx, a.User, "acceptance run", EndOptions{})
	if err != nil {
		return "", err
	}
	a.ended = true
	if s.State != "SUCCEEDED" {
		return "", fmt.Errorf("job %s is %s: %s", s.JobID, s.State, s.Reason)
	}
	return s.State, nil
}

// denied returns an error unless AWS denied a call.
func (a *acceptance) denied(err error) (string, error) {
	switch {
	case a.Role == "":
		return "name a role with this policy: --launcher-role", errSkipped
	case errors.As(asDenied(err), new(*Denied)):
		return "denied", nil
	case err == nil:
		return "", errors.New("it is allowed")
	}
	return "", err
}

func (a *acceptance) readsNoPassword(ctx context.Context) (string, error) {
	if a.Role == "" {
		return a.denied(nil)
	}
	_, err := a.Password(ctx, a.User)
	return a.denied(err)
}

// startsNothingElse submits a job with another stack's tag. If AWS allows that, the job
// is ended at once.
func (a *acceptance) startsNothingElse(ctx context.Context) (string, error) {
	if a.Role == "" {
		return a.denied(nil)
	}
	made, err := a.batch.SubmitJob(ctx, &batch.SubmitJobInput{
		JobName: aws.String("acceptance"), JobQueue: &a.stack.QueueARN, JobDefinition: aws.String(a.stack.JobDefinitions[a.User]),
		Tags: contract.JobTags("not-"+a.stack.Stack, a.User),
	}, func(o *batch.Options) { o.Retryer = aws.NopRetryer{} })
	if err == nil { // the role itself may not be allowed to end it
		err = a.caller.terminate(ctx, *made.JobId, "acceptance run")
		return "", errors.Join(fmt.Errorf("it is allowed: job %s", *made.JobId), err)
	}
	return a.denied(err)
}

// tagsNothingElse puts the stack's tag on a job that doesn't have it, which would allow
// the role to end that job. The job does not exist: AWS denies the call before it looks
// for it.
func (a *acceptance) tagsNothingElse(ctx context.Context) (string, error) {
	if a.Role == "" {
		return a.denied(nil)
	}
	of, _, _ := strings.Cut(a.stack.QueueARN, ":job-queue/")
	_, err := a.batch.TagResource(ctx, &batch.TagResourceInput{
		ResourceArn: aws.String(of + ":job/00000000-0000-0000-0000-000000000000"), Tags: map[string]string{contract.TagStack: a.stack.Stack},
	})
	return a.denied(err)
}

// tidy ends the session that the run started, also after an interrupt.
func (a *acceptance) tidy() {
	if a.session.JobID == "" || a.ended {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = a.terminate(ctx, a.session.JobID, "the acceptance run is over")
}
