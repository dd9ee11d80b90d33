// Package outputs is the contract of a stack with other teams: the names and types of
// its outputs. Consumers read them from `pulumi stack output --json`, and Pulumi
// programs by package pulumioutputs.
//
// A released name keeps its meaning and type. A new name does not change the contract;
// to rename, remove or retype one takes a new contract.Version.
package outputs

import (
	"fmt"

	"github.com/intraverse/dcv-sessions/contract"
)

// Fields are the outputs of a stack. A stack exports them with texts that are known
// after its update (pulumioutputs.Values), consumers read them as strings (Outputs).
//
// The tag json is the stable name, and the tag doc the description for consumers:
// docs/outputs.md and docs/outputs.schema.json are generated from both.
type Fields[Text any] struct {
	ContractVersion   int                     `json:"contractVersion" doc:"The version of this contract. A consumer refuses one that it does not know."`
	Stack             string                  `json:"stack" doc:"The Pulumi stack's name: a part of every job's name and tags."`
	Region            string                  `json:"region" doc:"The AWS Region of the stack."`
	QueueARN          Text                    `json:"queueArn" doc:"The job queue that sessions are submitted to."`
	QueueName         Text                    `json:"queueName" doc:"The queue's name."`
	JobDefinitions    map[string]Text         `json:"jobDefinitions" doc:"Each user's job definition, by name. Submit by this name, never by a revision: the newest active one is used."`
	MaxSessions       int                     `json:"maxSessions" doc:"The most sessions that run at once by the stack's own limits; further ones wait in the queue."`
	Capacity          []contract.HostCapacity `json:"capacity" doc:"The sessions that hosts of each instance type carry, and their cost, in the order in which AWS Batch prefers the types (docs/sizing.md)."`
	ImageURI          Text                    `json:"imageUri" doc:"The session image that new sessions run, repository@sha256:…."`
	RepositoryURL     Text                    `json:"repositoryUrl" doc:"The ECR repository of session images."`
	Ports             contract.PortRange      `json:"ports" doc:"The ports, TCP and UDP, of which each session takes one; first and last are included."`
	SecurityGroupID   Text                    `json:"securityGroupId" doc:"The security group of the session hosts."`
	HostImage         string                  `json:"hostImage" doc:"The machine image (AMI) of the session hosts."`
	CredentialsARNs   map[string]Text         `json:"credentialsArns" doc:"Each user's credentials secret: {username, password} as JSON. This stack grants nobody the right to read it."`
	TeamTopicARN      Text                    `json:"teamTopicArn" doc:"The SNS topic of the team's notifications."`
	TopicARNs         map[string]Text         `json:"topicArns" doc:"The SNS topic of each user with notifications; others have none."`
	LogGroup          Text                    `json:"logGroup" doc:"The log group of all sessions; a session's stream is its job's logStreamName."`
	DashboardName     Text                    `json:"dashboardName" doc:"The stack's CloudWatch dashboard. make dashboard draws the same without the AWS console."`
	DashboardURL      Text                    `json:"dashboardUrl" doc:"The dashboard in the AWS console, for whoever may sign in to the account."`
	BuilderInstanceID Text                    `json:"builderInstanceId" doc:"The instance that builds images; it is stopped between builds."`
	GameBuildsBucket  Text                    `json:"gameBuildsBucket" doc:"The versioned S3 bucket that game builds are uploaded to."`
	LauncherPolicyARN Text                    `json:"launcherPolicyArn" doc:"The managed policy for starting, finding and ending sessions; attach it to the launcher's role."`
	SubmitCommand     Text                    `json:"submitCommand" doc:"A shell command that submits a session; set PLAYER to the user's name."`
}

// Outputs are a stack's outputs as a consumer reads them.
type Outputs = Fields[string]

// SubmitCommand returns the AWS CLI's call that starts a session, with the name and the
// tags by which launchers find it.
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
