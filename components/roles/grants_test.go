package roles_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/components/iampolicy/iampolicytest"
	"github.com/intraverse/dcv-sessions/components/roles"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
)

var longestARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + strings.Repeat("c", 512) + "-AbCdEf"

// everything declares all grants of a stack with a number of users, each with a
// notification and a name of the greatest length.
func everything(t *testing.T, stack string, count int) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		var all []userresources.User
		for i := range count {
			name := fmt.Sprintf("p%030d", i)
			all = append(all, userresources.User{Name: name, Notify: name + "@example.com"})
		}
		users, err := userresources.NewUserResources(ctx, "secrets", &userresources.UserResourcesArgs{Stack: stack, Users: all})
		if err != nil {
			return err
		}
		arn := func(service, name string) pulumi.String {
			return pulumi.String("arn:aws:" + service + ":us-east-1:123456789012:" + name)
		}
		group := contract.LogGroupPrefix(stack)
		access, err := roles.NewRoles(ctx, "roles", &roles.RolesArgs{
			Stack: stack, KeyARN: users.KeyARN, LogGroupARN: arn("logs", "log-group:"+group),
			// Secrets Manager's, ECR's and S3's longest names.
			CertificateARN:      longestARN,
			RepositoryARN:       arn("ecr", "repository/"+strings.Repeat("r", 256)),
			UsedRepository:      roles.Repository{Account: "222222222222", Region: "ap-southeast-1", Name: strings.Repeat("u", 256)},
			GameBuildsBucketARN: pulumi.String("arn:aws:s3:::" + strings.Repeat("b", 63)),
			RegistryName:        "registry", DeliveryName: "delivery",
		})
		if err != nil {
			return err
		}
		var sessions []session.User
		for _, u := range all {
			sessions = append(sessions, session.User{Name: u.Name, CredentialsARN: users.Credentials[u.Name], NotificationARN: users.Notifications[u.Name]})
		}
		settings := contract.DefaultSettings()
		settings.Stack, settings.Region = stack, componenttest.Region
		_, err = session.NewSessions(ctx, "sessions", &session.SessionsArgs{
			Settings: settings, Users: sessions, Image: pulumi.String("game@sha256:1111"), VCPUs: 3, MemoryMiB: 14000, GPUs: 1, PerGPU: 1, SharedMemoryMiB: 1024, Attempts: 2,
			CertificateARN: longestARN, LogGroupName: pulumi.String(group),
			ExecutionRoleARN: access.ExecutionRoleARN, SessionRoleARN: access.SessionRoleARN, EnsureCredentials: (&userresources.Passwords{}).Ensure,
		})
		if err != nil {
			return err
		}
		_, err = roles.NewLauncherPolicy(ctx, "launcher", &roles.LauncherPolicyArgs{
			Stack: stack, QueueARN: arn("batch", "job-queue/"+strings.Repeat("q", 128)), LogGroupARN: arn("logs", "log-group:"+group),
		})
		return err
	}).Must(t)
}

func TestOnlyTheAgentReadsUsersSecretsAndNoSessionReadsAny(t *testing.T) {
	all := documents(t, everything(t, "dev", 1))
	require.Len(t, all, 5)
	var readers []string
	for name, document := range all {
		for _, s := range document {
			assert.Equal(t, "Allow", s.Effect)
			for _, action := range s.Action {
				assert.NotRegexp(t, `^\*|:\*`, action, name)
				if strings.HasPrefix(action, "secretsmanager:") {
					readers = append(readers, name+" "+action)
				}
			}
		}
	}
	assert.Equal(t, []string{"roles-execution secretsmanager:GetSecretValue"}, slices.Compact(readers))
}

// None of the three services has a resource level there (Service Authorization
// Reference).
func TestEverythingIsGrantedOnlyWhereAWSHasNoResourceLevel(t *testing.T) {
	var actions []string
	for _, document := range documents(t, everything(t, "dev", 1)) {
		for _, s := range document {
			if slices.Contains(s.Resource, "*") {
				actions = append(actions, s.Action...)
			}
		}
	}
	assert.ElementsMatch(t, []string{
		"batch:DescribeJobs", "batch:ListJobs", "ecr:GetAuthorizationToken", "ecs:DiscoverPollEndpoint",
	}, actions)
}

func TestAStacksGrantsReachNoOtherStack(t *testing.T) {
	all := documents(t, everything(t, "dev", 1))
	const at = ":us-east-1:123456789012:"
	for _, stack := range []string{"dev", "dev-2", "dev2", "dev-", "devs", "de", "d", "a-dev"} {
		own := func(name string) []string {
			if stack == "dev" {
				return []string{name}
			}
			return nil
		}
		secret := "arn:aws:secretsmanager" + at + "secret:" + contract.PathPrefix(stack)
		assert.Equal(t, own("roles-execution"), whoMay(all, "secretsmanager:GetSecretValue", secret+"users/player1/credentials-0a1b2c-AbCdEf"), stack)
		assert.Empty(t, whoMay(all, "secretsmanager:GetSecretValue", secret+"pulumi-AbCdEf"), "no secret but users'")
		assert.Equal(t, own("roles-session"), whoMay(all, "sns:Publish", "arn:aws:sns"+at+contract.NamePrefix(stack)+"player1"), stack)
		for _, revision := range []string{"", ":7"} {
			definition := "arn:aws:batch" + at + "job-definition/" + contract.JobDefinition(stack, "player1") + revision
			assert.Equal(t, own("launcher"), whoMay(all, "batch:SubmitJob", definition), stack)
		}
		for _, action := range []string{"logs:PutLogEvents", "logs:GetLogEvents"} {
			stream := "arn:aws:logs" + at + "log-group:" + contract.LogGroupPrefix(stack) + ":log-stream:player1/default/0a1b"
			assert.Equal(t, stack == "dev", len(whoMay(all, action, stream)) == 1, stack)
		}
	}
	assert.Empty(t, whoMay(all, "sns:Publish", "arn:aws:sns"+at+"secrets-team-0a1b2c3"), "the team's topic is not a session's")
}

// The right to put the stack's tag on a job is the right to end it, so a launcher may
// tag only jobs that have the tag already.
func TestALauncherTagsNoJobThatIsNotItsStacks(t *testing.T) {
	const job = "arn:aws:batch:us-east-1:123456789012:job/1"
	var reaching []string
	for name, document := range documents(t, everything(t, "dev", 1)) {
		for _, s := range document {
			if !iampolicytest.Matches(s.Action, "batch:TagResource") || !iampolicytest.Matches(s.Resource, job) {
				continue
			}
			reaching = append(reaching, name+" "+s.Sid)
			assert.Equal(t, iampolicy.List{"dev"}, s.Condition["StringEquals"]["aws:ResourceTag/"+contract.TagStack], s.Sid)
			assert.Equal(t, iampolicy.List{"dev"}, s.Condition["StringEquals"]["aws:RequestTag/"+contract.TagStack], s.Sid)
			assert.Equal(t, iampolicy.List{contract.TagStack}, s.Condition["ForAllValues:StringEquals"]["aws:TagKeys"], s.Sid)
		}
	}
	assert.Equal(t, []string{"launcher AskToEnd"}, reaching)
}

func TestConditionsOfSeveralOperatorsAllStand(t *testing.T) {
	once := iampolicy.Allow("A", iampolicy.List{"s:A"}, iampolicy.List{"*"}).When("StringEquals", "k1", "v1")
	both := once.When("Bool", "k2", "true").When("StringEquals", "k3", "b", "a")
	assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [{"Sid": "A", "Effect": "Allow", "Action": "s:A", "Resource": "*",
		"Condition": {"StringEquals": {"k1": "v1", "k3": ["a", "b"]}, "Bool": {"k2": "true"}}}]}`, iampolicy.JSON(both))
	assert.Len(t, once.Condition, 1, "the statement that it was made from stays as it was")
}

// IAM's quotas in characters (IAM user guide, "IAM and AWS STS quotas"). White
// space doesn't count there, and there is none here.
func TestNoPolicyGrowsWithTheUsersOrOverIAMsQuotas(t *testing.T) {
	const inlineSum, managedSize, trustSize, attachments = 10240, 6144, 2048, 10
	longest := strings.Repeat("s", 21)
	start := time.Now()
	few, many := everything(t, longest, 1), everything(t, longest, 1000)
	t.Logf("a stack of 1,000 users registered in %v", time.Since(start))
	require.Len(t, many.OfType("aws:batch/jobDefinition:JobDefinition"), 1000)

	sums, attached := map[any]int{}, map[any]int{}
	for _, kind := range []string{role, inline, attachment, managedPolicy, profile} {
		assert.Equal(t, few.OfType(kind), many.OfType(kind))
	}
	for _, made := range many.OfType(inline) {
		sums[made.Inputs["role"]] += len(made.Inputs["policy"].(string))
	}
	for _, made := range many.OfType(attachment) {
		attached[made.Inputs["role"]]++
	}
	for _, made := range many.OfType(role) {
		own := made.Name + "-0a1b2c3"
		assert.NotZero(t, sums[own], own)
		assert.LessOrEqual(t, sums[own], inlineSum, own)
		assert.LessOrEqual(t, attached[own], attachments, own)
		assert.LessOrEqual(t, len(made.Inputs["assumeRolePolicy"].(string)), trustSize, own)
	}
	policies := many.OfType(managedPolicy)
	assert.Len(t, policies, 2, "the launcher's and the boundary")
	for _, made := range policies {
		assert.LessOrEqual(t, len(made.Inputs["policy"].(string)), managedSize, made.Name)
	}
}

// documents returns the statements of every role and of the launcher, by logical name.
func documents(t *testing.T, r *componenttest.Run) map[string][]iampolicy.Statement {
	t.Helper()
	all := map[string][]iampolicy.Statement{}
	for _, made := range slices.Concat(r.OfType(inline), r.OfType(managedPolicy)) {
		if made.Name != "roles-boundary" { // which grants nothing
			all[made.Name] = iampolicytest.Statements(t, made)
		}
	}
	return all
}

// whoMay returns the names of the policies that allow an action on a resource.
func whoMay(all map[string][]iampolicy.Statement, action, resource string) []string {
	var names []string
	for name, statements := range all {
		if iampolicytest.Allows(statements, action, resource) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
