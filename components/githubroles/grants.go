package githubroles

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
)

type list = iampolicy.List

// What a role may do is written by how AWS lets it be bounded, narrowest first:
// by the stack's fixed names, by the stack's tag, and, where an action has no
// resource level, not at all. Pulumi's own names begin with a resource's logical
// name (Names) and end in random characters; other stacks of the account have them
// too, so the stack's tag parts these where the service knows tags. infra/stack's
// tests hold these names against the whole graph.

// owned is what a stack has, as services name it.
type owned struct {
	arns.Scope
	names Names

	repositories, groups, secrets, topics, batch, delivery list
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
	}
}

// The stack's tag, as IAM's conditions ask for it: on what is there, and on what
// is about to be.
const (
	hasTag  = "aws:ResourceTag/" + contract.TagStack
	getsTag = "aws:RequestTag/" + contract.TagStack
)

// existing is a statement on resources that carry the stack's tag.
func (o owned) existing(s iampolicy.Statement) iampolicy.Statement {
	return s.When("StringEquals", hasTag, o.Stack)
}

// created is a statement on resources that are made with the stack's tag.
func (o owned) created(s iampolicy.Statement) iampolicy.Statement {
	return s.When("StringEquals", getsTag, o.Stack)
}

// document is one managed policy.
type document struct {
	name, description string
	needs             []pulumi.StringInput // the ARNs that grants takes, in its order
	grants            func(arns []string) []iampolicy.Statement
}

// documents are the policies of both roles. What a deployment has no right to is
// an administrator's: what holds data (bucket, repository, key, log group) is
// neither made nor deleted, what delivers (these two roles, the connection with
// its token, the rule) is not changed by what it delivers, and no identity is
// made: no role, instance profile or managed policy.
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
	}}
}

// read is what the AWS provider reads of the resource types in use (its own
// source, internal/service), and what the program looks up. A preview with a
// refresh ends at the notifications' secrets, whose values that would read.
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
		// User data is in it, and another's may hold anything.
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
		// A build's version and checksum are in its object's metadata, which S3 shows to
		// whoever may read the object.
		iampolicy.Allow("LookAtBuild", list{"s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"}, o.ARNs("s3", o.names.GameBuilds+"-*/*")),
		// An image of another account's is looked at before it is taken.
		iampolicy.Allow("LookAtImages", list{"ecr:DescribeImages", "ecr:DescribeRepositories"},
			list{"arn:" + o.Partition + ":ecr:" + o.Region + ":*:repository/" + o.names.Registry + "-*"}),
		iampolicy.Allow("LookAtRest", list{
			"batch:ListTagsForResource",
			"ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:ListTagsForResource",
			"cloudwatch:ListTagsForResource", "events:DescribeApiDestination", "events:DescribeConnection", "events:DescribeRule",
			"events:ListTagsForResource", "events:ListTargetsByRule",
			"logs:ListTagsForResource",
			"secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy",
			"sns:GetTopicAttributes", "sns:ListTagsForResource",
			"sqs:GetQueueAttributes", "sqs:ListQueueTags",
		}, slices.Concat(o.repositories, o.groups, o.secrets, o.topics, o.batch, o.delivery)),
		// AWS's own public parameters, which name the machine images of the builder and
		// of the session hosts.
		iampolicy.Allow("LookUpMachineImage", list{"ssm:GetParameter"},
			list{"arn:" + o.Partition + ":ssm:" + o.Region + "::parameter/aws/service/ami-amazon-linux-latest/*",
				"arn:" + o.Partition + ":ssm:" + o.Region + "::parameter/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"}),
	}
}

// network is EC2's: a call that makes something is checked for what it makes,
// by the tag it gets, and for what it makes it in, by the tag that has.
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
		// The image is AWS's and has no tag of ours, nor has the interface that comes
		// with the builder.
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

// identities is what a deployment changes of the stack's roles: what they may do,
// within the boundary. IAM knows the boundary for these actions and for no others
// (Service Authorization Reference, iam:PermissionsBoundary), so a role's trust
// policy is an administrator's, as the boundary itself is and every policy that is
// attached to somebody: the launcher's is attached to the deploy role too. Of AWS's
// own policies the builder has this one, and no role has another.
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

// settings are of the services that sessions live by.
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
		// What a deployment never makes has the tag already: else whatever of the account
		// has none, every key above all, could be made the stack's by tagging it.
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
		// S3 decides without a bucket's tags, and another stack's has a name like this one.
		iampolicy.Allow("ChangeBuilds", list{
			"s3:PutBucketOwnershipControls", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging",
			"s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
		}, list{bucket}),
		// Neither has a resource level (Service Authorization Reference): a text out of
		// nothing, and a subscription.
		iampolicy.Allow("Anywhere", list{"secretsmanager:GetRandomPassword", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"}, list{"*"}),
	}
}

// building is to start the builder (with the network's rights), to reach it
// through SSM, and to push what it built.
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
		// Whose a session is, its tag says: its id begins with the name of the role's
		// session alone, while ${aws:userid} is ROLE-ID:NAME (Systems Manager user guide,
		// "Additional sample IAM policies for Session Manager", "Allow a user to end only
		// sessions they started").
		iampolicy.Allow("OwnSessions", list{"ssm:ResumeSession", "ssm:TerminateSession"}, sessions).
			When("StringEquals", "ssm:resourceTag/aws:ssmmessages:session-id", "${aws:userid}"),
		// A channel is opened with the token that StartSession or ResumeSession has
		// returned, so this opens none of another's session.
		iampolicy.Allow("OpenSessions", list{"ssmmessages:OpenDataChannel"}, sessions),
		// No resource level (Service Authorization Reference).
		iampolicy.Allow("AskForBuilder", list{"ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation"}, list{"*"}),
	}
}

// state is Pulumi's: this stack's files, its locks, and the key of its secrets.
// A deployment writes a history and a backup beside them.
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

// stateFiles are where Pulumi's own backend keeps a stack (github.com/pulumi/pulumi,
// pkg/backend/diy).
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
