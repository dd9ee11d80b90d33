package roles_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/components/iampolicy/iampolicytest"
	"github.com/intraverse/dcv-sessions/components/roles"
)

// boundary is the permissions boundary, with its statements by the name of the
// roles that each is for.
func boundary(t *testing.T, args roles.RolesArgs) map[string][]iampolicy.Statement {
	t.Helper()
	all := map[string][]iampolicy.Statement{}
	for _, s := range iampolicytest.Statements(t, run(t, componenttest.Update, args).Must(t).Named(t, managedPolicy, "roles-boundary")) {
		principals := s.Condition["ArnLike"]["aws:PrincipalArn"]
		require.Len(t, principals, 1)
		name := strings.TrimSuffix(principals[0][strings.LastIndex(principals[0], "/")+1:], "-*")
		delete(s.Condition, "ArnLike")
		if len(s.Condition) == 0 {
			s.Condition = nil
		}
		all[name] = append(all[name], s)
	}
	return all
}

// The sandbox asks IAM with this document: sandbox/gateway, rights_deploy_test.go.
func TestTheBoundaryIsAsReviewed(t *testing.T) {
	const path = "testdata/boundary.json"
	args := goodArgs()
	args.RepositoryARN = pulumi.String("arn:aws:ecr:us-east-1:123456789012:repository/registry-0a1b2c3")
	args.GameBuildsBucketARN = pulumi.String("arn:aws:s3:::game-builds-0a1b2c3")
	args.LogGroupARN = pulumi.String("arn:aws:logs:us-east-1:123456789012:log-group:/dcv-sessions/dev/sessions-0a1b2c")
	args.KeyARN = pulumi.String("arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d")
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		var pretty bytes.Buffer
		policy := run(t, mode, args).Must(t).Named(t, managedPolicy, "roles-boundary").Inputs["policy"].(string)
		require.NoError(t, json.Indent(&pretty, []byte(policy+"\n"), "", "  "))
		if *update {
			require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), pretty.String(), "after a review: go test ./components/roles -update")
	})
}

// widest returns arguments with every setting that adds a right.
func widest() roles.RolesArgs {
	args := goodArgs()
	args.SupportAccess = true
	args.CertificateARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:play-AbCdEf"
	args.UsedRepository = roles.Repository{Account: "222222222222", Region: "eu-west-1", Name: "game"}
	return args
}

func TestTheBoundaryAllowsEachRoleAllOfItsOwnGrants(t *testing.T) {
	for _, args := range []roles.RolesArgs{goodArgs(), widest()} {
		bounds := boundary(t, args)
		for name, granted := range documents(t, run(t, componenttest.Update, args).Must(t)) {
			for _, s := range granted {
				assert.True(t, slices.ContainsFunc(bounds[name], func(b iampolicy.Statement) bool {
					return assert.ObjectsAreEqual(s.Condition, b.Condition) &&
						!slices.ContainsFunc(s.Action, func(action string) bool { return !iampolicytest.Matches(b.Action, action) }) &&
						!slices.ContainsFunc(s.Resource, func(resource string) bool { return !iampolicytest.Matches(b.Resource, resource) })
				}), "%s: %s", name, s.Sid)
			}
		}
	}
}

func TestTheBoundaryGivesNoRoleMoreThanThis(t *testing.T) {
	const users = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/alice/credentials-0a1b2c-AbCdEf"
	args := widest()
	bounds := boundary(t, args)
	names := []string{"delivery", "roles-builder", "roles-execution", "roles-host", "roles-session"}
	for name := range bounds {
		assert.Contains(t, names, name)
	}
	for resource, readers := range map[string][]string{
		users:                                    {"roles-execution"},
		args.CertificateARN:                      {"roles-execution"},
		args.CertificateARN + "x":                nil,
		strings.Replace(users, "dev", "prod", 1): nil,
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:database-AbCdEf":                       nil,
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:events!connection/delivery-dev/0-AbCd": nil,
	} {
		assert.Equal(t, readers, whoMay(bounds, "secretsmanager:GetSecretValue", resource), resource)
	}
	// No action that makes a role, lets others in, or reads beyond the stack's own
	// resources.
	for name, document := range bounds {
		for _, s := range document {
			assert.Equal(t, "Allow", s.Effect)
			for _, action := range s.Action {
				assert.NotRegexp(t, `^\*|:\*|^(iam|sts|organizations|lambda|cloudformation|ec2|batch):|Policy$|GetParameter|GetLogEvents|:Put(Key|Bucket)`, action, name)
			}
		}
	}
	assert.Equal(t, []string{"roles-builder"}, whoMay(bounds, "s3:GetObject", "arn:builds/game.zip"))
	assert.Empty(t, whoMay(bounds, "s3:GetObject", "arn:aws:s3:::other/game.zip"))
	for _, repository := range []string{"arn:repository", "arn:aws:ecr:us-east-1:123456789012:repository/registry-0a1b2c3"} {
		assert.Empty(t, whoMay(bounds, "ecr:PutImage", repository), "images are pushed with the credentials of the deployment")
	}
}

// A deployment may not change the boundary: a setting that it changes by itself
// must not ask for that.
func TestTheBoundaryStaysAsItIsWhereADeploymentChangesSettings(t *testing.T) {
	policy := func(change func(*roles.RolesArgs)) string {
		args := goodArgs()
		change(&args)
		return run(t, componenttest.Update, args).Must(t).Named(t, managedPolicy, "roles-boundary").Inputs["policy"].(string)
	}
	same := policy(func(*roles.RolesArgs) {})
	for name, change := range map[string]func(*roles.RolesArgs){
		"support access": func(a *roles.RolesArgs) { a.SupportAccess = true },
		"another environment's image": func(a *roles.RolesArgs) {
			a.UsedRepository = roles.Repository{Account: "222222222222", Region: "eu-west-1", Name: "registry-0a1b2c3"}
		},
		"tags": func(a *roles.RolesArgs) { a.Tags = nil },
	} {
		assert.Equal(t, same, policy(change), name)
	}
	for name, change := range map[string]func(*roles.RolesArgs){
		"another secret":                  func(a *roles.RolesArgs) { a.CertificateARN = widest().CertificateARN },
		"a repository of a studio's name": func(a *roles.RolesArgs) { a.UsedRepository = widest().UsedRepository },
	} {
		assert.NotEqual(t, same, policy(change), name)
	}
}

// The agent of the builder goes on as AWS's policy lets it, without the account's
// parameters.
func TestTheBuildersBoundaryIsAWSsPolicyWithoutParameters(t *testing.T) {
	bounds := boundary(t, goodArgs())
	// AWS managed policy reference, AmazonSSMManagedInstanceCore, version 2.
	for _, action := range []string{
		"ssm:DescribeAssociation", "ssm:GetDeployablePatchSnapshotForInstance", "ssm:GetDocument", "ssm:DescribeDocument", "ssm:GetManifest",
		"ssm:ListAssociations", "ssm:ListInstanceAssociations", "ssm:PutInventory", "ssm:PutComplianceItems", "ssm:PutConfigurePackageResult",
		"ssm:UpdateAssociationStatus", "ssm:UpdateInstanceAssociationStatus", "ssm:UpdateInstanceInformation",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
		"ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage", "ec2messages:GetEndpoint",
		"ec2messages:GetMessages", "ec2messages:SendReply",
	} {
		assert.Contains(t, whoMay(bounds, action, "*"), "roles-builder", action)
	}
	for _, action := range []string{"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:SendCommand", "ssm:StartSession"} {
		assert.Empty(t, whoMay(bounds, action, "*"), action)
	}
}
