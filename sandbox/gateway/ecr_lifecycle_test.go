package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	program "github.com/intraverse/dcv-sessions/components/registry"
)

// rule is one of a policy; its selection is the rest of that object.
func rule(priority int, selection string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"description":"a rule","selection":{%s},"action":{"type":"expire"}}`, priority, selection)
}

func policyOf(rules ...string) string { return `{"rules":[` + strings.Join(rules, ",") + `]}` }

func prefixed(count int, prefixes ...string) string {
	return fmt.Sprintf(`"tagStatus":"tagged","tagPrefixList":["%s"],"countType":"imageCountMoreThan","countNumber":%d`, strings.Join(prefixes, `","`), count)
}

func ofStatus(status string, count int) string {
	return fmt.Sprintf(`"tagStatus":%q,"countType":"imageCountMoreThan","countNumber":%d`, status, count)
}

// The examples named A to C are those of the Amazon ECR user guide, "Examples of
// lifecycle policies in Amazon ECR".
func TestImagesExpireAsAmazonECRsEvaluatorDecides(t *testing.T) {
	days := func(n int) time.Time { return time.Now().AddDate(0, 0, -n) }
	abc := []image{{"A", []string{"beta-1", "prod-1"}, days(10)}, {"B", []string{"beta-2", "prod-2"}, days(9)}, {"C", []string{"beta-3"}, days(8)}}
	four := []image{{"A", []string{"alpha-1"}, days(12)}, {"B", []string{"beta-1"}, days(11)}, {"C", []string{"alpha-2", "beta-2"}, days(10)}, {"D", nil, days(9)}}
	released := []image{{"old", []string{"1", "released-1"}, days(9)}, {"b", []string{"2"}, days(8)}, {"c", []string{"3"}, days(7)}, {"d", []string{"4"}, days(6)}}
	for name, c := range map[string]struct {
		images []image
		policy string
		want   string
	}{
		"several rules, example A":           {abc, policyOf(rule(1, prefixed(1, "prod")), rule(2, prefixed(1, "beta"))), "A"},
		"several rules, example B":           {abc, policyOf(rule(1, prefixed(1, "beta")), rule(2, prefixed(1, "prod"))), "A B"},
		"rules in another order":             {abc, policyOf(rule(2, prefixed(1, "beta")), rule(1, prefixed(1, "prod"))), "A"},
		"every entry of a list has to match": {abc, policyOf(rule(1, prefixed(1, "beta", "prod"))), "A"},
		"and none does":                      {abc, policyOf(rule(1, prefixed(1, "prod", "alpha"))), ""},
		"fewer than the limit":               {four, policyOf(rule(1, ofStatus("any", 4))), ""},
		"the newest of any":                  {four, policyOf(rule(1, ofStatus("any", 3))), "A"},
		"the last rule counts what another keeps": {
			released, policyOf(rule(1, prefixed(1000, "released-")), rule(2, ofStatus("any", 2))), "b"},
		"the newest only, whatever is released": {
			released, policyOf(rule(1, ofStatus("any", 2))), "old b"},
	} {
		policy, err := parseLifecyclePolicy(c.policy)
		require.NoError(t, err, name)
		var gone []string
		for _, i := range policy.expired(c.images) {
			gone = append(gone, i.digest)
		}
		assert.Equal(t, c.want, strings.Join(gone, " "), name)
	}
}

func TestALifecyclePolicyThatAmazonECRRefusesIsRefused(t *testing.T) {
	g := newGames(t, "refused-policies")
	for why, policy := range map[string]string{
		"has to be 1 or more":                                         policyOf(rule(0, ofStatus("any", 1))),
		"rulePriority has to be unique":                               policyOf(rule(1, prefixed(1, "a")), rule(1, prefixed(1, "b"))),
		"any has to have the highest rulePriority":                    policyOf(rule(1, ofStatus("any", 1)), rule(2, prefixed(1, "a"))),
		"the sandbox knows the tagStatus tagged and any":              policyOf(rule(1, ofStatus("untagged", 1))),
		"goes with tagStatus tagged":                                  policyOf(rule(1, ofStatus("tagged", 1))),
		"the sandbox knows the countType imageCountMoreThan":          policyOf(rule(1, `"tagStatus":"any","countType":"sinceImagePushed","countNumber":1`)),
		"countNumber has to be 1 or more":                             policyOf(rule(1, ofStatus("any", 0))),
		"the sandbox knows the action expire":                         strings.Replace(policyOf(rule(1, ofStatus("any", 1))), "expire", "transition", 1),
		`unknown field "storageClass"`:                                policyOf(rule(1, ofStatus("any", 1)+`,"storageClass":"archive"`)),
		"one rule or more":                                            `{"rules":[]}` + strings.Repeat(" ", 100),
		`unknown field "tagPatternList"`:                              policyOf(rule(1, prefixed(1, "a")+`,"tagPatternList":["b"]`)),
		`unknown field "countUnit"`:                                   policyOf(rule(1, ofStatus("any", 1)+`,"countUnit":"days"`)),
		"tagPrefixList goes with tagStatus tagged, and with no other": policyOf(rule(1, ofStatus("any", 1)+`,"tagPrefixList":["b"]`)),
	} {
		_, err := g.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: g.name, LifecyclePolicyText: &policy})
		var refused *types.InvalidParameterException
		require.ErrorAs(t, err, &refused, why)
		assert.Contains(t, *refused.Message, why)
	}
}

// With the policy that the program gives its repository.
func TestAReleasedImageIsStillPulledAfterMorePushesThanTheRepositoryKeeps(t *testing.T) {
	g := newGames(t, "lifecycle")
	policy := componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		_, err := program.NewRegistry(ctx, "registry", &program.RegistryArgs{Keep: 2, KeepReleased: 2})
		return err
	}).Must(t).One(t, "aws:ecr/lifecyclePolicy:LifecyclePolicy").Inputs["policy"].(string)
	_, err := g.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: g.name, LifecyclePolicyText: &policy})
	require.NoError(t, err)
	pulled := func(digest string) bool {
		t.Helper()
		got, err := g.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: g.name, ImageIds: []types.ImageIdentifier{byDigest(digest)}})
		require.NoError(t, err)
		_, err = remote.Get(g.uri.Digest(digest))
		assert.Equal(t, len(got.Images) == 1, err == nil, "ECR and the registry agree")
		return err == nil
	}
	// As Docker does: a login, then a push.
	push := func(tag string) string {
		t.Helper()
		_, err := g.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
		require.NoError(t, err)
		_, digest := g.push(tag)
		return digest
	}
	release := func(digest string) {
		t.Helper()
		got, err := g.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: g.name, ImageIds: []types.ImageIdentifier{byDigest(digest)}})
		require.NoError(t, err)
		_, err = g.PutImage(ctx, &ecr.PutImageInput{
			RepositoryName: g.name, ImageManifest: got.Images[0].ImageManifest, ImageDigest: &digest, ImageTag: aws.String(program.ReleasedTag(digest)),
		})
		require.NoError(t, err)
	}
	released := push("1")
	release(released)
	tried, third, fourth := push("2"), push("3"), push("4")
	assert.True(t, pulled(released), "prod's, say")
	assert.False(t, pulled(tried))
	assert.True(t, pulled(third))
	assert.True(t, pulled(fourth))
	assert.ElementsMatch(t, []string{"1", program.ReleasedTag(released), "3", "4"}, g.tags())

	release(third)
	release(fourth)
	assert.False(t, pulled(released), "of three released ones the repository keeps two")
	assert.True(t, pulled(third))
}

func TestAnImageIsPutByTheDigestThatItHas(t *testing.T) {
	g := newGames(t, "digests")
	image, _ := g.push("1")
	raw, err := image.RawManifest()
	require.NoError(t, err)
	_, err = g.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: g.name, ImageManifest: aws.String(string(raw)), ImageDigest: aws.String("sha256:" + strings.Repeat("0", 64)), ImageTag: aws.String("2"),
	})
	var another *types.ImageDigestDoesNotMatchException
	require.ErrorAs(t, err, &another)
}
