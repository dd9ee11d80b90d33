package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"path"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAGrantCountsAsUsedWhenItAllowedACallAndNotBefore(t *testing.T) {
	g := newGuarded(t)
	secret := g.secret(t, "used-grants")
	role := g.role(t, trustTasks, allow("secretsmanager:GetSecretValue", secret), allow("secretsmanager:DescribeSecret", "*"), allow("sns:Publish", "*"))
	used := func() (list map[string]int) {
		answer := httptest.NewRecorder()
		g.rights.GrantsPage(answer, nil)
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &list))
		return list
	}
	client := secretsmanager.NewFromConfig(g.as(t, role))
	assert.Empty(t, used())
	_, err := client.ListSecrets(ctx, nil)
	refused(t, err, "AccessDeniedException", path.Base(role))
	assert.Empty(t, used(), "a denial uses nothing")
	_, err = client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secret})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"own secretsmanager:GetSecretValue": 1}, used())
	require.NoError(t, g.rights.Grants(ctx, role, tasks, "sns:Publish", "arn:aws:sns:us-east-1:123456789012:topic"))
	assert.Equal(t, map[string]int{"own secretsmanager:GetSecretValue": 1, "own sns:Publish": 1}, used(), "by a service, too")
}
