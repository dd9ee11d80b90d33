package launch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// ec2Quotas are the Amazon EC2 quotas that limit the hosts, in vCPUs. Spot has a quota
// of its own (Amazon EC2 user guide, "Spot Instance quotas").
const ec2Quotas = "Running On-Demand G and VT instances; for Spot hosts All G and VT Spot Instance Requests"

// phrase explains a text of AWS that has this beginning.
type phrase struct{ beginning, words string }

// blockedReasons are AWS Batch's reasons for a session that it can't place (AWS Batch
// user guide, "Jobs stuck in a RUNNABLE status"). docs/operations.md has them under
// "Nothing starts".
var blockedReasons = []phrase{
	{"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "AWS has none of these instances now, or the account's quota is used up (" + ec2Quotas + "); more may help: types in compute.instanceTypes, zones, compute.spot"},
	{"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "one session needs more vCPUs than compute.maxVcpus has"},
	{"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "the session fits no instance type: look at session.memoryMib, session.vcpus and compute.instanceTypes, and for a job that was submitted by another definition"},
	{"MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED", "AWS can't start one of compute.instanceTypes as it is configured"},
	{"MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", "AWS Batch's service role lacks a right: look at the account's AWSServiceRoleForBatch"},
	{"ACTION_REQUIRED", "the compute environment is INVALID: `aws batch describe-compute-environments` says why; most often AWS Batch can't assume the account's AWSServiceRoleForBatch"},
	{"UNDETERMINED", "the queue is blocked, and AWS Batch does not say by what: look at `aws batch describe-compute-environments`"},
}

// failureReasons are the texts of AWS Batch and the ECS agent for a session that did
// not end by itself. The container's reason says more than the job's, so it is looked
// up first.
var failureReasons = slices.Concat([]phrase{
	{contract.ReasonHost, "the host went away: Spot capacity was reclaimed, its hardware failed, an update of the hosts did not wait longer (compute.updateTimeoutMinutes), or somebody terminated it"},
	{contract.ReasonTimeout, "it ran longer than session.maxMinutes and did not end by itself"},
	{"CannotPullContainerError", "the host can't pull the image: is it still in the registry, does the host's subnet reach it, and may the execution role pull it? `pulumi up` restores the right"},
	{"CannotPullECRContainerError", "Amazon ECR gave the host no password for the registry: does the host's subnet reach ECR, and has the execution role ecr:GetAuthorizationToken? `pulumi up` restores the right"},
	{"CannotCreateContainerError", "the host can't create the container: look at the host's disk and at the job definition"},
	{"CannotStartContainerError", "the host can't start the container: look at the log group and at the image's entry point"},
	{"DockerTimeoutError", "the host's Docker did not answer in time"},
	{contract.ReasonRole, "the host can't assume one of the session's roles: `pulumi up` restores them"},
	{contract.ReasonOutOfMemory, "the session used more than session.memoryMib, and the host ended it"},
	{contract.ReasonNotStarted, "the host could not start the container"},
	{contract.ReasonTimeLimit, "it waited longer than queue.maxWaitMinutes at the head of the queue"},
}, unreadable())

// unreadable explains each of the texts for a secret that can't be read.
func unreadable() []phrase {
	var all []phrase
	for _, beginning := range contract.ReasonsSecret {
		all = append(all, phrase{beginning, secretUnreadable})
	}
	return all
}

const secretUnreadable = "the host can't read the user's secret: is it there, and may the execution role read it? `pulumi up` restores both"

// phraseFor returns the explanation of a text, or "".
func phraseFor(table []phrase, text string) string {
	for _, p := range table {
		if strings.HasPrefix(text, p.beginning) {
			return p.words
		}
	}
	return ""
}

// exitMeaning returns the meaning of a session's exit code. A code above 128 is a
// signal's.
func exitMeaning(code int) string {
	for _, known := range contract.ExitCodes {
		if known.Code == code {
			return known.Meaning
		}
	}
	if code > 128 {
		return fmt.Sprintf("it was ended by signal %d", code-128)
	}
	return fmt.Sprintf("exit code %d, which no session has", code)
}

// endReason returns in words why a session ended. The event `ended` may be nil.
func endReason(j job, ended *contract.Event) string {
	status, reason, code := aws.ToString(j.StatusReason), "", (*int32)(nil)
	if j.Container != nil {
		reason, code = aws.ToString(j.Container.Reason), j.Container.ExitCode
	}
	return reasonInWords(status, reason, code, ended)
}

func reasonInWords(status, reason string, code *int32, ended *contract.Event) string {
	if text := phraseFor(failureReasons, reason); text != "" {
		return text
	}
	if text := phraseFor(failureReasons, status); text != "" {
		return joinNonEmpty(": ", text, timeLimitCause(status))
	}
	if code != nil && (status == contract.ReasonExited || status == "") {
		own := ""
		if ended != nil {
			own = ended.Reason
		}
		if *code == contract.ExitOK && own != "" {
			return own
		}
		return joinNonEmpty(": ", exitMeaning(int(*code)), own)
	}
	if status == "" || status == contract.ReasonExited {
		return "AWS Batch does not say why"
	}
	// TerminateJob's reason is the caller's text.
	return fmt.Sprintf("it was ended from outside: %q", status)
}

// timeLimitCause explains why a session waited at the head of the queue until AWS Batch
// canceled it: AWS Batch's text ends with the reason.
func timeLimitCause(status string) string {
	_, code, found := strings.Cut(status, "due to reason: ")
	if !found {
		return ""
	}
	return phraseFor(blockedReasons, code)
}

// attemptReason returns in words why the last attempt ended.
func attemptReason(last *types.AttemptDetail) string {
	status, reason, code := aws.ToString(last.StatusReason), "", (*int32)(nil)
	if last.Container != nil {
		reason, code = aws.ToString(last.Container.Reason), last.Container.ExitCode
	}
	if strings.HasPrefix(status, contract.ReasonHost) {
		return "the host went away"
	}
	return reasonInWords(status, reason, code, nil)
}
