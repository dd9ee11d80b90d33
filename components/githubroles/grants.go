package githubroles

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
)

type list = iampolicy.List

// Grants are bounded as narrowly as AWS allows: by the stack's fixed names, by the
// stack's tag, or, if an action has no resource level, not at all. Names from Pulumi
// begin with a resource's logical name (Names) and end in random characters. Other
// stacks of the account have such names too, so the stack's tag is a condition for every
// service that knows tags. infra/stack's tests check these names with the whole graph.

// owned has the ARNs of a stack's resources, by service.
type owned struct {
	arns.Scope
	names Names

	repositories, groups, secrets, topics, batch, delivery, watching list
}

func (a *GitHubRolesArgs) owned(at arns.Scope) owned {
	prefix, path := contract.NamePrefix(at.Stack), contract.PathPrefix(at.Stack)
	n, delivery := a.Names, a.Names.Delivery+"-*"
	return owned{
		Scope:        at,
		names:        n,
		repositories: at.ARNs("ecr", "repository/"+n.Registry+"-*"),
		groups:       at.ARNs("logs", "log-group:/"+path+"*"),
		secrets:      at.ARNs("secretsmanager", "secret:"+path+"*"),
		topics:       at.ARNs("sns", n.TeamTopic+"-*", prefix+"*"),
		batch:        at.ARNs("batch", "compute-environment/"+n.Hosts+"-*", "job-queue/"+n.Queue+"-*", "job-definition/"+prefix+"*"),
		delivery: slices.Concat(at.ARNs("events", "rule/"+delivery, "connection/"+delivery, "api-destination/"+delivery),
			at.ARNs("sqs", delivery), at.ARNs("cloudwatch", "alarm:"+delivery)),
		watching: slices.Concat(at.ARNs("budgets", "budget/"+prefix+"*"), at.ARNs("cloudwatch", "alarm:"+prefix+"*", "dashboard/"+prefix+"*"),
			at.ARNs("events", "rule/"+prefix+"*")),
	}
}

// IAM's condition keys for the stack's tag: of an existing resource, and of one that is
// made.
const (
	hasTag  = "aws:ResourceTag/" + contract.TagStack
	getsTag = "aws:RequestTag/" + contract.TagStack
)

// existing returns a statement that is limited to resources with the stack's tag.
func (o owned) existing(s iampolicy.Statement) iampolicy.Statement {
	return s.When("StringEquals", hasTag, o.Stack)
}

// created returns a statement that is limited to resources made with the stack's tag.
func (o owned) created(s iampolicy.Statement) iampolicy.Statement {
	return s.When("StringEquals", getsTag, o.Stack)
}

// document is one managed policy.
type document struct {
	name, description string
	needs             []pulumi.StringInput // the ARNs that grants takes, in its order
	grants            func(arns []string) []iampolicy.Statement
}

// documents returns the policies of both roles. Three kinds of changes are left to an
// administrator: to make or delete a resource that holds data (bucket, repository, key,
// log group), to change the delivery itself (these two roles, the connection with its
// token, the rule), and to make an identity (role, instance profile, managed policy).
func (a *GitHubRolesArgs) documents(at arns.Scope) []document {
	o := a.owned(at)
	return []document{{
		name: "read", description: "what a preview reads",
		grants: func([]string) []iampolicy.Statement { return o.read() },
	}, {
		name: "network", description: "network, hosts and builder",
		grants: func([]string) []iampolicy.Statement { return append(a.network(o), o.building()...) },
	}, {
		name: "services", description: "roles, queue, users, repository",
		needs: append([]pulumi.StringInput{a.BoundaryARN, a.BucketARN}, a.RoleARNs...),
		grants: func(arns []string) []iampolicy.Statement {
			boundary, bucket, roles := arns[0], arns[1], arns[2:]
			return append(o.identities(boundary, roles), o.settings(bucket)...)
		},
	}, {
		name: "watching", description: "metrics, alarms, dashboard, budget",
		needs:  []pulumi.StringInput{a.TeamTopicARN},
		grants: func(arns []string) []iampolicy.Statement { return o.watch(arns[0]) },
	}}
}

// read returns the reads of the AWS provider for the resource types in use (its source,
// internal/service), and the program's own. A preview with a refresh is denied the
// values of the notifications' secrets.
func (o owned) read() []iampolicy.Statement {
	return []iampolicy.Statement{
		// No resource level: actions that list or describe (Service Authorization
		// Reference), the login to ECR, and SNS's on subscriptions.
		iampolicy.Allow("Look", list{
			"batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions", "batch:DescribeJobQueues",
			"batch:DescribeJobs", "batch:ListJobs", // which ports sessions use
			"cloudwatch:DescribeAlarms",
			"ec2:DescribeAvailabilityZones", "ec2:DescribeIamInstanceProfileAssociations", "ec2:DescribeImages",
			"ec2:DescribeInstanceCreditSpecifications", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes",
			"ec2:DescribeInternetGateways", "ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions",
			"ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribePrefixLists",
			"ec2:DescribeRouteTables", "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups",
			"ec2:DescribeSubnets", "ec2:DescribeTags", "ec2:DescribeVolumes", "ec2:DescribeVpcAttribute",
			"ec2:DescribeVpcEndpoints", "ec2:DescribeVpcEndpointServices", "ec2:DescribeVpcs",
			"ecr:GetAuthorizationToken", "iam:ListOpenIDConnectProviders", "logs:DescribeLogGroups", "sns:GetSubscriptionAttributes",
		}, list{"*"}),
		// Another instance's user data may hold secrets.
		o.existing(iampolicy.Allow("LookAtTagged", list{
			"ec2:DescribeInstanceAttribute", "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags",
		}, slices.Concat(o.ARNs("ec2", "instance/*"), o.ARNs("kms", "key/*")))),
		iampolicy.Allow("LookAtRoles", list{
			"iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:GetInstanceProfile",
			"iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions", "iam:GetOpenIDConnectProvider",
		}, o.ARNs("iam", "role/"+o.names.Roles+"-*", "role/"+o.names.Delivery+"-*", "role/"+contract.NamePrefix(o.Stack)+"*",
			"instance-profile/"+o.names.Roles+"-*", "policy/"+o.names.Roles+"-*", "policy/"+o.names.Launcher+"-*", "oidc-provider/"+issuer)),
		iampolicy.Allow("LookAtBuilds", list{
			"s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging", "s3:GetBucketNotification",
			"s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock",
			"s3:GetBucketRequestPayment", "s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetBucketWebsite",
			"s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration",
			"s3:ListBucket",
		}, o.ARNs("s3", o.names.GameBuilds+"-*")),
		// A build's version and checksum are in its object's metadata, and S3 returns that
		// only with the right to read the object.
		iampolicy.Allow("LookAtBuild", list{"s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"}, o.ARNs("s3", o.names.GameBuilds+"-*/*")),
		// image.use may name an image of another account.
		iampolicy.Allow("LookAtImages", list{"ecr:DescribeImages", "ecr:DescribeRepositories"},
			list{"arn:" + o.Partition + ":ecr:" + o.Region + ":*:repository/" + o.names.Registry + "-*"}),
		iampolicy.Allow("LookAtRest", list{
			"batch:ListTagsForResource",
			"budgets:ListTagsForResource", "budgets:ViewBudget",
			"ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:ListTagsForResource",
			"cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource", "events:DescribeApiDestination", "events:DescribeConnection", "events:DescribeRule",
			"events:ListTagsForResource", "events:ListTargetsByRule",
			"logs:DescribeMetricFilters", "logs:ListTagsForResource",
			"secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy",
			"sns:GetTopicAttributes", "sns:ListTagsForResource",
			"sqs:GetQueueAttributes", "sqs:ListQueueTags",
		}, slices.Concat(o.repositories, o.groups, o.secrets, o.topics, o.batch, o.delivery, o.watching)),
		// AWS's own public parameters, which name the machine images of the builder and
		// of the session hosts.
		iampolicy.Allow("LookUpMachineImage", list{"ssm:GetParameter"},
			list{"arn:" + o.Partition + ":ssm:" + o.Region + "::parameter/aws/service/ami-amazon-linux-latest/*",
				"arn:" + o.Partition + ":ssm:" + o.Region + "::parameter/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"}),
	}
}

// network returns the rights on EC2. IAM checks a call that makes a resource twice: for
// the new resource, by the tag that it gets, and for the network or group that it is made
// in, by that one's tag.
func (a *GitHubRolesArgs) network(o owned) []iampolicy.Statement {
	made := o.ARNs("ec2", "instance/*", "internet-gateway/*", "launch-template/*", "route-table/*", "security-group/*",
		"security-group-rule/*", "subnet/*", "volume/*", "vpc/*", "vpc-endpoint/*")
	create := list{
		"ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateInternetGateway",
		"ec2:CreateLaunchTemplate", "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateVpc",
		"ec2:CreateVpcEndpoint", "ec2:RunInstances",
	}
	var creating []string
	for _, action := range create {
		creating = append(creating, action[len("ec2:"):])
	}
	all := []iampolicy.Statement{
		o.created(iampolicy.Allow("MakeInNetwork", create, made)),
		o.created(iampolicy.Allow("TagWhatIsMade", list{"ec2:CreateTags"}, made)).When("StringEquals", "ec2:CreateAction", creating...),
		o.existing(iampolicy.Allow("ChangeNetwork", append(slices.Clone(create),
			"ec2:AssociateRouteTable", "ec2:AttachInternetGateway", "ec2:CreateLaunchTemplateVersion", "ec2:CreateRoute", "ec2:CreateTags",
			"ec2:DeleteInternetGateway", "ec2:DeleteLaunchTemplate", "ec2:DeleteLaunchTemplateVersions", "ec2:DeleteRoute",
			"ec2:DeleteRouteTable", "ec2:DeleteSecurityGroup", "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVpc",
			"ec2:DeleteVpcEndpoints", "ec2:DetachInternetGateway", "ec2:DisassociateRouteTable", "ec2:ModifyInstanceAttribute",
			"ec2:ModifyInstanceMetadataOptions", "ec2:ModifyLaunchTemplate", "ec2:ModifySecurityGroupRules", "ec2:ModifySubnetAttribute",
			"ec2:ModifyVolume", "ec2:ModifyVpcAttribute", "ec2:ModifyVpcEndpoint", "ec2:ReplaceRoute", "ec2:ReplaceRouteTableAssociation",
			"ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress", "ec2:StartInstances", "ec2:StopInstances",
			"ec2:TerminateInstances",
		), o.ARNs("ec2", "*/*"))),
		// Neither AWS's image nor the builder's network interface has the stack's tag.
		iampolicy.Allow("StartFromImage", list{"ec2:RunInstances"},
			append(o.ARNs("ec2", "network-interface/*"), "arn:"+o.Partition+":ec2:"+o.Region+"::image/*")),
	}
	if a.VPCID != "" {
		adopted := o.ARNs("ec2", "vpc/"+a.VPCID)
		for _, subnet := range a.SubnetIDs {
			adopted = append(adopted, o.ARNs("ec2", "subnet/"+subnet)...)
		}
		all = append(all, iampolicy.Allow("MakeInAdoptedNetwork", list{"ec2:CreateSecurityGroup", "ec2:RunInstances"}, adopted))
	}
	return all
}

// identities returns the rights on the stack's roles. A deployment changes their rights,
// within the boundary. IAM knows the condition key iam:PermissionsBoundary for these
// actions only (Service Authorization Reference), so trust policies are left to an
// administrator, as are the boundary and every managed policy: the launcher's is attached
// to the deploy role too. The builder has this one policy of AWS's, and no role has
// another.
func (o owned) identities(boundary string, roles list) []iampolicy.Statement {
	bounded := func(s iampolicy.Statement) iampolicy.Statement {
		return o.existing(s).When("StringEquals", "iam:PermissionsBoundary", boundary)
	}
	return []iampolicy.Statement{
		bounded(iampolicy.Allow("ChangeRoles", list{"iam:DeleteRolePolicy", "iam:PutRolePolicy"}, roles)),
		bounded(iampolicy.Allow("AttachPolicies", list{"iam:AttachRolePolicy", "iam:DetachRolePolicy"}, roles)).
			When("ArnEquals", "iam:PolicyARN", o.AWSPolicy("AmazonSSMManagedInstanceCore")),
		o.existing(iampolicy.Allow("DescribeRoles", list{"iam:UpdateRoleDescription"}, roles)),
		// By exact ARNs: IAM decides on passing without looking at tags or boundaries
		// (IAM user guide, "Pass a role to a service"), and another stack's roles have
		// names like these.
		iampolicy.Allow("PassRoles", list{"iam:PassRole"}, roles).
			When("StringEquals", "iam:PassedToService", "batch.amazonaws.com", "ec2.amazonaws.com", "ecs-tasks.amazonaws.com"),
	}
}

// settings returns the rights on the services that sessions use.
func (o owned) settings(bucket string) []iampolicy.Statement {
	kept := slices.Concat(o.repositories, o.groups, o.ARNs("kms", "key/*"))
	made := slices.Concat(o.secrets, o.topics, o.batch)
	bounded := slices.Concat(kept, made)
	return []iampolicy.Statement{
		// A resource that is being made has no tag yet: IfExists lets it pass.
		o.created(iampolicy.Allow("Make", list{
			"batch:CreateComputeEnvironment", "batch:CreateJobQueue", "batch:RegisterJobDefinition", "batch:TagResource",
			"secretsmanager:CreateSecret", "secretsmanager:TagResource", "sns:CreateTopic", "sns:TagResource",
		}, made)).When("StringEqualsIfExists", hasTag, o.Stack),
		// A deployment makes none of these, so they have the tag already. Without that
		// condition every untagged resource of the account, keys above all, could be made
		// the stack's by tagging it.
		o.existing(iampolicy.Allow("Retag", list{"ecr:TagResource", "kms:TagResource", "logs:TagResource"}, kept)).
			When("StringEqualsIfExists", getsTag, o.Stack),
		o.existing(iampolicy.Allow("Change", list{
			"batch:CreateJobQueue", "batch:DeleteComputeEnvironment", "batch:DeleteJobQueue", "batch:DeregisterJobDefinition",
			"batch:UntagResource", "batch:UpdateComputeEnvironment", "batch:UpdateJobQueue",
			"ecr:DeleteLifecyclePolicy", "ecr:DeleteRepositoryPolicy", "ecr:PutImageScanningConfiguration", "ecr:PutImageTagMutability",
			"ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy", "ecr:UntagResource",
			"kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:UntagResource", "kms:UpdateKeyDescription",
			"logs:PutRetentionPolicy", "logs:UntagResource",
			"secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue", "secretsmanager:UntagResource", "secretsmanager:UpdateSecret",
			"sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:UntagResource",
		}, bounded)),
		// The provider reads a notification's secret back: a topic and an address. No
		// password is ever read.
		iampolicy.Allow("ReadNotifications", list{"secretsmanager:GetSecretValue"},
			o.ARNs("secretsmanager", "secret:"+contract.PathPrefix(o.Stack)+"users/*/notification-*")),
		// By its exact ARN: S3 ignores a bucket's tags here, and another stack's bucket has a
		// name like this one.
		iampolicy.Allow("ChangeBuilds", list{
			"s3:PutBucketOwnershipControls", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging",
			"s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
		}, list{bucket}),
		// None has a resource level (Service Authorization Reference).
		iampolicy.Allow("Anywhere", list{"secretsmanager:GetRandomPassword", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"}, list{"*"}),
	}
}

// watch returns the rights on what observes the stack. Names with the stack's own prefix
// need no condition.
func (o owned) watch(teamTopic string) []iampolicy.Statement {
	return []iampolicy.Statement{
		o.existing(iampolicy.Allow("Measure", list{"logs:DeleteMetricFilter", "logs:PutMetricFilter"}, o.groups)),
		iampolicy.Allow("Watch", list{
			"budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource",
			"cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm",
			"cloudwatch:TagResource", "cloudwatch:UntagResource",
			"events:DeleteRule", "events:PutRule", "events:RemoveTargets", "events:TagResource", "events:UntagResource",
		}, o.watching),
		// Another target could be another account's, which would get this account's events.
		iampolicy.Allow("Notify", list{"events:PutTargets"}, o.watching).When("ForAllValues:ArnEquals", "events:TargetArn", teamTopic),
	}
}

// building returns the rights to reach the builder through Session Manager and to push
// its image. The network's rights include starting it.
func (o owned) building() []iampolicy.Statement {
	instances, sessions := o.ARNs("ec2", "instance/*"), o.ARNs("ssm", "session/*")
	documents := "arn:" + o.Partition + ":ssm:" + o.Region + "::document/"
	return []iampolicy.Statement{
		o.existing(iampolicy.Allow("Push", list{
			"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
			"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
		}, o.repositories)),
		o.existing(iampolicy.Allow("ReachBuilder", list{"ssm:SendCommand", "ssm:StartSession"}, instances)),
		iampolicy.Allow("ReachBuilderBy", list{"ssm:SendCommand", "ssm:StartSession"},
			list{documents + "AWS-RunShellScript", documents + "AWS-StartSSHSession"}),
		// A session's tag names its owner. Its id begins with the name of the role's session
		// only, while ${aws:userid} is ROLE-ID:NAME (Systems Manager user guide, "Additional
		// sample IAM policies for Session Manager", "Allow a user to end only sessions they
		// started").
		iampolicy.Allow("OwnSessions", list{"ssm:ResumeSession", "ssm:TerminateSession"}, sessions).
			When("StringEquals", "ssm:resourceTag/aws:ssmmessages:session-id", "${aws:userid}"),
		// A channel is opened with the token that StartSession or ResumeSession returned,
		// so this opens no channel of another owner's session.
		iampolicy.Allow("OpenSessions", list{"ssmmessages:OpenDataChannel"}, sessions),
		// No resource level (Service Authorization Reference).
		iampolicy.Allow("AskForBuilder", list{"ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation"}, list{"*"}),
	}
}

// state returns the rights on Pulumi's state: this stack's files, its locks, and the key
// of its secrets. A deployment also writes a history and backups.
func (a *GitHubRolesArgs) state(at arns.Scope, objects ...string) []iampolicy.Statement {
	var all []iampolicy.Statement
	if a.StateBucket != "" {
		bucket := at.ARNs("s3", a.StateBucket)[0]
		all = append(all,
			iampolicy.Allow("StateFiles", list{"s3:GetBucketLocation", "s3:ListBucket"}, list{bucket}),
			iampolicy.Allow("StateVersion", list{"s3:GetObject"}, list{bucket + "/.pulumi/meta.yaml"}),
			iampolicy.Allow("State", objects, a.stateFiles(bucket)),
		)
	}
	if a.SecretsKeyARN != "" {
		all = append(all, iampolicy.Allow("StateSecrets", list{"kms:Decrypt"}, list{a.SecretsKeyARN}))
	}
	return all
}

// stateFiles returns the files in which Pulumi's own backend keeps a stack
// (github.com/pulumi/pulumi, pkg/backend/diy).
func (a *GitHubRolesArgs) stateFiles(bucket string) list {
	project := contract.Product + "/" + a.Stack
	var files list
	for _, at := range []string{
		"stacks/" + project + ".json*", "backups/" + project + "/*", "history/" + project + "/*",
		"locks/organization/" + project + "/*",
	} {
		files = append(files, bucket+"/.pulumi/"+at)
	}
	return files
}
