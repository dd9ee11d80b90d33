package roles

import (
	"maps"
	"slices"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
)

type list = iampolicy.List

// licence lets DCV find that it runs on EC2 and is licensed (DCV administrator
// guide, "Licensing requirements"): a bucket of AWS's in each Region. DCV's server
// reads it with the host's role, from the instance metadata: the session's
// supervisor starts it without the variables that name a task role's credentials.
func licence(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("DCVLicence", list{"s3:GetObject"},
		list{"arn:" + at.Partition + ":s3:::dcv-license." + at.Region + "/*"})
}

// userSecrets is what the ECS agent injects. No container holds this role.
func userSecrets(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("UserSecrets", list{"secretsmanager:GetSecretValue"},
		list{at.ARN("secretsmanager", "secret:"+contract.PathPrefix(at.Stack)+"users/*")})
}

// certificate is injected like users' secrets, into every session.
func certificate(arn string) iampolicy.Statement {
	return iampolicy.Allow("Certificate", list{"secretsmanager:GetSecretValue"}, list{arn})
}

func writeLog(group string) iampolicy.Statement {
	return iampolicy.Allow("SessionLog", list{"logs:CreateLogStream", "logs:PutLogEvents"}, list{group + ":*"})
}

// userTopics is how a session tells its user.
func userTopics(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("TellUsers", list{"sns:Publish"}, list{at.ARN("sns", contract.NamePrefix(at.Stack)+"*")})
}

// useTopicKey is needed to publish to an encrypted topic, and useful for that only.
func useTopicKey(at arns.Scope, key string) iampolicy.Statement {
	return iampolicy.Allow("TellUsersEncrypted", list{"kms:Decrypt", "kms:GenerateDataKey*"}, list{key}).
		When("StringEquals", "kms:ViaService", "sns."+at.Region+".amazonaws.com")
}

// pull allows all that a pull takes beside the registry's password (AWS Batch user
// guide, "AWS Batch IAM execution role"). The ECS agent pulls with the execution
// role, on EC2 too (amazon-ecs-agent, Container.ShouldPullWithExecutionRole).
func pull(repositories list) iampolicy.Statement {
	return iampolicy.Allow("Pull", list{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
	}, repositories)
}

// registryLogin has no resource level (Service Authorization Reference, "Actions
// defined by Amazon Elastic Container Registry").
func registryLogin() iampolicy.Statement {
	return iampolicy.Allow("Login", list{"ecr:GetAuthorizationToken"}, list{"*"})
}

// batchClusters is how AWS Batch names the ECS clusters of its environments:
// AWSBatch-ENVIRONMENT-UUID. Its own role may end tasks in these only (AWS managed
// policy reference, "BatchServiceRolePolicy").
const batchClusters = "AWSBatch*"

// containerInstance allows what the ECS agent does as an instance of AWS Batch's
// cluster (Amazon ECS developer guide, "Amazon ECS container instance IAM role";
// resources: Service Authorization Reference, "Actions defined by Amazon Elastic
// Container Service"). AmazonEC2ContainerServiceforEC2Role has more: clusters are
// made by AWS Batch, images are pulled and logs written with the execution role,
// and instances get no tags from the agent.
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

// supportAccess allows what Session Manager needs of an instance, and nothing of
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

// launch is what starting, finding and ending sessions takes: Batch and Logs,
// nothing of EC2, ECS or Secrets Manager.
//
// A job may be ended by its tag, so nothing here puts the tag on a job that is
// there already. SubmitJob with tags takes the right to tag the queue and the
// definition that it names, and not the job (AWS's pages don't say so; its denials
// name the definition, github.com/wri/gfw-data-api/pull/175, and that project
// submits with rights to these two only).
func launch(at arns.Scope, queue, group string) []iampolicy.Statement {
	definitions := at.ARN("batch", "job-definition/"+contract.NamePrefix(at.Stack)+"*") // with or without a revision
	jobs := at.ARN("batch", "job/*")
	const requestTag, resourceTag = "aws:RequestTag/" + contract.TagStack, "aws:ResourceTag/" + contract.TagStack
	return []iampolicy.Statement{
		iampolicy.Allow("Submit", list{"batch:SubmitJob"}, list{queue, definitions, jobs}),
		// The same action lets a launcher tag the queue and the definitions themselves:
		// with these keys only.
		iampolicy.Allow("TagWhatIsSubmitted", list{"batch:TagResource"}, list{queue, definitions}).
			When("StringEquals", requestTag, at.Stack).
			When("ForAllValues:StringEquals", "aws:TagKeys", slices.Sorted(maps.Keys(contract.JobTags("", "")))...),
		// contract.Proof: a job of the stack gets the tag that it has.
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
