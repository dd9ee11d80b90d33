package e2e

import (
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// unexercised are the grants that no engine test uses, and why. A grant is
// "POLICY ACTION", without the end that Pulumi gives a policy's name; * stands for
// any characters. A row that excuses nothing is a fault, too.
var unexercised = []struct{ grant, reason string }{
	{"roles-host ecs:*", "simulated hosts have no ECS agent that speaks ECS's protocol"},
	{"roles-host s3:GetObject", "only a DCV server reads the licence bucket"},
	{"roles-execution ecr:BatchCheckLayerAvailability", "Docker pulls layers from the registry itself"},
	{"roles-execution ecr:GetDownloadUrlForLayer", "Docker pulls layers from the registry itself"},
	{"roles-session kms:*", "moto's topics encrypt nothing"},
	{"pipeline-* *", "the engine tests deploy as the administrator; TestADeploymentMayChangeAllOfTheStackButWhatDelivers and sandbox/gateway/rights_deploy_test.go try these rights"},
}

// grantedActions returns the actions that the policies of the stack's roles allow,
// each as "POLICY ACTION". AWS's own policies are not the stack's to narrow, and a permissions
// boundary grants nothing.
func (c cloudClients) grantedActions(t *testing.T) []string {
	t.Helper()
	roles, err := c.iam.ListRoles(t.Context(), &iam.ListRolesInput{})
	require.NoError(t, err)
	var list []string
	for _, role := range roles.Roles {
		if _, ours := intended[autonamed.ReplaceAllString(*role.RoleName, "")]; ours {
			list = append(list, c.inlineActions(t, *role.RoleName)...)
			list = append(list, c.attachedActions(t, *role.RoleName)...)
		}
	}
	require.NotEmpty(t, list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (c cloudClients) inlineActions(t *testing.T, role string) (list []string) {
	t.Helper()
	names, err := c.iam.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: &role})
	require.NoError(t, err)
	for _, name := range names.PolicyNames {
		got, err := c.iam.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
		require.NoError(t, err)
		list = append(list, allowedBy(t, name, *got.PolicyDocument)...)
	}
	return list
}

func (c cloudClients) attachedActions(t *testing.T, role string) (list []string) {
	t.Helper()
	attached, err := c.iam.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &role})
	require.NoError(t, err)
	for _, policy := range attached.AttachedPolicies {
		if strings.HasPrefix(*policy.PolicyArn, "arn:aws:iam::aws:") {
			continue
		}
		got, err := c.iam.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: policy.PolicyArn})
		require.NoError(t, err)
		version, err := c.iam.GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: policy.PolicyArn, VersionId: got.Policy.DefaultVersionId})
		require.NoError(t, err)
		list = append(list, allowedBy(t, *policy.PolicyName, *version.PolicyVersion.Document)...)
	}
	return list
}

// allowedBy are the actions that a policy allows.
func allowedBy(t *testing.T, name, document string) (list []string) {
	t.Helper()
	text, err := url.QueryUnescape(document)
	require.NoError(t, err)
	var policy struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &policy), text)
	for _, s := range policy.Statement {
		actions, several := s.Action.([]any)
		if !several {
			actions = []any{s.Action}
		}
		for _, action := range actions {
			if s.Effect == "Allow" {
				list = append(list, autonamed.ReplaceAllString(name, "")+" "+action.(string))
			}
		}
	}
	return list
}

// allExercised fails for a grant that no call of the whole test has used, unless a
// row says why, and for a row that excuses nothing.
func (s *sandbox) allExercised(t *testing.T, granted []string) {
	t.Helper()
	var used map[string]int
	require.NoError(t, s.cloud(t).GetJSON(t.Context(), gateway.GrantsPath, &used))
	var calls []string
	for call := range used {
		policy, action, _ := strings.Cut(call, " ")
		calls = append(calls, autonamed.ReplaceAllString(path.Base(policy), "")+" "+action)
	}
	excuses := make([]int, len(unexercised))
	for _, g := range granted {
		if slices.ContainsFunc(calls, func(call string) bool { return matches(g, call) }) {
			continue
		}
		row := slices.IndexFunc(unexercised, func(row struct{ grant, reason string }) bool { return matches(row.grant, g) })
		if assert.GreaterOrEqual(t, row, 0, "no step uses %q: remove the grant, use it in a step, or say why in unexercised", g) {
			excuses[row]++
		}
	}
	for i, row := range unexercised {
		assert.NotZero(t, excuses[i], "unexercised: %q excuses no grant: remove the row", row.grant)
	}
}

func matches(pattern, text string) bool {
	is, err := path.Match(pattern, text)
	return err == nil && is
}
