package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// launch runs the launcher's command as `make session` does, and returns its output
// and its exit code.
func (s *sandbox) launch(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(s.binary(), append([]string{"exec", s.launcherBinary(t), "--stack", s.stack, "--poll", "200ms"}, args...)...)
	cmd.Dir = s.tree.Root
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	var exit *exec.ExitError
	if failed := cmd.Run(); failed != nil && !errors.As(failed, &exit) {
		t.Fatal(failed)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func (s *sandbox) launcherBinary(t *testing.T) string {
	return s.program(t, "launch", "./cmd/launch")
}

// session runs a command of the launcher that shows a session.
func (s *sandbox) session(t *testing.T, args ...string) launch.Session {
	t.Helper()
	stdout, stderr, code := s.launch(t, append([]string{"--json"}, args...)...)
	require.Zero(t, code, "launch %v: %s%s", args, stdout, stderr)
	var session launch.Session
	require.NoError(t, json.Unmarshal([]byte(stdout), &session), stdout)
	return session
}

func (s *sandbox) sessions(t *testing.T) map[string]launch.Session {
	t.Helper()
	stdout, stderr, code := s.launch(t, "--json", "list")
	require.Zero(t, code, stderr)
	var list []launch.Session
	require.NoError(t, json.Unmarshal([]byte(stdout), &list), stdout)
	byUser := map[string]launch.Session{}
	for _, session := range list {
		byUser[session.User] = session
	}
	return byUser
}

// answers reports whether a session's page answers.
func answers(url string) bool {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(strings.TrimSuffix(url, "/") + contract.HealthPath)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// launchSessions goes through a day of the launcher's on a stack with room for
// two sessions.
func (s *sandbox) launchSessions(t *testing.T, out outputs.Outputs) {
	c, team := s.aws(t), s.mailbox(t, out, "launcher")
	step := steps(t)

	step("the doctor tries the host in a job of its own, and says what can't be known here", func(t *testing.T) {
		stdout, stderr, code := s.launch(t, "--json", "doctor", "--user", "player1")
		require.Zero(t, code, stderr)
		var checks []contract.Check
		require.NoError(t, json.Unmarshal([]byte(stdout), &checks))
		require.Greater(t, len(checks), 9)
		for _, check := range checks {
			assert.Contains(t, []contract.Outcome{contract.OutcomeHolds, contract.OutcomeUnknown}, check.Outcome, check.Name)
			assert.NotEmpty(t, check.Found, check.Name)
			// Link-local addresses are this machine's own, and no simulated host's.
			assert.NotRegexp(t, `player's process reaches 127\.`, check.Found, check.Name)
		}
		assert.NotContains(t, s.sessions(t), "player1", "and is nobody's session")
	})
	var first, second launch.Session
	step("two users get two addresses that answer", func(t *testing.T) {
		first, second = s.session(t, "start", "player1"), s.session(t, "start", "player2")
		assert.NotEqual(t, first.URL, second.URL)
		assert.True(t, answers(first.URL) && answers(second.URL))
		all := s.sessions(t)
		assert.Equal(t, "RUNNING", all["player1"].State)
		assert.Equal(t, second.URL, all["player2"].URL)
	})
	step("a repeated start gives the session that there is", func(t *testing.T) {
		assert.Equal(t, first.JobID, s.session(t, "start", "player1").JobID)
	})
	step("the third waits, and says why; two launchers at once leave one session", func(t *testing.T) {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				_, stderr, code := s.launch(t, "--json", "start", "--no-wait", "player3")
				assert.Zero(t, code, stderr)
			})
		}
		both.Wait()
		assert.Len(t, c.live(t, out, "player3"), 1)
		third := s.sessions(t)["player3"]
		assert.Equal(t, "RUNNABLE", third.State)
		assert.NotEmpty(t, third.Wait)
		t.Log(third.Wait)
	})
	step("it starts by itself when another ends, and that one succeeded", func(t *testing.T) {
		ended := s.session(t, "end", "player1")
		assert.Equal(t, first.JobID, ended.JobID)
		assert.Equal(t, "SUCCEEDED", ended.State)
		third := s.session(t, "start", "player3")
		assert.True(t, answers(third.URL))
		_, err := first.Client().Get(first.URL)
		assert.Error(t, err, "the first is gone; at its address there may be the third by now, with another certificate")
	})
	step("a session whose host is taken away comes back by itself", func(t *testing.T) {
		host := c.hostOf(t, second)
		text, err := s.run(t, "take-host", host)
		require.NoError(t, err, text)
		assert.True(t, local.WaitUntil(5*time.Second, func() bool { return !answers(second.URL) }), "it is gone")
		again := s.session(t, "start", "player2")
		assert.Equal(t, second.JobID, again.JobID, "the same session")
		assert.Equal(t, 2, again.Attempt)
		assert.True(t, answers(again.URL))
	})
	step("a session's log has its events", func(t *testing.T) {
		stdout, stderr, code := s.launch(t, "logs", "player2")
		require.Zero(t, code, stderr)
		for _, event := range []contract.EventName{contract.EventStarting, contract.EventReady} {
			assert.Contains(t, stdout, `"event":"`+string(event)+`"`)
		}
		waits := map[contract.EventName]contract.Event{}
		for line := range strings.Lines(stdout) {
			var e contract.Event
			require.NoError(t, json.Unmarshal([]byte(line), &e), line)
			waits[e.Event] = e
		}
		starting, ready := waits[contract.EventStarting], waits[contract.EventReady]
		if assert.NotNil(t, starting.SinceCreated) && assert.NotNil(t, starting.SinceSubmit) && assert.NotNil(t, ready.SinceSubmit) {
			assert.Less(t, *starting.SinceCreated, *starting.SinceSubmit, "the container was created after the submission")
			assert.Less(t, *starting.SinceSubmit, *ready.SinceSubmit)
			assert.Greater(t, *starting.SinceSubmit, 5.0, "its first attempt, on a host that was taken away, is a part of the wait")
		}
		told := slices.IndexFunc(strings.Split(stdout, "\n"), func(line string) bool {
			return strings.Contains(line, `"event":"`+string(contract.EventNotified)+`"`) && !strings.Contains(line, `"reason"`)
		})
		assert.GreaterOrEqual(t, told, 0, "player2 is told by its topic: %s", stdout)
	})
	step("who asks for a password gets it where their rights allow it", func(t *testing.T) {
		stdout, _, code := s.launch(t, "start", "--password", "player2")
		require.Zero(t, code)
		assert.Contains(t, stdout, c.password(t, out, "player2"))
	})
	step("a user who is not there is refused by name", func(t *testing.T) {
		_, stderr, code := s.launch(t, "start", "nobody")
		assert.Equal(t, launch.CodeUnknownUser, code)
		assert.Contains(t, stderr, "nobody")
		assert.Contains(t, stderr, "player1")
	})
	// There is room for two.
	step("a session whose container is killed is a message to the team", func(t *testing.T) { s.killContainer(t, team) })
	for _, right := range []struct{ name, action, words string }{
		{"a secret that may not be read", "secretsmanager:GetSecretValue", "can't read the user's secret"},
		{"a registry that gives the execution role no password", "ecr:GetAuthorizationToken", "no password for the registry"},
		{"an image that the execution role may not pull", "ecr:BatchGetImage", "can't pull the image"},
	} {
		step(right.name+" fails the session in words", func(t *testing.T) {
			restore := c.withoutRight(t, right.action)
			_, stderr, code := s.launch(t, "start", "--limit", "1m", "player1")
			restore()
			assert.Equal(t, launch.CodeFailed, code)
			assert.Contains(t, stderr, right.words)
			assert.Contains(t, team.await(t, "failed-without-code"), contract.JobName("sandbox", "player1"))
		})
	}
	step("an image that is not there fails the session in words", func(t *testing.T) {
		repository, _, _ := strings.Cut(out.ImageURI, "@")
		revision := c.registerChanged(t, out, "player1", func(p *types.ContainerProperties) {
			p.Image = aws.String(repository + "@sha256:" + strings.Repeat("0", 64))
		})
		_, stderr, code := s.launch(t, "start", "--limit", "1m", "player1")
		_, err := c.batch.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: &revision})
		require.NoError(t, err)
		assert.Equal(t, launch.CodeFailed, code)
		assert.Contains(t, stderr, "can't pull the image")
		assert.Contains(t, team.await(t, "failed-without-code"), "Task failed to start")
	})
	step("a session that may not be rendered without a GPU is refused, and an alarm", func(t *testing.T) { s.refuseSoftware(t, out, team) })
	step("the acceptance run passes, under the launcher's own rights too", func(t *testing.T) {
		stdout, stderr, code := s.launch(t, "acceptance", "--user", "player1", "--launcher-role", s.launcherRole(t, out))
		assert.Zero(t, code, "%s%s", stdout, stderr)
		assert.NotContains(t, stdout, "not checked")
		t.Log("\n" + stdout)
	})
	// The next steps want no session.
	step("a session whose game fails is an alarm, whose message reads well", func(t *testing.T) { s.failGame(t, team) })
	step("the sessions that ended as they should, or were ended by a launcher, are no message", func(t *testing.T) {
		assert.Empty(t, team.rest(t, "retried")) // some were, on purpose
	})
}

// live are the ids of a user's jobs that have not ended.
func (c cloudClients) live(t *testing.T, out outputs.Outputs, user string) (ids []string) {
	t.Helper()
	listed, err := c.batch.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: &out.QueueARN,
		Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{contract.JobName("sandbox", user)}}}})
	require.NoError(t, err)
	for _, j := range listed.JobSummaryList {
		if j.Status != types.JobStatusSucceeded && j.Status != types.JobStatusFailed {
			ids = append(ids, *j.JobId)
		}
	}
	return ids
}

// hostOf is the instance that a session runs on.
func (c cloudClients) hostOf(t *testing.T, session launch.Session) string {
	t.Helper()
	described, err := c.batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{session.JobID}})
	require.NoError(t, err)
	arn := *described.Jobs[0].Container.ContainerInstanceArn
	return arn[strings.LastIndex(arn, "/")+1:]
}

// withoutRight takes an action away from the execution role.
func (c cloudClients) withoutRight(t *testing.T, action string) (restore func()) {
	t.Helper()
	ctx := context.Background()
	roles, err := c.iam.ListRoles(ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
	for _, role := range roles.Roles {
		if !strings.HasPrefix(*role.RoleName, "roles-execution-") {
			continue
		}
		names, err := c.iam.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: role.RoleName})
		require.NoError(t, err)
		policy, err := c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: role.RoleName, PolicyName: &names.PolicyNames[0]})
		require.NoError(t, err)
		text, err := url.QueryUnescape(*policy.PolicyDocument)
		require.NoError(t, err)
		put := func(document string) {
			_, err := c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: policy.PolicyName, PolicyDocument: &document})
			require.NoError(t, err)
		}
		service, _, _ := strings.Cut(action, ":")
		without := strings.ReplaceAll(text, action, service+":NoAction")
		require.NotEqual(t, text, without, "the role has no right to %s", action)
		put(without)
		return func() { put(text) }
	}
	t.Fatal("there is no execution role")
	return nil
}

// registerChanged registers a revision of a user's definition that differs.
func (c cloudClients) registerChanged(t *testing.T, out outputs.Outputs, user string, change func(*types.ContainerProperties)) (arn string) {
	t.Helper()
	name := out.JobDefinitions[user]
	for _, d := range c.activeDefinitions(t) {
		if *d.JobDefinitionName != name {
			continue
		}
		change(d.ContainerProperties)
		made, err := c.batch.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
			JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, ContainerProperties: d.ContainerProperties, Tags: d.Tags, PropagateTags: d.PropagateTags})
		require.NoError(t, err)
		return *made.JobDefinitionArn
	}
	t.Fatalf("there is no job definition %s", name)
	return ""
}
