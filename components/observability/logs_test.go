package observability_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
)

const logGroup = "aws:cloudwatch/logGroup:LogGroup"

func run(t *testing.T, mode componenttest.Mode, args observability.LogsArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := observability.NewLogs(ctx, "logs", &args)
		return err
	})
}

func TestTheLogGroupHasItsPrefixAndEnds(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, observability.LogsArgs{
			NamePrefix: contract.LogGroupPrefix("dev"), RetentionDays: 30, Tags: map[string]string{"team": "games"},
		}).Must(t)
		assert.Equal(t, []string{logGroup + " logs", "dcv:observability:Logs logs"}, r.Names())
		made := r.One(t, logGroup)
		assert.Equal(t, "logs", made.Parent)
		assert.Equal(t, map[string]any{
			"namePrefix":      "/dcv-sessions/dev/sessions-",
			"retentionInDays": 30.,
			"tags":            map[string]any{"team": "games"},
		}, made.Inputs)
	})
}

func TestConsumersGetTheGroupsNameAndARN(t *testing.T) {
	given := make(chan []any, 1)
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		made, err := observability.NewLogs(ctx, "logs", &observability.LogsArgs{NamePrefix: "/games/sessions-", RetentionDays: 1})
		if err != nil {
			return err
		}
		pulumi.All(made.LogGroupName, made.LogGroupARN).ApplyT(func(all []any) error { given <- all; return nil })
		return nil
	}).Must(t)
	assert.Equal(t, []any{"/games/sessions-0a1b2c", "arn:aws:logs:us-east-1:123456789012:log-group:/games/sessions-0a1b2c"}, <-given)
}

func TestOnlyRetentionsThatCloudWatchKnowsAreTaken(t *testing.T) {
	for days, good := range map[int]bool{-1: false, 0: false, 1: true, 2: false, 365: true, 366: false, 3653: true, 3654: false} {
		r := run(t, componenttest.Preview, observability.LogsArgs{NamePrefix: "/games", RetentionDays: days})
		assert.Equal(t, good, r.Err == nil, "%d: %v", days, r.Err)
	}
}

func TestOnlyNamesThatCloudWatchTakesAreTaken(t *testing.T) {
	for name, good := range map[string]bool{
		"": false, "/games/sessions": true, "a_-/.#9": true, "games sessions": false, "games:sessions": false,
		"aws/games": false, "/aws/games": true, strings.Repeat("a", 480): true, strings.Repeat("a", 481): false,
	} {
		r := run(t, componenttest.Preview, observability.LogsArgs{NamePrefix: name, RetentionDays: 30})
		assert.Equal(t, good, r.Err == nil, "%q: %v", name, r.Err)
	}
}

func TestEveryFaultIsToldAtOnceAndNothingDeclared(t *testing.T) {
	r := run(t, componenttest.Preview, observability.LogsArgs{NamePrefix: "a b", RetentionDays: 31})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, `namePrefix is "a b"; allowed`)
	assert.ErrorContains(t, r.Err, "retentionDays is 31; allowed: 1, 3, 5, 7, 14, 30, ")
	assert.Empty(t, r.Resources)
}
