// Package logsquery runs queries of CloudWatch Logs Insights.
package logsquery

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Run starts a query, looks at it again and again, with a pause between, and returns its
// results. It fails with an EndedError if the query ends in another way, and with ctx's
// cause if ctx ends.
func Run(ctx context.Context, logs *cloudwatchlogs.Client, in *cloudwatchlogs.StartQueryInput, pause time.Duration) ([][]types.ResultField, error) {
	started, err := logs.StartQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	for {
		answer, err := logs.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
		if err != nil {
			return nil, err
		}
		switch answer.Status {
		case types.QueryStatusComplete:
			return answer.Results, nil
		case types.QueryStatusScheduled, types.QueryStatusRunning:
		default:
			return nil, EndedError(answer.Status)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// EndedError is the status of a query that ended without all of its results.
type EndedError types.QueryStatus

// Error implements error.
func (e EndedError) Error() string { return fmt.Sprintf("the query is %s", string(e)) }
