package stack_test

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
)

const pipelineComponent = "dcv:pipeline:Pipeline"

func TestGitHubHasRolesOnlyWhereARepositoryIsNamed(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		assert.Empty(t, deploy(t, mode, "dev", least()).mustRun(t).OfType(pipelineComponent))
		assert.Len(t, deploy(t, mode, "dev", least(values{"delivery.repository": "studio/game"})).mustRun(t).OfType(pipelineComponent), 1)
	})
}

// changes are how a deployment changes a resource of each type, and the ARN that
// AWS asks for, of which NAME is what Pulumi calls it. An administrator's are
// those that it must not change.
var changes = map[string]struct{ action, arn string }{
	"aws:batch/computeEnvironment:ComputeEnvironment":           {"batch:UpdateComputeEnvironment", "batch:compute-environment/NAME"},
	"aws:batch/jobDefinition:JobDefinition":                     {"batch:RegisterJobDefinition", "batch:job-definition/NAME"},
	"aws:batch/jobQueue:JobQueue":                               {"batch:UpdateJobQueue", "batch:job-queue/NAME"},
	"aws:cloudwatch/logGroup:LogGroup":                          {"logs:PutRetentionPolicy", "logs:log-group:NAME"},
	"aws:ec2/instance:Instance":                                 {"ec2:RunInstances", "ec2:instance/i-1"},
	"aws:ec2/launchTemplate:LaunchTemplate":                     {"ec2:CreateLaunchTemplateVersion", "ec2:launch-template/lt-1"},
	"aws:ec2/securityGroup:SecurityGroup":                       {"ec2:CreateSecurityGroup", "ec2:security-group/sg-1"},
	"aws:ec2/vpcEndpoint:VpcEndpoint":                           {"ec2:ModifyVpcEndpoint", "ec2:vpc-endpoint/vpce-1"},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"ec2:AuthorizeSecurityGroupIngress", "ec2:security-group-rule/sgr-1"},
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule":   {"ec2:AuthorizeSecurityGroupEgress", "ec2:security-group-rule/sgr-1"},
	"awsx:ec2:Vpc": {"ec2:CreateSubnet", "ec2:vpc/vpc-1"},
	"aws:ecr/lifecyclePolicy:LifecyclePolicy":                              {"ecr:PutLifecyclePolicy", "ecr:repository/NAME"},
	"aws:ecr/repositoryPolicy:RepositoryPolicy":                            {"ecr:SetRepositoryPolicy", "ecr:repository/NAME"},
	"aws:ecr/repository:Repository":                                        {"ecr:PutImageScanningConfiguration", "ecr:repository/NAME"},
	"aws:iam/role:Role":                                                    {"iam:UpdateAssumeRolePolicy", "iam:role/NAME"},
	"aws:iam/rolePolicy:RolePolicy":                                        {"iam:PutRolePolicy", "iam:role/NAME"},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":                    {"iam:AttachRolePolicy", "iam:role/NAME"},
	"aws:iam/instanceProfile:InstanceProfile":                              {"iam:AddRoleToInstanceProfile", "iam:instance-profile/NAME"},
	"aws:iam/policy:Policy":                                                {"iam:CreatePolicyVersion", "iam:policy/NAME"},
	"aws:kms/key:Key":                                                      {"kms:PutKeyPolicy", "kms:key/NAME"},
	"aws:s3/bucketV2:BucketV2":                                             {"s3:PutBucketTagging", "s3:NAME"},
	"aws:s3/bucketPolicy:BucketPolicy":                                     {"s3:PutBucketPolicy", "s3:NAME"},
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":               {"s3:PutBucketPublicAccessBlock", "s3:NAME"},
	"aws:s3/bucketVersioningV2:BucketVersioningV2":                         {"s3:PutBucketVersioning", "s3:NAME"},
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2": {"s3:PutLifecycleConfiguration", "s3:NAME"},
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": {"s3:PutEncryptionConfiguration", "s3:NAME"},
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls":                                     {"s3:PutBucketOwnershipControls", "s3:NAME"},
	"aws:s3/bucketNotification:BucketNotification":                                               administrators,
	"aws:secretsmanager/secret:Secret":                                                           {"secretsmanager:UpdateSecret", "secretsmanager:secret:NAME-AbCdEf"},
	"aws:secretsmanager/secretVersion:SecretVersion":                                             {"secretsmanager:PutSecretValue", "secretsmanager:secret:NAME-AbCdEf"},
	"aws:sns/topic:Topic":                                                                        {"sns:SetTopicAttributes", "sns:NAME"},
	"aws:sns/topicPolicy:TopicPolicy":                                                            {"sns:SetTopicAttributes", "sns:NAME"},
	"aws:sns/topicSubscription:TopicSubscription":                                                {"sns:Subscribe", "sns:NAME"},
	"docker:index/image:Image":                                                                   {"ecr:PutImage", "ecr:repository/NAME"},
}

var administrators = struct{ action, arn string }{}

// belongsTo is the input of a resource without a name of its own that names the
// one it is a part of.
var belongsTo = []string{"role", "repository", "bucket", "topic", "arn", "secretId", "imageName"}

// A new type of resource, or another name, is not forgotten: a deployment would
// fail only once it is merged.
func TestADeploymentMayChangeAllOfTheStackButWhatDelivers(t *testing.T) {
	r := deploy(t, componenttest.Update, "dev", environment(t, "dev", values{
		"delivery.repository": "studio/game", "delivery.createOidcProvider": "true",
	})).mustRun(t)
	granted := grantedTo(t, r, "dcv-sessions_dev_deploy")
	for _, res := range r.Resources {
		parent := res.Parent
		if isComponent(res) || strings.HasPrefix(res.Type, "pulumi:") || parent == "pipeline" || parent == "delivery" {
			continue
		}
		change, known := changes[res.Type]
		if !assert.True(t, known, "%s %s: may a deployment change it? Say so in components/pipeline and here", res.Type, res.Name) || change == administrators {
			continue
		}
		arn := "arn:aws:" + strings.Replace(change.arn, ":", ":us-east-1:123456789012:", 1)
		switch service, rest, _ := strings.Cut(change.arn, ":"); service {
		case "iam":
			arn = "arn:aws:iam::123456789012:" + rest
		case "s3":
			arn = "arn:aws:s3:::" + rest
		}
		arn = strings.ReplaceAll(arn, "NAME", physical(res))
		assert.True(t, granted(change.action, arn), "%s %s: %s on %s", res.Type, res.Name, change.action, arn)
	}
	for _, res := range slices.Concat(r.OfType("aws:iam/role:Role"), r.OfType("aws:iam/policy:Policy")) {
		if res.Parent != "pipeline" && res.Parent != "delivery" {
			continue
		}
		for _, action := range []string{"iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:PassRole"} {
			for _, kind := range []string{"role/", "policy/"} {
				assert.False(t, granted(action, "arn:aws:iam::123456789012:"+kind+physical(res)), "%s on %s", action, res.Name)
			}
		}
	}
}

// physical is the name that AWS knows a resource by, or that of the one it is a
// part of.
func physical(res componenttest.Resource) string {
	for _, key := range []string{"namePrefix", "computeEnvironmentNamePrefix"} {
		if prefix, ok := res.Inputs[key].(string); ok {
			return prefix + "0a1b2c"
		}
	}
	for _, key := range append([]string{"name"}, belongsTo...) {
		if text, ok := res.Inputs[key].(string); ok {
			switch key {
			case "arn", "topic":
				return text[strings.LastIndex(text, ":")+1:]
			case "imageName":
				repository, _, _ := strings.Cut(text, ":")
				return path.Base(repository)
			case "secretId": // the mock's id says nothing of the name
				return "dcv-sessions/dev/users/alice/notification-0a1b2c"
			}
			return text
		}
	}
	return res.Name + "-0a1b2c3"
}

// grantedTo tells what a role's policies allow; conditions count as fulfilled.
func grantedTo(t *testing.T, r stackRun, role string) func(action, arn string) bool {
	t.Helper()
	policies := map[string]componenttest.Resource{}
	for _, made := range r.OfType("aws:iam/policy:Policy") {
		policies["arn:aws:iam::123456789012:policy/"+made.Name+"-0a1b2c3"] = made
	}
	type statement struct{ Action, Resource any }
	var all []statement
	for _, attached := range r.OfType("aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
		made, known := policies[attached.Inputs["policyArn"].(string)]
		if attached.Inputs["role"] != role || !known {
			continue
		}
		var document struct{ Statement []statement }
		require.NoError(t, json.Unmarshal([]byte(made.Inputs["policy"].(string)), &document))
		all = append(all, document.Statement...)
	}
	require.NotEmpty(t, all, role)
	matches := func(patterns any, text string) bool {
		list, several := patterns.([]any)
		if !several {
			list = []any{patterns}
		}
		return slices.ContainsFunc(list, func(p any) bool {
			return regexp.MustCompile(`^` + strings.ReplaceAll(regexp.QuoteMeta(p.(string)), `\*`, `.*`) + `$`).MatchString(text)
		})
	}
	return func(action, arn string) bool {
		return slices.ContainsFunc(all, func(s statement) bool { return matches(s.Action, action) && matches(s.Resource, arn) })
	}
}
