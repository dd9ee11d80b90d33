package observability_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/observability"
)

func runBudget(t *testing.T, mode componenttest.Mode, args observability.BudgetArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := observability.NewBudget(ctx, "budget", &args)
		return err
	})
}

func TestABudgetIsOfTheStacksTagAndTheTeamIsNotified(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runBudget(t, mode, observability.BudgetArgs{
			Stack: "dev", MonthlyUSD: 250, TeamTopicARN: pulumi.String(teamTopic), Tags: map[string]string{"team": "games"},
		}).Must(t)
		made := r.One(t, "aws:budgets/budget:Budget")
		assert.Equal(t, "budget", made.Parent)
		notified := func(kind string, percent float64) map[string]any {
			return map[string]any{"notificationType": kind, "comparisonOperator": "GREATER_THAN", "threshold": percent, "thresholdType": "PERCENTAGE",
				"subscriberSnsTopicArns": []any{teamTopic}}
		}
		assert.Equal(t, map[string]any{
			"namePrefix": "dcv-sessions_dev_month-", "budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "250", "limitUnit": "USD",
			"costFilters":   []any{map[string]any{"name": "TagKeyValue", "values": []any{"user:dcv-sessions:stack$dev"}}},
			"notifications": []any{notified("ACTUAL", 80), notified("ACTUAL", 100), notified("FORECASTED", 100)},
			"tags":          map[string]any{"team": "games"},
		}, made.Inputs)
	})
}

func TestEveryFaultOfABudgetIsNamedAtOnce(t *testing.T) {
	r := runBudget(t, componenttest.Preview, observability.BudgetArgs{Stack: "No"})
	require.Error(t, r.Err)
	for _, fault := range []string{"monthlyUsd is 0; allowed: a whole number from 1 to", `stack is "No"`, "teamTopicArn is not set"} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
	for usd, good := range map[int]bool{-1: false, 0: true, 1: true, 10_000_001: false} {
		assert.Equal(t, good, len(componenttest.FaultsOf(&observability.BudgetArgs{MonthlyUSD: usd}, "monthlyUsd")) == 0, "%d", usd)
	}
}
