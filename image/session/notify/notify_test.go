package notify

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

const (
	accepted = `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`
	failed   = `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>x</Message></Error></ErrorResponse>`
	denied   = `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not authorized</Message></Error></ErrorResponse>`
)

// service is SNS; it answers with its statuses in turn, the last one for ever.
type service struct {
	mu       sync.Mutex
	statuses []int
	calls    []url.Values
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.statuses[min(len(s.calls), len(s.statuses)-1)]
	s.calls = append(s.calls, form)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, map[int]string{200: accepted, 500: failed, 403: denied}[status])
}

// standIn is AWS as a job of the sandbox sees it: by environment variables,
// with credentials from the container's agent.
func standIn(t *testing.T, statuses ...int) *service {
	t.Helper()
	s := &service{statuses: statuses}
	aws := httptest.NewServer(s)
	t.Cleanup(aws.Close)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"AccessKeyId":"AKIA","SecretAccessKey":"secret","Token":"token","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(agent.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": aws.URL, "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL + "/v2/credentials/1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	return s
}

var player1 = Config{
	Region: "us-east-1", Stack: "dev", User: "player1", URL: "https://198.51.100.7:8443/",
	Notification: contract.Notification{TopicARN: "arn:aws:sns:us-east-1:111111111111:dcv-sessions_dev_player1", Address: "player1@example.com"},
}

func TestAUserIsToldWhereTheSessionIs(t *testing.T) {
	s := standIn(t, http.StatusOK)
	require.NoError(t, Notify(context.Background(), player1))
	require.Len(t, s.calls, 1)
	got := s.calls[0]
	assert.Equal(t, "Publish", got.Get("Action"))
	assert.Equal(t, player1.Notification.TopicARN, got.Get("TopicArn"))
	assert.Equal(t, "Your game session is ready", got.Get("Subject"))
	assert.Equal(t, `The game session of player1 is ready. Open it in a browser:

https://198.51.100.7:8443/

Sign in as player1, with the password that you were given. A session that nobody comes to ends by itself.

dcv-sessions, dev
`, got.Get("Message"))
}

func TestWhatFailsForAMomentIsTriedAgain(t *testing.T) {
	s := standIn(t, http.StatusInternalServerError, http.StatusInternalServerError, http.StatusOK)
	require.NoError(t, notifyWithin(context.Background(), player1, time.Millisecond))
	assert.Len(t, s.calls, 3)
}

func TestNobodyIsToldForever(t *testing.T) {
	s := standIn(t, http.StatusInternalServerError)
	assert.ErrorContains(t, notifyWithin(context.Background(), player1, time.Millisecond), "InternalFailure")
	assert.Len(t, s.calls, maxAttempts)
}

func TestWhatIsDeniedIsToldAtOnce(t *testing.T) {
	s := standIn(t, http.StatusForbidden)
	assert.ErrorContains(t, Notify(context.Background(), player1), "AuthorizationError")
	assert.Len(t, s.calls, 1)
}

func TestASessionThatEndsNotifiesNobodyAnyMore(t *testing.T) {
	s := standIn(t, http.StatusOK)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	assert.ErrorIs(t, Notify(ctx, player1), context.Canceled)
	assert.Empty(t, s.calls)
}
