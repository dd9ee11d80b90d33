package gateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

// createEnvironment creates a compute environment with a role; "" names none, as
// the AWS provider does.
func createEnvironment(t *testing.T, at sandbox, name, role string) {
	t.Helper()
	client := batch.NewFromConfig(at.Config)
	at.role(t, name)
	_, err := client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String(name), Type: types.CETypeManaged, ServiceRole: aws.String(role),
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(8), InstanceTypes: []string{"g5.xlarge"},
			Subnets: []string{at.first(t, "DescribeSubnets", "subnetId")}, SecurityGroupIds: []string{at.first(t, "DescribeSecurityGroups", "groupId")},
			InstanceRole: aws.String(at.profile(t, name)),
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := client.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &name})
		require.NoError(t, err)
	})
}

func TestBatchMakesTheRoleOfAnEnvironmentThatNamesNone(t *testing.T) {
	at := newSandbox(t)
	t.Cleanup(func() {
		_, err := ask(ctx, mototest.Moto(t), "iam", "DeleteRole", "RoleName", batchRoleName)
		require.NoError(t, err)
	})
	for _, name := range []string{"first", "second"} {
		createEnvironment(t, at, name, "")
		shown := describeEnvironment(t, batch.NewFromConfig(at.Config), name)
		require.Equal(t, types.CEStatusValid, shown.Status, name)
		require.Equal(t, "arn:aws:iam::123456789012:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch", *shown.ServiceRole, name)
	}
	roles, err := iam.NewFromConfig(at.Config).ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String(batchRolePath)})
	require.NoError(t, err)
	require.Len(t, roles.Roles, 1, "an account has one")
}

func TestAnEnvironmentMayNameItsRole(t *testing.T) {
	at := newSandbox(t)
	role := at.role(t, "service")
	createEnvironment(t, at, "named", role)
	require.Equal(t, role, *describeEnvironment(t, batch.NewFromConfig(at.Config), "named").ServiceRole)
	_, err := batch.NewFromConfig(at.Config).CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: aws.String("own"), Type: types.CETypeUnmanaged})
	require.ErrorContains(t, err, "ServiceRole is required", "an unmanaged one has to name a role")
}
