package gateway

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// environment creates a compute environment as the program does.
func environment(t *testing.T, s sandbox, name string) (client *batch.Client, arn string) {
	t.Helper()
	client = batch.NewFromConfig(s.Config)
	role := s.role(t, name)
	created, err := client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String(name), Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: aws.String(role),
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, AllocationStrategy: types.CRAllocationStrategyBestFitProgressive,
			InstanceTypes: []string{"g5.xlarge"}, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(8),
			Subnets: []string{s.first(t, "DescribeSubnets", "subnetId")}, SecurityGroupIds: []string{s.first(t, "DescribeSecurityGroups", "groupId")},
			InstanceRole:     aws.String(s.profile(t, name)),
			LaunchTemplate:   &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String("1")},
			Ec2Configuration: []types.Ec2Configuration{{ImageType: aws.String("ECS_AL2023_NVIDIA")}},
		},
	})
	require.NoError(t, err)
	// Creating takes no update policy: the provider sets it by an update at once.
	_, err = client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(name),
		UpdatePolicy: &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(360), TerminateJobsOnUpdate: aws.Bool(false)}})
	require.NoError(t, err)
	return client, *created.ComputeEnvironmentArn
}

func describeEnvironment(t *testing.T, client *batch.Client, name string) types.ComputeEnvironmentDetail {
	t.Helper()
	described, err := client.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}})
	require.NoError(t, err)
	require.Len(t, described.ComputeEnvironments, 1)
	return described.ComputeEnvironments[0]
}

func TestAnEnvironmentsUpdatePolicyIsReadBack(t *testing.T) {
	client, _ := environment(t, newSandbox(t), "policy")
	policy := describeEnvironment(t, client, "policy").UpdatePolicy
	require.NotNil(t, policy)
	require.EqualValues(t, 360, *policy.JobExecutionTimeoutMinutes)
	require.False(t, *policy.TerminateJobsOnUpdate)

	_, err := client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("policy"),
		UpdatePolicy: &types.UpdatePolicy{JobExecutionTimeoutMinutes: aws.Int64(30), TerminateJobsOnUpdate: aws.Bool(true)}})
	require.NoError(t, err)
	policy = describeEnvironment(t, client, "policy").UpdatePolicy
	require.EqualValues(t, 30, *policy.JobExecutionTimeoutMinutes)
	require.True(t, *policy.TerminateJobsOnUpdate)
}

func TestAnUpdateOfAnEnvironmentChangesWhatItSendsAndNothingElse(t *testing.T) {
	client, arn := environment(t, newSandbox(t), "update")
	before := describeEnvironment(t, client, "update")
	_, err := client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(arn), State: types.CEStateDisabled,
		ComputeResources: &types.ComputeResourceUpdate{
			MaxvCpus: aws.Int32(64), InstanceTypes: []string{"g5.xlarge", "g5.2xlarge"}, UpdateToLatestImageVersion: aws.Bool(true),
			LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String("2")},
		}})
	require.NoError(t, err)
	after := describeEnvironment(t, client, "update")
	want := before
	resources := *before.ComputeResources
	want.State, want.ComputeResources = types.CEStateDisabled, &resources
	resources.MaxvCpus, resources.InstanceTypes = aws.Int32(64), []string{"g5.xlarge", "g5.2xlarge"}
	resources.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-1"), Version: aws.String("2")}
	require.Equal(t, want, after)
}

func TestARefusedUpdateChangesNothing(t *testing.T) {
	client, _ := environment(t, newSandbox(t), "refused")
	before := describeEnvironment(t, client, "refused")
	_, err := client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("refused"),
		ServiceRole: aws.String("arn:aws:iam::123456789012:role/absent"), ComputeResources: &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(1)}})
	require.Error(t, err)
	require.Equal(t, before, describeEnvironment(t, client, "refused"))
}

func TestADeletedEnvironmentIsForgotten(t *testing.T) {
	s := newSandbox(t)
	client, _ := environment(t, s, "again")
	_, err := client.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("again")})
	require.NoError(t, err)
	_, err = client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("again"), Type: types.CETypeUnmanaged, State: types.CEStateEnabled, ServiceRole: aws.String(s.role(t, "again2")),
	})
	require.NoError(t, err)
	require.Nil(t, describeEnvironment(t, client, "again").UpdatePolicy)
}

func TestAQueuesStateTimeLimitsAreReadBack(t *testing.T) {
	client, environment := environment(t, newSandbox(t), "limits")
	limit := func(seconds int32) []types.JobStateTimeLimitAction {
		return []types.JobStateTimeLimitAction{{Action: types.JobStateTimeLimitActionsActionCancel, State: types.JobStateTimeLimitActionsStateRunnable,
			Reason: aws.String("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"), MaxTimeSeconds: aws.Int32(seconds)}}
	}
	created, err := client.CreateJobQueue(ctx, &batch.CreateJobQueueInput{JobQueueName: aws.String("limits"), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder:  []types.ComputeEnvironmentOrder{{ComputeEnvironment: aws.String(environment), Order: aws.Int32(1)}},
		JobStateTimeLimitActions: limit(1800)})
	require.NoError(t, err)
	describe := func() types.JobQueueDetail {
		described, err := client.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{"limits"}})
		require.NoError(t, err)
		require.Len(t, described.JobQueues, 1)
		return described.JobQueues[0]
	}
	require.Equal(t, limit(1800), describe().JobStateTimeLimitActions)
	_, err = client.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: created.JobQueueArn, JobStateTimeLimitActions: limit(600)})
	require.NoError(t, err)
	require.Equal(t, limit(600), describe().JobStateTimeLimitActions)
	_, err = client.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: created.JobQueueArn, Priority: aws.Int32(2)})
	require.NoError(t, err)
	require.Equal(t, limit(600), describe().JobStateTimeLimitActions, "what an update does not send stays")
	require.EqualValues(t, 2, *describe().Priority)
}

func TestARevisionHasWhatItsOwnRegistrationSent(t *testing.T) {
	client := batch.NewFromConfig(newSandbox(t).Config)
	container := func(image string) *types.ContainerProperties {
		return &types.ContainerProperties{
			Image: aws.String(image), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/execution"), JobRoleArn: aws.String("arn:aws:iam::123456789012:role/session"),
			Environment:          []types.KeyValuePair{{Name: aws.String(contract.EnvUser), Value: aws.String("player1")}},
			Secrets:              []types.Secret{{Name: aws.String(contract.EnvCredentials), ValueFrom: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:s")}},
			LinuxParameters:      &types.LinuxParameters{SharedMemorySize: aws.Int32(1024), InitProcessEnabled: aws.Bool(true)},
			LogConfiguration:     &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/sessions"}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("3")}, {Type: types.ResourceTypeMemory, Value: aws.String("14000")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}},
			Privileged:           aws.Bool(false), User: aws.String("1000"), ReadonlyRootFilesystem: aws.Bool(true),
			Command: []string{}, MountPoints: []types.MountPoint{}, Ulimits: []types.Ulimit{}, Volumes: []types.Volume{},
		}
	}
	register := func(in *batch.RegisterJobDefinitionInput) types.JobDefinition {
		in.JobDefinitionName, in.Type = aws.String("revisions"), types.JobDefinitionTypeContainer
		registered, err := client.RegisterJobDefinition(ctx, in)
		require.NoError(t, err)
		described, err := client.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{*registered.JobDefinitionArn}})
		require.NoError(t, err)
		require.Len(t, described.JobDefinitions, 1)
		return described.JobDefinitions[0]
	}
	first := register(&batch.RegisterJobDefinitionInput{
		ContainerProperties: container("image@sha256:1"), PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityEc2}, PropagateTags: aws.Bool(true),
		SchedulingPriority: aws.Int32(7), Parameters: map[string]string{"a": "b"}, Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(3600)},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{{Action: "exit", OnExitCode: aws.String("0")}}},
		Tags:          map[string]string{"dcv-sessions:user": "player1"},
	})
	require.Equal(t, container("image@sha256:1"), first.ContainerProperties)
	require.Equal(t, []types.PlatformCapability{types.PlatformCapabilityEc2}, first.PlatformCapabilities)
	require.True(t, *first.PropagateTags)
	require.EqualValues(t, 7, *first.SchedulingPriority)
	require.EqualValues(t, 3600, *first.Timeout.AttemptDurationSeconds)
	require.EqualValues(t, 2, *first.RetryStrategy.Attempts)
	require.Equal(t, map[string]string{"a": "b"}, first.Parameters)
	require.Equal(t, map[string]string{"dcv-sessions:user": "player1"}, first.Tags)

	second := register(&batch.RegisterJobDefinitionInput{ContainerProperties: container("image@sha256:2"), PropagateTags: aws.Bool(false)})
	require.EqualValues(t, 2, *second.Revision)
	require.Equal(t, "image@sha256:2", *second.ContainerProperties.Image)
	require.False(t, *second.PropagateTags)
	require.Nil(t, second.RetryStrategy)
	require.Nil(t, second.Timeout)
	require.Nil(t, second.SchedulingPriority)
	require.Empty(t, second.PlatformCapabilities)
	require.Empty(t, second.Parameters)
}

// first is an id of moto's default network. moto wants every id that an
// environment names to exist.
func (s sandbox) first(t *testing.T, operation, element string) (id string) {
	t.Helper()
	answer := s.query(t, "ec2", "2016-11-15", operation)
	_, after, found := strings.Cut(answer, "<"+element+">")
	require.True(t, found, answer)
	id, _, _ = strings.Cut(after, "<")
	return id
}

func (s sandbox) role(t *testing.T, name string) (arn string) {
	t.Helper()
	s.query(t, "iam", "2010-05-08", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":[]}`)
	return "arn:aws:iam::123456789012:role/" + name
}

func (s sandbox) profile(t *testing.T, name string) (arn string) {
	t.Helper()
	s.query(t, "iam", "2010-05-08", "CreateInstanceProfile", "InstanceProfileName", name)
	s.query(t, "iam", "2010-05-08", "AddRoleToInstanceProfile", "InstanceProfileName", name, "RoleName", name)
	return "arn:aws:iam::123456789012:instance-profile/" + name
}
