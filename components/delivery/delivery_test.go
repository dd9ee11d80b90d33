package delivery_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/delivery"
)

const (
	rule        = "aws:cloudwatch/eventRule:EventRule"
	target      = "aws:cloudwatch/eventTarget:EventTarget"
	connection  = "aws:cloudwatch/eventConnection:EventConnection"
	destination = "aws:cloudwatch/eventApiDestination:EventApiDestination"
	alarm       = "aws:cloudwatch/metricAlarm:MetricAlarm"
	role        = "aws:iam/role:Role"
	rolePolicy  = "aws:iam/rolePolicy:RolePolicy"
	queue       = "aws:sqs/queue:Queue"
	queuePolicy = "aws:sqs/queuePolicy:QueuePolicy"

	events = "arn:aws:events:us-east-1:123456789012:"
	team   = "arn:aws:sns:us-east-1:123456789012:team"
	dead   = "arn:aws:sqs:us-east-1:123456789012:delivery-undelivered-0a1b2c3"
)

func whole() delivery.DeliveryArgs {
	return delivery.DeliveryArgs{
		Stack: "dev", Bucket: pulumi.String("games"), Prefix: "builds/",
		Repository: "studio/game", Workflow: "release.yml", Ref: "main", API: "https://github.example.com/api/v3/",
		TeamTopicARN: pulumi.String(team), BoundaryARN: pulumi.String("arn:boundary"), Tags: map[string]string{"a": "b"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args delivery.DeliveryArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := delivery.NewDelivery(ctx, "delivery", &args)
		return err
	}, componenttest.WithStack("dev"))
}

func TestAnArchiveBelowThePrefixIsAnEvent(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, whole()).Must(t)
		assert.JSONEq(t, `{"source":["aws.s3"],"detail-type":["Object Created"],"detail":{"bucket":{"name":["games"]},"object":{"key":[
			{"wildcard":"builds/*.tar"},{"wildcard":"builds/*.tar.gz"},{"wildcard":"builds/*.tgz"},{"wildcard":"builds/*.tar.zst"},{"wildcard":"builds/*.zip"}]}}}`,
			r.One(t, rule).Inputs["eventPattern"].(string))
	})
}

func TestAnEventStartsTheWorkflow(t *testing.T) {
	r := run(t, componenttest.Update, whole()).Must(t)
	at := r.One(t, destination).Inputs
	assert.Equal(t, "https://github.example.com/api/v3/repos/studio/game/actions/workflows/release.yml/dispatches", at["invocationEndpoint"])
	assert.Equal(t, "POST", at["httpMethod"])
	assert.Equal(t, events+"connection/delivery-dev", at["connectionArn"])
	to := r.One(t, target).Inputs
	assert.Equal(t, events+"api-destination/delivery-0a1b2c3", to["arn"])
	assert.Equal(t, "arn:aws:iam::123456789012:role/delivery-0a1b2c3", to["roleArn"])
	assert.Equal(t, map[string]any{
		"inputPaths":    map[string]any{"bucket": "$.detail.bucket.name", "key": "$.detail.object.key", "versionId": "$.detail.object.version-id"},
		"inputTemplate": `{"ref":"main","inputs":{"bucket":<bucket>,"key":<key>,"versionId":<versionId>}}`,
	}, to["inputTransformer"], "the placeholders without quotes, which EventBridge adds")
	assert.Equal(t, map[string]any{"headerParameters": map[string]any{
		"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}}, to["httpTarget"])
}

func TestWhatNobodyTakesIsKeptAndTold(t *testing.T) {
	for name, repository := range map[string]string{"workflow": "studio/game", "team": ""} {
		args := whole()
		args.Repository = repository
		r := run(t, componenttest.Update, args).Must(t)
		to := r.One(t, target).Inputs
		assert.Equal(t, map[string]any{"arn": dead}, to["deadLetterConfig"], name)
		assert.Equal(t, map[string]any{"maximumEventAgeInSeconds": 3600.0, "maximumRetryAttempts": 20.0}, to["retryPolicy"], name)
		kept := r.One(t, queue).Inputs
		assert.Equal(t, true, kept["sqsManagedSseEnabled"], "encrypted")
		assert.Equal(t, 1209600.0, kept["messageRetentionSeconds"])
		told := r.One(t, alarm).Inputs
		assert.Equal(t, []any{team}, told["alarmActions"])
		assert.Equal(t, map[string]any{"QueueName": "delivery-undelivered-0a1b2c3"}, told["dimensions"])
		assert.Equal(t, "GreaterThanThreshold", told["comparisonOperator"])
		assert.Equal(t, 0.0, told["threshold"])
		page := map[string]string{"workflow": "https://github.example.com/studio/game/blob/main/docs/delivery.md", "team": "docs/delivery.md"}[name]
		assert.Equal(t, "A new game build started no deployment. Players go on with the build that they have. Stack: dev. Runbook: "+page+
			"#when-a-step-of-a-release-fails", told["alarmDescription"], "an anchor of docs/delivery.md")
	}
}

func TestEachGrantIsExact(t *testing.T) {
	r := run(t, componenttest.Update, whole()).Must(t)
	assert.Equal(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		r.One(t, role).Inputs["assumeRolePolicy"])
	assert.Equal(t, `{"Version":"2012-10-17","Statement":[{"Sid":"StartWorkflow","Effect":"Allow","Action":"events:InvokeApiDestination","Resource":"`+
		events+`api-destination/delivery-0a1b2c3"}]}`, r.One(t, rolePolicy).Inputs["policy"])
	assert.Equal(t, `{"Version":"2012-10-17","Statement":[`+
		`{"Sid":"Undelivered","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"`+dead+
		`","Condition":{"StringEquals":{"aws:SourceArn":"`+events+`rule/delivery-0a1b2c3"}}},`+
		`{"Sid":"TLSOnly","Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"`+dead+`","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
		r.One(t, queuePolicy).Inputs["policy"])
}

// apiKeyValue matches the values that EventBridge allows for a key.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateConnectionApiKeyAuthRequestParameters.html
var apiKeyValue = regexp.MustCompile(`^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$`)

// An update would send the placeholder over the token, whatever it is about.
func TestNothingChangesAConnectionThatHasItsToken(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		made := run(t, mode, whole()).Must(t).One(t, connection)
		assert.Equal(t, "delivery-dev", made.Inputs["name"], "known to make delivery-token")
		key := made.Inputs["authParameters"].(map[string]any)["apiKey"]
		assert.Equal(t, map[string]any{"key": "Authorization", "value": "Bearer none, make delivery-token sets it"}, key)
		assert.Regexp(t, apiKeyValue, key.(map[string]any)["value"])
		for property := range made.Inputs {
			if property != "name" { // that of another is another connection
				assert.Contains(t, made.Ignore, property)
			}
		}
	})
}

func TestWithoutARepositoryTheTeamIsTold(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := whole()
		args.Repository, args.Workflow, args.Ref, args.API = "", "", "", ""
		r := run(t, mode, args).Must(t)
		to := r.One(t, target).Inputs
		assert.Equal(t, team, to["arn"])
		assert.NotContains(t, to, "roleArn", "the topic's own policy admits EventBridge")
		template := to["inputTransformer"].(map[string]any)["inputTemplate"].(string)
		for _, part := range []string{"stack dev", "s3://<bucket>/<key>", "<versionId>"} {
			assert.Contains(t, template, part)
		}
		assert.True(t, strings.HasPrefix(template, `"`) && strings.HasSuffix(template, `"`), "a text")
		for _, absent := range []string{connection, destination, role, rolePolicy} {
			assert.Empty(t, r.OfType(absent))
		}
	})
}

func TestEverythingIsAPartOfItAndTagged(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, whole()).Must(t)
		var types []string
		for _, res := range r.Resources {
			types = append(types, res.Type)
			if res.Type != "dcv:delivery:Delivery" {
				assert.Equal(t, "delivery", res.Parent, res.Type)
			}
		}
		assert.ElementsMatch(t, []string{"dcv:delivery:Delivery", rule, target, connection, destination, alarm, role, rolePolicy, queue, queuePolicy}, types)
		for _, tagged := range []string{rule, alarm, role, queue} {
			assert.Equal(t, map[string]any{"a": "b"}, r.One(t, tagged).Inputs["tags"], tagged)
		}
		assert.Empty(t, r.Calls)
	})
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	r := run(t, componenttest.Preview, delivery.DeliveryArgs{Stack: "No", Prefix: "/", Repository: "x", Ref: "-", Workflow: "a/b.yml"})
	require.Error(t, r.Err)
	for _, property := range []string{"stack", "bucket", "teamTopicArn", "prefix", "repository", "workflow", "ref", "api"} {
		assert.ErrorContains(t, r.Err, "\n  - "+property+" is ")
	}
	assert.Empty(t, r.Resources)
}

func TestNamesAreTakenAsGitHubAndS3HaveThem(t *testing.T) {
	for _, c := range []struct {
		property  string
		with      func(text string) delivery.DeliveryArgs
		good, bad []string
	}{
		{"prefix", func(text string) delivery.DeliveryArgs { return delivery.DeliveryArgs{Repository: "a/b", Prefix: text} }, []string{"", "builds/", "a/b_c/"}, []string{"/", "builds", "a//", "a*/", strings.Repeat("a", 300) + "/"}},
		{"repository", func(text string) delivery.DeliveryArgs { return delivery.DeliveryArgs{Repository: text} }, []string{"", "studio/game", "a-b/c.d_e"}, []string{"game", "a/b/c", "a b/c", "a/b?c"}},
		{"workflow", func(text string) delivery.DeliveryArgs {
			return delivery.DeliveryArgs{Repository: "a/b", Workflow: text}
		}, []string{"release.yml", "a-b.yaml"}, []string{"", "release", "../a.yml", "a.yml?b"}},
		{"api", func(text string) delivery.DeliveryArgs { return delivery.DeliveryArgs{Repository: "a/b", API: text} }, []string{"https://api.github.com", "https://git.example.com/api/v3/"}, []string{"", "api.github.com", "http://api.github.com", "https://a/*", "https://a?b", "https://a:b@c"}},
		{"ref", func(text string) delivery.DeliveryArgs { return delivery.DeliveryArgs{Repository: "a/b", Ref: text} }, []string{"main", "release/1.x"}, []string{"", "-a", "a b", `a"`}},
	} {
		for _, text := range c.good {
			args := c.with(text)
			assert.Empty(t, componenttest.FaultsOf(&args, c.property), "%q", text)
		}
		for _, text := range c.bad {
			args := c.with(text)
			assert.Len(t, componenttest.FaultsOf(&args, c.property), 1, "%q", text)
		}
	}
}
