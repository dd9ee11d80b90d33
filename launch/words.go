package launch

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// quotas are those of Amazon EC2 that bound the hosts, in vCPUs. Spot has one of
// its own (Amazon EC2 user guide, "Spot Instance quotas").
const quotas = "Running On-Demand G and VT instances; for Spot hosts All G and VT Spot Instance Requests"

// phrase says in words what AWS means by a text that begins so.
type phrase struct{ beginning, words string }

// blocked are AWS Batch's reasons for a session that can't be placed (AWS Batch
// user guide, "Jobs stuck in a RUNNABLE status"): what docs/operations.md says
// under "Nothing starts".
var blocked = []phrase{
	{"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "AWS has none of these instances now, or the account's quota is used up (" + quotas + "); more may help: types in compute.instanceTypes, zones, compute.spot"},
	{"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "one session needs more vCPUs than compute.maxVcpus has"},
	{"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "the session fits no instance type: look at session.memoryMib, session.vcpus and compute.instanceTypes, and for a job that was submitted by another definition"},
	{"MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED", "AWS can't start one of compute.instanceTypes as it is configured"},
	{"MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", "AWS Batch's service role lacks a right: look at the account's AWSServiceRoleForBatch"},
	{"ACTION_REQUIRED", "the compute environment is INVALID: `aws batch describe-compute-environments` says why; most often AWS Batch can't assume the account's AWSServiceRoleForBatch"},
	{"UNDETERMINED", "the queue is blocked, and AWS Batch does not say by what: look at `aws batch describe-compute-environments`"},
}

// failures are the texts of AWS Batch and the ECS agent for a session that did
// not end by itself. The container's reason says more than the job's, so it is
// looked up first.
var failures = []phrase{
	{"Host EC2", "the host went away: reclaimed Spot, a fault of the hardware, a change of the hosts that waited no longer (compute.updateTimeoutMinutes), or somebody ended it"},
	{"Job attempt duration exceeded timeout", "it ran longer than session.maxMinutes and did not end by itself"},
	{"CannotPullContainerError", "the host can't pull the image: is it still in the registry, does the host's subnet reach it, and may the execution role pull it? `pulumi up` restores the right"},
	{"CannotPullECRContainerError", "Amazon ECR gave the host no password for the registry: does the host's subnet reach ECR, and has the execution role ecr:GetAuthorizationToken? `pulumi up` restores the right"},
	{"CannotCreateContainerError", "the host can't create the container: look at the host's disk and at the job definition"},
	{"CannotStartContainerError", "the host can't start the container: look at the log group and at the image's entry point"},
	{"DockerTimeoutError", "the host's Docker did not answer in time"},
	{"ResourceInitializationError", unreadable},
	{"Fetching secret data", unreadable},
	{"fetching secret data", unreadable},
	{"ASM secret resource", unreadable},
	{"operation error Secrets Manager", unreadable},
	{"AccessDeniedException", unreadable},
	{"ECS was unable to assume the role", "the host can't assume one of the session's roles: `pulumi up` restores them"},
	{"OutOfMemoryError", "the session used more than session.memoryMib, and the host ended it"},
	{"Task failed to start", "the host could not start the container"},
	{"Canceled by JobStateTimeLimit", "it waited longer than queue.maxWaitMinutes at the head of the queue"},
}

const unreadable = "the host can't read the user's secret: is it there, and may the execution role read it? `pulumi up` sees to both"

// exited is AWS Batch's text for a container that ended by itself, well or not.
const exited = "Essential container in task exited"

func look(table []phrase, text string) string {
	for _, p := range table {
		if strings.HasPrefix(text, p.beginning) {
			return p.words
		}
	}
	return ""
}

// meaning is an exit code in words. Above 128 it is a signal's.
func meaning(code int) string {
	for _, known := range contract.ExitCodes {
		if known.Code == code {
			return known.Meaning
		}
	}
	if code > 128 {
		return fmt.Sprintf("it was ended by signal %d", code-128)
	}
	return fmt.Sprintf("exit code %d, which is none of a session's", code)
}

// ending is why a session ended, in words; said is its own last event, if it came
// to that.
func ending(j job, said *contract.Event) string {
	status, reason, code := aws.ToString(j.StatusReason), "", (*int32)(nil)
	if j.Container != nil {
		reason, code = aws.ToString(j.Container.Reason), j.Container.ExitCode
	}
	return words(status, reason, code, said)
}

func words(status, reason string, code *int32, said *contract.Event) string {
	if text := look(failures, reason); text != "" {
		return text
	}
	if text := look(failures, status); text != "" {
		return join(": ", text, limited(status))
	}
	if code != nil && (status == exited || status == "") {
		own := ""
		if said != nil {
			own = said.Reason
		}
		if *code == contract.ExitOK && own != "" {
			return own
		}
		return join(": ", meaning(int(*code)), own)
	}
	if status == "" || status == exited {
		return "AWS Batch does not say why"
	}
	// TerminateJob's reason is the caller's text.
	return fmt.Sprintf("it was ended from outside: %q", status)
}

// limited is what a session waited for at the queue's head when AWS Batch gave it
// up: the text ends with the code.
func limited(status string) string {
	_, code, found := strings.Cut(status, "due to reason: ")
	if !found {
		return ""
	}
	return look(blocked, code)
}

// The steps of a start, in order.
const (
	StepQueue   = "queue"   // others are before it, or AWS Batch can't place it
	StepHost    = "host"    // it is the next, and a host starts
	StepImage   = "image"   // a host has it and pulls the image
	StepSession = "session" // its container runs
	StepReady   = "ready"   // it says that it is ready
)

// stateTexts are the states of a session that a player waits in.
var stateTexts = map[contract.State]string{
	contract.StateUser:    "creating the player's account",
	contract.StateDisplay: "starting the X server",
	contract.StateSession: "starting the remote display and the sound",
	contract.StateGame:    "starting the game",
	contract.StateEnding:  "the session is ending",
}

// waiting is the step that a session is at, and what it waits for in words.
func waiting(j job, now line, log sessionLog) (step, text string) {
	switch j.Status {
	case types.JobStatusRunning:
		if log.ended != nil {
			log.state = contract.StateEnding
		}
		return StepSession, cmp.Or(stateTexts[log.state], "the session starts")
	case types.JobStatusStarting:
		return StepImage, "the host pulls the image"
	}
	step, text = queued(j, now)
	if last := j.last(); last != nil {
		text = retried(last) + "; another attempt: " + text
	}
	return step, text
}

// queued tells of a session without a host. Where AWS Batch gives no reason at
// the queue's head, a host is on its way: that takes AWS minutes.
func queued(j job, now line) (step, text string) {
	before, counted := now.before[j.id()]
	reason := aws.ToString(j.StatusReason)
	switch {
	case look(blocked, reason) != "":
		return StepQueue, look(blocked, reason)
	case j.Status == types.JobStatusRunnable && reason != "" && j.last() == nil:
		return StepQueue, reason
	case before > 0:
		return StepQueue, fmt.Sprintf("in the queue: %d before you", before)
	case counted && now.full:
		return StepQueue, "in the queue, the next: every host is taken, it starts when a session ends"
	case counted:
		return StepHost, "waiting for a host to start"
	}
	return StepQueue, "in the queue"
}

// retried is why the last attempt ended.
func retried(last *types.AttemptDetail) string {
	status, reason, code := aws.ToString(last.StatusReason), "", (*int32)(nil)
	if last.Container != nil {
		reason, code = aws.ToString(last.Container.Reason), last.Container.ExitCode
	}
	if strings.HasPrefix(status, "Host EC2") {
		return "the host went away"
	}
	return words(status, reason, code, nil)
}
