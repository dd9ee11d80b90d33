package stack

import "github.com/intraverse/dcv-sessions/components/observability"

// declareBudget declares the monthly budget, if there is one.
func (d *deployment) declareBudget() error {
	if d.cfg.Budget.MonthlyUSD == 0 {
		return nil
	}
	_, err := observability.NewBudget(d.ctx, budgetName, &observability.BudgetArgs{
		Stack:        d.stack,
		MonthlyUSD:   d.cfg.Budget.MonthlyUSD,
		TeamTopicARN: d.users.TeamTopicARN,
		Tags:         d.tags,
	})
	return err
}
