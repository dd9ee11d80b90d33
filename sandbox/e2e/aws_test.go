package e2e

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// cloudClients are AWS's own clients, at the sandbox's one endpoint.
type cloudClients struct {
	endpoint  string
	accessKey string
	registry  string
	batch     *batch.Client
	ec2       *ec2.Client
	ecr       *ecr.Client
	iam       *iam.Client
	secrets   *secretsmanager.Client
	sqs       *sqs.Client
}

func (s *sandbox) aws(t *testing.T) cloudClients {
	t.Helper()
	cloud, config := s.cloud(t), s.config(t)
	return cloudClients{cloud.Endpoint(), cloud.AccessKey, cloud.Registry(), batch.NewFromConfig(config), ec2.NewFromConfig(config), ecr.NewFromConfig(config), iam.NewFromConfig(config), secretsmanager.NewFromConfig(config), sqs.NewFromConfig(config)}
}

// config is the administrator's.
func (s *sandbox) config(t *testing.T) aws.Config {
	t.Helper()
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(s.cloud(t).Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(s.cloud(t).AccessKey, local.SecretKey, ""),
	}
}

// listings are the calls that list each kind of resource of a stack, with a text that
// the answer has once for each resource. A KMS key is not among them: AWS keeps
// it for seven days after its deletion.
var listings = []struct{ service, call, once string }{
	{"batch", "POST /v1/describecomputeenvironments", `"computeEnvironmentArn"`},
	{"batch", "POST /v1/describejobqueues", `"jobQueueArn"`},
	{"batch", `POST /v1/describejobdefinitions {"status": "ACTIVE"}`, `"jobDefinitionArn"`},
	{"ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", `"repositoryArn"`},
	{"secretsmanager", "secretsmanager.ListSecrets", `"ARN"`},
	{"logs", "Logs_20140328.DescribeLogGroups", `"logGroupName"`},
	{"iam", "Action=ListRoles&Version=2010-05-08", "<RoleName>"},
	{"iam", "Action=ListInstanceProfiles&Version=2010-05-08", "<InstanceProfileName>"},
	{"iam", "Action=ListPolicies&Scope=Local&Version=2010-05-08", "<PolicyName>"},
	{"sns", "Action=ListTopics&Version=2010-03-31", "<TopicArn>"},
	{"sns", "Action=ListSubscriptions&Version=2010-03-31", "<SubscriptionArn>"},
	{"ec2", "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-state-name&Filter.1.Value.1=running&Filter.1.Value.2=stopped", "<instanceId>"},
	{"ec2", "Action=DescribeSecurityGroups&Version=2016-11-15", "<groupDescription>"},
	{"ec2", "Action=DescribeLaunchTemplates&Version=2016-11-15", "<launchTemplateId>"},
	{"s3", "GET /", "<Name>"},
	{"events", "AWSEvents.ListRules", `"EventPattern"`},
	{"events", "AWSEvents.ListConnections", `"ConnectionArn"`},
	{"events", "AWSEvents.ListApiDestinations", `"ApiDestinationArn"`},
	{"sqs", "Action=ListQueues&Version=2012-11-05", "<QueueUrl>"},
	{"monitoring", "Action=DescribeAlarms&Version=2010-08-01", "<AlarmName>"},
	{"monitoring", "Action=ListDashboards&Version=2010-08-01", "<DashboardName>"},
	{"logs", "Logs_20140328.DescribeMetricFilters", `"filterName"`},
	{"budgets", `AWSBudgetServiceGateway.DescribeBudgets {"AccountId": "` + local.Account + `"}`, `"BudgetName"`},
	{"iam", "Action=ListOpenIDConnectProviders&Version=2010-05-08", "<Arn>"},
}

// everything counts the resources of the local AWS and its registry, by kind.
func (c cloudClients) everything(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{"images": c.images(t)}
	for _, l := range listings {
		count[l.once] += strings.Count(c.call(t, l.service, l.call), l.once)
	}
	return count
}

// call makes an AWS call by hand: an operation of the JSON protocol, a form, or
// a method with its path and body.
func (c cloudClients) call(t *testing.T, service, call string) string {
	t.Helper()
	method, path, body := http.MethodPost, "/", call
	first, rest, _ := strings.Cut(call, " ")
	header := http.Header{"Authorization": {local.Authorization(c.accessKey, service)}}
	switch {
	case strings.HasPrefix(call, "Action="):
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	case strings.Contains(first, "."):
		header.Set("X-Amz-Target", first)
		header.Set("Content-Type", "application/x-amz-json-1.1")
		body = cmp.Or(rest, "{}")
	default:
		method = first
		path, body, _ = strings.Cut(rest, " ")
	}
	req, err := http.NewRequest(method, c.endpoint+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s %s: %s", service, call, answer)
	return string(answer)
}

func (c cloudClients) activeDefinitions(t *testing.T) []types.JobDefinition {
	t.Helper()
	got, err := c.batch.DescribeJobDefinitions(context.Background(), &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	require.NoError(t, err)
	return got.JobDefinitions
}

// inspect compares AWS's resources with the stack's outputs.
func (s *sandbox) inspect(t *testing.T, out outputs.Outputs) {
	c := s.aws(t)
	t.Run("a valid environment behind a valid queue", func(t *testing.T) { c.inspectQueue(t, out) })
	t.Run("one active job definition a user, of an image that is in the registry", func(t *testing.T) { c.inspectDefinitions(t, out) })
	t.Run("a secret a user, with a strong password", func(t *testing.T) { c.inspectSecrets(t, out) })
	t.Run("roles with exactly the intended policies", func(t *testing.T) { c.inspectRoles(t) })
	t.Run("every role may do what it is for, and nothing else", func(t *testing.T) { s.inspectRights(t, out) })
	t.Run("every alarm notifies the team, and the dashboard shows this stack", func(t *testing.T) { c.inspectWatching(t, out) })
	t.Run("no password and no registry token is in the state or on disk", func(t *testing.T) { s.inspectState(t, c, out) })
}

func (c cloudClients) inspectQueue(t *testing.T, out outputs.Outputs) {
	ctx := context.Background()
	queues, err := c.batch.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{out.QueueARN}})
	require.NoError(t, err)
	require.Len(t, queues.JobQueues, 1)
	queue := queues.JobQueues[0]
	assert.Equal(t, types.JQStatusValid, queue.Status)
	assert.Equal(t, types.JQStateEnabled, queue.State)
	assert.Len(t, queue.JobStateTimeLimitActions, 3)
	require.Len(t, queue.ComputeEnvironmentOrder, 1)
	environments, err := c.batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{
		ComputeEnvironments: []string{*queue.ComputeEnvironmentOrder[0].ComputeEnvironment}})
	require.NoError(t, err)
	require.Len(t, environments.ComputeEnvironments, 1)
	environment := environments.ComputeEnvironments[0]
	assert.Equal(t, types.CEStatusValid, environment.Status)
	assert.Equal(t, types.CEStateEnabled, environment.State)
	assert.Equal(t, types.CRAllocationStrategyBestFitProgressive, environment.ComputeResources.AllocationStrategy)
	assert.False(t, *environment.UpdatePolicy.TerminateJobsOnUpdate, "no update ends running sessions")
}

func (c cloudClients) inspectDefinitions(t *testing.T, out outputs.Outputs) {
	active := map[string]types.JobDefinition{}
	for _, d := range c.activeDefinitions(t) {
		assert.NotContains(t, active, *d.JobDefinitionName, "one active revision a name")
		active[*d.JobDefinitionName] = d
	}
	assert.Len(t, active, 3)
	repository, digest, _ := strings.Cut(out.ImageURI, "@")
	for _, user := range []string{"player1", "player2", "player3"} {
		d := active[out.JobDefinitions[user]]
		require.NotNil(t, d.ContainerProperties, user)
		assert.Equal(t, out.ImageURI, *d.ContainerProperties.Image)
		assert.Equal(t, out.CredentialsARNs[user], *d.ContainerProperties.Secrets[0].ValueFrom)
		assert.Equal(t, user, d.Tags[contract.TagUser])
	}
	_, name, _ := strings.Cut(repository, "/")
	_, err := c.ecr.DescribeImages(context.Background(), &ecr.DescribeImagesInput{
		RepositoryName: aws.String(name), ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: aws.String(digest)}}})
	assert.NoError(t, err, "ECR has no image %s", out.ImageURI)
}

func (c cloudClients) inspectWatching(t *testing.T, out outputs.Outputs) {
	alarms := c.call(t, "monitoring", "Action=DescribeAlarms&AlarmNamePrefix="+contract.NamePrefix(out.Stack)+"&Version=2010-08-01")
	assert.Contains(t, alarms, "<AlarmName>"+contract.NamePrefix(out.Stack)+"failed-game</AlarmName>")
	assert.Equal(t, strings.Count(alarms, "<AlarmName>"), strings.Count(alarms, "<member>"+out.TeamTopicARN+"</member>"))
	board := c.call(t, "monitoring", "Action=GetDashboard&DashboardName="+out.DashboardName+"&Version=2010-08-01")
	assert.Contains(t, board, out.LogGroup)
	assert.Contains(t, board, out.QueueName)
	for _, row := range contract.Metrics {
		assert.Contains(t, c.call(t, "logs", `Logs_20140328.DescribeMetricFilters {"logGroupName": "`+out.LogGroup+`"}`), `"`+row.Name+`"`)
	}
}

func (c cloudClients) password(t *testing.T, out outputs.Outputs, user string) string {
	t.Helper()
	got, err := c.secrets.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(out.CredentialsARNs[user])})
	require.NoError(t, err)
	var value contract.Credentials
	require.NoError(t, json.Unmarshal([]byte(*got.SecretString), &value))
	assert.Equal(t, user, value.Username)
	return value.Password
}

func (c cloudClients) inspectSecrets(t *testing.T, out outputs.Outputs) {
	seen := map[string]bool{}
	for user := range out.JobDefinitions {
		password := c.password(t, out, user)
		assert.GreaterOrEqual(t, len(password), 20)
		assert.True(t, strings.ContainsFunc(password, unicode.IsUpper) && strings.ContainsFunc(password, unicode.IsLower) &&
			strings.ContainsFunc(password, unicode.IsDigit), "letters of both cases and digits")
		assert.False(t, seen[password], "nobody shares a password")
		seen[password] = true
	}
}

// intended are the actions that each role of the stack has of its own, and AWS's
// policies that it carries.
var intended = map[string]struct {
	managed []string
	actions []string
}{
	"roles-host": {nil, []string{
		"ecs:DeregisterContainerInstance", "ecs:DiscoverPollEndpoint", "ecs:Poll", "ecs:RegisterContainerInstance", "ecs:StartTelemetrySession",
		"ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:UpdateContainerInstancesState",
		"s3:GetObject"}},
	"roles-execution": {nil, []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer",
		"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"}},
	"roles-session": {nil, []string{"kms:Decrypt", "kms:GenerateDataKey*", "sns:Publish"}},
	"roles-builder": {[]string{"AmazonSSMManagedInstanceCore"}, []string{"s3:GetObject", "s3:GetObjectVersion"}},
	"delivery":      {nil, []string{"events:InvokeApiDestination"}},
	// GitHub's two, without a bucket of Pulumi's state here.
	"dcv-sessions_sandbox_preview": {[]string{"pipeline-read"}, nil},
	"dcv-sessions_sandbox_deploy":  {[]string{"launcher", "pipeline-network", "pipeline-read", "pipeline-services", "pipeline-watching"}, nil},
}

// autonamed is the end of a name that Pulumi gave.
var autonamed = regexp.MustCompile(`-[0-9a-f]{7}$`)

func (c cloudClients) inspectRoles(t *testing.T) {
	ctx := context.Background()
	roles, err := c.iam.ListRoles(ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
	found := 0
	for _, role := range roles.Roles {
		want, ours := intended[autonamed.ReplaceAllString(*role.RoleName, "")]
		if !ours {
			assert.True(t, strings.HasPrefix(*role.Path, "/aws-service-role/"), "unexpected role %s", *role.RoleName)
			continue
		}
		found++
		attached, err := c.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role.RoleName})
		require.NoError(t, err)
		var managed []string
		for _, policy := range attached.AttachedPolicies {
			managed = append(managed, autonamed.ReplaceAllString(*policy.PolicyName, ""))
		}
		assert.ElementsMatch(t, want.managed, managed, *role.RoleName)
		var actions []string
		for _, grant := range c.inlineActions(t, *role.RoleName) {
			_, action, _ := strings.Cut(grant, " ")
			actions = append(actions, action)
		}
		slices.Sort(actions)
		assert.ElementsMatch(t, want.actions, slices.Compact(actions), *role.RoleName)
	}
	assert.Equal(t, len(intended), found, "every role is there")
}

func (c cloudClients) registryPassword(t *testing.T) string {
	t.Helper()
	got, err := c.ecr.GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	require.NoError(t, err)
	token, err := base64.StdEncoding.DecodeString(*got.AuthorizationData[0].AuthorizationToken)
	require.NoError(t, err)
	_, password, _ := strings.Cut(string(token), ":")
	return password
}
