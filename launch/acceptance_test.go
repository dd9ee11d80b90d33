package launch_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

func results(checks []launch.Check) map[string]string {
	all := map[string]string{}
	for _, c := range checks {
		all[c.Name] = c.Result
	}
	return all
}

func TestAnAcceptanceRunTriesASessionFromStartToEnd(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE"), to("STARTING"), func(c *cloud, j *fakeJob) { c.run(t, j) }}
	checks, err := c.launcher(t).Accept(t.Context(), launch.AcceptanceOptions{User: "alice"})
	require.NoError(t, err)
	for _, row := range checks[:len(checks)-3] {
		assert.Equal(t, launch.Passed, row.Result, "%s: %s", row.Name, row.Detail)
	}
	for _, row := range checks[len(checks)-3:] {
		assert.Equal(t, launch.NotChecked, row.Result, "%s: without a role", row.Name)
	}
	assert.Empty(t, c.alive())
	assert.Equal(t, 1, c.count("submitjob"))
}

func TestAnAcceptanceRunWithARoleChecksWhatTheRoleMayNot(t *testing.T) {
	c := newCloud(t)
	c.script = []step{fails("Task failed to start", "CannotPullContainerError: no")}
	o := launch.AcceptanceOptions{User: "alice", Role: "arn:aws:iam::" + account + ":role/launcher"}

	checks, err := c.launcher(t).Accept(t.Context(), o)
	require.NoError(t, err)
	got := results(checks)
	assert.Equal(t, launch.NotPassed, got["a session starts and is ready"])
	assert.Equal(t, launch.NotChecked, got["it answers at its address, with the certificate that its log names"])
	assert.Equal(t, launch.NotPassed, got["the launcher policy reads no password"], "this one may")
	assert.Equal(t, launch.NotPassed, got["the launcher policy starts nothing for another stack"], "this one may")
	assert.Equal(t, launch.NotPassed, got["the launcher policy tags no job that is not its stack's"], "this one may")
	for _, row := range checks {
		assert.Equal(t, row.Result == launch.NotPassed, row.LookAt != "", row.Name)
	}
	c.step()
	assert.Empty(t, c.alive(), "what should not have been allowed is ended")

	c.with(func() { c.denied["GetSecretValue"], c.denied["foreign"], c.denied["tagresource"] = true, true, true })
	checks, err = c.launcher(t).Accept(t.Context(), o)
	require.NoError(t, err)
	got = results(checks)
	assert.Equal(t, launch.Passed, got["the launcher policy reads no password"])
	assert.Equal(t, launch.Passed, got["the launcher policy starts nothing for another stack"])
	assert.Equal(t, launch.Passed, got["the launcher policy tags no job that is not its stack's"])
}

func TestAnAcceptanceRunDisturbsNoPlayer(t *testing.T) {
	c := newCloud(t)
	c.session(t, "alice")
	_, err := c.launcher(t).Accept(t.Context(), launch.AcceptanceOptions{User: "alice"})
	assert.ErrorContains(t, err, "name a user without one")
	assert.Zero(t, c.count("submitjob"))

	// The session of a player who comes while it runs is left alone too.
	c = newCloud(t)
	j, _ := c.session(t, "alice")
	c.with(func() { j.unlisted = 2 })
	checks, err := c.launcher(t).Accept(t.Context(), launch.AcceptanceOptions{User: "alice"})
	require.NoError(t, err)
	assert.Equal(t, launch.NotPassed, checks[0].Result)
	assert.Contains(t, checks[0].Detail, "left alone")
	c.step()
	assert.Equal(t, []string{j.id}, c.alive())
}

func TestAnAcceptanceRunTakesAUserWhoIsFree(t *testing.T) {
	for name, test := range map[string]struct {
		playing []string
		places  int
		users   []string // besides alice and bob
		takes   string
		busy    string
	}{
		"the first":                        {takes: "alice"},
		"the first who is free":            {playing: []string{"alice"}, takes: "bob"},
		"the one who is kept for it":       {users: []string{launch.AcceptanceUser, "aaron"}, takes: launch.AcceptanceUser},
		"unless that one plays":            {users: []string{launch.AcceptanceUser, "aaron"}, playing: []string{launch.AcceptanceUser}, takes: "aaron"},
		"nobody where everybody plays":     {playing: []string{"alice", "bob"}, busy: "every user has a session"},
		"nobody where every place is gone": {playing: []string{"alice"}, places: 1, busy: "as many sessions run as the stack has room for, 1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			for _, user := range test.playing {
				c.add(user).status = "RUNNING"
			}
			stack := c.outputs()
			stack.MaxSessions = test.places
			for _, user := range test.users {
				stack.JobDefinitions[user] = contract.JobDefinition("dev", user)
			}
			l, err := launch.New(c.config(), stack, launch.WithPoll(time.Millisecond))
			require.NoError(t, err)
			c.script = []step{fails("Task failed to start", "CannotPullContainerError: no")} // who it is tried as is the point
			_, err = l.Accept(t.Context(), launch.AcceptanceOptions{})
			if test.busy != "" {
				var busy *launch.Busy
				require.ErrorAs(t, err, &busy)
				assert.ErrorContains(t, err, test.busy)
				assert.Zero(t, c.count("submitjob"))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, contract.JobName("dev", test.takes), c.jobs[len(c.jobs)-1].name)
		})
	}
}

func TestAnAcceptanceRunThatIsInterruptedEndsWhatItStarted(t *testing.T) {
	c := newCloud(t)
	ctx, interrupt := context.WithCancel(t.Context())
	c.script = []step{to("RUNNABLE"), func(*cloud, *fakeJob) { interrupt() }}
	_, err := c.launcher(t).Accept(ctx, launch.AcceptanceOptions{User: "alice"})
	assert.ErrorIs(t, err, context.Canceled)
	c.step()
	assert.Empty(t, c.alive())
}

// assumeRole answers AssumeRole of AWS STS, for the acceptance run's role.
func assumeRole(w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
		<AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session-token</SessionToken>
		<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
}
