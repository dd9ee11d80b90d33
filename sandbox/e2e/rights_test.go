package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// use is a call, and the roles of the stack that may make it; nobody else may.
type use struct {
	name  string
	roles []string
	call  func(context.Context, aws.Config) error
}

// uses returns the calls that the stack's roles are for, and similar ones that are
// none of theirs.
func uses(out outputs.Outputs, ours, foreign, untagged string) []use {
	repository := out.RepositoryURL[strings.Index(out.RepositoryURL, "/")+1:]
	stream := aws.String("player1/default/" + fmt.Sprint(time.Now().UnixNano()))
	secret := func(id string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := secretsmanager.NewFromConfig(c).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
			return err
		}
	}
	publish := func(topic string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := sns.NewFromConfig(c).Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("your session is ready")})
			return err
		}
	}
	submit := func(definition, stack string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := batch.NewFromConfig(c).SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("rights"), JobQueue: &out.QueueARN,
				JobDefinition: &definition, Tags: map[string]string{contract.TagStack: stack}})
			return err
		}
	}
	end := func(job string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := batch.NewFromConfig(c).TerminateJob(ctx, &batch.TerminateJobInput{JobId: &job, Reason: aws.String("rights")})
			return err
		}
	}
	tag := func(job string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := batch.NewFromConfig(c).TagResource(ctx, &batch.TagResourceInput{
				ResourceArn: aws.String("arn:aws:batch:" + local.Region + ":" + local.Account + ":job/" + job), Tags: map[string]string{contract.TagStack: "sandbox"}})
			return err
		}
	}
	object := func(bucket string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("game.zip")})
			return err
		}
	}
	pull := func(repository string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := ecr.NewFromConfig(c).BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &repository,
				ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: aws.String("rights")}}})
			return err
		}
	}
	push := func(repository string) func(context.Context, aws.Config) error {
		return func(ctx context.Context, c aws.Config) error {
			_, err := ecr.NewFromConfig(c).PutImage(ctx, &ecr.PutImageInput{RepositoryName: &repository, ImageManifest: aws.String("{}")})
			return err
		}
	}
	definition := out.JobDefinitions["player1"]
	return []use{
		{"read a user's password", []string{"execution"}, secret(out.CredentialsARNs["player1"])},
		{"read a secret that is no user's", nil, secret("dcv-sessions/sandbox/other")},
		{"open a session's log stream", []string{"execution"}, func(ctx context.Context, c aws.Config) error {
			_, err := cloudwatchlogs.NewFromConfig(c).CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &out.LogGroup, LogStreamName: stream})
			return err
		}},
		{"open a log stream of another group", nil, func(ctx context.Context, c aws.Config) error {
			_, err := cloudwatchlogs.NewFromConfig(c).CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("/other"), LogStreamName: stream})
			return err
		}},
		{"read a session's log", []string{"launcher"}, func(ctx context.Context, c aws.Config) error {
			_, err := cloudwatchlogs.NewFromConfig(c).GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &out.LogGroup, LogStreamName: stream})
			return err
		}},
		{"tell a user", []string{"session"}, publish(out.TopicARNs["player2"])},
		{"tell the team", nil, publish(out.TeamTopicARN)},
		{"read a parameter", nil, func(ctx context.Context, c aws.Config) error { // the boundary takes it out of AmazonSSMManagedInstanceCore
			_, err := ssm.NewFromConfig(c).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/studio/database")})
			return err
		}},
		{"log in to the registry", []string{"execution"}, func(ctx context.Context, c aws.Config) error {
			_, err := ecr.NewFromConfig(c).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
			return err
		}},
		{"pull a session's image", []string{"execution"}, pull(repository)},
		{"pull from another repository", nil, pull("other")},
		{"push an image", nil, push(repository)},
		{"push to another repository", nil, push("other")},
		{"read a game build", []string{"builder"}, object(out.GameBuildsBucket)},
		{"read another bucket", nil, object("other-bucket")},
		{"submit a session", []string{"launcher"}, submit(definition, "sandbox")},
		{"submit a session under another stack's tag", nil, submit(definition, "other")},
		{"submit another stack's session", nil, submit("dcv-sessions_other_player1", "sandbox")},
		{"list sessions", []string{"launcher"}, func(ctx context.Context, c aws.Config) error {
			_, err := batch.NewFromConfig(c).ListJobs(ctx, &batch.ListJobsInput{JobQueue: &out.QueueARN})
			return err
		}},
		{"tag another stack's session as one's own", nil, tag(foreign)},
		{"tag a job that has no tag as one's own", nil, tag(untagged)},
		{"end another stack's session", nil, end(foreign)},
		{"end a job that has no tag", nil, end(untagged)},
		{"tag a session as it is, which a session asks for before it ends", []string{"launcher"}, tag(ours)},
		{"end a session", []string{"launcher"}, end(ours)},
		{"change a queue", nil, func(ctx context.Context, c aws.Config) error {
			_, err := batch.NewFromConfig(c).UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &out.QueueARN})
			return err
		}},
	}
}

// inspectRights makes every call in every role: with the grants as deployed, by
// the gateway that decides as IAM does.
func (s *sandbox) inspectRights(t *testing.T, out outputs.Outputs) {
	c := s.aws(t)
	defer c.endJobs(t, out, "rights")
	ours, foreign, untagged := c.submitTagged(t, out, "sandbox"), c.submitTagged(t, out, "other"), c.submitTagged(t, out, "")
	s.tryUses(t, uses(out, ours, foreign, untagged), s.roleConfigs(t, out), func(u use, role string) bool { return slices.Contains(u.roles, role) })
}

// tryUses makes every call in every role and compares the result with may.
func (s *sandbox) tryUses(t *testing.T, all []use, roles map[string]aws.Config, may func(u use, role string) bool) {
	t.Helper()
	for name, config := range roles {
		for _, u := range all {
			err := u.call(t.Context(), config)
			assert.Equal(t, may(u, name), !deniedBy(t, err), "may the role %s %s? %v", name, u.name, err)
		}
	}
}

// deniedBy reports whether an error is a denial. A call on a resource that does not
// exist fails otherwise once it is allowed.
func deniedBy(t *testing.T, err error) bool {
	t.Helper()
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		require.NoError(t, err)
		return false
	}
	require.NotEqual(t, "NotImplemented", refused.ErrorCode(), "the sandbox can't decide: %v", err)
	return slices.Contains([]string{"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}, refused.ErrorCode())
}

// roleConfigs are the stack's roles by which sessions live, and one with the launcher's
// policy, each made assumable for as long as the test takes. EventBridge's is used
// for real. The deploy role's policies are tried in sandbox/gateway
// (rights_deploy_test.go), and infra/stack's tests hold GitHub's two roles against
// the stack's resources.
func (s *sandbox) roleConfigs(t *testing.T, out outputs.Outputs) map[string]aws.Config {
	t.Helper()
	c, configs := s.aws(t), map[string]aws.Config{}
	roles, err := c.iam.ListRoles(t.Context(), &iam.ListRolesInput{})
	require.NoError(t, err)
	for _, role := range roles.Roles {
		name, _, _ := strings.Cut(strings.TrimPrefix(*role.RoleName, "roles-"), "-")
		if !strings.HasPrefix(*role.RoleName, "roles-") || c.stackOf(t, *role.RoleName) != s.stack {
			continue
		}
		trust, err := url.QueryUnescape(*role.AssumeRolePolicyDocument)
		require.NoError(t, err)
		c.trust(t, *role.RoleName, trustAccount)
		t.Cleanup(func() { c.trust(t, *role.RoleName, trust) })
		configs[name] = s.assume(t, *role.Arn)
	}
	for name := range intended {
		if own, is := strings.CutPrefix(name, "roles-"); is {
			require.Contains(t, configs, own)
		}
	}
	configs["launcher"] = s.assume(t, s.launcherRole(t, out))
	return configs
}

// stackOf is the stack that a role is tagged with.
func (c cloudClients) stackOf(t *testing.T, role string) string {
	t.Helper()
	listed, err := c.iam.ListRoleTags(t.Context(), &iam.ListRoleTagsInput{RoleName: &role})
	require.NoError(t, err)
	for _, tag := range listed.Tags {
		if *tag.Key == contract.TagStack {
			return *tag.Value
		}
	}
	return ""
}

const trustAccount = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + local.Account + `"},"Action":"sts:AssumeRole"}]}`

func (c cloudClients) trust(t *testing.T, role, document string) {
	t.Helper()
	_, err := c.iam.UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &document})
	require.NoError(t, err)
}

// launcherRole is a website's: a role with the launcher policy and nothing else.
func (s *sandbox) launcherRole(t *testing.T, out outputs.Outputs) (arn string) {
	t.Helper()
	c, name := s.aws(t), aws.String("website")
	made, err := c.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trustAccount)})
	require.NoError(t, err)
	_, err = c.iam.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: &out.LauncherPolicyARN})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		_, err := c.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: &out.LauncherPolicyARN})
		assert.NoError(t, err)
		_, err = c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
		assert.NoError(t, err)
	})
	return *made.Role.Arn
}

// assume is the configuration of a role's session.
func (s *sandbox) assume(t *testing.T, role string) aws.Config {
	t.Helper()
	config := s.config(t)
	config.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(config), role))
	return config
}

// submitTagged queues a job under a stack's tag, or without a tag if stack is "",
// that is never placed, nor any behind it: it asks for more vCPUs than a host has.
func (c cloudClients) submitTagged(t *testing.T, out outputs.Outputs, stack string) (id string) {
	t.Helper()
	definition := out.JobDefinitions["player3"]
	var tags map[string]string
	if stack != "" {
		tags = contract.JobTags(stack, "player3")
	}
	made, err := c.batch.SubmitJob(t.Context(), &batch.SubmitJobInput{
		JobName: aws.String("rights"), JobQueue: &out.QueueARN, JobDefinition: &definition, Tags: tags,
		ContainerOverrides: &types.ContainerOverrides{ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("999")}}},
	})
	require.NoError(t, err)
	return *made.JobId
}

// endJobs ends all jobs of a name, the last first, so that none is placed.
func (c cloudClients) endJobs(t *testing.T, out outputs.Outputs, name string) {
	t.Helper()
	listed, err := c.batch.ListJobs(context.Background(), &batch.ListJobsInput{
		JobQueue: &out.QueueARN, Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{name}}}})
	require.NoError(t, err)
	for _, j := range listed.JobSummaryList {
		_, err := c.batch.TerminateJob(context.Background(), &batch.TerminateJobInput{JobId: j.JobId, Reason: aws.String("the test is over")})
		assert.NoError(t, err)
	}
}
