package stack_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/components/iampolicy/iampolicytest"
)

const githubRolesComponent = "dcv:pipeline:Pipeline"

func TestGitHubHasRolesOnlyWhereARepositoryIsNamed(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		assert.Empty(t, deploy(t, mode, "dev", least()).mustRun(t).OfType(githubRolesComponent))
		assert.Len(t, deploy(t, mode, "dev", least(values{"delivery.repository": "studio/game"})).mustRun(t).OfType(githubRolesComponent), 1)
	})
}

// changes lists, for each type, an action by which a deployment changes a resource, and
// the ARN that AWS checks; NAME stands for the name that Pulumi gives the resource. A
// deployment must not change resources of the types marked administrators.
var changes = map[string]struct{ action, arn string }{
	"aws:batch/computeEnvironment:ComputeEnvironment":           {"batch:UpdateComputeEnvironment", "batch:compute-environment/NAME"},
	"aws:batch/jobDefinition:JobDefinition":                     {"batch:RegisterJobDefinition", "batch:job-definition/NAME"},
	"aws:batch/jobQueue:JobQueue":                               {"batch:UpdateJobQueue", "batch:job-queue/NAME"},
	"aws:budgets/budget:Budget":                                 {"budgets:ModifyBudget", "budgets:budget/NAME"},
	"aws:cloudwatch/dashboard:Dashboard":                        {"cloudwatch:PutDashboard", "cloudwatch:dashboard/NAME"},
	"aws:cloudwatch/eventRule:EventRule":                        {"events:PutRule", "events:rule/NAME"},
	"aws:cloudwatch/eventTarget:EventTarget":                    {"events:PutTargets", "events:rule/NAME"},
	"aws:cloudwatch/logMetricFilter:LogMetricFilter":            {"logs:PutMetricFilter", "logs:log-group:NAME"},
	"aws:cloudwatch/metricAlarm:MetricAlarm":                    {"cloudwatch:PutMetricAlarm", "cloudwatch:alarm:NAME"},
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
	"aws:iam/role:Role":                                                    {"iam:UpdateRoleDescription", "iam:role/NAME"},
	"aws:iam/rolePolicy:RolePolicy":                                        {"iam:PutRolePolicy", "iam:role/NAME"},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":                    {"iam:AttachRolePolicy", "iam:role/NAME"},
	"aws:iam/instanceProfile:InstanceProfile":                              administrators,
	"aws:iam/policy:Policy":                                                administrators,
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

// belongsTo lists the inputs by which a resource without a name of its own names the
// resource that it is a part of. A metric filter has a name within its log group.
var belongsTo = []string{"rule", "role", "repository", "bucket", "topic", "arn", "secretId", "imageName"}

// A new type of resource or another name needs rights: without them a deployment would
// fail after the merge.
func TestADeploymentMayChangeAllOfTheStackButWhatDelivers(t *testing.T) {
	r := deploy(t, componenttest.Update, "dev", environment(t, "dev", values{
		"delivery.repository": "studio/game", "delivery.createOidcProvider": "true", "budget.monthlyUsd": "100",
	})).mustRun(t)
	granted := grantedTo(t, r, "dcv-sessions_dev_deploy")
	for _, res := range r.Resources {
		parent := res.Parent
		if isComponent(res) || strings.HasPrefix(res.Type, "pulumi:") || parent == "pipeline" || parent == "delivery" {
			continue
		}
		change, known := changes[res.Type]
		if !assert.True(t, known, "%s %s: may a deployment change it? Say so in components/githubroles and here", res.Type, res.Name) || change == administrators {
			continue
		}
		arn := "arn:aws:" + strings.Replace(change.arn, ":", ":us-east-1:123456789012:", 1)
		switch service, rest, _ := strings.Cut(change.arn, ":"); {
		case service == "iam", service == "budgets", strings.HasPrefix(rest, "dashboard/"):
			arn = "arn:aws:" + service + "::123456789012:" + rest
		case service == "s3":
			arn = "arn:aws:s3:::" + rest
		}
		arn = strings.ReplaceAll(arn, "NAME", physical(res))
		assert.True(t, granted(change.action, arn), "%s %s: %s on %s", res.Type, res.Name, change.action, arn)
	}
}

const (
	roleType   = "aws:iam/role:Role"
	account    = "arn:aws:iam::123456789012:"
	deployRole = "dcv-sessions_dev_deploy"
	boundary   = account + "policy/roles-boundary-0a1b2c3"
)

// identityActions lists every action of a deployment on identities except reading, and
// whether the action changes a role's rights: IAM must then check the role's boundary.
var identityActions = map[string]bool{
	"iam:AttachRolePolicy":      true,
	"iam:DeleteRolePolicy":      true,
	"iam:DetachRolePolicy":      true,
	"iam:PutRolePolicy":         true,
	"iam:UpdateRoleDescription": false, // a text
	"iam:PassRole":              false, // to a service, as the role is
}

// A merge has the deploy role's rights, and those of every role that it can edit or
// pass. They must end there: no policy that the deploy role can change is attached to
// GitHub's roles, and every role that it can edit has a boundary that allows no change
// of identities.
func TestADeploymentChangesNothingThatGivesItItsRights(t *testing.T) {
	r := deploy(t, componenttest.Update, "dev", environment(t, "dev", values{
		"delivery.repository": "studio/game", "delivery.createOidcProvider": "true", "delivery.stateBucket": "studio-state",
	})).mustRun(t)
	bounds := map[string]any{} // of every role, by its ARN
	for _, made := range r.OfType(roleType) {
		bounds[account+"role/"+physical(made)] = made.Inputs["permissionsBoundary"]
	}
	ours := []string{account + "role/" + deployRole, account + "role/dcv-sessions_dev_preview"}
	rights := slices.Clone(ours) // the sources of the rights of GitHub's roles
	for _, attached := range r.OfType("aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
		if slices.Contains(ours, account+"role/"+attached.Inputs["role"].(string)) {
			rights = append(rights, attached.Inputs["policyArn"].(string))
		}
	}
	rights = append(rights, boundary, account+"oidc-provider/token.actions.githubusercontent.com")
	require.Len(t, rights, 2+6+2)

	reached := map[string]bool{}
	for _, s := range policiesOf(t, r, deployRole) {
		for _, action := range s.Action {
			reads := regexp.MustCompile(`^iam:(Get|List)`).MatchString(action)
			if !strings.HasPrefix(action, "iam:") && !strings.HasPrefix(action, "sts:") || reads {
				assert.NotRegexp(t, `^[^:]*\*`, action, "IAM's actions too")
				continue
			}
			edits, known := identityActions[action]
			if !assert.True(t, known, "%s changes an identity; a deployment changes none", action) {
				continue
			}
			if edits {
				assert.Equal(t, iampolicy.List{boundary}, s.Condition["StringEquals"]["iam:PermissionsBoundary"], "%s on a role without the boundary", action)
			}
			for _, arn := range rights {
				assert.False(t, iampolicytest.Matches(s.Resource, arn), "%s on %s, which gives GitHub's roles their rights", action, arn)
			}
			for _, arn := range s.Resource {
				assert.Equal(t, boundary, bounds[arn], "%s on %s", action, arn)
				reached[arn] = true
			}
		}
	}
	assert.Len(t, reached, 4, "host, execution, session and builder")
	for arn, bound := range bounds {
		if !slices.Contains(ours, arn) {
			assert.Equal(t, boundary, bound, "%s: of the program's roles, only GitHub's two have no boundary", arn)
		}
	}
	for _, s := range iampolicytest.Statements(t, r.Named(t, "aws:iam/policy:Policy", "roles-boundary")) {
		for _, action := range s.Action {
			assert.NotRegexp(t, `^\*|^(iam|sts|organizations|sso|lambda|cloudformation|batch|ec2):`, action, "by the boundary")
		}
	}
}

// Every stack has the boundary, whether GitHub deploys it or not.
func TestEveryRoleButGitHubsHasTheBoundary(t *testing.T) {
	for _, name := range environments {
		r := deploy(t, componenttest.Update, name, environment(t, name, values{"image.use": digest})).mustRun(t)
		r.Named(t, "aws:iam/policy:Policy", "roles-boundary")
		for _, made := range r.OfType(roleType) {
			if made.Parent != "pipeline" {
				assert.Equal(t, boundary, made.Inputs["permissionsBoundary"], "%s: %s", name, made.Name)
			}
		}
	}
}

// physical returns the name that a resource has in AWS, or the name of the resource
// that it is a part of.
func physical(res componenttest.Resource) string {
	for _, key := range []string{"namePrefix", "computeEnvironmentNamePrefix"} {
		if prefix, ok := res.Inputs[key].(string); ok {
			return prefix + "0a1b2c"
		}
	}
	for _, key := range append([]string{"logGroupName", "dashboardName", "name"}, belongsTo...) {
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

// policiesOf returns the statements of a role's inline policies and of the stack's
// policies that are attached to it.
func policiesOf(t *testing.T, r stackRun, role string) []iampolicy.Statement {
	t.Helper()
	managed := map[string]componenttest.Resource{}
	for _, made := range r.OfType("aws:iam/policy:Policy") {
		managed[account+"policy/"+physical(made)] = made
	}
	var all []iampolicy.Statement
	for _, own := range r.OfType("aws:iam/rolePolicy:RolePolicy") {
		if own.Inputs["role"] == role {
			all = append(all, iampolicytest.Statements(t, own)...)
		}
	}
	for _, attached := range r.OfType("aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
		if made, known := managed[attached.Inputs["policyArn"].(string)]; known && attached.Inputs["role"] == role {
			all = append(all, iampolicytest.Statements(t, made)...)
		}
	}
	require.NotEmpty(t, all, role)
	return all
}

// grantedTo returns a function that reports whether a role's policies allow an
// action on a resource; conditions count as fulfilled.
func grantedTo(t *testing.T, r stackRun, role string) func(action, arn string) bool {
	t.Helper()
	all := policiesOf(t, r, role)
	return func(action, arn string) bool { return iampolicytest.Allows(all, action, arn) }
}
