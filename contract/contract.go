// Package contract defines the names and formats that the Pulumi program, the
// session in its container, the launcher and the tests share. A name that two of
// them use is defined here and nowhere else.
//
// It imports the standard library and internal/faults only, so that the session
// binary stays small.
package contract

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Version is raised when a released output, event or environment name is
// renamed, removed or changes its type. Consumers compare it.
const Version = 1

// Product is the Pulumi project's name and the first part of every physical
// name that this project owns.
const Product = "dcv-sessions"

// Tags on every AWS resource and on every job. Costs are attributed, sessions are
// found and the right to end a session is granted by them.
const (
	TagProject = "dcv-sessions:project" // always Product
	TagStack   = "dcv-sessions:stack"   // the Pulumi stack's name
	TagUser    = "dcv-sessions:user"    // the user that the resource or session belongs to
)

// UserPattern matches the names that users may have. A user's name is also a Linux
// account, a part of physical AWS names and a tag's value.
var UserPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// StackPattern matches the names that stacks may have. They have no "_", which ends
// them in a physical name: so no stack's prefix is the beginning of another's.
var StackPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,20}$`)

// NamePrefix returns the beginning of every physical name (job definitions, topics,
// roles, policies) that a stack owns: "dcv-sessions_dev_".
func NamePrefix(stack string) string { return Product + "_" + stack + "_" }

// PathPrefix returns the beginning of the name of every secret and log group that a
// stack owns: "dcv-sessions/dev/". Log groups have a "/" before it.
func PathPrefix(stack string) string { return Product + "/" + stack + "/" }

// JobDefinition returns the name of a user's job definition. Consumers submit by
// this name, never by a revision: AWS Batch then uses the latest active one.
func JobDefinition(stack, user string) string { return NamePrefix(stack) + user }

// JobName returns the fixed name of a user's jobs, by which a running session is
// found (AWS: up to 128 letters, digits, "-" and "_").
func JobName(stack, user string) string { return NamePrefix(stack) + user }

// DoctorName returns the name of the job that runs CommandDoctor with a user's job
// definition. It does not begin with NamePrefix, by which sessions are found.
func DoctorName(stack, user string) string { return Product + "-doctor_" + stack + "_" + user }

// CommandDoctor is the container's command for a run of `session doctor`, in
// place of a session.
const CommandDoctor = "doctor"

// JobTags returns the tags that a session must be submitted with.
func JobTags(stack, user string) map[string]string {
	return map[string]string{TagProject: Product, TagStack: stack, TagUser: user}
}

// LogGroupPrefix returns the beginning of the name of the log group that all sessions
// of a stack write to. Consumers take the whole name from the stack's outputs.
func LogGroupPrefix(stack string) string { return "/" + PathPrefix(stack) + "sessions-" }

// Environment variables that the job definition sets beside those of Settings.
const (
	EnvContract = "DCV_CONTRACT" // Version, decimal

	// The ECS agent injects EnvCredentials, EnvNotify and EnvCertificate from Secrets
	// Manager, with the execution role: a Credentials, a Notification and a
	// Certificate as JSON. The latter two may be missing.
	EnvCredentials = "DCV_CREDENTIALS"
	EnvNotify      = "DCV_NOTIFY"
	EnvCertificate = "DCV_CERTIFICATE"
)

// Credentials is the JSON of a user's credentials secret.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Certificate is the JSON of a secret with the sessions' certificate. If the
// certificate has a wildcard name, *.play.example.com, the host of a session's URL
// is its address in that domain, 203-0-113-7.play.example.com, which the studio's
// DNS has to resolve.
type Certificate struct {
	Certificate string `json:"certificate"` // PEM, the leaf first, then its chain
	PrivateKey  string `json:"privateKey"`  // PEM
}

// Notification is the JSON of a user's notification secret.
type Notification struct {
	TopicARN string `json:"topicArn"`
	Address  string `json:"address"`
}

// PortRange is an inclusive range of TCP and UDP ports. AWS Batch offers host
// networking only, so each session of a host takes a free port of the range.
type PortRange struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// Width returns the number of ports, and so of sessions that one host can carry.
func (r PortRange) Width() int { return r.Last - r.First + 1 }

// String returns the range as "8443-8446".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// Contains reports whether every port of another range is in this one.
func (r PortRange) Contains(other PortRange) bool {
	return r.First <= other.First && other.Last <= r.Last
}

// ParsePortRange parses a range as String returns it: "8443-8446".
func ParsePortRange(text string) (PortRange, error) {
	first, last, _ := strings.Cut(text, "-")
	var r PortRange
	var errs [2]error
	r.First, errs[0] = strconv.Atoi(first)
	r.Last, errs[1] = strconv.Atoi(last)
	if err := errors.Join(errs[:]...); err != nil || r.String() != text || r.First > r.Last {
		return PortRange{}, fmt.Errorf("%q is not a range of ports, such as 8443-8446", text)
	}
	return r, nil
}

// EnvLaunch is a variable that a launcher sets to a random text in each session that
// it submits. SubmitJob of AWS Batch has no client token: if its response is lost,
// the launcher finds its own job by this text. The session does not read it.
const EnvLaunch = "DCV_LAUNCH"

// HealthPath is a path that the session serves on its public port from its first
// second.
const HealthPath = "/healthz"

// EndPath is a path of the session's public port that takes an EndRequest by POST.
// A session that is asked to end exits with ExitOK, and its job is SUCCEEDED; a job
// that AWS Batch terminates is always FAILED.
const EndPath = "/end"

// EndRequest asks a session to end.
type EndRequest struct {
	Session string `json:"session"` // the session's id, which is its job's
	Reason  string `json:"reason"`  // in words; the `ended` event has it
	Proof   Proof  `json:"proof"`
}

// EventName names a line of a session's log.
type EventName string

// The events of a session's life.
const (
	EventStarting EventName = "starting" // the first one
	EventEntered  EventName = "entered"  // State begins
	EventLeft     EventName = "left"     // State is over, after Seconds
	EventReady    EventName = "ready"    // carries URL and Certificate: a player may connect
	EventPlayers  EventName = "players"  // Count players are connected now
	EventGame     EventName = "game"     // Line is one that the game wrote; Dropped ones were left out before it
	EventPart     EventName = "part"     // Line is a message of Part of the session, for support
	EventNotified EventName = "notified" // the user was notified, or could not be for Reason
	EventWarned   EventName = "warned"   // the player was warned that the session ends, for Reason
	EventDoctor   EventName = "doctor"   // a Check of `session doctor`
	EventUsage    EventName = "usage"    // Usage, every Settings.Usage
	EventSummary  EventName = "summary"  // Summary, before `ended`
	EventEnded    EventName = "ended"    // the last one; carries ExitCode, Exit and Reason
)

// State is a state of a session's life.
type State string

// The states, in the order of a session's life. From any of them a session may
// go to StateEnding; between the two with a player it goes there and back.
const (
	StateUser    State = "user"    // the player's Linux account is made
	StateDisplay State = "display" // the X server starts
	StateSession State = "session" // the remote display and the sound start
	StateGame    State = "game"    // the game starts, and its renderer is checked
	StateReady   State = "ready"   // no player has connected yet
	StatePlaying State = "playing" // a player is connected
	StateAway    State = "away"    // the player has gone, and may come back within the grace time
	StateEnding  State = "ending"  // the game saves, everything is closed
)

// States lists the states, in the order of a session's life.
var States = []State{StateUser, StateDisplay, StateSession, StateGame, StateReady, StatePlaying, StateAway, StateEnding}

// Steps are the states that a start goes through. The waiting page shows them.
var Steps = States[:4:4]

// Event is one JSON line on a session's stdout. Metric filters and the launcher read
// it; nothing else is written to the stream.
type Event struct {
	Event   EventName `json:"event"`
	Time    string    `json:"time"` // RFC 3339 with milliseconds, UTC
	Session string    `json:"session"`
	Stack   string    `json:"stack"`
	User    string    `json:"user"`
	Image   string    `json:"image,omitempty"` // of every event but EventUsage, which is written often
	URL     string    `json:"url,omitempty"`
	// Certificate is the SHA-256 of the session's certificate (DER), in
	// hexadecimal digits: a launcher trusts this one and no other.
	Certificate string `json:"certificateSha256,omitempty"`
	// InstanceType is the EC2 instance type of the host, in `ready`; "" if the host does
	// not say.
	InstanceType string `json:"instanceType,omitempty"`
	Reason       string `json:"reason,omitempty"`
	ExitCode     *int   `json:"exitCode,omitempty"`
	Exit         string `json:"exit,omitempty"` // the ExitCode's name

	// SinceSubmit is the time from EnvSubmitted, and SinceCreated that from the
	// container's creation, both in seconds. `starting` has both and `ready` the
	// former, as far as they are known. None is negative, whatever the clocks say.
	SinceSubmit  *float64 `json:"sinceSubmitSeconds,omitempty"`
	SinceCreated *float64 `json:"sinceCreatedSeconds,omitempty"`

	State   State   `json:"state,omitempty"`
	Seconds float64 `json:"seconds,omitempty"` // in State
	Count   *int    `json:"count,omitempty"`
	Part    string  `json:"part,omitempty"` // "game", "pulseaudio", "dcvserver", …
	Line    string  `json:"line,omitempty"` // UTF-8, at most 2,000 bytes
	Dropped int     `json:"dropped,omitempty"`
	Check   *Check  `json:"check,omitempty"`

	Usage   *Usage   `json:"usage,omitempty"`
	Summary *Summary `json:"summary,omitempty"`
}

// Check is the result of one row of `session doctor`, which checks the facts that
// only a GPU host can show.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Found   string  `json:"found"`            // in words
	Change  string  `json:"change,omitempty"` // of the configuration, if the check fails
}

// Outcome is the outcome of a Check.
type Outcome string

// The outcomes.
const (
	OutcomeHolds   Outcome = "holds"
	OutcomeFails   Outcome = "fails"
	OutcomeUnknown Outcome = "unknown" // it can't be known on this host
)

// ExitCode describes an exit code of a session's process. The job definition's retry
// rules follow Retry: only a fault of the host is worth another attempt.
type ExitCode struct {
	Code    int
	Name    string
	Retry   bool
	Meaning string
}

// The exit codes of a session. Those from 80 to 89, and no others, are worth another
// attempt on another host: AWS Batch takes few retry rules, and "8*" is one.
const (
	ExitOK            = 0  // the session ended as it should: its player left, or it was asked to end
	ExitConfiguration = 64 // an environment variable is missing, malformed or not the job definition's
	ExitImage         = 65 // the image or its game is not what it should be
	ExitGame          = 66 // the game failed
	ExitSoftware      = 67 // the game would be rendered without the GPU
	ExitDisplay       = 69 // the display server, or a part of it, failed for good
	ExitInternal      = 70 // a fault of the session itself
	ExitNoPort        = 80 // no free port in the range
	ExitHost          = 81 // the host failed the session
	ExitGPU           = 82 // the host's GPU or its driver is not there
)

// RetriedExitCodes is the pattern of the codes that are worth another attempt, for
// onExitCode of AWS Batch.
const RetriedExitCodes = "8*"

// ExitCodes lists the exit codes in ascending order.
var ExitCodes = []ExitCode{
	{ExitOK, "ok", false, "the session ended as it should: its player left, or it was asked to end"},
	{ExitConfiguration, "configuration", false, "an environment variable is missing, malformed or not the job definition's; another attempt would fail alike"},
	{ExitImage, "image", false, "the image or its game is not what it should be; another attempt would fail alike"},
	{ExitGame, "game", false, "the game failed: see its last lines in the log"},
	{ExitSoftware, "software-rendering", false, "the game would be rendered without the GPU, which session.softwareRendering does not allow"},
	{ExitDisplay, "display", false, "the display server, or a part of it, failed again and again"},
	{ExitInternal, "internal", false, "a fault of the session itself"},
	{ExitNoPort, "no-port", true, "no port of the range, or no name of an X display, is free on this host"},
	{ExitHost, "host", true, "the host failed the session (metadata, disk); another host may do"},
	{ExitGPU, "gpu", true, "the host's GPU or its driver is not there; another host may do"},
}

// ExitName returns the name of an exit code, or that of ExitInternal for any other
// number.
func ExitName(code int) string {
	internal := ""
	for _, c := range ExitCodes {
		switch c.Code {
		case code:
			return c.Name
		case ExitInternal:
			internal = c.Name
		}
	}
	return internal
}

// ReservedUsers are the accounts of the session image. No user may have such a name.
var ReservedUsers = strings.Fields(`root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc
 nobody dcv dcvsmagent pulse messagebus sshd ubuntu ec2-user admin session xorg systemd-network systemd-resolve`)

// Reserved reports whether a name is one of ReservedUsers.
func Reserved(user string) bool { return slices.Contains(ReservedUsers, user) }
