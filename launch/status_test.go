package launch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/launch"
)

// ends makes a job one that ended, after some minutes.
func (c *cloud) ends(user, status string, minutes int, stopped time.Time) *fakeJob {
	j := c.add(user)
	c.with(func() {
		j.status, j.started, j.stopped = status, stopped.Add(-time.Duration(minutes)*time.Minute).UnixMilli(), stopped.UnixMilli()
		j.statusReason = "Host EC2 (instance i-1) terminated."
		j.attempts = []map[string]any{{"startedAt": j.started, "stoppedAt": j.stopped, "container": map[string]any{}}}
	})
	return j
}

func TestStatusHasSessionsFailuresHostsAndTodaysHours(t *testing.T) {
	c := newCloud(t)
	midnight := time.Now().UTC().Truncate(24 * time.Hour)
	c.ends("alice", "SUCCEEDED", 30, midnight.Add(-time.Minute)) // yesterday
	c.ends("alice", "SUCCEEDED", 30, midnight.Add(10*time.Millisecond))
	for i := range 7 {
		c.ends("bob", "FAILED", 0, midnight.Add(time.Duration(i)*time.Millisecond))
	}
	canceled := c.ends("bob", "FAILED", 0, time.Time{}) // before it had a host
	c.with(func() { canceled.stopped, canceled.created, canceled.attempts = 0, midnight.UnixMilli(), nil })
	playing, waiting := c.add("alice"), c.add("bob")
	c.with(func() {
		running("1")(c, playing)
		isReady("https://192.0.2.1:8443/", "00")(c, playing)
		playing.vcpus, playing.host = "4", "arn:host-1"
		waiting.status, waiting.vcpus = "RUNNABLE", "4"
	})

	s, err := c.launcher(t).Status(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Sessions, 2)
	assert.Equal(t, "alice", s.Sessions[0].User)
	assert.Equal(t, "https://192.0.2.1:8443/", s.Sessions[0].URL)
	assert.Contains(t, s.Sessions[1].Wait, "waiting for a host")
	assert.Equal(t, 9, s.Ended, "and not yesterday's")
	assert.Equal(t, 8, s.Failed)
	require.Len(t, s.Failures, 5)
	assert.True(t, s.Failures[0].Stopped.After(s.Failures[4].Stopped), "the newest first")
	assert.Contains(t, s.Failures[0].Reason, "the host went away")
	assert.Equal(t, 4, s.UsedVCPUs)
	assert.Equal(t, 1, s.UsedHosts)
	assert.Equal(t, []launch.Environment{
		{Name: "hosts", Status: "VALID", InstanceTypes: []string{"g5.xlarge", "g4dn.xlarge"}, VCPUs: 8, MaxVCPUs: 32},
		{Name: "spot", Status: "INVALID", Reason: "CLIENT_ERROR - no such role", InstanceTypes: []string{"g5.xlarge"}, Spot: true, MaxVCPUs: 16},
	}, s.Environments)
}

func TestHoursCountFromMidnightAndUntilNow(t *testing.T) {
	c := newCloud(t)
	now := time.Now().UTC()
	midnight := now.Truncate(24 * time.Hour)
	c.ends("alice", "SUCCEEDED", 120, midnight) // all of it yesterday
	runs := c.add("bob")
	c.with(func() { runs.status, runs.started = "RUNNING", midnight.Add(-time.Hour).UnixMilli() })
	s, err := c.launcher(t).Status(t.Context())
	require.NoError(t, err)
	assert.InDelta(t, now.Sub(midnight).Hours(), s.Hours, 0.01)
}

func TestALauncherSeesTheStatusWithoutTheHosts(t *testing.T) {
	c := newCloud(t)
	c.denied["describejobqueues"] = true
	s, err := c.launcher(t).Status(t.Context())
	require.NoError(t, err)
	assert.Empty(t, s.Environments)
	assert.Contains(t, s.NoEnvironments, "batch:DescribeJobQueues")
	assert.Contains(t, s.NoEnvironments, "an operator's right")
}
