package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// graphs are the environments, recorded once.
var graphs []*recorded.Graph

func TestMain(m *testing.M) {
	end, err := recorded.Begin()
	if err == nil {
		graphs, err = recordAll()
	}
	if err != nil {
		panic(err)
	}
	defer end()
	m.Run()
}

// recordedOf returns an environment's graph.
func recordedOf(t *testing.T, name string) *recorded.Graph {
	t.Helper()
	i := slices.IndexFunc(graphs, func(g *recorded.Graph) bool { return g.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return graphs[i]
}

func TestEveryEnvironmentKeepsTheRules(t *testing.T) {
	r := check(rules, exceptions, graphs)
	require.NoError(t, r.err())
	for _, name := range []string{"dev", "prod", "sandbox"} {
		assert.Contains(t, r.environments, name)
	}
}

// A rule for a type that nobody declares any more checks nothing.
func TestEveryRuleIsHeldAgainstSomething(t *testing.T) {
	r := check(rules, exceptions, graphs)
	for _, rule := range rules {
		count := 0
		for _, checked := range r.checked {
			count += checked[rule.name]
		}
		assert.Positive(t, count, rule.name)
	}
}

func TestEveryRuleAndExceptionIsWhole(t *testing.T) {
	names := map[string]bool{}
	for _, rule := range rules {
		assert.False(t, names[rule.name], "%s is there twice", rule.name)
		names[rule.name] = true
		for _, text := range []string{rule.name, rule.control, rule.holds, rule.fix} {
			assert.NotEmpty(t, text, rule.name)
		}
	}
	for _, e := range exceptions {
		assert.True(t, names[e.rule], "%s: there is no such rule", e)
		assert.Greater(t, len(e.reason), 20, "%s: a reason", e)
	}
}

// Each setting that an exception is for leads to a violation, which is that
// exception's and no other's.
func TestAnExceptionForASettingIsNeededOnceItIsSet(t *testing.T) {
	beside := map[string]map[string]string{"network.openToWorld": {"network.playerCidrs": `["0.0.0.0/0","::/0"]`}}
	tried := 0
	for i, e := range exceptions {
		if e.when == "" {
			continue
		}
		configuration, err := recorded.Configuration("dev")
		require.NoError(t, err)
		configuration["dcv-sessions:"+e.when] = "true"
		for key, value := range beside[e.when] {
			configuration["dcv-sessions:"+key] = value
		}
		g, err := recorded.Record("dev", configuration)
		require.NoError(t, err, e.when)
		assert.Empty(t, check(rules, exceptions, []*recorded.Graph{g}).violations, e.when)
		without := check(rules, slices.Delete(slices.Clone(exceptions), i, i+1), []*recorded.Graph{g})
		assert.NotEmpty(t, without.violations, "%s is stale", e)
		for _, v := range without.violations {
			assert.Equal(t, e.rule, v.rule.name)
		}
		tried++
	}
	assert.Equal(t, 3, tried)
}

// Settings that are comments in the environments' files, for a studio to switch on.
func TestWhatAStudioSwitchesOnKeepsTheRules(t *testing.T) {
	configuration, err := recorded.Configuration("dev")
	require.NoError(t, err)
	for key, value := range map[string]string{
		"budget.monthlyUsd":            "100",
		"delivery.repository":          "studio/game",
		"delivery.createOidcProvider":  "true",
		"delivery.oidcSubjects":        `["repo:studio@1/game@2"]`,
		"delivery.stateBucket":         "studio-state",
		"delivery.stateKeyArn":         "arn:aws:kms:us-east-1:123456789012:key/0a1b",
		"image.use":                    "333333333333.dkr.ecr.us-east-1.amazonaws.com/game@sha256:" + strings.Repeat("0a", 32),
		"notifications.teamEmails":     `["team@example.com"]`,
		"session.certificateSecretArn": "arn:aws:secretsmanager:us-east-1:111111111111:secret:play-AbCdEf",
		"session.formerPorts":          `["9443-9446"]`,
		"session.perGpu":               "2",
		"tags":                         `{"team":"games"}`,
	} {
		configuration["dcv-sessions:"+key] = value
	}
	g, err := recorded.Record("dev", configuration)
	require.NoError(t, err)
	assert.Empty(t, check(rules, exceptions, []*recorded.Graph{g}).violations)
}

func TestAnExceptionThatMatchesNothingFails(t *testing.T) {
	for name, stale := range map[string]exception{
		"another resource": {rule: "tags-immutable", resource: repository + " gone", reason: "r"},
		"another value":    {rule: "tags-immutable", resource: repository + " registry", value: "IMMUTABLE", reason: "r"},
		"another place":    {rule: "tags-immutable", resource: repository + " registry", in: "gone", reason: "r"},
		"an action that is granted no more": {rule: "no-wildcard-resource", resource: policy + " launcher", property: "Find",
			actions: []string{"batch:ListJobs", "batch:DescribeJobQueues"}, value: "*", reason: "r"},
	} {
		r := check(rules, append(slices.Clone(exceptions), stale), graphs)
		require.Len(t, r.stale, 1, name)
		assert.Empty(t, r.violations, name)
		assert.ErrorContains(t, r.err(), "an exception matches nothing any more: "+stale.rule, name)
	}
}

// An exception covers no more than its text says.
func TestAnExceptionIsForNothingElse(t *testing.T) {
	for name, p := range map[string]struct {
		in   string
		play func(*graph)
		want string
	}{
		"another action of the same statement": {"sandbox", func(g *graph) { g.grant(policy, "pipeline-read", `"Look"`, "iam:CreateUser", "*") },
			"no-wildcard-resource (IAM.1, KMS.1, KMS.2): aws:iam/policy:Policy pipeline-read: Look iam:CreateUser is *"},
		"another resource of the same action": {"sandbox", func(g *graph) { g.grant(policy, "pipeline-read", `"LookAtImages"`, "ecr:DescribeImages", "*") },
			"LookAtImages ecr:DescribeImages is *"},
		"the same without its condition": {"sandbox", func(g *graph) {
			g.grant(policy, "pipeline-network", `"OwnSessions"`, "ssm:TerminateSession", "arn:aws:ssm:us-east-1:123456789012:session/*")
		}, "OwnSessions ssm:TerminateSession is arn:aws:ssm:us-east-1:123456789012:session/*"},
		"another environment": {"prod", func(g *graph) { g.set(secret, "secrets-bob-credentials", "recoveryWindowInDays", 0.) },
			"secrets-bob-credentials: recoveryWindowInDays is 0"},
		"a setting that is not set": {"dev", func(g *graph) { g.json(jobDefinition, "sessions-bob", "containerProperties", "privileged", true) },
			"sessions-bob: containerProperties.privileged is true"},
	} {
		g := clone(recordedOf(t, p.in))
		p.play(&graph{t, g})
		r := check(rules, exceptions, []*recorded.Graph{g})
		require.Len(t, r.violations, 1, name)
		assert.Contains(t, r.violations[0].String(), p.want, name)
	}
}

func TestAViolationSaysWhatAndWhereAndHowToMendIt(t *testing.T) {
	g := clone(recordedOf(t, "prod"))
	(&graph{t, g}).set(instance, "builder", "metadataOptions.httpTokens", "optional")
	r := check(rules, exceptions, []*recorded.Graph{g})
	require.Error(t, r.err())
	assert.Contains(t, r.err().Error(), `prod: metadata-tokens (EC2.8, EC2.170): aws:ec2/instance:Instance builder: `+
		`metadataOptions.httpTokens is optional; allowed: required, which is IMDSv2`+"\n"+
		`    fix: set metadataOptions.httpTokens to "required"`)
}

func TestTheReportCountsRulesResourcesAndExceptions(t *testing.T) {
	var out bytes.Buffer
	r := check(rules, exceptions, graphs)
	require.NoError(t, r.print(&out))
	for _, rule := range rules {
		assert.Regexp(t, `(?m)^`+rule.name+` .* \d+ +\d+ +\d+$`, out.String())
	}
	for _, e := range exceptions {
		assert.Contains(t, out.String(), "\n"+e.String()+"\n  in ")
		assert.Contains(t, out.String(), e.reason)
	}
	assert.Contains(t, out.String(), "none sets network.openToWorld")
	assert.True(t, strings.HasSuffix(out.String(), "\n0 violations\n"))
}

// The check is a part of the tests that a pull request runs, and of `make guardrails`.
func TestAPullRequestIsChecked(t *testing.T) {
	for file, line := range map[string]string{
		"../.ci/test": `phase "unit: program, image" go test ./...`, "../.github/workflows/preview.yml": "run: make test-unit", "../Makefile": "go run ./cmd/guardrails",
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(text), line, file)
	}
}
