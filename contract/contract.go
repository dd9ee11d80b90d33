// Package contract is what the Pulumi program, the session in its container,
// the launcher and the tests agree on. Nothing of it is written twice: a name
// that two of them use stands here and nowhere else.
//
// It imports the standard library only, so that the session binary stays small.
package contract

import (
	"fmt"
	"regexp"
	"strings"
)

// Version is raised when a released output, event or environment name is
// renamed, removed or changes its type. Consumers compare it.
const Version = 1

// Product is the Pulumi project's name and the first part of every physical
// name that this project owns.
const Product = "dcv-sessions"

// Tags on every AWS resource and on every job. They are how cost is
// attributed, how a session is found, and who may end it.
const (
	TagProject = "dcv-sessions:project" // always Product
	TagStack   = "dcv-sessions:stack"   // the Pulumi stack's name
	TagUser    = "dcv-sessions:user"    // the user whose resource or session it is
)

// UserPattern is what a user's name must match: it is at once a Linux account,
// a part of physical AWS names and a tag value.
var UserPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// StackPattern is what a stack's name must match, so that "_" ends it without
// doubt in a physical name: no stack's prefix is the beginning of another's.
var StackPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,20}$`)

// NamePrefix begins every physical name (job definitions, topics, roles,
// policies) that a stack owns: "dcv-sessions_dev_".
func NamePrefix(stack string) string { return Product + "_" + stack + "_" }

// PathPrefix begins every secret's and log group's name that a stack owns:
// "dcv-sessions/dev/". Log groups put a "/" before it.
func PathPrefix(stack string) string { return Product + "/" + stack + "/" }

// JobDefinition is the name of a user's job definition. Consumers submit by
// this name, never by a revision: the latest active one is then used.
func JobDefinition(stack, user string) string { return NamePrefix(stack) + user }

// JobName is the fixed name of a user's jobs (AWS: up to 128 letters, digits,
// "-" and "_"). It is how a running session is found.
func JobName(stack, user string) string { return NamePrefix(stack) + user }

// JobTags are the tags that a session must be submitted with.
func JobTags(stack, user string) map[string]string {
	return map[string]string{TagProject: Product, TagStack: stack, TagUser: user}
}

// LogGroupPrefix begins the name of the log group that all sessions of a stack
// write to. Consumers take the whole name from the stack's outputs.
func LogGroupPrefix(stack string) string { return "/" + PathPrefix(stack) + "sessions-" }

// Environment variables that the job definition sets for the session.
const (
	EnvContract    = "DCV_CONTRACT"     // Version, decimal
	EnvStack       = "DCV_STACK"        // the Pulumi stack's name
	EnvUser        = "DCV_USER"         // the user's name
	EnvPortFirst   = "DCV_PORT_FIRST"   // first port of the range
	EnvPortLast    = "DCV_PORT_LAST"    // last port of the range, inclusive
	EnvRegion      = "AWS_REGION"       // Batch sets none on EC2
	EnvImage       = "DCV_IMAGE"        // repository@sha256:… that the job runs
	EnvStopSeconds = "DCV_STOP_SECONDS" // seconds between SIGTERM and SIGKILL on the host
	EnvMaxSeconds  = "DCV_MAX_SECONDS"  // the session ends itself after this long

	// EnvCredentials and EnvNotify are injected by the execution role from
	// Secrets Manager: a Credentials and a Notification as JSON.
	EnvCredentials = "DCV_CREDENTIALS"
	EnvNotify      = "DCV_NOTIFY"
)

// Credentials is the JSON of a user's credentials secret.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Notification is the JSON of a user's notification secret.
type Notification struct {
	TopicARN string `json:"topicArn"`
	Address  string `json:"address"`
}

// PortRange is an inclusive range of TCP and UDP ports. Batch offers host
// networking only, so each session of a host takes a free port of it.
type PortRange struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// Width is how many sessions the range can carry on one host.
func (r PortRange) Width() int { return r.Last - r.First + 1 }

// String is "8443-8446".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// EnvLaunch is what a launcher sets for a session that it submits, to a random
// text: AWS Batch's SubmitJob has no client token, and by this a launcher knows
// which job is its own when the answer was lost. The session does not read it.
const EnvLaunch = "DCV_LAUNCH"

// HealthPath is served by the session on its public port from its first second.
const HealthPath = "/healthz"

// EndPath takes an EndRequest by POST, on the session's public port. A session
// that is asked to end exits with ExitOK and its job is SUCCEEDED; one that AWS
// Batch terminates is always FAILED.
const EndPath = "/end"

// EndRequest asks a session to end.
type EndRequest struct {
	Session string `json:"session"` // the session's id, which is its job's
	Reason  string `json:"reason"`  // in words; told by the `ended` event
	Proof   Proof  `json:"proof"`
}

// Proof is a call of CloudWatch Logs, signed by who asks and sent by the session:
// DescribeLogStreams of the stack's log group. AWS answers it only for who may
// read the log, as the launcher policy allows for its own stack; so IAM decides
// who may end a session, and nobody keeps a secret for it. The signature covers
// HeaderSession: a proof is good for one session. The streams in AWS's answer
// must be of the session's own account: everybody may have a group of that name.
type Proof struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// ProofTarget is the operation that a Proof calls, by its X-Amz-Target.
const ProofTarget = "Logs_20140328.DescribeLogStreams"

// HeaderSession carries the session's id in a Proof.
const HeaderSession = "X-Dcv-Session"

// EventName names a line of a session's log.
type EventName string

// The events of a session's life, in the order in which they come.
const (
	EventStarting EventName = "starting"
	EventReady    EventName = "ready" // carries URL and Certificate
	EventEnded    EventName = "ended" // carries ExitCode and Reason
)

// Event is one JSON line on a session's stdout. Metric filters and the
// launcher read it; nobody else writes to the stream.
type Event struct {
	Event   EventName `json:"event"`
	Time    string    `json:"time"` // RFC 3339 with milliseconds, UTC
	Session string    `json:"session"`
	Stack   string    `json:"stack"`
	User    string    `json:"user"`
	Image   string    `json:"image"`
	URL     string    `json:"url,omitempty"`
	// Certificate is the SHA-256 of the session's certificate (DER), in
	// hexadecimal digits: a launcher trusts this one and no other.
	Certificate string `json:"certificateSha256,omitempty"`
	Reason      string `json:"reason,omitempty"`
	ExitCode    *int   `json:"exitCode,omitempty"`
}

// ExitCode is how a session's process ends. The job definition's retry rules
// follow Retry, so that a fault of the host is tried again and nothing else is.
type ExitCode struct {
	Code    int
	Name    string
	Retry   bool
	Meaning string
}

// The exit codes of a session.
const (
	ExitOK            = 0  // the session ended as it should: the player left, or it was asked to end
	ExitConfiguration = 64 // an environment variable is missing or malformed
	ExitNoPort        = 69 // no free port in the range
	ExitHost          = 75 // the host failed the session: worth another host
	ExitInternal      = 70 // a fault of the session itself
)

// ExitCodes is the whole table, ascending by code.
var ExitCodes = []ExitCode{
	{ExitOK, "ok", false, "the session ended as it should: its player left, or it was asked to end"},
	{ExitConfiguration, "configuration", false, "an environment variable is missing or malformed; another attempt would fail alike"},
	{ExitNoPort, "no-port", true, "no port of the range is free on this host"},
	{ExitInternal, "internal", false, "a fault of the session itself"},
	{ExitHost, "host", true, "the host failed the session (metadata, disk); another host may do"},
}

// ReservedUsers are accounts of the session image, which no user may be named
// after.
var ReservedUsers = strings.Fields(`root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc
 nobody dcv dcvsmagent pulse messagebus sshd ubuntu ec2-user admin session xorg systemd-network systemd-resolve`)

// Reserved tells whether a name is an account of the session image.
func Reserved(user string) bool {
	for _, name := range ReservedUsers {
		if name == user {
			return true
		}
	}
	return false
}
