package githubroles_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/components/iampolicy/iampolicytest"
)

var update = flag.Bool("update", false, "write the policies of testdata")

const (
	at       = ":us-east-1:123456789012:"
	roles    = "arn:aws:iam::123456789012:role/"
	boundary = "arn:aws:iam::123456789012:policy/roles-boundary-0a1b2c3"
	builds   = "arn:aws:s3:::game-builds-0a1b2c3"
	team     = "arn:aws:sns" + at + "secrets-team-0a1b2c3"
)

// A right that is added or taken away is seen in the difference of these files.
func TestEachRoleMayDoExactlyThis(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		for _, made := range slices.Concat(r.OfType(managed), r.OfType(inline)) {
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, []byte(made.Inputs["policy"].(string)), "", "  "))
			path := "testdata/" + strings.TrimPrefix(made.Name, "pipeline-") + ".json"
			if *update {
				require.NoError(t, os.WriteFile(path, append(pretty.Bytes(), '\n'), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), pretty.String()+"\n")
		}
	})
}

func TestAPreviewChangesNothingAndReadsNoSecret(t *testing.T) {
	args := goodArgs()
	args.VPCID, args.SubnetIDs = "vpc-1", []string{"subnet-1"}
	preview := policies(t, args)["preview"]
	reads := regexp.MustCompile(`^[a-z0-9]+:(Describe|Get|List|View)[A-Za-z]+$`)
	for _, s := range preview {
		for _, action := range s.Action {
			if !assert.True(t, reads.MatchString(action) || action == "kms:Decrypt", action) {
				continue
			}
			switch action {
			case "kms:Decrypt": // of the state's secrets
				assert.Equal(t, iampolicy.List{args.SecretsKeyARN}, s.Resource)
			case "s3:GetObject", "s3:GetObjectVersion": // of the state, and a game build's metadata
				for _, resource := range s.Resource {
					assert.Regexp(t, `^arn:aws:s3:::(studio-state/\.pulumi/|game-builds-\*/\*$)`, resource)
				}
			case "ssm:GetParameter": // AWS's public ones, which have no account
				assert.Equal(t, iampolicy.List{"arn:aws:ssm:us-east-1::parameter/aws/service/ami-amazon-linux-latest/*",
					"arn:aws:ssm:us-east-1::parameter/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"}, s.Resource)
			}
		}
	}
	for _, never := range []string{
		"secretsmanager:GetSecretValue", "ssm:GetParameters", "ssm:GetParametersByPath", "logs:GetLogEvents", "logs:FilterLogEvents",
		"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ec2:GetPasswordData", "sts:AssumeRole", "iam:PassRole",
		"lambda:GetFunction", "batch:SubmitJob",
	} {
		for _, s := range preview {
			assert.NotContains(t, s.Action, never)
		}
	}
}

func TestAStateElsewhereTakesNoRightsHere(t *testing.T) {
	args := goodArgs()
	args.StateBucket, args.SecretsKeyARN = "", ""
	for name, document := range policies(t, args) {
		for _, s := range document {
			assert.NotContains(t, s.Action, "kms:Decrypt", name)
			for _, resource := range s.Resource {
				assert.NotContains(t, resource, ".pulumi", name)
			}
		}
	}
}

// The comment on a statement for every resource says that its actions have no resource
// level.
func TestEverythingIsGrantedOnlyWhereAWSHasNoResourceLevel(t *testing.T) {
	noLevel := regexp.MustCompile(`^(batch|cloudwatch|ec2|logs):Describe|^(batch:ListJobs|ecr:GetAuthorizationToken|iam:ListOpenIDConnectProviders|` +
		`secretsmanager:GetRandomPassword|sns:(GetSubscriptionAttributes|SetSubscriptionAttributes|Unsubscribe)|` +
		`ssm:(DescribeInstanceInformation|GetCommandInvocation))$`)
	for name, document := range policies(t, goodArgs()) {
		for _, s := range document {
			assert.Equal(t, "Allow", s.Effect)
			for _, action := range s.Action {
				assert.NotContains(t, action, "*", "%s: every action is named", name)
				if slices.Contains(s.Resource, "*") {
					assert.Regexp(t, noLevel, action, name)
				}
			}
		}
	}
}

func TestADeploymentCanNotRaiseItsOwnRightsNorLetOthersIn(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	own := map[string]string{
		"aws:ResourceTag/dcv-sessions:stack": "dev", "aws:RequestTag/dcv-sessions:stack": "dev",
		"iam:PermissionsBoundary": boundary, "iam:PassedToService": "ec2.amazonaws.com",
	}
	for _, name := range []string{"dcv-sessions_dev_deploy", "dcv-sessions_dev_preview", "delivery-0a1b2c3", "roles-host-9z8y7x6", "Administrator"} {
		for _, action := range []string{
			"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:UpdateRoleDescription", "iam:PassRole",
		} {
			assert.False(t, deploy.may(action, roles+name, own), "%s %s", action, name)
		}
	}
	for _, s := range deploy {
		for _, never := range []string{
			"sts:AssumeRole", "iam:CreateUser", "iam:CreateAccessKey", "iam:CreateOpenIDConnectProvider", "iam:UpdateOpenIDConnectProviderThumbprint",
			"iam:AddClientIDToOpenIDConnectProvider", "iam:CreateRole", "iam:TagRole", "iam:UpdateAssumeRolePolicy", "iam:AddRoleToInstanceProfile",
			"iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary",
			"iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:TagPolicy",
			"events:UpdateConnection", "secretsmanager:PutResourcePolicy",
			"s3:DeleteBucket", "s3:DeleteObjectVersion", "s3:PutBucketNotification", "ecr:DeleteRepository", "ecr:BatchDeleteImage",
			"logs:DeleteLogGroup", "kms:ScheduleKeyDeletion", "kms:CreateGrant", "kms:CreateKey",
		} {
			assert.NotContains(t, s.Action, never)
		}
	}
}

// A target of another account would get this account's events.
func TestADeploymentSendsEventsToTheTeamOnly(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for target, good := range map[string]bool{team: true, "arn:aws:sns:us-east-1:222222222222:secrets-team-0a1b2c3": false, "arn:aws:sns" + at + "other": false} {
		context := map[string]string{"events:TargetArn": target}
		assert.Equal(t, good, deploy.may("events:PutTargets", "arn:aws:events"+at+"rule/dcv-sessions_dev_queue-blocked", context), target)
		for _, rule := range []string{"delivery-0a1b2c3", "dcv-sessions_prod_queue-blocked", "another"} {
			assert.False(t, deploy.may("events:PutTargets", "arn:aws:events"+at+"rule/"+rule, context), "%s to %s", rule, target)
		}
	}
}

func TestADeploymentEditsARoleWithinTheBoundaryOnly(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	const ssm, aws = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", "arn:aws:iam::aws:policy/"
	for within, good := range map[string]bool{
		boundary: true, "": false, strings.Replace(boundary, "0a1b2c3", "9z8y7x6", 1): false, aws + "AdministratorAccess": false,
	} {
		context := map[string]string{"aws:ResourceTag/dcv-sessions:stack": "dev", "iam:PermissionsBoundary": within}
		for _, action := range []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy"} {
			assert.Equal(t, good, deploy.may(action, roles+"roles-builder-0a1b2c3", with(context, "iam:PolicyARN", ssm)), "%s within %q", action, within)
		}
		for _, other := range []string{aws + "service-role/AmazonEC2ContainerServiceforEC2Role", aws + "AdministratorAccess"} {
			assert.False(t, deploy.may("iam:AttachRolePolicy", roles+"roles-builder-0a1b2c3", with(context, "iam:PolicyARN", other)), other)
		}
	}
}

func TestRolesArePassedToTheServicesInUseOnly(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for service, good := range map[string]bool{
		"ec2.amazonaws.com": true, "ecs-tasks.amazonaws.com": true, "batch.amazonaws.com": true,
		"lambda.amazonaws.com": false, "cloudformation.amazonaws.com": false, "": false,
	} {
		to := map[string]string{"iam:PassedToService": service}
		assert.Equal(t, good, deploy.may("iam:PassRole", roles+"roles-builder-0a1b2c3", to), service)
		for _, other := range []string{"roles-builder-9z8y7x6", "roles-host-0a1b2c3", "others-0a1b2c3"} {
			assert.False(t, deploy.may("iam:PassRole", roles+other, to), "%s: another stack's, say", other)
		}
	}
}

// The right to tag an untagged resource would make it the stack's, with all rights on
// the stack's own resources: a key's policy could then let anyone in.
func TestADeploymentTakesOverNothingByTaggingIt(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for action, resource := range map[string]string{
		"kms:TagResource":  "arn:aws:kms" + at + "key/0a1b",
		"ecr:TagResource":  "arn:aws:ecr" + at + "repository/registry-0a1b2c3",
		"logs:TagResource": "arn:aws:logs" + at + "log-group:/dcv-sessions/dev/sessions-0a1b2c",
	} {
		for stack, good := range map[string]bool{"dev": true, "prod": false, "": false} {
			has := map[string]string{}
			if stack != "" {
				has["aws:ResourceTag/dcv-sessions:stack"] = stack
			}
			assert.Equal(t, good, deploy.may(action, resource, has), "%s of %q", action, stack)
			assert.Equal(t, good, deploy.may(action, resource, with(has, "aws:RequestTag/dcv-sessions:stack", "dev")), "%s of %q", action, stack)
			assert.False(t, deploy.may(action, resource, with(has, "aws:RequestTag/dcv-sessions:stack", "prod")), "%s gives it away", action)
		}
	}
}

func TestADeploymentChangesTheSettingsOfItsOwnBucketOnly(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for _, action := range []string{"s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutLifecycleConfiguration"} {
		assert.True(t, deploy.may(action, builds, nil), action)
		assert.False(t, deploy.may(action, "arn:aws:s3:::game-builds-9z8y7x6", nil), "%s: another stack's", action)
	}
}

func TestADeploymentReachesNoOtherStack(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for _, stack := range []string{"dev", "dev-2", "dev2", "de", "prod"} {
		own := stack == "dev"
		is := map[string]string{"aws:ResourceTag/dcv-sessions:stack": stack}
		for action, resource := range map[string]string{
			"ec2:StartInstances":             "arn:aws:ec2" + at + "instance/i-1",
			"ec2:TerminateInstances":         "arn:aws:ec2" + at + "instance/i-1",
			"ec2:DeleteVpc":                  "arn:aws:ec2" + at + "vpc/vpc-1",
			"ec2:CreateTags":                 "arn:aws:ec2" + at + "instance/i-1",
			"ssm:StartSession":               "arn:aws:ec2" + at + "instance/i-1",
			"ssm:SendCommand":                "arn:aws:ec2" + at + "instance/i-1",
			"ecr:PutImage":                   "arn:aws:ecr" + at + "repository/registry-0a1b2c3",
			"ecr:BatchGetImage":              "arn:aws:ecr" + at + "repository/registry-0a1b2c3",
			"batch:UpdateComputeEnvironment": "arn:aws:batch" + at + "compute-environment/hosts-0a1b2c",
			"batch:DeregisterJobDefinition":  "arn:aws:batch" + at + "job-definition/dcv-sessions_" + stack + "_alice:3",
			"secretsmanager:PutSecretValue":  "arn:aws:secretsmanager" + at + "secret:dcv-sessions/" + stack + "/users/alice/credentials-0a-AbCdEf",
			"sns:DeleteTopic":                "arn:aws:sns" + at + "dcv-sessions_" + stack + "_alice",
			"kms:PutKeyPolicy":               "arn:aws:kms" + at + "key/0a1b",
			"logs:PutRetentionPolicy":        "arn:aws:logs" + at + "log-group:/dcv-sessions/" + stack + "/sessions-0a1b2c",
			"iam:PutRolePolicy":              roles + "roles-session-0a1b2c3",
			"iam:UpdateRoleDescription":      roles + "roles-session-0a1b2c3",
		} {
			assert.Equal(t, own, deploy.may(action, resource, with(is, "iam:PermissionsBoundary", boundary)), "%s of stack %s", action, stack)
			assert.False(t, deploy.may(action, resource, nil), "%s on a resource of no stack", action)
		}
		state := "arn:aws:s3:::studio-state/.pulumi/stacks/dcv-sessions/" + stack + ".json"
		for _, action := range []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} {
			assert.Equal(t, own, deploy.may(action, state, nil), "%s %s", action, stack)
			assert.Equal(t, own && action == "s3:GetObject", policies(t, goodArgs())["preview"].may(action, state, nil))
		}
		// A tag of ours goes on nothing that has another stack's.
		tagging := with(is, "aws:RequestTag/dcv-sessions:stack", "dev")
		assert.Equal(t, own, deploy.may("batch:TagResource", "arn:aws:batch"+at+"job-queue/queue-0a1b2c3", tagging), stack)
	}
}

// The sandbox asks IAM with these documents: sandbox/gateway, rights_deploy_test.go.
func TestADeploymentEndsAndResumesItsOwnSessionsOnly(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	const session, tag = "arn:aws:ssm" + at + "session/run-7-0a1b2c", "ssm:resourceTag/aws:ssmmessages:session-id"
	for _, action := range []string{"ssm:TerminateSession", "ssm:ResumeSession"} {
		assert.True(t, deploy.may(action, session, map[string]string{tag: "${aws:userid}"}), action)
		assert.False(t, deploy.may(action, session, map[string]string{tag: "AROAOTHER:run-7"}), action)
		assert.False(t, deploy.may(action, session, nil), action)
	}
	assert.True(t, deploy.may("ssmmessages:OpenDataChannel", session, nil))
}

func TestADeploymentReadsNotificationsAndNoPassword(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for name, good := range map[string]bool{
		"dcv-sessions/dev/users/alice/notification-0a1b2c-AbCdEf": true,
		"dcv-sessions/dev/users/alice/credentials-0a1b2c-AbCdEf":  false,
		"dcv-sessions/dev-2/users/alice/notification-0a-AbCdEf":   false,
		"events!connection/delivery-0a1b2c3/0a1b2c3d":             false,
		"certificate-AbCdEf": false,
	} {
		own := map[string]string{"aws:ResourceTag/dcv-sessions:stack": "dev"}
		assert.Equal(t, good, deploy.may("secretsmanager:GetSecretValue", "arn:aws:secretsmanager"+at+"secret:"+name, own), name)
	}
}

func TestWhatIsMadeGetsTheStacksTag(t *testing.T) {
	deploy := policies(t, goodArgs())["deploy"]
	for action, resource := range map[string]string{
		"ec2:RunInstances":                 "arn:aws:ec2" + at + "instance/*",
		"ec2:CreateVpc":                    "arn:aws:ec2" + at + "vpc/*",
		"ec2:CreateSecurityGroup":          "arn:aws:ec2" + at + "security-group/*",
		"ec2:AuthorizeSecurityGroupEgress": "arn:aws:ec2" + at + "security-group-rule/*",
		"batch:RegisterJobDefinition":      "arn:aws:batch" + at + "job-definition/dcv-sessions_dev_bob",
		"secretsmanager:CreateSecret":      "arn:aws:secretsmanager" + at + "secret:dcv-sessions/dev/users/bob/credentials-0a1b2c",
		"sns:CreateTopic":                  "arn:aws:sns" + at + "dcv-sessions_dev_bob",
	} {
		for tag, good := range map[string]bool{"dev": true, "prod": false, "": false} {
			assert.Equal(t, good, deploy.may(action, resource, map[string]string{"aws:RequestTag/dcv-sessions:stack": tag}), "%s %q", action, tag)
		}
	}
}

func TestAnAdoptedNetworkIsUsedByIDAndNotChanged(t *testing.T) {
	args := goodArgs()
	args.VPCID, args.SubnetIDs = "vpc-1", []string{"subnet-1"}
	deploy := policies(t, args)["deploy"]
	for resource, good := range map[string]bool{"vpc/vpc-1": true, "subnet/subnet-1": true, "vpc/vpc-2": false, "subnet/subnet-2": false} {
		for _, action := range []string{"ec2:CreateSecurityGroup", "ec2:RunInstances"} {
			assert.Equal(t, good, deploy.may(action, "arn:aws:ec2"+at+resource, nil), "%s %s", action, resource)
		}
		assert.False(t, deploy.may("ec2:ModifySubnetAttribute", "arn:aws:ec2"+at+resource, nil), resource)
	}
	assert.False(t, policies(t, goodArgs())["deploy"].may("ec2:CreateSecurityGroup", "arn:aws:ec2"+at+"vpc/vpc-1", nil))
}

func TestARNsAreOfThePartitionAndRegionThatTheStackIsIn(t *testing.T) {
	args := goodArgs()
	args.SecretsKeyARN = ""
	args.RoleARNs, args.BoundaryARN, args.BucketARN = []pulumi.StringInput{pulumi.String("role")}, pulumi.String("boundary"), pulumi.String("bucket")
	args.TeamTopicARN = pulumi.String("topic")
	for name, document := range policies(t, args,
		componenttest.WithCall("aws:index/getPartition:getPartition", func(map[string]any) (map[string]any, error) {
			return map[string]any{"partition": "aws-us-gov", "id": "aws-us-gov"}, nil
		}),
		componenttest.WithCall("aws:index/getRegion:getRegion", func(map[string]any) (map[string]any, error) {
			return map[string]any{"name": "us-gov-west-1", "id": "us-gov-west-1"}, nil
		})) {
		text, err := json.Marshal(document)
		require.NoError(t, err)
		assert.NotRegexp(t, `arn:aws:|us-east-1`, string(text), name)
	}
}

// IAM's quotas in characters (IAM user guide, "IAM and AWS STS quotas").
func TestNoPolicyIsOverIAMsQuotas(t *testing.T) {
	const inlineSum, managedSize, trustSize = 10240, 6144, 2048
	args := goodArgs()
	args.Stack = strings.Repeat("s", 21)
	args.StateBucket = strings.Repeat("b", 63)
	args.VPCID, args.SubnetIDs = "vpc-0123456789abcdef0", slices.Repeat([]string{"subnet-0123456789abcdef0"}, 6)
	args.RoleARNs = slices.Repeat([]pulumi.StringInput{pulumi.String(roles + "roles-execution-0a1b2c3")}, 4)
	args.Subjects = []string{"repo:" + strings.Repeat("o", 39) + "@1234567890/" + strings.Repeat("r", 100) + "@1234567890", "repo:o/r"}
	r := run(t, componenttest.Update, args).Must(t)
	for _, made := range r.OfType(inline) {
		assert.LessOrEqual(t, len(made.Inputs["policy"].(string)), inlineSum, made.Name)
	}
	for _, made := range r.OfType(managed) {
		assert.LessOrEqual(t, len(made.Inputs["policy"].(string)), managedSize, made.Name)
	}
	for _, made := range r.OfType(role) {
		assert.LessOrEqual(t, len(made.Inputs["assumeRolePolicy"].(string)), trustSize, made.Name)
		assert.LessOrEqual(t, len(made.Inputs["name"].(string)), 64, made.Name)
	}
}

// policy is a role's grants, with IAM's way to decide on them.
type policy []iampolicy.Statement

// policies returns the component's grants by role. The launcher's policy is not part of
// the component.
func policies(t *testing.T, args githubroles.GitHubRolesArgs, options ...componenttest.Option) map[string]policy {
	t.Helper()
	r := run(t, componenttest.Update, args, options...).Must(t)
	byARN := map[string]policy{}
	for _, made := range r.OfType(managed) {
		byARN["arn:aws:iam::123456789012:policy/"+made.Name+"-0a1b2c3"] = iampolicytest.Statements(t, made)
	}
	all := map[string]policy{}
	add := func(made componenttest.Resource, granted policy) {
		of := strings.TrimPrefix(made.Inputs["role"].(string), "dcv-sessions_"+args.Stack+"_")
		all[of] = append(all[of], granted...)
	}
	for _, made := range r.OfType(attachment) {
		add(made, byARN[made.Inputs["policyArn"].(string)])
	}
	for _, made := range r.OfType(inline) {
		add(made, iampolicytest.Statements(t, made))
	}
	require.Len(t, all, 2)
	return all
}

// may reports whether a statement allows a call whose context has these keys.
func (p policy) may(action, resource string, context map[string]string) bool {
	return slices.ContainsFunc(p, func(s iampolicy.Statement) bool {
		return slices.Contains(s.Action, action) && iampolicytest.Matches(s.Resource, resource) && holds(s, context)
	})
}

// holds reports whether a statement's conditions hold in a context.
func holds(s iampolicy.Statement, context map[string]string) bool {
	for operator, keys := range s.Condition {
		for key, allowed := range keys {
			value, set := context[key]
			switch operator {
			case "StringEquals", "ArnEquals", "ForAllValues:ArnEquals": // of one value, which is always there
				if !set || !slices.Contains(allowed, value) {
					return false
				}
			case "StringEqualsIfExists":
				if set && !slices.Contains(allowed, value) {
					return false
				}
			default:
				panic("the test knows no operator " + operator)
			}
		}
	}
	return true
}

func with(context map[string]string, key, value string) map[string]string {
	all := map[string]string{key: value}
	for k, v := range context {
		all[k] = v
	}
	return all
}
