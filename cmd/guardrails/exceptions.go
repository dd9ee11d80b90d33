package main

// exceptions are the violations that were reviewed and accepted. One that matches
// nothing any more fails the check, unless it is for a setting that no environment
// has.
var exceptions = []exception{
	// Machines and network.
	{
		rule: "no-public-address", resource: instance + " builder", property: "associatePublicIpAddress", value: notSet,
		reason: "the builder's way out to AWS's endpoints is its subnet's public address, which costs nothing while it is stopped, as a NAT gateway would; " +
			"its security group has no inbound rule, and the property itself reads as false while the instance is stopped, which would replace it",
	}, {
		rule: "no-public-subnet", resource: vpc + " network", property: "subnetSpecs[].type", value: "Public",
		reason: "players connect to the host that their session runs on; the security group admits them to the session ports only",
	}, {
		rule: "not-from-everywhere", resource: ingress + " network-*", when: "network.openToWorld",
		reason: "the stack's file says twice that players come from everywhere: here and in network.playerCidrs",
	},

	// Containers.
	{
		rule: "not-privileged", resource: jobDefinition + " sessions-*", property: "containerProperties.privileged", when: "session.privileged",
		reason: "the stack's file asks for it, for a DCV set-up that needs the host's devices",
	},

	// Resources that hold data.
	{
		rule: "tags-immutable", resource: repository + " registry", property: "imageTagMutability", value: "MUTABLE",
		reason: "nothing takes an image by its tag: job definitions name digests. Pulumi's docker.Image pushes at every update, " +
			"and Amazon ECR refuses a second push of an immutable tag even of the same digest (components/registry)",
	}, {
		rule: "deletion-can-be-undone", resource: secret + " secrets-*", property: "recoveryWindowInDays", value: "0", in: "sandbox",
		reason: "the sandbox's passwords are of no worth, and its users come back under the same names",
	}, {
		rule: "log-for-a-year", resource: logGroup + " logs", in: "dev",
		reason: "developers' sessions: logs of the last weeks are what somebody looks at",
	}, {
		rule: "log-for-a-year", resource: logGroup + " logs", in: "sandbox",
		reason: "the sandbox's logs go with it",
	}, {
		rule: "protected", resource: "*", in: "dev",
		reason: "dev may be taken down: its images and builds can be made again. A repository that prod pulls from is protected all the same",
	}, {
		rule: "protected", resource: "*", in: "sandbox",
		reason: "`make down` destroys everything",
	},

	// Actions with a wildcard.
	{
		rule: "no-wildcard-action", resource: key + " secrets-topics", property: "Account", value: "kms:*",
		reason: "the statement by which IAM's policies decide on a key at all; without it nobody could change the key (KMS developer guide, \"Default key policy\")",
	}, {
		rule: "no-wildcard-action", resource: key + " secrets-topics", property: "CloudWatch", value: "kms:GenerateDataKey*",
		reason: publishing,
	}, {
		rule: "no-wildcard-action", resource: key + " secrets-topics", property: "Budgets", value: "kms:GenerateDataKey*",
		reason: publishing,
	}, {
		rule: "no-wildcard-action", resource: key + " secrets-topics", property: "EventBridge", value: "kms:GenerateDataKey*",
		reason: publishing,
	}, {
		rule: "no-wildcard-action", resource: rolePolicy + " roles-session", property: "TellUsersEncrypted", value: "kms:GenerateDataKey*",
		reason: publishing,
	},

	// Resources with a wildcard.
	{
		rule: "no-wildcard-resource", resource: rolePolicy + " roles-execution", property: "Login",
		actions: []string{"ecr:GetAuthorizationToken"}, value: "*",
		reason: noLevel + "ecr:GetAuthorizationToken. The password that it returns opens what the role's other statements name",
	}, {
		rule: "no-wildcard-resource", resource: rolePolicy + " roles-host", property: "FindCluster",
		actions: []string{"ecs:DiscoverPollEndpoint"}, value: "*",
		reason: noLevel + "ecs:DiscoverPollEndpoint, which returns an address",
	}, {
		rule: "no-wildcard-resource", resource: rolePolicy + " roles-host", property: "SupportAccess",
		actions: []string{"ssm:UpdateInstanceInformation", "ssmmessages:*Channel"}, value: "*", when: "compute.supportAccess",
		reason: noLevel + "what an instance does for Session Manager",
	}, {
		rule: "no-wildcard-resource", resource: policy + " launcher", property: "Submit",
		actions: []string{"batch:SubmitJob"}, value: ":job/*",
		reason: "a job has no ARN before it is submitted; the same statement names the queue and the definitions, and AWS asks for all three",
	}, {
		rule: "no-wildcard-resource", resource: policy + " launcher", property: "Find",
		actions: []string{"batch:DescribeJobs", "batch:ListJobs"}, value: "*",
		reason: noLevel + "batch:DescribeJobs and batch:ListJobs",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-read", property: "Look",
		actions: []string{"*:Describe*", "*:List*", "ecr:GetAuthorizationToken", "sns:GetSubscriptionAttributes"}, value: "*",
		reason: noLevel + "what lists or describes",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-read", property: "LookAtImages",
		actions: []string{"ecr:DescribeImages", "ecr:DescribeRepositories"}, value: ":*:repository/registry-*",
		reason: "image.use takes another account's image, which is looked at before; that account's repository decides too",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-network", property: "StartFromImage",
		actions: []string{"ec2:RunInstances"}, value: "::image/*",
		reason: "the builder's machine image is AWS's and a new one with each release; it has no tag of the stack",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-network", property: "StartFromImage",
		actions: []string{"ec2:RunInstances"}, value: ":network-interface/*",
		reason: "the interface comes with the builder and gets no tag in that call; the instance that it is for is bounded by the tag",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-network", property: "OwnSessions",
		actions: []string{"ssm:ResumeSession", "ssm:TerminateSession"}, value: ":session/* if StringEquals ssm:resourceTag/aws:ssmmessages:session-id ${aws:userid}",
		reason: "the condition bounds it to sessions that the same role session has started",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-network", property: "OpenSessions",
		actions: []string{"ssmmessages:OpenDataChannel"}, value: ":session/*",
		reason: "AWS knows no condition for it that says whose a session is; opening one takes the token that starting or resuming it has returned",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-network", property: "AskForBuilder",
		actions: []string{"ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation"}, value: "*",
		reason: noLevel + "ssm:DescribeInstanceInformation and ssm:GetCommandInvocation",
	}, {
		rule: "no-wildcard-resource", resource: policy + " pipeline-services", property: "Anywhere",
		actions: []string{"secretsmanager:GetRandomPassword", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"}, value: "*",
		reason: noLevel + "a random text and what changes a subscription",
	},

	// Principals.
	{
		rule: "service-for-whom", resource: topicPolicy + " secrets-team", property: "EventBridge", value: "events.amazonaws.com",
		reason: unconditional,
	}, {
		rule: "service-for-whom", resource: key + " secrets-topics", property: "EventBridge", value: "events.amazonaws.com",
		reason: unconditional,
	}, {
		rule: "roles-bounded", resource: role + " pipeline-*", property: "permissionsBoundary", value: notSet,
		reason: "GitHub's two roles are an administrator's: a deployment has no right to change them, and what they may do is in components/githubroles",
	}, {
		rule: "no-aws-managed-policy", resource: attachment + " roles-builder-*", value: ":iam::aws:policy/AmazonSSMManagedInstanceCore",
		reason: "Systems Manager reaches the builder by it, and nothing else does; AWS keeps it in step with its agent",
	},
}

// Reasons that several exceptions have.
const (
	noLevel       = "AWS knows no resource level (Service Authorization Reference) for "
	publishing    = "as Amazon SNS's developer guide has it for whoever publishes to an encrypted topic (\"Key management\"); the wildcard stands for three forms of one action"
	unconditional = "EventBridge allows no Condition in a topic's policy, nor one on its key (EventBridge user guide, \"Using resource-based policies\"): " +
		"a rule of another account could publish to the team's topic if that account knew its ARN (docs/delivery.md)"
)
