package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// The command's exit codes.
const (
	CodeOK          = 0
	CodeFault       = 1
	CodeUsage       = 2
	CodeUnknownUser = 3
	CodeNoSession   = 4
	CodeFailed      = 5
	CodeLimit       = 6
	CodeDenied      = 7
	CodeOccupied    = 8
	CodeInterrupted = 130
)

// Code is one of the command's exit codes with its meaning.
type Code struct {
	Code    int
	Meaning string
}

// Codes are all exit codes, ascending.
var Codes = []Code{
	{CodeOK, "done"},
	{CodeFault, "a fault, which the message names"},
	{CodeUsage, "usage"},
	{CodeUnknownUser, "the stack has no such user"},
	{CodeNoSession, "the user has no session"},
	{CodeFailed, "the session ended before it was ready"},
	{CodeLimit, "it took longer than the limit; the session goes on"},
	{CodeDenied, "the caller lacks a right, which the message names"},
	{CodeOccupied, "people play or wait"},
	{CodeInterrupted, "interrupted; the session goes on"},
}

// ExitCode returns an error's exit code; nil is CodeOK.
func ExitCode(err error) int {
	var (
		unknown  *UnknownUser
		failed   *Failed
		limit    *LimitPassed
		denied   *Denied
		occupied *Occupied
	)
	switch {
	case err == nil:
		return CodeOK
	case errors.As(err, &unknown):
		return CodeUnknownUser
	case errors.Is(err, ErrNoSession):
		return CodeNoSession
	case errors.As(err, &failed):
		return CodeFailed
	case errors.As(err, &limit):
		return CodeLimit
	case errors.As(err, &denied):
		return CodeDenied
	case errors.As(err, &occupied):
		return CodeOccupied
	case errors.Is(err, context.Canceled):
		return CodeInterrupted
	}
	return CodeFault
}

// ErrNoSession says that a user has no session: none to end, and none to show.
var ErrNoSession = errors.New("no session")

// UnknownUser says that the stack has no such user.
type UnknownUser struct {
	User  string
	Known []string // sorted
}

// Error names the users of the stack.
func (e *UnknownUser) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("no user %q: the stack has none yet", e.User)
	}
	return fmt.Sprintf("no user %q: the stack has %s", e.User, strings.Join(e.Known, ", "))
}

// Failed says that a session ended before it was ready.
type Failed struct {
	User, JobID string
	// Words are for a person: the cause, and the place to look at.
	Words string
	// Status and Container are AWS Batch's own texts: the job's statusReason and
	// its container's reason. Either may be empty.
	Status, Container string
}

// Error ends with AWS's own words.
func (e *Failed) Error() string {
	text := fmt.Sprintf("the session of %s ended before it was ready: %s; job %s", e.User, e.Words, e.JobID)
	if said := joinNonEmpty("; ", e.Status, e.Container); said != "" {
		text += fmt.Sprintf(" (AWS Batch: %s)", said)
	}
	return text
}

// LimitPassed says that a call took longer than the caller's limit. The session is
// left as it was.
type LimitPassed struct {
	User  string
	JobID string // "" if none was submitted yet
	Limit time.Duration
	// Waiting says in words why the session was not ready, or had not ended.
	Waiting string
}

// Error says why the call was not done, and that the session goes on.
func (e *LimitPassed) Error() string {
	text := fmt.Sprintf("%s passed for the session of %s: %s", e.Limit, e.User, e.Waiting)
	if e.JobID != "" {
		text += fmt.Sprintf("; job %s goes on", e.JobID)
	}
	return text
}

// Denied says that AWS denied a call.
type Denied struct {
	// Action is the right that is missing, as IAM writes it: batch:SubmitJob.
	Action string
	// Grant says in words which policy grants it.
	Grant string
	Err   error // AWS's answer
}

// Error names the right and the policy that grants it.
func (e *Denied) Error() string {
	return fmt.Sprintf("AWS denies %s: %s (%v)", e.Action, e.Grant, e.Err)
}

// Unwrap returns AWS's answer.
func (e *Denied) Unwrap() error { return e.Err }

// iamPrefixes are IAM's names of the services that a Launcher calls, by the SDK's
// names.
var iamPrefixes = map[string]string{"Batch": "batch", "CloudWatch Logs": "logs", "Secrets Manager": "secretsmanager"}

const (
	grantedToLaunchers = "the policy that the output launcherPolicyArn names grants it, for this stack only"
	grantedToOperators = "it is an operator's right, which no policy of the stack grants: docs/launching.md, \"For operators\""
	grantedToNobody    = "the launcher policy does not grant it, and no other policy of the stack: an administrator of the account may, for this secret"
)

// operators are the operations of Status, Usage and Definition that launchers have no
// right to.
var operators = []string{"DescribeJobDefinitions", "DescribeJobQueues", "DescribeComputeEnvironments", "DescribeLogGroups", "StartQuery", "GetQueryResults"}

// asDenied returns a *Denied for AWS's denials, and other errors as they are.
func asDenied(err error) error {
	var answer smithy.APIError
	var call *smithy.OperationError
	if !errors.As(err, &answer) || !errors.As(err, &call) || !strings.HasPrefix(answer.ErrorCode(), "AccessDenied") {
		return err
	}
	grant := grantedToLaunchers
	switch {
	case call.ServiceID == "Secrets Manager":
		grant = grantedToNobody
	case slices.Contains(operators, call.OperationName):
		grant = grantedToOperators
	}
	return &Denied{Action: iamPrefixes[call.ServiceID] + ":" + call.OperationName, Grant: grant, Err: answer}
}

// checkUser returns *UnknownUser if the stack does not have the user.
func (l *Launcher) checkUser(user string) error {
	if _, known := l.stack.JobDefinitions[user]; known {
		return nil
	}
	return &UnknownUser{User: user, Known: slices.Sorted(maps.Keys(l.stack.JobDefinitions))}
}

// noSession returns the error for a user without a session. It comes after the search
// for one, since a user who was removed from the stack may still have a session.
func (l *Launcher) noSession(user string) error {
	if err := l.checkUser(user); err != nil {
		return err
	}
	return fmt.Errorf("%s has %w", user, ErrNoSession)
}

// limitCause is the cause of a context that ended by the caller's limit, and not by an
// interrupt.
type limitCause struct{ limit time.Duration }

func (c limitCause) Error() string { return fmt.Sprintf("the limit of %s passed", c.limit) }

// withLimit returns a context with a limit; 0 is the default one.
func withLimit(ctx context.Context, limit, otherwise time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		limit = otherwise
	}
	return context.WithTimeoutCause(ctx, limit, limitCause{limit})
}

// explainStop returns the caller's error for one that came with a context's end.
func explainStop(ctx context.Context, err error, user, jobID, waiting string) error {
	if err == nil || ctx.Err() == nil {
		return asDenied(err)
	}
	var cause limitCause
	if errors.As(context.Cause(ctx), &cause) {
		return &LimitPassed{User: user, JobID: jobID, Limit: cause.limit, Waiting: waiting}
	}
	if jobID == "" {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	return fmt.Errorf("interrupted: %w; job %s goes on", ctx.Err(), jobID)
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// joinNonEmpty joins the parts that are not empty.
func joinNonEmpty(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), separator)
}
