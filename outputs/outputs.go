// Package outputs is the contract of a stack with other teams: what it exports,
// under which names, and how a consumer reads it from `pulumi stack output
// --json`. Pulumi programs read it by package pulumioutputs.
//
// A released name keeps its meaning and type. Adding one is no change of the
// contract; renaming, removing or retyping one takes a new contract.Version.
package outputs

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/intraverse/dcv-sessions/contract"
)

// Outputs is everything that a stack exports. Tags: json is the stable name, doc
// what consumers are told (docs/outputs.md and docs/outputs.schema.json are
// generated from them).
type Outputs struct {
	ContractVersion   int                `json:"contractVersion" doc:"The version of this contract. A consumer refuses one that it does not know."`
	Stack             string             `json:"stack" doc:"The Pulumi stack's name: a part of every job's name and tags."`
	Region            string             `json:"region" doc:"The AWS Region of the stack."`
	QueueARN          string             `json:"queueArn" doc:"The job queue that sessions are submitted to."`
	QueueName         string             `json:"queueName" doc:"The queue's name."`
	JobDefinitions    map[string]string  `json:"jobDefinitions" doc:"Each user's job definition, by name. Submit by this name, never by a revision: the newest active one is used."`
	MaxSessions       int                `json:"maxSessions" doc:"How many sessions run at once at most, as far as the stack's own limits go; further ones wait in the queue."`
	ImageURI          string             `json:"imageUri" doc:"The session image that new sessions run, repository@sha256:…."`
	RepositoryURL     string             `json:"repositoryUrl" doc:"The ECR repository of session images."`
	Ports             contract.PortRange `json:"ports" doc:"The ports, TCP and UDP, of which each session takes one; first and last are included."`
	SecurityGroupID   string             `json:"securityGroupId" doc:"The security group of the session hosts."`
	HostImage         string             `json:"hostImage" doc:"The machine image (AMI) of the session hosts."`
	CredentialsARNs   map[string]string  `json:"credentialsArns" doc:"Each user's credentials secret: {username, password} as JSON. Reading one takes a right that this stack gives to nobody."`
	TeamTopicARN      string             `json:"teamTopicArn" doc:"The SNS topic that tells the team."`
	TopicARNs         map[string]string  `json:"topicArns" doc:"The SNS topic of each user who is notified; others have none."`
	LogGroup          string             `json:"logGroup" doc:"The log group of all sessions; a session's stream is its job's logStreamName."`
	BuilderInstanceID string             `json:"builderInstanceId" doc:"The instance that builds images; it is stopped between builds."`
	GameBuildsBucket  string             `json:"gameBuildsBucket" doc:"The versioned S3 bucket that game builds are uploaded to."`
	LauncherPolicyARN string             `json:"launcherPolicyArn" doc:"The managed policy for whoever starts, finds and ends sessions; attach it to the launcher's role."`
	SubmitCommand     string             `json:"submitCommand" doc:"A shell command that submits a session; set PLAYER to the user's name."`
}

// Parse reads the JSON of `pulumi stack output --json`. It refuses a contract
// version that this package does not know, and outputs that are not this
// project's; names that it does not know it leaves out.
func Parse(text []byte) (Outputs, error) {
	var o Outputs
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&o); err != nil {
		return o, fmt.Errorf("stack outputs: %w", err)
	}
	if o.ContractVersion != contract.Version {
		return o, fmt.Errorf("stack outputs: contractVersion is %d, and this program reads %d: is this a %s stack, and of which release?",
			o.ContractVersion, contract.Version, contract.Product)
	}
	return o, nil
}

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
