package gateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/stretchr/testify/require"
)

func TestRepositoriesAndLoginsLeadToTheLocalRegistry(t *testing.T) {
	s := newSandbox(t)
	client := ecr.NewFromConfig(s.Config)
	created, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/addresses")})
	require.NoError(t, err)
	uri := s.registry + "/team/addresses"
	require.Equal(t, uri, *created.Repository.RepositoryUri)
	require.Contains(t, *created.Repository.RepositoryArn, ":repository/team/addresses", "the rest is as moto says")
	require.NotNil(t, created.Repository.CreatedAt)

	described, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/addresses"}})
	require.NoError(t, err)
	require.Equal(t, uri, *described.Repositories[0].RepositoryUri)

	token, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	require.NoError(t, err)
	require.Equal(t, "http://"+s.registry, *token.AuthorizationData[0].ProxyEndpoint)
	require.NotEmpty(t, *token.AuthorizationData[0].AuthorizationToken)

	deleted, err := client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("team/addresses")})
	require.NoError(t, err)
	require.Equal(t, uri, *deleted.Repository.RepositoryUri)
}
