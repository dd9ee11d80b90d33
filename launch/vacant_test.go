package launch_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/launch"
)

func TestAStackIsVacantUnlessSomebodyPlaysOrWaits(t *testing.T) {
	c := newCloud(t)
	l := c.launcher(t)
	require.NoError(t, l.Vacant(t.Context()))

	c.add("bob").status = "RUNNABLE"
	over := c.add("alice")
	over.status = "SUCCEEDED"
	playing := c.add("alice")
	playing.status, playing.started = "RUNNING", 1_700_000_123_000
	err := l.Vacant(t.Context())
	var occupied *launch.Occupied
	require.ErrorAs(t, err, &occupied)
	assert.Equal(t, launch.CodeOccupied, launch.ExitCode(err))
	assert.EqualError(t, err, "sessions that would end: 2\n"+
		"  alice  RUNNING since 2023-11-14 22:15:23 UTC, job "+playing.id+"\n"+
		"  bob  RUNNABLE since 2023-11-14 22:13:20 UTC, job job-1")

	c.with(func() { c.denied["listjobs"] = true })
	assert.Equal(t, launch.CodeDenied, launch.ExitCode(l.Vacant(t.Context())), "nobody knows who plays")
}
