package cloudwatch

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// The launcher reads a month's use by a query, and the end of a session that did not log
// it by its last line.
func TestTheLaunchersUsageReadsTheSessionsEvents(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	began := now.Add(-20 * time.Minute)
	if began.Before(month) {
		began = month
	}
	half := now.Sub(began) / 2
	wait := 12.5
	at := func(when time.Time, e contract.Event) {
		w.set(when)
		e.Time, e.Stack, e.User, e.Session = when.Format(contract.TimeFormat), "dev", "alice", "job-1"
		line, err := json.Marshal(e)
		require.NoError(t, err)
		w.log(group, string(line))
	}
	at(began, contract.Event{Event: contract.EventStarting})
	at(began, contract.Event{Event: contract.EventReady, SinceSubmit: &wait})
	at(began.Add(half), contract.Event{Event: contract.EventUsage, Usage: &contract.Usage{Seconds: 30}})
	w.set(now)

	launcher, err := launch.New(aws.Config{BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", "")},
		outputs.Outputs{Stack: "dev", Region: local.Region, LogGroup: group}, launch.WithPoll(time.Millisecond))
	require.NoError(t, err)
	u, err := launcher.Usage(ctx, month, 2)
	require.NoError(t, err)
	require.Len(t, u.Users, 1)
	alice := u.Users[0]
	assert.Equal(t, "alice", alice.User)
	assert.Equal(t, 1, alice.Sessions)
	assert.InDelta(t, half.Hours(), alice.Hours, 1e-5, "it was killed, and ended with its last line")
	assert.InDelta(t, 2*half.Hours(), alice.USD, 1e-5)
	assert.Equal(t, &wait, alice.MedianWait)

	at(now, contract.Event{Event: contract.EventEnded, Exit: "ok"})
	u, err = launcher.Usage(ctx, month, 2)
	require.NoError(t, err)
	assert.InDelta(t, 2*half.Hours(), u.Total.Hours, 1e-5, "it ended as it logged")
}
