package roles

import (
	"maps"
	"slices"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
)

type list = iampolicy.List

// licence allows the read by which a DCV server proves that it runs on EC2 (DCV
// administrator guide, "Licensing requirements"): AWS has a bucket for it in each
// Region. The server reads it with the host's role, by instance metadata: the session's
// supervisor starts it without the variables for a task role's credentials.
func licence(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("DCVLicence", list{"s3:GetObject"},
		list{"arn:" + at.Partition + ":s3:::dcv-license." + at.Region + "/*"})
}

// userSecrets allows the ECS agent to inject the users' secrets. No container has this
// role.
func userSecrets(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("UserSecrets", list{"secretsmanager:GetSecretValue"},
		list{at.ARN("secretsmanager", "secret:"+contract.PathPrefix(at.Stack)+"users/*")})
}

// certificate allows the ECS agent to inject the certificate's secret into every session.
func certificate(arn string) iampolicy.Statement {
	return iampolicy.Allow("Certificate", list{"secretsmanager:GetSecretValue"}, list{arn})
}

func writeLog(group string) iampolicy.Statement {
	return iampolicy.Allow("SessionLog", list{"logs:CreateLogStream", "logs:PutLogEvents"}, list{group + ":*"})
}

// userTopics allows a session to notify its user.
func userTopics(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("TellUsers", list{"sns:Publish"}, list{at.ARN("sns", contract.NamePrefix(at.Stack)+"*")})
}

// useTopicKey allows the use of the topics' key, only to publish to an encrypted topic.
func useTopicKey(at arns.Scope, key string) iampolicy.Statement {
	return iampolicy.Allow("TellUsersEncrypted", list{"kms:Decrypt", "kms:GenerateDataKey*"}, list{key}).
		When("StringEquals", "kms:ViaService", "sns."+at.Region+".amazonaws.com")
}

// pull allows a pull of the images, apart from the registry's password (AWS Batch user
// guide, "AWS Batch IAM execution role"). The ECS agent pulls with the execution
// role, on EC2 too (amazon-ecs-agent, Container.ShouldPullWithExecutionRole).
func pull(repositories list) iampolicy.Statement {
	return iampolicy.Allow("Pull", list{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
	}, repositories)
}

// registryLogin allows getting the registry's password. The action has no resource level
// (Service Authorization Reference, "Actions defined by Amazon Elastic Container
// Registry").
func registryLogin() iampolicy.Statement {
	return iampolicy.Allow("Login", list{"ecr:GetAuthorizationToken"}, list{"*"})
}

// batchClusters matches the names that AWS Batch gives to the ECS clusters of its
// environments: AWSBatch-ENVIRONMENT-UUID. Batch's own role may end tasks in these only
// (AWS managed policy reference, "BatchServiceRolePolicy").
const batchClusters = "AWSBatch*"

// containerInstance allows the calls of the ECS agent on an instance of AWS Batch's
// cluster (Amazon ECS developer guide, "Amazon ECS container instance IAM role";
// resources: Service Authorization Reference, "Actions defined by Amazon Elastic
// Container Service"). AmazonEC2ContainerServiceforEC2Role allows more than is needed:
// AWS Batch makes the clusters, images are pulled and logs are written with the
// execution role, and the agent does not tag instances.
func containerInstance(at arns.Scope) []iampolicy.Statement {
	clusters := list{at.ARN("ecs", "cluster/"+batchClusters)}
	instances := list{at.ARN("ecs", "container-instance/"+batchClusters+"/*")}
	return []iampolicy.Statement{
		iampolicy.Allow("JoinCluster", list{
			"ecs:DeregisterContainerInstance", "ecs:RegisterContainerInstance",
			"ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange",
		}, clusters),
		// A Spot host drains itself by the last one.
		iampolicy.Allow("TakeTasks", list{
			"ecs:DeregisterContainerInstance", "ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState",
		}, instances),
		iampolicy.Allow("FindCluster", list{"ecs:DiscoverPollEndpoint"}, list{"*"}), // no resource level
	}
}

// supportAccess allows an instance to be reached by Session Manager, and no use of
// Systems Manager's documents and parameters (Systems Manager user guide, "Verify
// or add instance permissions for Session Manager", which names no resources).
func supportAccess() iampolicy.Statement {
	return iampolicy.Allow("SupportAccess", list{
		"ssm:UpdateInstanceInformation",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
		"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
	}, list{"*"})
}

func readBuilds(bucket string) iampolicy.Statement {
	return iampolicy.Allow("ReadBuilds", list{"s3:GetObject", "s3:GetObjectVersion"}, list{bucket + "/*"})
}

// launch allows starting, finding and ending sessions. It needs AWS Batch and CloudWatch
// Logs, and no EC2, ECS or Secrets Manager.
//
// The right to end a job depends on its tag, so no statement here allows putting the
// tag on a job without it. SubmitJob with tags needs the right to tag the queue and the
// definition that it names, and not the job. AWS's pages don't say so, but its denials
// name the definition (github.com/wri/gfw-data-api/pull/175), and that project submits
// with rights to these two only.
func launch(at arns.Scope, queue, group string) []iampolicy.Statement {
	definitions := at.ARN("batch", "job-definition/"+contract.NamePrefix(at.Stack)+"*") // with or without a revision
	jobs := at.ARN("batch", "job/*")
	const requestTag, resourceTag = "aws:RequestTag/" + contract.TagStack, "aws:ResourceTag/" + contract.TagStack
	return []iampolicy.Statement{
		iampolicy.Allow("Submit", list{"batch:SubmitJob"}, list{queue, definitions, jobs}),
		// The same action also allows tagging the queue and the definitions themselves, so
		// it is limited to these keys.
		iampolicy.Allow("TagWhatIsSubmitted", list{"batch:TagResource"}, list{queue, definitions}).
			When("StringEquals", requestTag, at.Stack).
			When("ForAllValues:StringEquals", "aws:TagKeys", slices.Sorted(maps.Keys(contract.JobTags("", "")))...),
		// For contract.Proof: a job of the stack is given the tag that it already has.
		iampolicy.Allow("AskToEnd", list{"batch:TagResource"}, list{jobs}).
			When("StringEquals", requestTag, at.Stack).
			When("StringEquals", resourceTag, at.Stack).
			When("ForAllValues:StringEquals", "aws:TagKeys", contract.TagStack),
		iampolicy.Allow("End", list{"batch:TerminateJob"}, list{jobs}).
			When("StringEquals", resourceTag, at.Stack),
		// Neither has a resource level (Service Authorization Reference, "Actions
		// defined by AWS Batch").
		iampolicy.Allow("Find", list{"batch:DescribeJobs", "batch:ListJobs"}, list{"*"}),
		iampolicy.Allow("ReadLog", list{"logs:GetLogEvents"}, list{group + ":*"}),
	}
}
