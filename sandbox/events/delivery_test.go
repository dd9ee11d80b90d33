package events

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/require"
)

// tried is the result of a delivery with attempts that fail, one failure each; the
// last failure is repeated, and nil is a success.
type tried struct {
	*delivery
	at     []time.Duration // when it was tried, since it arrived
	buried bool
	state  string
}

func try(t *testing.T, target types.Target, failures ...*failure) (result tried) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Moto: &url.URL{}, FirstRetry: time.Second, Now: time.Now, NewID: func() string { return "id" }, Logf: t.Logf})
		start := time.Now()
		result = tried{delivery: &delivery{event: instanceEvent, received: start, rule: types.Rule{Name: aws.String("example")}, target: target}}
		s.send = func(context.Context, *delivery) *failure {
			result.at = append(result.at, time.Since(start))
			return failures[min(len(result.at), len(failures))-1]
		}
		s.bury = func(context.Context, *delivery) error {
			result.buried = true
			return nil
		}
		s.deliver(t.Context(), result.delivery)
		result.state = s.Status().Deliveries[0].State
	})
	return result
}

func policy(retries, age int32) types.Target {
	return types.Target{
		Arn: aws.String("arn:aws:sns:us-east-1:123456789012:t"), RetryPolicy: &types.RetryPolicy{MaximumRetryAttempts: &retries, MaximumEventAgeInSeconds: &age},
		DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String("arn:aws:sqs:us-east-1:123456789012:dead")},
	}
}

func down() *failure { return failed("ERROR_FROM_TARGET", "down").again() }

func seconds(list ...int) []time.Duration {
	var all []time.Duration
	for _, s := range list {
		all = append(all, time.Duration(s)*time.Second)
	}
	return all
}

func TestADeliveryIsTriedAgainEachTimeLaterUntilItArrives(t *testing.T) {
	got := try(t, policy(185, 86400), down(), down(), down(), down(), down(), down(), down(), down(), nil)
	require.Equal(t, seconds(0, 1, 3, 7, 15, 31, 63, 103, 143), got.at, "at most 40 first waits apart")
	require.Equal(t, "delivered", got.state)
	require.False(t, got.buried)
}

func TestTheRetryPolicyEndsADeliveryInTheDeadLetterQueue(t *testing.T) {
	got := try(t, policy(2, 86400), down())
	require.Equal(t, seconds(0, 1, 3), got.at)
	require.Equal(t, "MaximumRetryAttempts", got.exhausted)
	require.Equal(t, "dead letter", got.state)
	require.True(t, got.buried)

	got = try(t, policy(0, 86400), down())
	require.Len(t, got.at, 1, "no retry at all")

	got = try(t, policy(185, 60), down())
	require.Equal(t, seconds(0, 1, 3, 7, 15, 31), got.at, "the next one would come after 63 seconds")
	require.Equal(t, "MaximumEventAgeInSeconds", got.exhausted)
	require.True(t, got.buried)
}

func TestWhatARetryDoesNotHelpIsBuriedAtOnce(t *testing.T) {
	got := try(t, policy(185, 86400), failed("NO_PERMISSIONS", "no"))
	require.Len(t, got.at, 1)
	require.Empty(t, got.exhausted)
	require.True(t, got.buried)

	got = try(t, types.Target{Arn: aws.String("t")}, failed("NO_PERMISSIONS", "no"))
	require.Equal(t, "lost", got.state, "without a dead-letter queue")
	require.False(t, got.buried)
}

func TestRetryAfterIsHonouredWhereItIsLonger(t *testing.T) {
	busy := failed("THROTTLING", "busy").again()
	busy.after = 5 * time.Second
	require.Equal(t, seconds(0, 5, 10, 15, 23), try(t, policy(185, 86400), busy, busy, busy, down(), nil).at)
}

func TestOnlyStatusesThatMayPassAreTriedAgain(t *testing.T) {
	for status, retried := range map[int]bool{301: false, 400: false, 401: true, 403: false, 404: false, 407: true, 409: true, 422: false, 429: true, 500: true, 502: true, 503: true} {
		f := ofStatus("", &http.Response{StatusCode: status, Header: http.Header{}})
		require.Equal(t, retried, f.retry, status)
	}
	for _, status := range []int{200, 202, 204} {
		require.Nil(t, ofStatus("", &http.Response{StatusCode: status}))
	}
	f := ofStatus("", &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"-1"}}})
	require.False(t, f.retry, "a negative Retry-After ends it")
}

func TestOnlyThisMachineAnswersForAHost(t *testing.T) {
	s := New(Config{Moto: &url.URL{}})
	for _, to := range []string{"http://127.0.0.1:8080", "http://[::1]:8080/", "http://127.9.9.9:1"} {
		require.NoError(t, s.DeliverTo("api.example.com", to))
	}
	for _, to := range []string{"", "https://127.0.0.1:1", "http://10.0.0.1:80", "http://example.com:80", "http://localhost:80", "http://127.0.0.1", "http://127.0.0.1:80/path", "http://169.254.169.254:80"} {
		require.ErrorContains(t, s.DeliverTo("api.example.com", to), "127.0.0.1", to)
	}
	require.ErrorContains(t, s.DeliverTo("https://api.example.com", "http://127.0.0.1:80"), "host is")
	_, err := dialLoopback(t.Context(), "tcp", "192.0.2.1:80")
	require.ErrorContains(t, err, "not on this machine")
}
