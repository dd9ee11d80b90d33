package roles_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/components/roles"
)

const (
	component  = "dcv:roles:Roles"
	role       = "aws:iam/role:Role"
	inline     = "aws:iam/rolePolicy:RolePolicy"
	attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	profile    = "aws:iam/instanceProfile:InstanceProfile"
)

func goodArgs() roles.RolesArgs {
	return roles.RolesArgs{
		Stack:               "dev",
		RepositoryARN:       pulumi.String("arn:repository"),
		GameBuildsBucketARN: pulumi.String("arn:builds"),
		LogGroupARN:         pulumi.String("arn:log"),
		KeyARN:              pulumi.String("arn:key"),
		RegistryName:        "registry",
		DeliveryName:        "delivery",
		Tags:                map[string]string{"team": "games"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args roles.RolesArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := roles.NewRoles(ctx, "roles", &args)
		return err
	}, options...)
}

func unknown() pulumi.StringInput {
	return pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "never" }).(pulumi.StringOutput)
}

func TestTheGraphIsTheSameInPreviewAndUpdate(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Equal(t, []string{
			profile + " roles-builder", profile + " roles-host",
			managedPolicy + " roles-boundary",
			role + " roles-builder", role + " roles-execution", role + " roles-host", role + " roles-session",
			inline + " roles-builder", inline + " roles-execution", inline + " roles-host", inline + " roles-session",
			attachment + " roles-builder-AmazonSSMManagedInstanceCore",
			component + " roles",
		}, r.Names())
		for _, made := range r.Resources {
			if made.Type != component {
				assert.Equal(t, "roles", made.Parent, made.Name)
			}
			if made.Type == role || made.Type == profile || made.Type == managedPolicy {
				assert.Equal(t, map[string]any{"team": "games"}, made.Inputs["tags"], made.Name)
			}
		}
	})
}

func TestEachRoleMayDoExactlyThis(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		for name, statements := range map[string]string{
			"host": `[
				{"Sid": "JoinCluster", "Effect": "Allow", "Action": ["ecs:DeregisterContainerInstance", "ecs:RegisterContainerInstance",
				 "ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange"],
				 "Resource": "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch*"},
				{"Sid": "TakeTasks", "Effect": "Allow", "Action": ["ecs:DeregisterContainerInstance", "ecs:Poll", "ecs:StartTelemetrySession",
				 "ecs:UpdateContainerInstancesState"], "Resource": "arn:aws:ecs:us-east-1:123456789012:container-instance/AWSBatch*/*"},
				{"Sid": "FindCluster", "Effect": "Allow", "Action": "ecs:DiscoverPollEndpoint", "Resource": "*"},
				{"Sid": "DCVLicence", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::dcv-license.us-east-1/*"}]`,
			"execution": `[
				{"Sid": "UserSecrets", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
				 "Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/*"},
				{"Sid": "SessionLog", "Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "arn:log:*"},
				{"Sid": "Login", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
				{"Sid": "Pull", "Effect": "Allow", "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
				 "Resource": "arn:repository"}]`,
			"session": `[
				{"Sid": "TellUsers", "Effect": "Allow", "Action": "sns:Publish", "Resource": "arn:aws:sns:us-east-1:123456789012:dcv-sessions_dev_*"},
				{"Sid": "TellUsersEncrypted", "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "arn:key",
				 "Condition": {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}}}]`,
			"builder": `[
				{"Sid": "ReadBuilds", "Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:builds/*"}]`,
		} {
			made := r.Named(t, inline, "roles-"+name)
			assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": `+statements+`}`, made.Inputs["policy"].(string), name)
			if mode == componenttest.Update {
				assert.Equal(t, "roles-"+name+"-0a1b2c3", made.Inputs["role"])
			}
		}
	})
}

func TestTheCertificateIsReadByTheAgentAloneAndNoOtherSecretWithIt(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:play-AbCdEf"
	args := goodArgs()
	args.CertificateARN = arn
	all := documents(t, run(t, componenttest.Update, args).Must(t))
	assert.Equal(t, []string{"roles-execution"}, whoMay(all, "secretsmanager:GetSecretValue", arn))
	assert.Empty(t, whoMay(all, "secretsmanager:GetSecretValue", arn+"x"))
	assert.Contains(t, all["roles-execution"], iampolicy.Statement{
		Sid: "Certificate", Effect: "Allow", Action: iampolicy.List{"secretsmanager:GetSecretValue"}, Resource: iampolicy.List{arn},
	})
}

// The agent pulls with the execution role, on EC2 too: without these rights no
// session ever starts.
func TestTheAgentPullsFromTheRepositoriesInUseAndFromNoOther(t *testing.T) {
	const own = "arn:aws:ecr:us-east-1:123456789012:repository/registry-0a1b2c3"
	const foreign = "arn:aws:ecr:eu-west-1:222222222222:repository/registry-0a1b2c3"
	pullers := func(used roles.Repository, repository string) []string {
		args := goodArgs()
		args.RepositoryARN, args.UsedRepository = pulumi.String(own), used
		all := documents(t, run(t, componenttest.Update, args).Must(t))
		may := whoMay(all, "ecr:GetDownloadUrlForLayer", repository)
		assert.Contains(t, whoMay(all, "ecr:GetAuthorizationToken", "*"), "roles-execution")
		for _, action := range []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"} {
			assert.Subset(t, whoMay(all, action, repository), may)
		}
		for _, statement := range all["roles-execution"] {
			assert.NotContains(t, statement.Action, "ecr:PutImage")
		}
		return may
	}
	used := roles.Repository{Account: "222222222222", Region: "eu-west-1", Name: "registry-0a1b2c3"}
	agent := []string{"roles-execution"}
	assert.Equal(t, agent, pullers(roles.Repository{}, own))
	assert.Empty(t, pullers(roles.Repository{}, foreign))
	assert.Equal(t, agent, pullers(used, own), "sessions that were started before use it")
	assert.Equal(t, agent, pullers(used, foreign))
	for _, other := range []string{
		strings.Replace(own, "registry-", "other-", 1), own + "4", strings.Replace(foreign, "eu-west-1", "us-east-1", 1), strings.Replace(own, "us-east-1", "eu-west-1", 1),
	} {
		assert.Empty(t, pullers(used, other), other)
	}
	itself := roles.Repository{Account: "123456789012", Region: "us-east-1", Name: "registry-0a1b2c3"}
	assert.Equal(t, agent, pullers(itself, own))
}

// A player who breaks out of a session has the host's role.
func TestAHostMayNeitherPullNorReadParametersNorAnyLogAndIsReachedOnlyWhereAsked(t *testing.T) {
	for _, supported := range []bool{false, true} {
		args := goodArgs()
		args.SupportAccess = supported
		r := run(t, componenttest.Update, args).Must(t)
		for _, made := range r.OfType(attachment) {
			assert.NotEqual(t, "roles-host-0a1b2c3", made.Inputs["role"], "AWS's own policies have more: %v", made.Inputs["policyArn"])
		}
		all := documents(t, r)
		for _, action := range []string{
			"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ssm:GetParameter", "ssm:GetParameters", "ssm:GetDocument", "ssm:PutInventory",
			"logs:PutLogEvents", "ecs:CreateCluster", "ecs:TagResource", "ec2:DescribeTags", "ec2messages:GetMessages", "s3:GetEncryptionConfiguration",
		} {
			assert.NotContains(t, whoMay(all, action, "*"), "roles-host", action)
		}
		for action, resource := range map[string]string{
			"ecs:RegisterContainerInstance": "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-hosts-0a1b2c-5d6e7f",
			"ecs:SubmitTaskStateChange":     "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-hosts-0a1b2c-5d6e7f",
			"ecs:Poll":                      "arn:aws:ecs:us-east-1:123456789012:container-instance/AWSBatch-hosts-0a1b2c-5d6e7f/0a1b",
		} {
			assert.Equal(t, []string{"roles-host"}, whoMay(all, action, resource), action)
			assert.Empty(t, whoMay(all, action, strings.Replace(resource, "AWSBatch-", "games-", 1)), "%s in another team's cluster", action)
		}
		var reached iampolicy.List
		for _, s := range all["roles-host"] {
			if s.Sid == "SupportAccess" {
				reached = s.Action
			}
		}
		if supported {
			assert.Equal(t, iampolicy.List{"ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
				"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"}, reached)
		} else {
			assert.Empty(t, reached)
		}
	}
}

func TestEachRoleIsAssumedByOneServiceAndHasOnlyTheseOfAWSsPolicies(t *testing.T) {
	const aws = "arn:aws:iam::aws:policy/"
	r := run(t, componenttest.Update, goodArgs()).Must(t)
	managed := map[string][]string{}
	for _, made := range r.OfType(attachment) {
		of := made.Inputs["role"].(string)
		managed[of] = append(managed[of], made.Inputs["policyArn"].(string))
	}
	assert.Equal(t, map[string][]string{
		"roles-builder-0a1b2c3": {aws + "AmazonSSMManagedInstanceCore"},
	}, managed)
	for name, service := range map[string]string{
		"host": "ec2", "builder": "ec2", "execution": "ecs-tasks", "session": "ecs-tasks",
	} {
		made := r.Named(t, role, "roles-"+name)
		assert.NotEmpty(t, made.Inputs["description"])
		delete(made.Inputs, "description")
		assert.Equal(t, map[string]any{
			"assumeRolePolicy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service +
				`.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
			"permissionsBoundary": "arn:aws:iam::123456789012:policy/roles-boundary-0a1b2c3",
			"tags":                map[string]any{"team": "games"},
		}, made.Inputs, "nothing more: no further policy inside")
	}
}

func TestEachOutputIsOfItsOwnRole(t *testing.T) {
	var given []any
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		args := goodArgs()
		made, err := roles.NewRoles(ctx, "roles", &args)
		if err != nil {
			return err
		}
		ctx.Export("given", pulumi.All(made.HostRoleARN, made.BuilderRoleARN, made.ExecutionRoleARN, made.SessionRoleARN,
			made.HostInstanceProfileARN, made.BuilderInstanceProfileName).ApplyT(func(all []any) []any { given = all; return all }))
		return nil
	}).Must(t)
	const account = "arn:aws:iam::123456789012:"
	assert.Equal(t, []any{
		account + "role/roles-host-0a1b2c3", account + "role/roles-builder-0a1b2c3",
		account + "role/roles-execution-0a1b2c3", account + "role/roles-session-0a1b2c3",
		account + "instance-profile/roles-host-0a1b2c3", "roles-builder-0a1b2c3",
	}, given)
	for _, made := range run(t, componenttest.Update, goodArgs()).Must(t).OfType(profile) {
		assert.Equal(t, made.Name+"-0a1b2c3", made.Inputs["role"])
	}
}

func TestHostsAreReadyOnceEveryPolicyAndTheProfileAreThere(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		var ready []string
		componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
			args := goodArgs()
			made, err := roles.NewRoles(ctx, "roles", &args)
			if err != nil {
				return err
			}
			var urns []any
			for _, one := range made.HostReady {
				urns = append(urns, one.URN())
			}
			ctx.Export("ready", pulumi.All(urns...).ApplyT(func(all []any) []string {
				for _, one := range all {
					urn := resource.URN(one.(pulumi.URN))
					ready = append(ready, string(urn.Type())+" "+urn.Name())
				}
				return ready
			}))
			return nil
		}).Must(t)
		assert.ElementsMatch(t, []string{
			inline + " roles-host",
			profile + " roles-host",
		}, ready)
	})
}

func TestARNsThatAreNotKnownYetKeepOnlyThePoliciesOpen(t *testing.T) {
	args := goodArgs()
	args.RepositoryARN, args.GameBuildsBucketARN, args.LogGroupARN, args.KeyARN = unknown(), unknown(), unknown(), unknown()
	r := run(t, componenttest.Preview, args).Must(t)
	assert.Equal(t, run(t, componenttest.Preview, goodArgs()).Must(t).Names(), r.Names())
	for _, made := range r.OfType(inline) {
		if made.Name == "roles-host" {
			assert.Contains(t, made.Inputs, "policy", "it names no other resource")
		} else {
			assert.NotContains(t, made.Inputs, "policy", "%s: the mock leaves unknown inputs out", made.Name)
		}
	}
}

func TestARNsAreOfThePartitionAndRegionThatTheStackIsIn(t *testing.T) {
	r := run(t, componenttest.Update, goodArgs(), elsewhere...).Must(t)
	for name, document := range documents(t, r) {
		for _, s := range document {
			assert.NotRegexp(t, `arn:aws:|us-east-1`, fmt.Sprint(s), name)
		}
	}
	for _, made := range r.OfType(attachment) {
		assert.Contains(t, made.Inputs["policyArn"], "arn:aws-us-gov:iam::aws:policy/")
	}
	assert.Contains(t, r.Named(t, inline, "roles-host").Inputs["policy"], "dcv-license.us-gov-west-1/*")
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := run(t, componenttest.Preview, roles.RolesArgs{Stack: "Dev_1"})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, "roles has 7 faults:"+
		"\n  - stack is \"Dev_1\"; allowed: ^[a-z][a-z0-9-]{0,20}$"+
		"\n  - gameBuildsBucketArn is not set; allowed: an ARN"+
		"\n  - keyArn is not set; allowed: an ARN"+
		"\n  - logGroupArn is not set; allowed: an ARN"+
		"\n  - repositoryArn is not set; allowed: an ARN"+
		"\n  - registryName is not set; allowed: a logical name"+
		"\n  - deliveryName is not set; allowed: a logical name")
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}

// elsewhere makes the mock answer for another partition and Region.
var elsewhere = []componenttest.Option{
	componenttest.WithCall("aws:index/getPartition:getPartition", func(map[string]any) (map[string]any, error) {
		return map[string]any{"partition": "aws-us-gov", "id": "aws-us-gov"}, nil
	}),
	componenttest.WithCall("aws:index/getRegion:getRegion", func(map[string]any) (map[string]any, error) {
		return map[string]any{"name": "us-gov-west-1", "id": "us-gov-west-1"}, nil
	}),
}
