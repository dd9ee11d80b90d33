package gateway

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/stretchr/testify/require"
)

func TestMetricsAlarmsAndQueriesAreGuardedByTheirResources(t *testing.T) {
	g := newGuarded(t)
	const group = "/guarded/sessions"
	_, err := cloudwatchlogs.NewFromConfig(g.Config).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)})
	require.NoError(t, err)
	config := g.as(t, g.role(t, trustTasks,
		allow("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:own-*"),
		allow("cloudwatch:GetDashboard", "arn:aws:cloudwatch::123456789012:dashboard/own-sessions"),
		allow("logs:StartQuery", "arn:aws:logs:us-east-1:123456789012:log-group:"+group+":*"),
	))
	metrics, logs := cloudwatch.NewFromConfig(config), cloudwatchlogs.NewFromConfig(config)

	_, err = metrics.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"own-a", "own-b"}})
	require.NoError(t, err)
	_, err = metrics.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"own-a", "other"}})
	refused(t, err, "AccessDeniedException", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:other")
	_, err = metrics.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
	refused(t, err, "AccessDeniedException", "cloudwatch:DescribeAlarms")
	_, err = metrics.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: aws.String("other")})
	refused(t, err, "AccessDeniedException", "dashboard/other")

	query := func(group string) error {
		_, err := logs.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: &group, QueryString: aws.String("limit 1"), StartTime: aws.Int64(1), EndTime: aws.Int64(2)})
		return err
	}
	require.NoError(t, query(group))
	refused(t, query("/other"), "AccessDeniedException", "log-group:/other")
}
