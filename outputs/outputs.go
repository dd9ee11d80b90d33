// Package outputs is the contract of a stack with other teams: what it exports,
// under which names, and how a consumer reads it from `pulumi stack output
// --json`. Pulumi programs read it by package pulumioutputs.
//
// A released name keeps its meaning and type. Adding one is no change of the
// contract; renaming, removing or retyping one takes a new contract.Version.
package outputs

import (
	"fmt"

	"github.com/intraverse/dcv-sessions/contract"
)

// Fields are a stack's outputs, named once for both sides: the stack exports them
// with texts that AWS makes during an update (package pulumioutputs), and consumers
// read them with texts that are known. Tags: json is the stable name, doc is for
// consumers (docs/outputs.md and docs/outputs.schema.json are generated from both).
type Fields[Text any] struct {
	ContractVersion   int                `json:"contractVersion" doc:"The version of this contract. A consumer refuses one that it does not know."`
	Stack             string             `json:"stack" doc:"The Pulumi stack's name: a part of every job's name and tags."`
	Region            string             `json:"region" doc:"The AWS Region of the stack."`
	QueueARN          Text               `json:"queueArn" doc:"The job queue that sessions are submitted to."`
	QueueName         Text               `json:"queueName" doc:"The queue's name."`
	JobDefinitions    map[string]Text    `json:"jobDefinitions" doc:"Each user's job definition, by name. Submit by this name, never by a revision: the newest active one is used."`
	MaxSessions       int                `json:"maxSessions" doc:"How many sessions run at once at most, as far as the stack's own limits go; further ones wait in the queue."`
	ImageURI          Text               `json:"imageUri" doc:"The session image that new sessions run, repository@sha256:…."`
	RepositoryURL     Text               `json:"repositoryUrl" doc:"The ECR repository of session images."`
	Ports             contract.PortRange `json:"ports" doc:"The ports, TCP and UDP, of which each session takes one; first and last are included."`
	SecurityGroupID   Text               `json:"securityGroupId" doc:"The security group of the session hosts."`
	HostImage         string             `json:"hostImage" doc:"The machine image (AMI) of the session hosts."`
	CredentialsARNs   map[string]Text    `json:"credentialsArns" doc:"Each user's credentials secret: {username, password} as JSON. Reading one takes a right that this stack gives to nobody."`
	TeamTopicARN      Text               `json:"teamTopicArn" doc:"The SNS topic that tells the team."`
	TopicARNs         map[string]Text    `json:"topicArns" doc:"The SNS topic of each user who is notified; others have none."`
	LogGroup          Text               `json:"logGroup" doc:"The log group of all sessions; a session's stream is its job's logStreamName."`
	BuilderInstanceID Text               `json:"builderInstanceId" doc:"The instance that builds images; it is stopped between builds."`
	GameBuildsBucket  Text               `json:"gameBuildsBucket" doc:"The versioned S3 bucket that game builds are uploaded to."`
	LauncherPolicyARN Text               `json:"launcherPolicyArn" doc:"The managed policy for whoever starts, finds and ends sessions; attach it to the launcher's role."`
	SubmitCommand     Text               `json:"submitCommand" doc:"A shell command that submits a session; set PLAYER to the user's name."`
}

// Outputs are a stack's outputs as a consumer reads them.
type Outputs = Fields[string]

// SubmitCommand is the AWS CLI's call that starts a session, with the name and
// the tags by which sessions are found.
func SubmitCommand(region, queue, stack, player string) string {
	tags := ""
	for _, name := range []string{contract.TagProject, contract.TagStack, contract.TagUser} {
		if tags != "" {
			tags += ","
		}
		tags += name + "=" + contract.JobTags(stack, "$PLAYER")[name]
	}
	return fmt.Sprintf(`PLAYER=%s; aws batch submit-job --region %s --job-queue %s --job-name "%s" --job-definition "%s" --tags "%s" --propagate-tags`,
		player, region, queue, contract.JobName(stack, "$PLAYER"), contract.JobDefinition(stack, "$PLAYER"), tags)
}
