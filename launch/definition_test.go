package launch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

func TestANewSessionReservesWhatItsStarterAsksFor(t *testing.T) {
	c := newCloud(t)
	_, err := c.launcher(t).Start(t.Context(), "alice", launch.StartOptions{Reserve: launch.Resources{VCPUs: 2, MemoryMiB: 7766}})
	require.NoError(t, err)
	assert.Equal(t, []map[string]string{{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "7766"}}, c.jobs[0].reserved)

	_, err = c.launcher(t).Start(t.Context(), "bob", launch.StartOptions{})
	require.NoError(t, err)
	assert.Empty(t, c.jobs[1].reserved, "the definition's stay")
}

func TestTheDefinitionIsThatOfTheNextSession(t *testing.T) {
	c := newCloud(t)
	d, err := c.launcher(t).Definition(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, launch.Definition{Resources: launch.Resources{VCPUs: 4, MemoryMiB: 14000, GPUs: 1}, Usage: 30 * time.Second, Max: 5 * time.Hour}, d)

	_, err = c.launcher(t).Definition(t.Context(), "bob")
	assert.ErrorContains(t, err, "no job definition dcv-sessions_dev_bob")
	_, err = c.launcher(t).Definition(t.Context(), "carol")
	assert.ErrorAs(t, err, new(*launch.UnknownUser))

	c.denied["describejobdefinitions"] = true
	var denied *launch.Denied
	_, err = c.launcher(t).Definition(t.Context(), "alice")
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "batch:DescribeJobDefinitions", denied.Action)
	assert.Contains(t, denied.Grant, "an operator's right")
}

func TestASessionNamesItsHostAndSaysWhetherItRanOutOfMemory(t *testing.T) {
	c := newCloud(t)
	c.script = []step{running("1"), func(c *cloud, j *fakeJob) {
		j.host = "arn:host-1"
		c.log(j, contract.Event{Event: contract.EventReady, URL: "https://192.0.2.1:8443/", InstanceType: "g6.xlarge"})
	}, nothing}
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, []string{"arn:host-1", "g6.xlarge"}, []string{s.Host, s.InstanceType})

	c.with(func() {
		fails("Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage")(c, c.jobs[0])
	})
	s, err = c.launcher(t).Show(t.Context(), "alice")
	require.NoError(t, err)
	assert.True(t, s.OutOfMemory)
	assert.Contains(t, s.Reason, "session.memoryMib")
}
