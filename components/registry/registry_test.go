package registry_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/registry"
)

const (
	component  = "dcv:registry:Registry"
	repository = "aws:ecr/repository:Repository"
	lifecycle  = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
	pullers    = "aws:ecr/repositoryPolicy:RepositoryPolicy"
)

func run(t *testing.T, mode componenttest.Mode, args registry.RegistryArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := registry.NewRegistry(ctx, "registry", &args)
		return err
	}, options...)
}

func TestARepositoryScansEncryptsAndKeepsTheNewestImages(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, registry.RegistryArgs{Keep: 100, KeepReleased: 1000, Tags: map[string]string{"team": "games"}}).Must(t)
		assert.Equal(t, []string{lifecycle + " registry", repository + " registry", component + " registry"}, r.Names(),
			"no policy: no other account pulls")
		assert.Empty(t, r.Calls)

		made := r.One(t, repository)
		assert.Equal(t, "registry", made.Parent)
		assert.Equal(t, map[string]any{
			"imageTagMutability":         "MUTABLE",
			"imageScanningConfiguration": map[string]any{"scanOnPush": true},
			"encryptionConfigurations":   []any{map[string]any{"encryptionType": "AES256"}},
			"forceDelete":                false,
			"tags":                       map[string]any{"team": "games"},
		}, made.Inputs)

		rules := r.One(t, lifecycle)
		assert.Equal(t, "registry", rules.Parent)
		assert.JSONEq(t, `{"rules": [
			{"rulePriority": 1, "description": "keep the newest released images", "action": {"type": "expire"},
			"selection": {"tagStatus": "tagged", "tagPrefixList": ["released-"], "countType": "imageCountMoreThan", "countNumber": 1000}},
			{"rulePriority": 2, "description": "keep the newest images", "action": {"type": "expire"},
			"selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100}}]}`, rules.Inputs["policy"].(string))
		assert.True(t, rules.DeleteOld, "the provider replaces it, and deletes by the repository: the new one would go too")
		assert.False(t, made.Protect)
	})
}

func TestOtherAccountsMayPullAndLookAndNothingElse(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, registry.RegistryArgs{Keep: 2, KeepReleased: 2, PullAccounts: []string{"222222222222", "111111111111"}}).Must(t)
		made := r.One(t, pullers)
		assert.Equal(t, "registry", made.Parent)
		assert.Equal(t, `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow",`+
			`"Principal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::222222222222:root"]},`+
			`"Action":["ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:DescribeImages","ecr:DescribeRepositories","ecr:GetDownloadUrlForLayer"]}]}`,
			made.Inputs["policy"])
	})
}

func TestTheOrderOfAccountsChangesNothing(t *testing.T) {
	policy := func(accounts ...string) any {
		return run(t, componenttest.Update, registry.RegistryArgs{Keep: 2, KeepReleased: 2, PullAccounts: accounts}).Must(t).One(t, pullers).Inputs["policy"]
	}
	assert.Equal(t, policy("111111111111", "222222222222"), policy("222222222222", "111111111111"))
}

func TestAccountsOfAnotherPartitionAreNamedByItsARNs(t *testing.T) {
	partition := componenttest.WithCall("aws:index/getPartition:getPartition", func(map[string]any) (map[string]any, error) {
		return map[string]any{"partition": "aws-us-gov", "id": "aws-us-gov"}, nil
	})
	r := run(t, componenttest.Update, registry.RegistryArgs{Keep: 2, KeepReleased: 2, PullAccounts: []string{"111111111111"}}, partition).Must(t)
	assert.Contains(t, r.One(t, pullers).Inputs["policy"], `"arn:aws-us-gov:iam::111111111111:root"`)
}

func TestADestroyTakesImagesAlongOnlyWhereAsked(t *testing.T) {
	for _, asked := range []bool{true, false} {
		r := run(t, componenttest.Update, registry.RegistryArgs{Keep: 2, KeepReleased: 2, ForceDelete: asked}).Must(t)
		assert.Equal(t, asked, r.One(t, repository).Inputs["forceDelete"])
	}
}

func TestARepositoryThatOtherAccountsPullFromIsNeverDestroyed(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, registry.RegistryArgs{Keep: 2, KeepReleased: 2, ForceDelete: true, PullAccounts: []string{"111111111111"}}).Must(t)
		made := r.One(t, repository)
		assert.True(t, made.Protect)
		assert.Equal(t, false, made.Inputs["forceDelete"])
	})
}

func TestAnImageHasOneTagThatKeepsIt(t *testing.T) {
	assert.Equal(t, "released-0a0a0a0a0a0a0a0a", registry.ReleasedTag("sha256:"+strings.Repeat("0a", 32)))
}

func TestTheRepositorysOutputsAreECRs(t *testing.T) {
	given := make(chan []any, 1)
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		made, err := registry.NewRegistry(ctx, "registry", &registry.RegistryArgs{Keep: 2, KeepReleased: 2})
		if err != nil {
			return err
		}
		pulumi.All(made.Name, made.URL, made.ARN, made.RegistryID).ApplyT(func(all []any) error { given <- all; return nil })
		return nil
	}).Must(t)
	assert.Equal(t, []any{
		"registry-0a1b2c3",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com/registry-0a1b2c3",
		"arn:aws:ecr:us-east-1:123456789012:repository/registry-0a1b2c3",
		"123456789012",
	}, <-given)
}

func TestEveryFaultIsToldAtOnceAndNothingDeclared(t *testing.T) {
	r := run(t, componenttest.Preview, registry.RegistryArgs{Keep: 1, KeepReleased: 10001, PullAccounts: []string{
		"111111111111", "11111111111", "arn:aws:iam::111111111111:root", "111111111111",
	}})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, "registry has 5 faults")
	assert.ErrorContains(t, r.Err, "keep is 1; allowed: a whole number from 2 to 1000")
	assert.ErrorContains(t, r.Err, "keepReleased is 10001; allowed: a whole number from 2 to 10000")
	assert.ErrorContains(t, r.Err, `pullAccounts[1] is "11111111111"; allowed: AWS account ids of 12 digits in quotes, each once`)
	assert.ErrorContains(t, r.Err, `pullAccounts[2] is "arn:aws:iam::111111111111:root"; allowed`)
	assert.ErrorContains(t, r.Err, `pullAccounts[3] is "111111111111"; allowed`)
	assert.Empty(t, r.Resources)
}
