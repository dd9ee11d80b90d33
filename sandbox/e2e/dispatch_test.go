package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/events"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// eventRetry is how long EventBridge first waits in tests, so that an hour's
// retries take seconds: set it before the local AWS starts.
const eventRetry = "5ms"

// startWorkflows uploads builds and checks the calls that GitHub gets for them. The
// workflow that they start runs `deliver`, which has steps of its own.
func (s *sandbox) startWorkflows(t *testing.T, out outputs.Outputs) {
	const token = "github_pat_of-nobody-in-the-sandbox"
	github := newGitHub(t)
	s.answerFor(t, "api.github.com", github.URL)

	step := steps(t)
	// uploaded uploads an empty build; here only its event counts.
	uploaded := func(t *testing.T) string { return s.upload(t, out, []byte("a build"), "") }
	body := func(version string) string {
		return `{"ref":"main","inputs":{"bucket":"` + out.GameBuildsBucket + `","key":"` + buildKey + `","versionId":"` + version + `"}}`
	}

	step("a token comes from standard input, and is in no state and no file", func(t *testing.T) {
		cmd, said := s.command("exec", s.deliverBinary(t), "-stack", "sandbox", "token")
		cmd.Stdin = strings.NewReader(token + "\n")
		require.NoError(t, cmd.Run(), said)
		assert.NotContains(t, said.String(), token)
		s.inNoFile(t, map[string]string{token: "the token"})
	})

	step("each upload starts the workflow, with the build's version and the token", func(t *testing.T) {
		var want []string
		for range 3 { // in a row: GitHub makes one deployment of them
			want = append(want, body(uploaded(t)))
		}
		var got []string
		for _, call := range github.await(t, len(want)) {
			got = append(got, call.body)
			assert.Equal(t, "POST /repos/studio/dcv-sessions/actions/workflows/release.yml/dispatches", call.line)
			assert.Equal(t, "api.github.com", call.host)
			for name, value := range map[string]string{
				"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json", "X-Github-Api-Version": "2022-11-28",
			} {
				assert.Equal(t, value, call.header.Get(name), name)
			}
		}
		assert.ElementsMatch(t, want, got)
	})

	step("where GitHub is down for a while it is told again", func(t *testing.T) {
		github.answer(http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusTooManyRequests)
		want := body(uploaded(t))
		for _, call := range github.await(t, 4) { // three that failed, one that did not
			assert.Equal(t, want, call.body)
		}
	})

	step("what GitHub refuses, and what an hour of trying did not deliver, is kept for the team", func(t *testing.T) {
		github.answer(http.StatusNotFound)
		refused := s.undelivered(t, uploaded(t))
		assert.Equal(t, "SDK_CLIENT_ERROR", refused["ERROR_CODE"])
		assert.Equal(t, "0", refused["RETRY_ATTEMPTS"])
		github.Close()
		lost := s.undelivered(t, uploaded(t))
		assert.Equal(t, "CONNECTION_FAILURE", lost["ERROR_CODE"])
		assert.Equal(t, "MaximumRetryAttempts", lost["EXHAUSTED_RETRY_CONDITION"])
		assert.Equal(t, "20", lost["RETRY_ATTEMPTS"])
	})
}

// answerFor sets the server that answers for a host of an API destination.
func (s *sandbox) answerFor(t *testing.T, host, by string) {
	t.Helper()
	page := events.Path + "?" + url.Values{"host": {host}, "to": {by}}.Encode()
	res, err := s.cloud(t).Request(t.Context(), http.MethodPost, page)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func (s *sandbox) deliverBinary(t *testing.T) string {
	return s.program(t, "deliver", "./cmd/deliver")
}

// undelivered waits until a version's event is in the dead-letter queue, and
// gives the attributes that it has there.
func (s *sandbox) undelivered(t *testing.T, version string) map[string]string {
	t.Helper()
	queue := s.aws(t).sqs
	queues, err := queue.ListQueues(context.Background(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("delivery-undelivered")})
	require.NoError(t, err)
	require.Len(t, queues.QueueUrls, 1)
	has := map[string]string{}
	require.True(t, local.WaitUntil(time.Minute, func() bool {
		got, err := queue.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{
			QueueUrl: &queues.QueueUrls[0], MaxNumberOfMessages: 10, VisibilityTimeout: 1, MessageAttributeNames: []string{"All"},
		})
		require.NoError(t, err)
		for _, m := range got.Messages {
			var event events.Event
			require.NoError(t, json.Unmarshal([]byte(*m.Body), &event))
			if strings.Contains(string(event.Detail), version) {
				for name, a := range m.MessageAttributes {
					has[name] = aws.ToString(a.StringValue)
				}
				return true
			}
		}
		return false
	}), "the event of version %s is in no dead-letter queue", version)
	return has
}

// github stands for GitHub's API.
type github struct {
	*httptest.Server
	calls chan dispatched

	mu       sync.Mutex
	statuses []int // of the next answers
}

// dispatched is a call that it got.
type dispatched struct {
	line, host, body string
	header           http.Header
}

func newGitHub(t *testing.T) *github {
	g := &github{calls: make(chan dispatched, 64)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.calls <- dispatched{r.Method + " " + r.URL.RequestURI(), r.Host, string(body), r.Header}
		w.WriteHeader(g.next())
	}))
	t.Cleanup(g.Close)
	return g
}

// answer sets how the next calls are answered; those after them are taken.
func (g *github) answer(statuses ...int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.statuses = statuses
}

func (g *github) next() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.statuses) == 0 {
		return http.StatusNoContent
	}
	status := g.statuses[0]
	g.statuses = g.statuses[1:]
	return status
}

// await takes so many calls, and sees that no further one comes.
func (g *github) await(t *testing.T, count int) []dispatched {
	t.Helper()
	var all []dispatched
	for limit := time.After(30 * time.Second); len(all) < count; {
		select {
		case call := <-g.calls:
			all = append(all, call)
		case <-limit:
			require.FailNow(t, "GitHub was not called", "%d of %d calls came", len(all), count)
		}
	}
	time.Sleep(200 * time.Millisecond)
	assert.Empty(t, g.calls, "one too many")
	return all
}
