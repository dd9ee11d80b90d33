package e2e

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// destroyWhilePlaying destroys the stack while somebody plays: only when asked
// to, and then the session ends as AWS Batch ends the jobs of a deleted queue.
func (s *sandbox) destroyWhilePlaying(t *testing.T, base config) {
	played := s.session(t, "start", "player1")
	for _, command := range []string{"destroy", "down"} {
		out, err := s.run(t, command)
		require.Error(t, err, out)
		assert.Contains(t, out, "player1  RUNNING since ")
		assert.Contains(t, out, "make "+command+" PLAYING=end")
	}
	assert.True(t, answers(played.URL), "nothing was destroyed")

	out, err := s.run(t, "destroy", "-playing=end", "-config", base.write(t, s.dir))
	require.NoError(t, err, out)
	var job types.JobDetail
	over := local.WaitUntil(time.Minute, func() bool {
		found, err := s.aws(t).batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{played.JobID}})
		require.NoError(t, err)
		job = found.Jobs[0]
		return job.Status == types.JobStatusFailed
	})
	require.True(t, over, "the job is %s", job.Status)
	require.NotNil(t, job.Container.ExitCode, "the container was stopped, not lost with its host")
	assert.NotEqual(t, int32(137), *job.Container.ExitCode, "it ended by SIGTERM, and was not killed")
}
