package launch_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/launch"
)

// fakeSession answers requests to end a job.
type fakeSession struct {
	*httptest.Server
	asked  atomic.Pointer[contract.EndRequest]
	status int
}

// session adds a job that runs and is ready, and serves a session at its address.
func (c *cloud) session(t *testing.T, user string) (*fakeJob, *fakeSession) {
	t.Helper()
	j, s := c.add(user), &fakeSession{status: http.StatusAccepted}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in contract.EndRequest
		if r.Method != http.MethodPost || r.URL.Path != contract.EndPath || json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.asked.Store(&in)
		w.WriteHeader(s.status)
		if s.status != http.StatusAccepted {
			_, _ = w.Write([]byte(`{"error":"AWS does not vouch for you"}`))
			return
		}
		c.with(func() { j.script = []step{nothing, exits(0, "the session was asked to end: "+in.Reason)} })
	}))
	t.Cleanup(s.Close)
	hash := sha256.Sum256(s.Certificate().Raw)
	c.with(func() {
		running("1")(c, j)
		isReady(s.URL+"/", hex.EncodeToString(hash[:]))(c, j)
	})
	return j, s
}

func TestASessionThatIsAskedToEndHasSucceeded(t *testing.T) {
	c := newCloud(t)
	j, session := c.session(t, "alice")
	s, err := c.launcher(t).End(t.Context(), "alice", "support", launch.EndOptions{})
	require.NoError(t, err)
	assert.Equal(t, []any{j.id, "SUCCEEDED", 0, "the session was asked to end: support"}, []any{s.JobID, s.State, *s.ExitCode, s.Reason})
	assert.Zero(t, c.count("terminatejob"))

	asked := session.asked.Load()
	assert.Equal(t, j.id, asked.Session)
	assert.Equal(t, c.URL, asked.Proof.Endpoint)
	assert.Equal(t, "session-token", asked.Proof.SecurityToken)
	assert.Contains(t, asked.Proof.Authorization, "SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;x-dcv-session,")
}

func TestASessionThatCannotBeAskedIsTerminatedAndThatIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *cloud, j *fakeJob, s *fakeSession)
		why    string
	}{
		"unreachable":     {func(_ *cloud, _ *fakeJob, s *fakeSession) { s.Close() }, "it can't be reached"},
		"it refuses":      {func(_ *cloud, _ *fakeJob, s *fakeSession) { s.status = http.StatusForbidden }, "it refuses (403 Forbidden): AWS does not vouch for you"},
		"not ready yet":   {func(c *cloud, j *fakeJob, _ *fakeSession) { c.streams[j.stream] = nil }, "it was not ready yet"},
		"not running yet": {func(_ *cloud, j *fakeJob, _ *fakeSession) { j.status = "STARTING" }, "it did not run yet"},
		"in the queue":    {func(_ *cloud, j *fakeJob, _ *fakeSession) { j.status, j.stream = "RUNNABLE", "" }, "it did not run yet"},
		"wrong certificate": {func(c *cloud, j *fakeJob, s *fakeSession) {
			c.streams[j.stream] = nil
			isReady(s.URL+"/", "beef")(c, j)
		}, "its certificate is not the session's"},
		"no certificate": {func(c *cloud, j *fakeJob, s *fakeSession) { c.streams[j.stream] = nil; isReady(s.URL+"/", "")(c, j) }, "its certificate is not the session's"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			j, session := c.session(t, "alice")
			c.with(func() { test.change(c, j, session) })
			s, err := c.launcher(t).End(t.Context(), "alice", "support", launch.EndOptions{})
			require.NoError(t, err)
			assert.Equal(t, "FAILED", s.State)
			assert.Contains(t, s.Reason, "asked to end: support; AWS Batch ended it, since ")
			assert.Contains(t, s.Reason, test.why)
			assert.Contains(t, s.Reason, "the queue shows it as FAILED")
			assert.Equal(t, 1, c.count("terminatejob"))
			if strings.Contains(name, "certificate") {
				assert.Nil(t, session.asked.Load(), "nothing is told to a stranger, least of all a proof")
			}
		})
	}
}

func TestASessionThatDoesNotAnswerInTimeIsTerminated(t *testing.T) {
	c := newCloud(t)
	c.session(t, "alice")
	l, err := launch.New(c.config(), c.outputs(), launch.WithPoll(time.Millisecond), launch.WithAnswerLimit(time.Nanosecond))
	require.NoError(t, err)
	s, err := l.End(t.Context(), "alice", "support", launch.EndOptions{})
	require.NoError(t, err)
	assert.Equal(t, "FAILED", s.State)
	assert.Contains(t, s.Reason, "it can't be reached")
	assert.Contains(t, s.Reason, context.DeadlineExceeded.Error())
	assert.Equal(t, 1, c.count("terminatejob"))
}

func TestThereIsNothingToEndWithoutASession(t *testing.T) {
	c := newCloud(t)
	gone := c.add("alice")
	c.with(func() { exits(0, "")(c, gone) })
	_, err := c.launcher(t).End(t.Context(), "alice", "", launch.EndOptions{})
	assert.ErrorIs(t, err, launch.ErrNoSession)
}

func TestASessionThatDoesNotEndPassesTheLimit(t *testing.T) {
	c := newCloud(t)
	j, _ := c.session(t, "alice")
	c.with(func() { c.denied["terminatejob"] = true })
	l := c.launcher(t)
	c.with(func() { c.log(j, contract.Event{Event: contract.EventEnded}) }) // it says so, and stays
	_, err := l.End(t.Context(), "alice", "", launch.EndOptions{Limit: time.Second})
	var limit *launch.LimitPassed
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, j.id, limit.JobID)
}

func TestWhoMayNotEndIsToldTheRight(t *testing.T) {
	c := newCloud(t)
	c.add("alice", to("RUNNABLE"))
	c.with(func() { c.denied["terminatejob"] = true })
	_, err := c.launcher(t).End(t.Context(), "alice", "", launch.EndOptions{})
	var denied *launch.Denied
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "batch:TerminateJob", denied.Action)
}

func TestOfTwoSessionsThatJustCameAtOnceBothAreEnded(t *testing.T) {
	c := newCloud(t)
	c.session(t, "alice")
	c.add("alice", to("RUNNABLE"))
	s, err := c.launcher(t).End(t.Context(), "alice", "", launch.EndOptions{})
	require.NoError(t, err)
	assert.Equal(t, "SUCCEEDED", s.State)
	assert.Empty(t, c.alive())
}

// The session has its real door, life and events: it takes the proof that the launcher
// signs, and AWS takes the call that the session makes of it.
func TestARealSessionEndsWhenTheLauncherAsks(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE"), to("STARTING"), func(c *cloud, j *fakeJob) { c.run(t, j) }}
	l := c.launcher(t)
	s, err := l.Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	res, err := s.Client().Get(strings.TrimSuffix(s.URL, "/") + contract.HealthPath)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusOK, res.StatusCode)

	ended, err := l.End(t.Context(), "alice", "support", launch.EndOptions{Limit: time.Minute})
	require.NoError(t, err)
	assert.Equal(t, []any{s.JobID, "SUCCEEDED", 0, "the session was asked to end: support"}, []any{ended.JobID, ended.State, *ended.ExitCode, ended.Reason})
	assert.Equal(t, 1, c.count("tagresource"))
	assert.Zero(t, c.count("terminatejob"))
}

// A proof is signed for the endpoint of the launcher's configuration, and a session
// sends it only to endpoints that it knows.
func TestASessionKnowsEveryEndpointOfAWSBatch(t *testing.T) {
	for region, partition := range map[string]string{
		"us-east-1": "aws", "eu-central-2": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc",
	} {
		for _, dualStack := range []bool{false, true} {
			for _, fips := range []bool{false, true} {
				found, err := batch.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), batch.EndpointParameters{
					Region: &region, UseDualStack: &dualStack, UseFIPS: &fips,
				})
				require.NoError(t, err)
				assert.Contains(t, door.Endpoints(partition, region), found.URI.String())
			}
		}
	}
}
