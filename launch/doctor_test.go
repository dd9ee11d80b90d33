package launch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// found writes a check of the doctor to the log.
func found(name string, outcome contract.Outcome, change string) step {
	return func(c *cloud, j *fakeJob) {
		c.log(j, contract.Event{Event: contract.EventDoctor, Check: &contract.Check{Name: name, Outcome: outcome, Found: "this", Change: change}})
	}
}

func TestTheDoctorsRowsComeFromAJobOfItsOwn(t *testing.T) {
	c := newCloud(t)
	player, _ := c.session(t, "alice")
	c.script = []step{
		to("RUNNABLE"), to("STARTING"), running("1"),
		found("sound", contract.OutcomeHolds, ""), found("console", contract.OutcomeFails, "session.display: virtual"),
		exits(contract.ExitDisplay, "does not hold: console"),
	}
	var told, progress []string
	checks, err := c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{
		User: "alice", OnCheck: func(c contract.Check) { told = append(told, c.Name) }, Progress: func(words string) { progress = append(progress, words) },
	})
	require.NoError(t, err)
	assert.Equal(t, []contract.Check{
		{Name: "sound", Outcome: contract.OutcomeHolds, Found: "this"},
		{Name: "console", Outcome: contract.OutcomeFails, Found: "this", Change: "session.display: virtual"},
	}, checks)
	assert.Equal(t, []string{"sound", "console"}, told)
	assert.Contains(t, progress, "the host pulls the image")
	assert.Contains(t, progress, "the checks run")
	assert.Equal(t, []string{player.id}, c.alive(), "the player plays on")
	assert.Equal(t, 1, c.count("submitjob"))
}

func TestADoctorsJobIsNobodysSession(t *testing.T) {
	c := newCloud(t)
	c.with(func() {
		c.submit(contract.DoctorName("dev", "alice"), contract.JobTags("dev", "alice"), []step{running("1")})
	})
	l := c.launcher(t)
	_, err := l.Show(t.Context(), "alice")
	assert.ErrorIs(t, err, launch.ErrNoSession)
	sessions, err := l.List(t.Context(), launch.ListOptions{Ended: true})
	require.NoError(t, err)
	assert.Empty(t, sessions)
	_, err = l.End(t.Context(), "alice", "", launch.EndOptions{})
	assert.ErrorIs(t, err, launch.ErrNoSession)
	s, err := l.Start(t.Context(), "alice", launch.StartOptions{Wait: true})
	require.NoError(t, err)
	assert.True(t, s.New)
}

func TestADoctorsJobThatDidNotComeToItsEndSaysWhy(t *testing.T) {
	c := newCloud(t)
	c.script = []step{fails("Task failed to start", "CannotPullContainerError: no")}
	checks, err := c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{User: "alice"})
	assert.Empty(t, checks)
	assert.ErrorContains(t, err, "the doctor's job job-1 ended early: the host can't pull the image")
	assert.Equal(t, launch.CodeFault, launch.ExitCode(err))

	c = newCloud(t)
	c.script = []step{running("1"), found("sound", contract.OutcomeHolds, ""), fails("Host EC2 (instance i-1) terminated.", "")}
	checks, err = c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{User: "alice"})
	assert.Len(t, checks, 1, "what is known is kept")
	assert.ErrorContains(t, err, "the host went away")

	c = newCloud(t)
	c.script = []step{running("1"), exits(contract.ExitConfiguration, "DCV_PORT_FIRST is missing")}
	_, err = c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{User: "alice"})
	assert.ErrorContains(t, err, "DCV_PORT_FIRST is missing")
}

func TestADoctorThatNobodyWaitsForIsEnded(t *testing.T) {
	c := newCloud(t)
	ctx, interrupt := context.WithCancel(t.Context())
	c.script = []step{to("RUNNABLE"), func(*cloud, *fakeJob) { interrupt() }}
	_, err := c.launcher(t).Doctor(ctx, launch.DoctorOptions{User: "alice"})
	assert.ErrorIs(t, err, context.Canceled)
	c.step()
	assert.Empty(t, c.alive())

	c = newCloud(t)
	c.script = []step{to("RUNNABLE")}
	_, err = c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{User: "alice", Limit: 50 * time.Millisecond})
	assert.ErrorAs(t, err, new(*launch.LimitPassed))
	c.step()
	assert.Empty(t, c.alive())

	_, err = c.launcher(t).Doctor(t.Context(), launch.DoctorOptions{User: "carol"})
	assert.ErrorAs(t, err, new(*launch.UnknownUser))
}
