package main

import (
	"regexp"
	"strings"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// The resource types that rules are about.
const (
	alarm           = "aws:cloudwatch/metricAlarm:MetricAlarm"
	attachment      = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	bucket          = "aws:s3/bucketV2:BucketV2"
	bucketACL       = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
	bucketLifecycle = "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2"
	bucketPolicy    = "aws:s3/bucketPolicy:BucketPolicy"
	bucketPrivate   = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
	bucketSealed    = "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2"
	bucketVersions  = "aws:s3/bucketVersioningV2:BucketVersioningV2"
	imageLifecycle  = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
	ingress         = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	instance        = "aws:ec2/instance:Instance"
	jobDefinition   = "aws:batch/jobDefinition:JobDefinition"
	key             = "aws:kms/key:Key"
	launchTemplate  = "aws:ec2/launchTemplate:LaunchTemplate"
	logGroup        = "aws:cloudwatch/logGroup:LogGroup"
	policy          = "aws:iam/policy:Policy"
	queue           = "aws:sqs/queue:Queue"
	queuePolicy     = "aws:sqs/queuePolicy:QueuePolicy"
	repository      = "aws:ecr/repository:Repository"
	role            = "aws:iam/role:Role"
	rolePolicy      = "aws:iam/rolePolicy:RolePolicy"
	secret          = "aws:secretsmanager/secret:Secret"
	securityGroup   = "aws:ec2/securityGroup:SecurityGroup"
	topic           = "aws:sns/topic:Topic"
	topicPolicy     = "aws:sns/topicPolicy:TopicPolicy"
	vpc             = "awsx:ec2:Vpc"
)

// rules is the table. AWS encrypts secrets, log groups, images and S3's objects in any
// case, so these need no rule. The controls are those of
// AWS Security Hub (its user guide, "Security Hub controls reference"); CT is AWS
// Control Tower's reference, "design" a decision of this project's own.
var rules = []rule{
	// Machines.
	{
		name: "metadata-tokens", control: "EC2.8, EC2.170", on: types(instance, launchTemplate),
		holds: "required, which is IMDSv2", fix: `set metadataOptions.httpTokens to "required"`,
		find: is("metadataOptions.httpTokens", "required"),
	}, {
		name: "metadata-hops", control: "CT.EC2.PR.2", on: types(instance, launchTemplate),
		holds: "1, so that no bridged container reads the machine's role", fix: "set metadataOptions.httpPutResponseHopLimit to 1",
		find: is("metadataOptions.httpPutResponseHopLimit", 1),
	}, {
		name: "volumes-encrypted", control: "EC2.3, EC2.181", on: types(instance, launchTemplate),
		holds: "true", fix: "set encrypted on every volume",
		find: all(
			of(instance, is("rootBlockDevice.encrypted", true)),
			of(instance, ifSet("ebsBlockDevices", is("ebsBlockDevices[].encrypted", true))),
			of(launchTemplate, is("blockDeviceMappings[].ebs.encrypted", true)),
		),
	}, {
		name: "no-public-address", control: "EC2.9, EC2.25", on: types(instance, launchTemplate),
		holds: "false", fix: "set associatePublicIpAddress to false and give the subnet another way out",
		find: all(
			of(instance, is("associatePublicIpAddress", false)),
			of(launchTemplate, isNot("networkInterfaces[].associatePublicIpAddress", true)),
		),
	}, {
		name: "no-public-subnet", control: "EC2.15", on: types(vpc),
		holds: "Private or Isolated", fix: "declare the subnet with another type",
		find: isNot("subnetSpecs[].type", "Public"),
	}, {
		name: "no-secret-in-user-data", control: "ECS.8, for user data", on: types(instance, launchTemplate),
		holds: "a script without a credential", fix: "let the machine read it by its role when it runs",
		find: userDataSecrets,
	},

	// Network.
	{
		name: "only-session-ports", control: "EC2.18, EC2.19", on: types(ingress, securityGroup),
		holds: "the session ports, from network.playerCidrs, on the sessions' security group", fix: "declare the rule in components/network, from the configuration",
		find: all(of(ingress, otherIngress), of(securityGroup, is("ingress", nil))),
	}, {
		name: "not-from-everywhere", control: "EC2.18, CIS 3.0 5.2, 5.3", on: types(ingress),
		holds: "networks that players come from", fix: "name the networks in network.playerCidrs",
		find: all(isNot("cidrIpv4", "0.0.0.0/0"), isNot("cidrIpv6", "::/0")),
	},

	// Containers.
	{
		name: "image-by-digest", control: "design 7", on: types(jobDefinition),
		holds: "repository@sha256:…", fix: "take the digest: a tag may be moved",
		find: each("containerProperties.image", matches(`^[^@\s]+@sha256:[0-9a-f]{64}$`)),
	}, {
		name: "not-privileged", control: "ECS.4", on: types(jobDefinition),
		holds: "false", fix: "set session.privileged to false",
		find: isNot("containerProperties.privileged", true),
	}, {
		name: "no-host-access", control: "ECS.3, for the host's files and devices", on: types(jobDefinition),
		holds: "nothing of the host", fix: "leave volumes and devices out",
		find: all(is("containerProperties.volumes", nil), is("containerProperties.mountPoints", nil), is("containerProperties.linuxParameters.devices", nil)),
	}, {
		name: "no-secret-in-environment", control: "ECS.8", on: types(jobDefinition),
		holds: "no secret", fix: "put it into Secrets Manager and name it under secrets",
		find: environmentSecrets,
	}, {
		name: "job-has-log", control: "ECS.9", on: types(jobDefinition),
		holds: "awslogs, to a log group of the stack", fix: "set logConfiguration",
		find: all(is("containerProperties.logConfiguration.logDriver", "awslogs"), ownLogGroup),
	}, {
		name: "roles-apart", control: "design 6", on: types(jobDefinition),
		holds: "another role than executionRoleArn, which reads users' secrets", fix: "give the container the session role",
		find: executionRoleInside,
	},

	// Resources that hold data.
	{
		name: "bucket-encrypted", control: "CIS 1.4 2.1.1", on: types(bucket),
		holds: "AES256 or aws:kms", fix: "declare BucketServerSideEncryptionConfigurationV2 for it",
		find: partOf(bucketSealed, "bucket", "bucket", is("rules[].applyServerSideEncryptionByDefault.sseAlgorithm", "AES256", "aws:kms")),
	}, {
		name: "bucket-private", control: "S3.8", on: types(bucket),
		holds: "true", fix: "declare BucketPublicAccessBlock for it, with all four",
		find: partOf(bucketPrivate, "bucket", "bucket", all(
			is("blockPublicAcls", true), is("blockPublicPolicy", true), is("ignorePublicAcls", true), is("restrictPublicBuckets", true))),
	}, {
		name: "bucket-without-acl", control: "S3.12", on: types(bucket),
		holds: "BucketOwnerEnforced", fix: "declare BucketOwnershipControls for it",
		find: partOf(bucketACL, "bucket", "bucket", is("rule.objectOwnership", "BucketOwnerEnforced")),
	}, {
		name: "bucket-versioned", control: "S3.14", on: types(bucket),
		holds: "Enabled", fix: "declare BucketVersioningV2 for it",
		find: partOf(bucketVersions, "bucket", "bucket", is("versioningConfiguration.status", "Enabled")),
	}, {
		name: "bucket-expires", control: "S3.13", on: types(bucket),
		holds: "Enabled", fix: "declare BucketLifecycleConfigurationV2 for it",
		find: partOf(bucketLifecycle, "bucket", "bucket", is("rules[].status", "Enabled")),
	}, {
		name: "topic-encrypted", control: "SNS.1", on: types(topic),
		holds: "a KMS key", fix: "set kmsMasterKeyId",
		find: present("kmsMasterKeyId"),
	}, {
		name: "queue-encrypted", control: "SQS.1", on: types(queue),
		holds: "true, or a KMS key", fix: "set sqsManagedSseEnabled or kmsMasterKeyId",
		find: anyOf(is("sqsManagedSseEnabled", true), present("kmsMasterKeyId")),
	}, {
		name: "tls-only", control: "S3.5, and the same for topics and queues", on: types(bucket, topic, queue),
		holds: "a statement that denies everybody where aws:SecureTransport is false", fix: "add iampolicy.TLSOnly to its policy",
		find: all(
			of(bucket, partOf(bucketPolicy, "bucket", "bucket", refusesPlaintext)),
			of(topic, partOf(topicPolicy, "arn", "arn", refusesPlaintext)),
			of(queue, partOf(queuePolicy, "queueUrl", "url", refusesPlaintext)),
		),
	}, {
		name: "key-rotates", control: "KMS.4", on: types(key),
		holds: "true", fix: "set enableKeyRotation",
		find: is("enableKeyRotation", true),
	}, {
		name: "deletion-can-be-undone", control: "KMS.3", on: types(key, secret),
		holds: "7 days or more", fix: "set the window: secrets.recoveryDays for users' secrets",
		find: all(of(key, atLeast("deletionWindowInDays", 7)), of(secret, atLeast("recoveryWindowInDays", 7))),
	}, {
		name: "log-ends", control: "CloudWatch.16", on: types(logGroup),
		holds: "a number of days: without one logs are kept, and paid, for ever", fix: "set logs.retentionDays",
		find: atLeast("retentionInDays", 1),
	}, {
		name: "log-for-a-year", control: "CloudWatch.16", on: types(logGroup),
		holds: "365 days or more", fix: "set logs.retentionDays",
		find: atLeast("retentionInDays", 365),
	}, {
		name: "image-scanned", control: "ECR.1", on: types(repository),
		holds: "true", fix: "set imageScanningConfiguration.scanOnPush",
		find: is("imageScanningConfiguration.scanOnPush", true),
	}, {
		name: "tags-immutable", control: "ECR.2", on: types(repository),
		holds: "IMMUTABLE", fix: "set imageTagMutability",
		find: is("imageTagMutability", "IMMUTABLE"),
	}, {
		name: "images-expire", control: "ECR.3", on: types(repository),
		holds: "a lifecycle policy", fix: "declare LifecyclePolicy for it",
		find: partOf(imageLifecycle, "repository", "name", present("policy.rules")),
	}, {
		name: "protected", control: "design: protect", on: types(bucket, logGroup, repository),
		holds: "protected from deletion, with what is in it", fix: "set protect",
		find: all(unprotected, isNot("forceDestroy", true), isNot("forceDelete", true)),
	},

	// Rights.
	{
		name: "no-wildcard-action", control: "IAM.1, IAM.21", on: hasPolicy,
		holds: "actions by their names", fix: "name them, or give a reason in exceptions.go",
		find: wildcardActions,
	}, {
		name: "no-wildcard-resource", control: "IAM.1, KMS.1, KMS.2", on: hasPolicy,
		holds: "a name, the beginning of one, or a condition on the stack's tag", fix: "narrow the resource, or give a reason in exceptions.go",
		find: wildcardResources,
	}, {
		name: "no-public-policy", control: "S3.2, S3.3, SNS.4, SQS.3, KMS.5", on: hasPolicy,
		holds: "principals by name", fix: "name who is allowed",
		find: publicPrincipals,
	}, {
		name: "service-for-whom", control: "IAM user guide, \"The confused deputy problem\"", on: resourcePolicy,
		holds: "a condition on aws:SourceArn or aws:SourceAccount", fix: "add the condition",
		find: unboundServices,
	}, {
		name: "exact-trust", control: "IAM user guide, \"Create a role for OpenID Connect federation\"", on: types(role),
		holds: "AWS's services, or one audience and whole subjects of an identity provider", fix: "compare :aud and :sub by StringEquals, without wildcards",
		find: looseTrust,
	}, {
		name: "roles-bounded", control: "design 19", on: types(role),
		holds: "the stack's permissions boundary", fix: "set permissionsBoundary to that of components/roles",
		find: present("permissionsBoundary"),
	}, {
		name: "no-aws-managed-policy", control: "IAM.1", on: types(attachment, role),
		holds: "a policy of the stack's own", fix: "declare the statements that are needed",
		find: all(each("policyArn", notAWSs), each("managedPolicyArns[]", notAWSs)),
	},

	// All of it.
	{
		name: "tagged", control: "AWS Resource Tagging Standard", on: taggable,
		holds: "the stack's project and name", fix: "pass the component's Tags on",
		find: untagged,
	}, {
		name: "alarm-tells", control: "CloudWatch.15, CloudWatch.17", on: types(alarm),
		holds: "somebody who is told", fix: "set alarmActions, and do not set actionsEnabled to false",
		find: all(present("alarmActions[]"), isNot("actionsEnabled", false)),
	},
}

func matches(pattern string) func(any) bool {
	compiled := regexp.MustCompile(pattern)
	return func(value any) bool { return compiled.MatchString(text(value)) }
}

// notAWSs reports whether an ARN is of no policy that AWS manages.
func notAWSs(arn any) bool { return !strings.Contains(text(arn), ":iam::aws:policy/") }

// otherIngress finds an ingress rule that admits anything else than players to the
// session ports of the hosts.
func otherIngress(g *recorded.Graph, r componenttest.Resource) []finding {
	var found []finding
	in := r.Inputs
	from, _ := in["fromPort"].(float64)
	to, _ := in["toPort"].(float64)
	ports := contract.PortRange{First: int(from), Last: int(to)}
	if protocol := in["ipProtocol"]; protocol != "tcp" && protocol != "udp" {
		found = append(found, finding{"ipProtocol", text(protocol)})
	}
	admitted := false
	for _, sessions := range append(g.Config.FormerPorts(), g.Config.Ports()) {
		admitted = admitted || ports == sessions
	}
	if !admitted {
		found = append(found, finding{"fromPort-toPort", ports.String()})
	}
	known := false
	for _, cidr := range g.Config.Network.PlayerCIDRs {
		known = known || in["cidrIpv4"] == cidr || in["cidrIpv6"] == cidr
	}
	if !known {
		found = append(found, finding{"cidr", text(firstSet(in, "cidrIpv4", "cidrIpv6", "referencedSecurityGroupId", "prefixListId"))})
	}
	for _, other := range g.Resources {
		groups, _ := other.Inputs["vpcSecurityGroupIds"].([]any)
		for _, group := range groups {
			if other.Type == instance && group == in["securityGroupId"] {
				found = append(found, finding{"securityGroupId", "that of " + other.Type + " " + other.Name})
			}
		}
	}
	return found
}

func firstSet(in map[string]any, names ...string) any {
	for _, name := range names {
		if in[name] != nil {
			return in[name]
		}
	}
	return nil
}

// ownLogGroup finds a job that writes its log elsewhere than to the stack's.
func ownLogGroup(g *recorded.Graph, r componenttest.Resource) []finding {
	return each("containerProperties.logConfiguration.options.awslogs-group", func(name any) bool {
		for _, other := range g.Resources {
			if other.Type == logGroup && other.Outputs["name"] == name {
				return true
			}
		}
		return false
	})(g, r)
}

// executionRoleInside finds a container with the role that the ECS agent starts it
// with.
func executionRoleInside(g *recorded.Graph, r componenttest.Resource) []finding {
	execution := at(inputs(r), "containerProperties.executionRoleArn")[0]
	return isNot("containerProperties.jobRoleArn", execution)(g, r)
}

func unprotected(_ *recorded.Graph, r componenttest.Resource) []finding {
	if r.Protect {
		return nil
	}
	return []finding{{"protect", "false"}}
}

// taggable selects AWS's resources that can have tags.
func taggable(r componenttest.Resource) bool {
	return (strings.HasPrefix(r.Type, "aws:") || strings.HasPrefix(r.Type, "awsx:")) && recorded.Taggable(r.Type)
}

// untagged finds resources without the stack's tags, and machines whose volumes, or
// launch templates whose instances, would have none.
func untagged(g *recorded.Graph, r componenttest.Resource) []finding {
	places := []string{"tags"}
	switch r.Type {
	case instance:
		places = append(places, "volumeTags")
	case launchTemplate:
		places = append(places, "tagSpecifications[].tags")
	}
	var found []finding
	for _, place := range places {
		for _, tags := range at(inputs(r), place) {
			all, _ := tags.(map[string]any)
			for tag, want := range map[string]string{contract.TagProject: contract.Product, contract.TagStack: g.Name} {
				if all[tag] != want {
					found = append(found, finding{place + " " + tag, text(all[tag])})
				}
			}
		}
	}
	return found
}
