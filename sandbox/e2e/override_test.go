package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// overrideVariables submits jobs with overridden environment variables, which the
// launcher policy allows.
func (s *sandbox) overrideVariables(t *testing.T, out outputs.Outputs) {
	c, team := s.aws(t), s.mailbox(t, out, "override")
	const user = "player3"

	t.Run("one that makes the Go runtime talk is played, and its log knows nothing of the sign-in", func(t *testing.T) {
		c.submitWith(t, out, user, map[string]string{"GODEBUG": "http2debug=2", "SSLKEYLOGFILE": "/dev/stderr", "HTTPS_PROXY": "http://127.0.0.1:1"})
		session := s.session(t, "start", user)
		password := c.password(t, out, user)
		browser := http.Client{
			Timeout:       10 * time.Second,
			Transport:     &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		res, err := browser.PostForm(strings.TrimSuffix(session.URL, "/")+"/sign-in", url.Values{"username": {user}, "password": {password}})
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		s.session(t, "end", user)

		stdout, stderr, code := s.launch(t, "logs", user)
		require.Zero(t, code, stderr)
		assert.NotContains(t, stdout, password)
		said := map[string]string{}
		for line := range strings.Lines(stdout) {
			var e contract.Event
			require.NoError(t, json.Unmarshal([]byte(line), &e), "a log holds events only: %s", line)
			said[e.Part] += e.Line
		}
		assert.Contains(t, said["environment"], "GODEBUG HTTPS_PROXY SSLKEYLOGFILE")
	})

	t.Run("one that would change what its definition says, or call another AWS, is refused", func(t *testing.T) {
		for name, value := range map[string]string{
			contract.EnvMax: "600000", contract.EnvTopicsEndpoint: "http://127.0.0.1:1", "AWS_PROFILE": "mine",
		} {
			id := c.submitWith(t, out, user, map[string]string{name: value})
			var job types.JobDetail
			require.True(t, local.WaitUntil(time.Minute, func() bool {
				described, err := c.batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
				require.NoError(t, err)
				job = described.Jobs[0]
				return job.Status == types.JobStatusFailed
			}), name)
			assert.EqualValues(t, contract.ExitConfiguration, aws.ToInt32(job.Container.ExitCode), name)
		}
		team.await(t, "failed-configuration")
	})
}

// submitWith submits a user's session with variables of the caller's.
func (c cloudClients) submitWith(t *testing.T, out outputs.Outputs, user string, variables map[string]string) (job string) {
	t.Helper()
	overrides := &types.ContainerOverrides{}
	for name, value := range variables {
		overrides.Environment = append(overrides.Environment, types.KeyValuePair{Name: &name, Value: &value})
	}
	submitted, err := c.batch.SubmitJob(t.Context(), &batch.SubmitJobInput{
		JobName: aws.String(contract.JobName("sandbox", user)), JobQueue: &out.QueueARN, JobDefinition: aws.String(out.JobDefinitions[user]),
		Tags: contract.JobTags("sandbox", user), ContainerOverrides: overrides,
	})
	require.NoError(t, err)
	return *submitted.JobId
}
