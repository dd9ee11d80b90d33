package observability

import (
	"strconv"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/budgets"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// BudgetArgs are plain values, and the team's topic.
type BudgetArgs struct {
	Stack string
	// MonthlyUSD is the amount of a calendar month.
	MonthlyUSD int
	// TeamTopicARN gets the messages.
	TeamTopicARN pulumi.StringInput
	// Tags are put on the budget.
	Tags map[string]string
}

// Budget is a stack's monthly budget. It limits nothing: the team is notified.
type Budget struct {
	pulumi.ResourceState
}

// notifications are the percentages of a budget of which the team is notified, by kind of
// cost. A budget takes five (AWS Cost Management API reference, CreateBudget).
var notifications = []struct {
	kind    string
	percent float64
}{{"ACTUAL", 80}, {"ACTUAL", 100}, {"FORECASTED", 100}}

// maxUSD is far above any stack's cost: a larger number is a slip.
const maxUSD = 10_000_000

// Check adds the faults of MonthlyUSD, of which 0 is no budget. at returns the path of a
// property.
func (a *BudgetArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Between(at("monthlyUsd"), a.MonthlyUSD, 0, maxUSD)
}

func (a *BudgetArgs) validate() error {
	var f faults.Faults
	f.Between("monthlyUsd", a.MonthlyUSD, 1, maxUSD)
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Required(a.TeamTopicARN != nil, "teamTopicArn", "an ARN")
	return f.Err("budget")
}

// NewBudget declares the budget. It counts resources with the stack's tag, once that is a
// cost allocation tag of the account that pays (docs/cost.md).
func NewBudget(ctx *pulumi.Context, name string, args *BudgetArgs, opts ...pulumi.ResourceOption) (*Budget, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	b := &Budget{}
	if err := ctx.RegisterComponentResource("dcv:observability:Budget", name, b, opts...); err != nil {
		return nil, err
	}
	var notified budgets.BudgetNotificationArray
	for _, n := range notifications {
		notified = append(notified, budgets.BudgetNotificationArgs{
			NotificationType:       pulumi.String(n.kind),
			ComparisonOperator:     pulumi.String("GREATER_THAN"),
			Threshold:              pulumi.Float64(n.percent),
			ThresholdType:          pulumi.String("PERCENTAGE"),
			SubscriberSnsTopicArns: pulumi.StringArray{args.TeamTopicARN},
		})
	}
	_, err := budgets.NewBudget(ctx, name, &budgets.BudgetArgs{
		// The rest is random, so that a budget that a killed run left behind is in nobody's way.
		NamePrefix:  pulumi.String(contract.NamePrefix(args.Stack) + "month-"),
		BudgetType:  pulumi.String("COST"),
		TimeUnit:    pulumi.String("MONTHLY"),
		LimitAmount: pulumi.String(strconv.Itoa(args.MonthlyUSD)),
		LimitUnit:   pulumi.String("USD"),
		CostFilters: budgets.BudgetCostFilterArray{budgets.BudgetCostFilterArgs{
			// The form of a tag that is no AWS one (AWS Cost Management API reference, Budget).
			Name: pulumi.String("TagKeyValue"), Values: pulumi.ToStringArray([]string{"user:" + contract.TagStack + "$" + args.Stack}),
		}},
		Notifications: notified,
		Tags:          pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(b))
	if err != nil {
		return nil, err
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}
