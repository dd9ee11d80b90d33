package githubroles_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/githubroles"
)

const (
	component  = "dcv:pipeline:Pipeline"
	provider   = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	role       = "aws:iam/role:Role"
	inline     = "aws:iam/rolePolicy:RolePolicy"
	managed    = "aws:iam/policy:Policy"
	attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	lookup     = "aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider"
	github     = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
)

func goodArgs() githubroles.GitHubRolesArgs {
	return githubroles.GitHubRolesArgs{
		Stack: "dev", Repository: "intraverse/dcv-sessions", Branch: "main", LauncherPolicyARN: pulumi.String("arn:launcher"),
		RoleARNs:    []pulumi.StringInput{pulumi.String(roles + "roles-builder-0a1b2c3"), pulumi.String(roles + "roles-session-0a1b2c3")},
		BoundaryARN: pulumi.String(boundary), BucketARN: pulumi.String(builds), TeamTopicARN: pulumi.String(team),
		StateBucket: "studio-state", SecretsKeyARN: "arn:aws:kms:us-east-1:123456789012:key/0a1b",
		Names: githubroles.Names{
			Registry: "registry", GameBuilds: "game-builds", Delivery: "delivery", Roles: "roles",
			Hosts: "hosts", Queue: "queue", Launcher: "launcher", TeamTopic: "secrets-team",
		},
		Tags: map[string]string{"team": "games"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args githubroles.GitHubRolesArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := githubroles.NewGitHubRoles(ctx, "pipeline", &args)
		return err
	}, options...)
}

func TestTwoRolesWithFixedNamesAndNothingElse(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Equal(t, []string{
			managed + " pipeline-network", managed + " pipeline-read", managed + " pipeline-services", managed + " pipeline-watching",
			role + " pipeline-deploy", role + " pipeline-preview",
			inline + " pipeline-deploy-state", inline + " pipeline-preview-state",
			attachment + " pipeline-deploy-launcher", attachment + " pipeline-deploy-network",
			attachment + " pipeline-deploy-read", attachment + " pipeline-deploy-services", attachment + " pipeline-deploy-watching",
			attachment + " pipeline-preview-read", component + " pipeline",
		}, r.Names())
		assert.Contains(t, r.Calls, lookup, "the account's own provider is looked up: a preview fails if there is none")
		for name, seconds := range map[string]float64{"preview": 3600, "deploy": 21600} {
			made := r.Named(t, role, "pipeline-"+name)
			assert.Equal(t, "pipeline", made.Parent)
			assert.NotEmpty(t, made.Inputs["description"])
			delete(made.Inputs, "description")
			delete(made.Inputs, "assumeRolePolicy")
			assert.Equal(t, map[string]any{
				"name": "dcv-sessions_dev_" + name, "maxSessionDuration": seconds, "tags": map[string]any{"team": "games"},
			}, made.Inputs, "nothing more: no further policy inside")
		}
		assert.Equal(t, "arn:launcher", r.Named(t, attachment, "pipeline-deploy-launcher").Inputs["policyArn"])
		if mode == componenttest.Preview {
			return // no policy has its ARN yet
		}
		given := map[string][]string{}
		for _, made := range r.OfType(attachment) {
			of := made.Inputs["role"].(string)
			given[of] = append(given[of], made.Inputs["policyArn"].(string))
		}
		const own = "arn:aws:iam::123456789012:policy/pipeline-"
		assert.Equal(t, map[string][]string{
			"dcv-sessions_dev_deploy":  {"arn:launcher", own + "network-0a1b2c3", own + "read-0a1b2c3", own + "services-0a1b2c3", own + "watching-0a1b2c3"},
			"dcv-sessions_dev_preview": {own + "read-0a1b2c3"},
		}, given)
	})
}

func TestOnlyThisRepositorysTokensAreTakenLetterByLetter(t *testing.T) {
	trust := func(subjects string) string {
		return `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
			"Principal": {"Federated": "` + github + `"},
			"Condition": {"StringEquals": {
				"token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
				"token.actions.githubusercontent.com:sub": ` + subjects + `}}}]}`
	}
	const byID = "repo:intraverse@1234/dcv-sessions@5678"
	for name, c := range map[string]struct {
		subjects        []string
		preview, deploy string
	}{
		"by name": {nil,
			`["repo:intraverse/dcv-sessions:pull_request", "repo:intraverse/dcv-sessions:ref:refs/heads/main"]`,
			`"repo:intraverse/dcv-sessions:environment:dev"`},
		"by id": {[]string{byID},
			`["` + byID + `:pull_request", "` + byID + `:ref:refs/heads/main"]`, `"` + byID + `:environment:dev"`},
		"while the form changes": {[]string{"repo:intraverse/dcv-sessions", byID},
			`["repo:intraverse/dcv-sessions:pull_request", "repo:intraverse/dcv-sessions:ref:refs/heads/main", "` + byID + `:pull_request", "` + byID + `:ref:refs/heads/main"]`,
			`["repo:intraverse/dcv-sessions:environment:dev", "` + byID + `:environment:dev"]`},
	} {
		t.Run(name, func(t *testing.T) {
			componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
				args := goodArgs()
				args.Subjects = c.subjects
				r := run(t, mode, args).Must(t)
				for of, subjects := range map[string]string{"preview": c.preview, "deploy": c.deploy} {
					policy := r.Named(t, role, "pipeline-"+of).Inputs["assumeRolePolicy"].(string)
					assert.JSONEq(t, trust(subjects), policy, of)
					assert.NotContains(t, policy, "*")
				}
			})
		})
	}
}

func TestGitHubsProviderIsMadeOnlyWhereAsked(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		args.CreateProvider = true
		r := run(t, mode, args).Must(t)
		assert.NotContains(t, r.Calls, lookup)
		made := r.One(t, provider)
		assert.Equal(t, "pipeline", made.Parent)
		assert.Equal(t, map[string]any{
			"url": "https://token.actions.githubusercontent.com", "clientIdLists": []any{"sts.amazonaws.com"}, "tags": map[string]any{"team": "games"},
		}, made.Inputs)
		if mode == componenttest.Update {
			assert.Contains(t, r.Named(t, role, "pipeline-deploy").Inputs["assumeRolePolicy"], `"Federated":"`+github+`"`)
		}
	})
}

func TestAnAccountWithoutGitHubsProviderIsToldWhatToSet(t *testing.T) {
	r := run(t, componenttest.Preview, goodArgs(), componenttest.WithCall(lookup, func(map[string]any) (map[string]any, error) {
		return nil, errors.New("not found")
	}))
	assert.ErrorContains(t, r.Err, "set delivery.createOidcProvider to true in one stack of the account")
	assert.ErrorContains(t, r.Err, "not found")
	assert.Empty(t, r.OfType(role))
}

func TestNamesThatWouldLetOthersInAreRefused(t *testing.T) {
	for text, good := range map[string]bool{
		"repo:a/b": true, "repo:a@1/b@2": true,
		"a/b": false, "repo:a/*": false, "repo:a/b:*": false, "repo:a/b:ref:refs/heads/main": false, "repo:a@x/b@2": false, "repo:*/b": false, "": false,
	} {
		assert.Equal(t, good, len(componenttest.FaultsOf(&githubroles.GitHubRolesArgs{Subjects: []string{text}}, "subjects")) == 0, text)
	}
	for text, good := range map[string]bool{"studio-state": true, "a.b": true, "": false, "studio*": false, "b/prefix": false, "B": false} {
		assert.Equal(t, good, githubroles.ValidBucket(text), text)
	}
	for text, good := range map[string]bool{
		"arn:aws:kms:us-east-1:123456789012:key/0a1b-2c": true, "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-0a": true,
		"alias/key": false, "arn:aws:kms:us-east-1:123456789012:alias/state": false, "arn:aws:kms:us-east-1:123456789012:key/*": false, "*": false,
	} {
		assert.Equal(t, good, githubroles.ValidKeyARN(text), text)
	}
}

func TestEveryFaultIsToldAtOnceAndNothingDeclared(t *testing.T) {
	r := run(t, componenttest.Preview, githubroles.GitHubRolesArgs{
		Stack: "Dev", Repository: "x", Branch: "ma*", Subjects: []string{"repo:a/b", "repo:a/b", "repo:a/*"}, StateBucket: "s*", SecretsKeyARN: "alias/key",
		Names: githubroles.Names{
			Registry: "registry", GameBuilds: "game-builds", Delivery: "delivery", Roles: "roles", Hosts: "hosts", Launcher: "launcher", TeamTopic: "secrets-team",
		},
	})
	require.Error(t, r.Err)
	assert.Contains(t, r.Err.Error(), strings.Join([]string{
		"pipeline has 13 faults:",
		`repository is "x"; allowed: OWNER/NAME`,
		`branch is "ma*"; allowed: a branch`,
		`subjects[1] is "repo:a/b"; allowed: repo:OWNER/NAME or repo:OWNER@ID/NAME@ID, each once`,
		`subjects[2] is "repo:a/*"; allowed: repo:OWNER/NAME or repo:OWNER@ID/NAME@ID, each once`,
		`stateBucket is "s*"; allowed: an S3 bucket's name`,
		`secretsKeyArn is "alias/key"; allowed: a KMS key's ARN, no alias's`,
		`stack is "Dev"; allowed: ^[a-z][a-z0-9-]{0,20}$`,
		`launcherPolicyArn is not set; allowed: an ARN`,
		`roleArns is not set; allowed: one ARN or more`,
		`boundaryArn is not set; allowed: an ARN`,
		`bucketArn is not set; allowed: an ARN`,
		`teamTopicArn is not set; allowed: an ARN`,
		`names.queue is not set; allowed: a logical name`,
	}, "\n  - "))
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}
