package gateway

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

const batchRoleName = "AWSServiceRoleForBatch"

// linked is an account in which a new service-linked role can be assumed after a
// while. At its end nothing of the test is left in it.
type linked struct {
	sandbox
	iam   *iam.Client
	batch *batch.Client
}

func newLinked(t *testing.T, delay time.Duration) linked {
	t.Helper()
	registry := mototest.Registry(t)
	address := serve(t, Config{Upstream: mototest.Moto(t), Registry: registry, RoleDelay: delay})
	l := linked{sandbox: sandbox{Config: clientConfig(address), url: address, registry: registry}}
	l.iam, l.batch = iam.NewFromConfig(l.Config), batch.NewFromConfig(l.Config)
	t.Cleanup(func() {
		_, err := ask(ctx, mototest.Moto(t), "iam", "DeleteRole", "RoleName", batchRoleName)
		require.True(t, err == nil || isFault(err, "NoSuchEntity"), "%v", err)
	})
	return l
}

func (l linked) create() (*iam.CreateServiceLinkedRoleOutput, error) {
	return l.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("batch.amazonaws.com")})
}

// deletion asks for the role's deletion and waits for what becomes of it.
func (l linked) deletion(t *testing.T) *iam.GetServiceLinkedRoleDeletionStatusOutput {
	t.Helper()
	task, err := l.iam.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(batchRoleName)})
	require.NoError(t, err)
	var status *iam.GetServiceLinkedRoleDeletionStatusOutput
	require.Eventually(t, func() bool {
		status, err = l.iam.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task.DeletionTaskId})
		require.NoError(t, err)
		return status.Status != iamtypes.DeletionTaskStatusTypeInProgress
	}, 10*time.Second, 50*time.Millisecond)
	return status
}

// environment creates one with a role; "" names none, as the AWS provider does.
func (l linked) environment(t *testing.T, name, role string) (arn string) {
	t.Helper()
	created, err := l.batch.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String(name), Type: types.CETypeManaged, ServiceRole: aws.String(role),
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(8), InstanceTypes: []string{"g5.xlarge"},
			Subnets: []string{l.first(t, "DescribeSubnets", "subnetId")}, SecurityGroupIds: []string{l.first(t, "DescribeSecurityGroups", "groupId")},
			InstanceRole: aws.String(l.instanceRole(t, name)),
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { l.removeEnvironment(t, name) })
	return *created.ComputeEnvironmentArn
}

func (l linked) instanceRole(t *testing.T, name string) (arn string) {
	l.role(t, name)
	return l.profile(t, name)
}

func (l linked) removeEnvironment(t *testing.T, name string) {
	_, err := l.batch.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &name})
	require.NoError(t, err)
}

func TestBatchsRoleHasAWSsNameInEveryAnswer(t *testing.T) {
	l := newLinked(t, 0)
	made, err := l.create()
	require.NoError(t, err)
	require.Equal(t, linkedRoleARN(batchService), *made.Role.Arn)
	require.Equal(t, "arn:aws:iam::123456789012:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch", *made.Role.Arn)
	require.NotNil(t, made.Role.CreateDate)
	_, err = l.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String(batchRoleName), Tags: []iamtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	require.NoError(t, err)
	found, err := l.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(batchRoleName)})
	require.NoError(t, err)
	require.Equal(t, *made.Role.Arn, *found.Role.Arn)
	require.Len(t, found.Role.Tags, 1)
	all, err := l.iam.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/aws-service-role/batch.amazonaws.com/")})
	require.NoError(t, err)
	require.Len(t, all.Roles, 1)
	l.environment(t, "named", *found.Role.Arn)
	require.Equal(t, *found.Role.Arn, *describeEnvironment(t, l.batch, "named").ServiceRole)
}

func TestTheAccountsRoleIsMadeOnce(t *testing.T) {
	l := newLinked(t, 0)
	_, err := l.create()
	require.NoError(t, err)
	_, err = l.create()
	var refused smithy.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "InvalidInput", refused.ErrorCode())
	require.Equal(t, "Service role name AWSServiceRoleForBatch has been taken in this account, please try a different suffix.", refused.ErrorMessage())
	_, err = l.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("batch.amazonaws.com"), CustomSuffix: aws.String("two")})
	require.ErrorContains(t, err, "Custom suffix is not allowed for batch.amazonaws.com")
}

func TestAnotherServicesRoleIsMotos(t *testing.T) {
	l := newLinked(t, 0)
	made, err := l.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("autoscaling.amazonaws.com")})
	require.NoError(t, err)
	require.Equal(t, "AWSServiceRoleForAutoScaling", *made.Role.RoleName)
}

// A program that makes the role and names it at once finds this on AWS too.
func TestARoleThatWasJustMadeLeavesAnEnvironmentInvalid(t *testing.T) {
	l := newLinked(t, 2*time.Second)
	made, err := l.create()
	require.NoError(t, err)
	for name, role := range map[string]string{"early": *made.Role.Arn, "early-unnamed": ""} {
		l.environment(t, name, role)
		shown := describeEnvironment(t, l.batch, name)
		require.Equal(t, types.CEStatusInvalid, shown.Status, name)
		require.Contains(t, *shown.StatusReason, "CLIENT_ERROR - Not authorized to perform sts:AssumeRole")
	}
	l.environment(t, "other", l.role(t, "service"))
	require.Equal(t, types.CEStatusValid, describeEnvironment(t, l.batch, "other").Status, "it has a role of its own")

	time.Sleep(2 * time.Second)
	l.environment(t, "late", *made.Role.Arn)
	require.Equal(t, types.CEStatusValid, describeEnvironment(t, l.batch, "late").Status)
	require.Equal(t, types.CEStatusInvalid, describeEnvironment(t, l.batch, "early").Status, "it stays so until it is updated")
	_, err = l.batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("early"), ServiceRole: made.Role.Arn})
	require.NoError(t, err)
	require.Equal(t, types.CEStatusValid, describeEnvironment(t, l.batch, "early").Status)
}

func TestBatchMakesTheRoleOfAnEnvironmentThatNamesNone(t *testing.T) {
	l := newLinked(t, time.Hour)
	l.environment(t, "first", "")
	l.environment(t, "second", "")
	for _, name := range []string{"first", "second"} {
		shown := describeEnvironment(t, l.batch, name)
		require.Equal(t, types.CEStatusValid, shown.Status, name)
		require.Equal(t, linkedRoleARN(batchService), *shown.ServiceRole, name)
	}
	_, err := l.batch.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("own"), Type: types.CETypeUnmanaged})
	require.ErrorContains(t, err, "ServiceRole is required", "an unmanaged one has to name a role")
	_, err = l.create()
	require.ErrorContains(t, err, "has been taken in this account")
}

func TestARoleThatAnEnvironmentHasIsNotDeleted(t *testing.T) {
	l := newLinked(t, 100*time.Millisecond)
	_, err := l.iam.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(batchRoleName)})
	var missing *iamtypes.NoSuchEntityException
	require.ErrorAs(t, err, &missing)
	l.role(t, "ordinary")
	_, err = l.iam.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String("ordinary")})
	require.ErrorAs(t, err, &missing, "it is for service-linked roles only")

	t.Run("while it has it", func(t *testing.T) {
		arn := l.environment(t, "in-use", "")
		task, err := l.iam.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(batchRoleName)})
		require.NoError(t, err, "the call is taken")
		require.Regexp(t, "^task/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch/.+", *task.DeletionTaskId)
		failed := l.deletion(t)
		require.Equal(t, iamtypes.DeletionTaskStatusTypeFailed, failed.Status)
		require.NotEmpty(t, *failed.Reason.Reason)
		require.Equal(t, []iamtypes.RoleUsageType{{Region: aws.String("us-east-1"), Resources: []string{arn}}}, failed.Reason.RoleUsageList)
		_, err = l.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(batchRoleName)})
		require.NoError(t, err)
	})
	gone := l.deletion(t)
	require.Equal(t, iamtypes.DeletionTaskStatusTypeSucceeded, gone.Status)
	require.Nil(t, gone.Reason)
	_, err = l.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(batchRoleName)})
	require.ErrorAs(t, err, &missing)
	_, err = l.iam.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: aws.String("task/none")})
	require.ErrorAs(t, err, &missing)
}
