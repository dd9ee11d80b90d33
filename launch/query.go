package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/intraverse/dcv-sessions/internal/logsquery"
)

// result is a result of a query, by the names of its fields.
type result map[string]string

// queryRows is the most results of a query in one answer (CloudWatch Logs API reference,
// GetQueryResults).
const queryRows = 10_000

// query returns the results of a Logs Insights query over the sessions' log group. If a
// query has more results than one answer takes, each half of the time is queried. A
// result at the border of two halves may come twice.
func (l *Launcher) query(ctx context.Context, text string, from, to time.Time) ([]result, error) {
	rows, err := l.queryOnce(ctx, text, from, to)
	if err != nil || len(rows) < queryRows {
		return rows, err
	}
	half := from.Add(to.Sub(from) / 2).Truncate(time.Second)
	if !half.After(from) || !half.Before(to) {
		return nil, fmt.Errorf("log group %s has more than %d results at %s", l.stack.LogGroup, queryRows, from.Format(time.RFC3339))
	}
	first, err := l.query(ctx, text, from, half)
	if err != nil {
		return nil, err
	}
	second, err := l.query(ctx, text, half, to)
	return append(first, second...), err
}

// queryOnce returns the first queryRows results of a query.
func (l *Launcher) queryOnce(ctx context.Context, text string, from, to time.Time) ([]result, error) {
	results, err := logsquery.Run(ctx, l.logs, &cloudwatchlogs.StartQueryInput{
		LogGroupName: &l.stack.LogGroup, QueryString: &text, Limit: aws.Int32(queryRows),
		StartTime: aws.Int64(from.Unix()), EndTime: aws.Int64(to.Unix()),
	}, l.poll)
	if ended := logsquery.EndedError(""); errors.As(err, &ended) {
		err = fmt.Errorf("the query of log group %s is %s", l.stack.LogGroup, string(ended))
	}
	return rowsOf(results), err
}

func rowsOf(answers [][]types.ResultField) []result {
	rows := make([]result, len(answers))
	for i, fields := range answers {
		rows[i] = result{}
		for _, f := range fields {
			rows[i][aws.ToString(f.Field)] = aws.ToString(f.Value)
		}
	}
	return rows
}
