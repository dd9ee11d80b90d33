package gateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/aws/aws-sdk-go-v2/service/budgets/types"
	"github.com/stretchr/testify/require"
)

const account = "123456789012"

func newBudget(t *testing.T, name string) *budgets.Client {
	t.Helper()
	client := budgets.NewFromConfig(newSandbox(t).Config)
	_, err := client.CreateBudget(ctx, &budgets.CreateBudgetInput{
		AccountId: aws.String(account), Budget: monthly(name, "100"), ResourceTags: []types.ResourceTag{{Key: aws.String("stack"), Value: aws.String("dev")}},
	})
	require.NoError(t, err)
	return client
}

func monthly(name, amount string) *types.Budget {
	return &types.Budget{BudgetName: aws.String(name), BudgetType: types.BudgetTypeCost, TimeUnit: types.TimeUnitMonthly,
		BudgetLimit: &types.Spend{Amount: aws.String(amount), Unit: aws.String("USD")}}
}

func TestABudgetsSubscribersAreReadBack(t *testing.T) {
	client := newBudget(t, "subscribers")
	subscribers := []types.Subscriber{{SubscriptionType: types.SubscriptionTypeEmail, Address: aws.String("team@example.com")}}
	at := func(threshold float64) *types.Notification {
		return &types.Notification{NotificationType: types.NotificationTypeActual, ComparisonOperator: types.ComparisonOperatorGreaterThan,
			Threshold: threshold, ThresholdType: types.ThresholdTypePercentage}
	}
	for _, threshold := range []float64{80, 99.5} {
		_, err := client.CreateNotification(ctx, &budgets.CreateNotificationInput{AccountId: aws.String(account), BudgetName: aws.String("subscribers"),
			Notification: at(threshold), Subscribers: subscribers})
		require.NoError(t, err)
	}
	// As the provider does: it queries with the notifications that moto returns.
	shown, err := client.DescribeNotificationsForBudget(ctx, &budgets.DescribeNotificationsForBudgetInput{AccountId: aws.String(account), BudgetName: aws.String("subscribers")})
	require.NoError(t, err)
	require.Len(t, shown.Notifications, 2)
	for _, n := range shown.Notifications {
		got, err := client.DescribeSubscribersForNotification(ctx, &budgets.DescribeSubscribersForNotificationInput{
			AccountId: aws.String(account), BudgetName: aws.String("subscribers"), Notification: &n})
		require.NoError(t, err)
		require.Equal(t, subscribers, got.Subscribers)
	}

	_, err = client.DeleteNotification(ctx, &budgets.DeleteNotificationInput{AccountId: aws.String(account), BudgetName: aws.String("subscribers"), Notification: at(80)})
	require.NoError(t, err)
	_, err = client.DescribeSubscribersForNotification(ctx, &budgets.DescribeSubscribersForNotificationInput{
		AccountId: aws.String(account), BudgetName: aws.String("subscribers"), Notification: at(80)})
	var notFound *types.NotFoundException
	require.ErrorAs(t, err, &notFound)
}

func TestABudgetsTagsAreKeptUntilItIsDeleted(t *testing.T) {
	client := newBudget(t, "tagged")
	arn := aws.String("arn:aws:budgets::" + account + ":budget/tagged")
	_, err := client.TagResource(ctx, &budgets.TagResourceInput{ResourceARN: arn, ResourceTags: []types.ResourceTag{{Key: aws.String("owner"), Value: aws.String("games")}}})
	require.NoError(t, err)
	tags, err := client.ListTagsForResource(ctx, &budgets.ListTagsForResourceInput{ResourceARN: arn})
	require.NoError(t, err)
	require.Equal(t, []types.ResourceTag{{Key: aws.String("owner"), Value: aws.String("games")}, {Key: aws.String("stack"), Value: aws.String("dev")}}, tags.ResourceTags)

	_, err = client.UntagResource(ctx, &budgets.UntagResourceInput{ResourceARN: arn, ResourceTagKeys: []string{"owner"}})
	require.NoError(t, err)
	tags, err = client.ListTagsForResource(ctx, &budgets.ListTagsForResourceInput{ResourceARN: arn})
	require.NoError(t, err)
	require.Len(t, tags.ResourceTags, 1)

	_, err = client.DeleteBudget(ctx, &budgets.DeleteBudgetInput{AccountId: aws.String(account), BudgetName: aws.String("tagged")})
	require.NoError(t, err)
	_, err = client.ListTagsForResource(ctx, &budgets.ListTagsForResourceInput{ResourceARN: arn})
	var notFound *types.NotFoundException
	require.ErrorAs(t, err, &notFound)
}

func TestAChangedBudgetIsReadBack(t *testing.T) {
	client := newBudget(t, "changed")
	_, err := client.UpdateBudget(ctx, &budgets.UpdateBudgetInput{AccountId: aws.String(account), NewBudget: monthly("changed", "250")})
	require.NoError(t, err)
	got, err := client.DescribeBudget(ctx, &budgets.DescribeBudgetInput{AccountId: aws.String(account), BudgetName: aws.String("changed")})
	require.NoError(t, err)
	require.Equal(t, "250", *got.Budget.BudgetLimit.Amount)
	require.NotNil(t, got.Budget.TimePeriod, "what the update does not send stays")

	_, err = client.UpdateBudget(ctx, &budgets.UpdateBudgetInput{AccountId: aws.String(account), NewBudget: monthly("absent", "250")})
	var notFound *types.NotFoundException
	require.ErrorAs(t, err, &notFound)
}
