package gateway

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/stretchr/testify/require"
)

// pagesOf reads a stream in one direction until a page has the token that it was asked
// for with, as AWS's pages end, and returns the messages of each page.
func pagesOf(t *testing.T, logs *cloudwatchlogs.Client, group string, fromHead bool, limit int32) [][]string {
	t.Helper()
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: aws.String("s"), StartFromHead: &fromHead, Limit: &limit}
	var pages [][]string
	for range 100 {
		page, err := logs.GetLogEvents(ctx, in)
		require.NoError(t, err)
		var messages []string
		for _, e := range page.Events {
			messages = append(messages, *e.Message)
		}
		next := page.NextBackwardToken
		if fromHead {
			next = page.NextForwardToken
		}
		require.NotNil(t, next, "AWS's tokens are never null")
		if len(messages) > 0 {
			pages = append(pages, messages)
		}
		if aws.ToString(next) == aws.ToString(in.NextToken) {
			return pages
		}
		in.NextToken = next
	}
	t.Fatal("the pages have no end")
	return nil
}

// The launcher reads a session's log from its head, and its last lines from its end.
func TestALogIsReadFromBothEnds(t *testing.T) {
	logs := cloudwatchlogs.NewFromConfig(newSandbox(t).Config)
	group := "both-ends"
	_, err := logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	require.NoError(t, err)
	_, err = logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: aws.String("s")})
	require.NoError(t, err)
	require.Empty(t, pagesOf(t, logs, group, true, 3))
	require.Empty(t, pagesOf(t, logs, group, false, 3))

	var events []types.InputLogEvent
	for i := range 8 {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: aws.String(strconv.Itoa(i))})
	}
	_, err = logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: aws.String("s"), LogEvents: events})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"0", "1", "2"}, {"3", "4", "5"}, {"6", "7"}}, pagesOf(t, logs, group, true, 3))
	require.Equal(t, [][]string{{"5", "6", "7"}, {"2", "3", "4"}, {"0", "1"}}, pagesOf(t, logs, group, false, 3))
	require.Equal(t, [][]string{{"0", "1", "2", "3", "4", "5", "6", "7"}}, pagesOf(t, logs, group, false, 10))
}
