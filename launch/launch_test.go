package launch_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

var waits = launch.StartOptions{Wait: true, Limit: time.Minute}

func TestAStartGivesASessionThatIsReady(t *testing.T) {
	c := newCloud(t)
	c.script = append([]step{nothing}, c.script...)
	var told []string
	s, err := c.launcher(t).Start(t.Context(), "alice", launch.StartOptions{Wait: true, Progress: func(step launch.Step) {
		told = append(told, step.Name+": "+step.Words)
	}})
	require.NoError(t, err)
	assert.Equal(t, "https://192.0.2.1:8443/", s.URL)
	assert.Equal(t, "00", s.Certificate)
	assert.Equal(t, []any{"job-1", "alice", "RUNNING", 1, true, "user/default/job-1-1", ""}, []any{s.JobID, s.User, s.State, s.Attempt, s.New, s.LogStream, s.Wait})
	assert.Equal(t, []string{"queue: in the queue", "host: waiting for a host to start", "image: the host pulls the image", "session: the session starts", "ready: the session is ready"}, told)
	var names []string
	for _, step := range s.Steps {
		names = append(names, step.Name)
		assert.GreaterOrEqual(t, step.Seconds, 0.0)
	}
	assert.Equal(t, []string{launch.StepQueue, launch.StepHost, launch.StepImage, launch.StepSession, launch.StepReady}, names)
	assert.Equal(t, contract.JobTags("dev", "alice"), c.jobs[0].tags)
}

func TestARepeatedStartGivesTheSameSession(t *testing.T) {
	c := newCloud(t)
	l := c.launcher(t)
	first, err := l.Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	again, err := l.Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, first.JobID, again.JobID)
	assert.Equal(t, first.URL, again.URL)
	assert.True(t, first.New)
	assert.False(t, again.New)
	assert.Equal(t, 1, c.count("submitjob"))
}

func TestAStartWithoutWaitingReturnsASessionInTheQueue(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE")}
	s, err := c.launcher(t).Start(t.Context(), "alice", launch.StartOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"RUNNABLE", "waiting for a host to start"}, []string{s.State, s.Wait})
	assert.Empty(t, s.URL)
}

func TestAnUnknownUserIsToldTheKnownOnesAndNothingIsSubmitted(t *testing.T) {
	c := newCloud(t)
	l := c.launcher(t)
	_, err := l.Start(t.Context(), "carol", waits)
	var unknown *launch.UnknownUser
	require.ErrorAs(t, err, &unknown)
	assert.EqualError(t, err, `no user "carol": the stack has alice, bob`)
	_, err = l.Show(t.Context(), "carol")
	assert.ErrorAs(t, err, &unknown)
	_, err = l.End(t.Context(), "carol", "", launch.EndOptions{})
	assert.ErrorAs(t, err, &unknown)
	_, err = l.Password(t.Context(), "carol")
	assert.ErrorAs(t, err, &unknown)
	assert.Zero(t, c.count("submitjob"))
}

func TestOutputsOfAnOlderReleaseAreRefused(t *testing.T) {
	c := newCloud(t)
	old := c.outputs()
	old.Stack = ""
	_, err := launch.New(c.config(), old)
	assert.ErrorContains(t, err, "run pulumi up once with this release")
}

// both starts a user's session twice at once: both submissions are made before one is
// answered.
func both(t *testing.T, c *cloud, o launch.StartOptions) [2]launch.Session {
	t.Helper()
	c.together = &sync.WaitGroup{}
	c.together.Add(2)
	var sessions [2]launch.Session
	var errs [2]error
	var all sync.WaitGroup
	for i := range 2 {
		l := c.launcher(t)
		all.Go(func() { sessions[i], errs[i] = l.Start(t.Context(), "alice", o) })
	}
	all.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	return sessions
}

func TestTwoLaunchersAtOnceLeaveOneSession(t *testing.T) {
	for name, change := range map[string]func(*cloud){
		"as AWS is":                func(*cloud) {},
		"in the same instant":      func(c *cloud) { c.instant = true },
		"lists that lag":           func(c *cloud) { c.lag = 5 },
		"descriptions that lag":    func(c *cloud) { c.blind = 5 },
		"both lag, in one instant": func(c *cloud) { c.lag, c.blind, c.instant = 3, 4, true },
		"lists that lag for long":  func(c *cloud) { c.lag = 40 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			change(c)
			c.script = append([]step{to("RUNNABLE")}, slowly(60, c.script[1:]...)...)
			sessions := both(t, c, waits)
			assert.Equal(t, "job-1", sessions[0].JobID, "the older one")
			assert.Equal(t, sessions[0].JobID, sessions[1].JobID)
			assert.Equal(t, sessions[0].URL, sessions[1].URL)
			assert.NotEqual(t, sessions[0].New, sessions[1].New)
			eventually(t, func() bool { return len(c.alive()) == 1 || c.step() })
			assert.Equal(t, []string{"job-1"}, c.alive())
			assert.NotZero(t, c.count("terminatejob"))
		})
	}
}

// slowly returns a script with many looks before its first step.
func slowly(looks int, script ...step) []step {
	var slow []step
	for range looks {
		slow = append(slow, nothing)
	}
	return append(slow, script...)
}

// step moves every job on, for a test that no longer looks. It returns false, so that a
// test can call it while it waits.
func (c *cloud) step() bool {
	c.with(func() {
		for _, j := range c.jobs {
			if len(j.script) > 0 && !j.over() {
				j.script[0](c, j)
				j.script = j.script[1:]
			}
		}
	})
	return false
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 10*time.Second, time.Millisecond)
}

func TestTwoLaunchersThatDoNotWaitLeaveOneSessionToo(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE")}
	sessions := both(t, c, launch.StartOptions{})
	assert.Equal(t, sessions[0].JobID, sessions[1].JobID)
	c.step()
	assert.Equal(t, []string{"job-1"}, c.alive())
}

func TestALostAnswerOfASubmissionLeavesOneSession(t *testing.T) {
	for name, change := range map[string]func(*cloud){"as AWS is": func(*cloud) {}, "lists that lag": func(c *cloud) { c.lag = 3 }} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.cut = 1
			change(c)
			s, err := c.launcher(t).Start(t.Context(), "alice", waits)
			require.NoError(t, err)
			assert.Equal(t, "job-1", s.JobID)
			assert.True(t, s.New, "by its own mark it knows the job as its own")
			assert.Equal(t, 1, c.count("submitjob"))
		})
	}
}

// The session measures from it how long its player waited.
func TestASubmissionHasItsTime(t *testing.T) {
	c := newCloud(t)
	c.cut = 1 // the answer to the first submission is lost
	before := time.Now().Truncate(time.Millisecond)
	_, err := c.launcher(t).Start(t.Context(), "alice", launch.StartOptions{})
	require.NoError(t, err)
	after := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var times []string
	for _, variable := range c.jobs[0].environment {
		if variable["name"] == contract.EnvSubmitted {
			times = append(times, variable["value"])
		}
	}
	require.Len(t, times, 1)
	at, err := time.Parse(contract.TimeFormat, times[0])
	require.NoError(t, err)
	assert.False(t, at.Before(before) || at.After(after), at)
}

// The first job is listed only after the second was submitted: both are this launcher's,
// and it ends the younger one.
func TestALostAnswerWhoseJobComesToLightLateLeavesOneSession(t *testing.T) {
	c := newCloud(t)
	c.cut, c.lag = 1, 8
	c.script = append([]step{to("RUNNABLE")}, slowly(60, c.script[1:]...)...)
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, 2, c.count("submitjob"))
	c.step()
	assert.Equal(t, []string{s.JobID}, c.alive())
	assert.Equal(t, "job-1", s.JobID)
}

func TestLostAnswersOfTwoLaunchersAtOnceLeaveOneSession(t *testing.T) {
	c := newCloud(t)
	c.cut = 2
	c.script = append([]step{to("RUNNABLE")}, slowly(40, c.script[1:]...)...)
	sessions := both(t, c, waits)
	assert.Equal(t, sessions[0].JobID, sessions[1].JobID)
	c.step()
	assert.Equal(t, []string{"job-1"}, c.alive())
}

func TestASubmissionThatAWSCouldNotTakeIsMadeAgainAFewTimes(t *testing.T) {
	c := newCloud(t)
	failures := 1
	c.refuse = func() bool { failures--; return failures >= 0 }
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, "job-1", s.JobID)
	assert.Equal(t, 2, c.count("submitjob"))

	c = newCloud(t)
	c.refuse = func() bool { return true }
	_, err = c.launcher(t).Start(t.Context(), "alice", waits)
	assert.ErrorContains(t, err, "a bad moment")
	assert.Equal(t, 3, c.count("submitjob"))
	assert.Equal(t, launch.CodeFault, launch.ExitCode(err))
}

func TestASubmissionThatAWSRefusesIsNotMadeAgain(t *testing.T) {
	c := newCloud(t)
	c.denied["submitjob"] = true
	_, err := c.launcher(t).Start(t.Context(), "alice", waits)
	var denied *launch.Denied
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "batch:SubmitJob", denied.Action)
	assert.ErrorContains(t, err, "launcherPolicyArn")
	assert.Equal(t, 1, c.count("submitjob"))
}

func TestAnOlderSessionThatComesToLightLateStays(t *testing.T) {
	c := newCloud(t)
	other := c.add("alice", to("RUNNABLE"))
	c.with(func() {
		other.unlisted, other.script = 15, append([]step{to("RUNNABLE")}, slowly(10, c.script[1:]...)...)
	})
	c.script = []step{to("RUNNABLE")}
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, other.id, s.JobID)
	assert.False(t, s.New)
	c.step()
	assert.Equal(t, []string{other.id}, c.alive(), "the launcher ended its own")
}

func TestALauncherEndsNobodyElsesSession(t *testing.T) {
	c := newCloud(t)
	c.add("alice", c.script...)
	c.add("alice", to("RUNNABLE"))
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, "job-1", s.JobID)
	assert.Zero(t, c.count("terminatejob"), "whose launcher the younger one is, that one ends it")
}

func TestASessionThatIsEndingIsNotHandedOut(t *testing.T) {
	for name, leaving := range map[string]step{
		"it was terminated":    func(_ *cloud, j *fakeJob) { j.terminated = true },
		"it says that it ends": func(c *cloud, j *fakeJob) { c.log(j, contract.Event{Event: contract.EventEnded}) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			j := c.add("alice")
			c.with(func() {
				running("1")(c, j)
				isReady("https://192.0.2.9:1/", "")(c, j)
				leaving(c, j)
				j.script = slowly(4, exits(0, ""))
			})
			s, err := c.launcher(t).Start(t.Context(), "alice", waits)
			require.NoError(t, err)
			assert.Equal(t, "job-2", s.JobID)
			assert.Equal(t, "https://192.0.2.1:8443/", s.URL)
		})
	}
}

func TestJobsOfAnotherStackAndOtherNamesAreNotTaken(t *testing.T) {
	c := newCloud(t)
	foreign := c.add("alice", c.script...)
	c.with(func() {
		foreign.tags = contract.JobTags("other", "alice")
		c.submit(strings.ToUpper(contract.JobName("dev", "alice")), contract.JobTags("dev", "alice"), []step{to("RUNNABLE")})
		c.submit(contract.JobName("dev", "alice2"), contract.JobTags("dev", "alice2"), []step{to("RUNNABLE")})
	})
	l := c.launcher(t)
	_, err := l.End(t.Context(), "alice", "", launch.EndOptions{})
	assert.ErrorIs(t, err, launch.ErrNoSession)
	s, err := l.Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, "job-4", s.JobID)
	all, err := l.List(t.Context(), launch.ListOptions{})
	require.NoError(t, err)
	var users []string
	for _, one := range all {
		users = append(users, one.User)
	}
	assert.Equal(t, []string{"alice", "alice2"}, users)
	assert.Zero(t, c.count("terminatejob"))
}

func TestWaitingIsToldInWords(t *testing.T) {
	for name, test := range map[string]struct {
		script []step
		ahead  int
		want   string
	}{
		"others first":   {[]step{to("RUNNABLE")}, 2, "queue: in the queue: 2 before you"},
		"head":           {[]step{to("RUNNABLE")}, 0, "host: waiting for a host to start"},
		"submitted":      {nil, 0, "queue: in the queue"},
		"no capacity":    {[]step{blocked("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [g4dn.xlarge]")}, 0, "All G and VT Spot Instance Requests); more may help: types in compute.instanceTypes"},
		"full":           {[]step{blocked("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.")}, 0, "more vCPUs than compute.maxVcpus"},
		"fits nothing":   {[]step{blocked("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource …")}, 0, "fits no instance type"},
		"invalid":        {[]step{blocked("ACTION_REQUIRED - CE(s) associated with the job queue are invalid.")}, 0, "INVALID"},
		"news from AWS":  {[]step{blocked("SOMETHING_NEW - who knows")}, 0, "SOMETHING_NEW"},
		"being pulled":   {[]step{to("STARTING")}, 0, "image: the host pulls the image"},
		"container runs": {[]step{running("1")}, 0, "session: the session starts"},
		"host lost":      {[]step{running("1"), retried("Host EC2 (instance i-1) terminated."), nothing}, 0, "the host went away; another attempt: waiting for a host to start"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			for range test.ahead {
				c.with(func() { c.submit("somebody", nil, nil).status = "RUNNABLE" })
			}
			c.script = test.script
			ctx, seen := context.WithCancel(t.Context())
			var told []string
			_, err := c.launcher(t).Start(ctx, "alice", launch.StartOptions{Wait: true, Limit: 10 * time.Second, Progress: func(s launch.Step) {
				told = append(told, s.Name+": "+s.Words)
				if strings.Contains(told[len(told)-1], test.want) {
					seen()
				}
			}})
			assert.ErrorIs(t, err, context.Canceled, "told only: %q", told)
		})
	}
}

func TestAHostThatGoesAwayCostsTimeAndNotTheSession(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("STARTING"), running("1"), isReadyAndLost("https://192.0.2.1:1/"), nothing, to("STARTING"), running("2"), isReady("https://192.0.2.2:2/", "11")}
	c.with(func() { // its first host is lost before anybody could look at its log
		c.script[2] = func(c *cloud, j *fakeJob) { retried("Host EC2 (instance i-1) terminated.")(c, j) }
	})
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, []any{"https://192.0.2.2:2/", 2, "user/default/job-1-2"}, []any{s.URL, s.Attempt, s.LogStream})
}

func isReadyAndLost(url string) step {
	return func(c *cloud, j *fakeJob) {
		isReady(url, "")(c, j)
		retried("Host EC2 (instance i-1) terminated.")(c, j)
	}
}

// While AWS Batch still names the last attempt's stream, its address is not returned.
func TestTheLastAttemptsAddressIsNotTaken(t *testing.T) {
	c := newCloud(t)
	c.script = []step{running("1"), isReadyAndLost("https://192.0.2.1:1/"), to("STARTING"), to("RUNNING"), nothing, running("2"), isReady("https://192.0.2.2:2/", "")}
	s, err := c.launcher(t).Start(t.Context(), "alice", waits)
	require.NoError(t, err)
	assert.Equal(t, "https://192.0.2.2:2/", s.URL)
}

func TestAFailedSessionIsToldInWords(t *testing.T) {
	for name, test := range map[string]struct {
		last  step
		words string
	}{
		"image":        {fails("Task failed to start", "CannotPullContainerError: Error response from daemon: pull access denied"), "can't pull the image"},
		"registry":     {fails("Task failed to start", "CannotPullECRContainerError: AccessDeniedException: User: X is not authorized to perform: ecr:GetAuthorizationToken"), "ecr:GetAuthorizationToken? `pulumi up`"},
		"secret":       {fails("Fetching secret data from AWS Secrets Manager in region us-east-1: secret arn: AccessDeniedException", ""), "can't read the user's secret"},
		"newer agents": {fails("ResourceInitializationError: The task can't retrieve the secret", ""), "can't read the user's secret"},
		"memory":       {fails("Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage"), "session.memoryMib"},
		"host":         {fails("Host EC2 (instance i-0123) terminated.", ""), "the host went away"},
		"timeout":      {fails("Job attempt duration exceeded timeout", ""), "session.maxMinutes"},
		"time limit":   {fails("Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", ""), "queue.maxWaitMinutes at the head of the queue: AWS has none"},
		"its own code": {exits(contract.ExitConfiguration, "DCV_STACK is missing"), "another attempt would fail alike: DCV_STACK is missing"},
		"a signal":     {exits(137, ""), "ended by signal 9"},
		"from outside": {fails("support did it", ""), `ended from outside: "support did it"`},
		"no reason":    {fails("", ""), "does not say why"},
		"ended early":  {exits(0, "the player left"), "the player left"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.script = []step{to("STARTING"), running("1"), test.last}
			s, err := c.launcher(t).Start(t.Context(), "alice", waits)
			var failed *launch.Failed
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "job-1", failed.JobID)
			assert.Contains(t, failed.Words, test.words)
			assert.ErrorContains(t, err, test.words)
			assert.Equal(t, failed.Words, s.Reason)
			assert.Equal(t, launch.CodeFailed, launch.ExitCode(err))
		})
	}
}

func TestALimitLeavesTheSessionInTheQueue(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE")}
	s, err := c.launcher(t).Start(t.Context(), "alice", launch.StartOptions{Wait: true, Limit: time.Second})
	var limit *launch.LimitPassed
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, []string{"job-1", "waiting for a host to start"}, []string{limit.JobID, limit.Waiting})
	assert.Equal(t, "job-1", s.JobID)
	assert.ErrorContains(t, err, "job job-1 goes on")
	assert.Equal(t, launch.CodeLimit, launch.ExitCode(err))
	assert.Equal(t, []string{"job-1"}, c.alive())
}

func TestAnInterruptLeavesTheSessionInTheQueue(t *testing.T) {
	c := newCloud(t)
	c.script = []step{to("RUNNABLE")}
	ctx, interrupt := context.WithCancel(t.Context())
	_, err := c.launcher(t).Start(ctx, "alice", launch.StartOptions{Wait: true, Progress: func(s launch.Step) {
		if s.Name == launch.StepHost {
			interrupt()
		}
	}})
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "job job-1 goes on")
	assert.Equal(t, launch.CodeInterrupted, launch.ExitCode(err))
	assert.Equal(t, []string{"job-1"}, c.alive())
}

func TestTheListShowsLiveSessionsWithAddressAndPlaceAndOnDemandEndedOnes(t *testing.T) {
	c := newCloud(t)
	gone := c.add("bob")
	c.with(func() { running("1")(c, gone); exits(0, "the player left")(c, gone) })
	up := c.add("bob")
	c.with(func() { running("1")(c, up); isReady("https://192.0.2.1:8443/", "00")(c, up) })
	c.with(func() { c.submit("somebody", nil, nil).status = "RUNNABLE" })
	c.add("alice", to("RUNNABLE"))
	l := c.launcher(t)

	live, err := l.List(t.Context(), launch.ListOptions{})
	require.NoError(t, err)
	require.Len(t, live, 2)
	assert.Equal(t, []string{"alice", "RUNNABLE", "in the queue: 1 before you", ""}, []string{live[0].User, live[0].State, live[0].Wait, live[0].URL})
	assert.Equal(t, []string{"bob", "RUNNING", "", "https://192.0.2.1:8443/"}, []string{live[1].User, live[1].State, live[1].Wait, live[1].URL})

	all, err := l.List(t.Context(), launch.ListOptions{Ended: true})
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, []any{"job-1", "SUCCEEDED", "the player left", 0}, []any{all[1].JobID, all[1].State, all[1].Reason, *all[1].ExitCode})
}

func TestShowTellsTheLiveSessionElseTheLastOne(t *testing.T) {
	c := newCloud(t)
	l := c.launcher(t)
	_, err := l.Show(t.Context(), "alice")
	assert.ErrorIs(t, err, launch.ErrNoSession)
	assert.Equal(t, launch.CodeNoSession, launch.ExitCode(err))

	for range 2 {
		gone := c.add("alice")
		c.with(func() { fails("Host EC2 (instance i-1) terminated.", "")(c, gone) })
	}
	s, err := l.Show(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, []string{"job-2", "FAILED"}, []string{s.JobID, s.State})
	assert.Contains(t, s.Reason, "the host went away")
	assert.Nil(t, s.ExitCode)

	c.add("alice", to("RUNNABLE"))
	s, err = l.Show(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, "job-3", s.JobID)
}

func TestASessionsJSONStaysAsItIs(t *testing.T) {
	code := 0
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	text, err := json.Marshal(launch.Session{
		JobID: "j", User: "u", State: "RUNNING", Wait: "w", URL: "https://x/", Certificate: "c", New: true, Created: at, Started: at, Stopped: at,
		Host: "h", InstanceType: "t", Attempt: 1, ExitCode: &code, Reason: "r", OutOfMemory: true, LogStream: "l", Steps: []launch.Step{{Name: "queue", Words: "w", Seconds: 1.5}},
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"jobId":"j","user":"u","state":"RUNNING","wait":"w","url":"https://x/","certificateSha256":"c","new":true,
		"created":"2026-11-24T12:00:00Z","started":"2026-11-24T12:00:00Z","stopped":"2026-11-24T12:00:00Z","host":"h","instanceType":"t","attempt":1,"exitCode":0,"reason":"r",
		"outOfMemory":true,"logStream":"l","steps":[{"step":"queue","words":"w","seconds":1.5}]}`, string(text))
}

func TestTheLogIsHandedOutAsItIsAndFollowedFromAttemptToAttempt(t *testing.T) {
	c := newCloud(t)
	j := c.add("alice")
	c.with(func() {
		running("1")(c, j)
		c.streams[j.stream] = []string{"not JSON", `{"event":"starting"}`}
		j.script = []step{nothing, func(c *cloud, j *fakeJob) {
			c.streams[j.stream] = append(c.streams[j.stream], "last words")
			retried("Host EC2 (instance i-1) terminated.")(c, j)
		}, to("STARTING"), running("2"), nothing, exits(0, "over")}
	})
	var lines []string
	require.NoError(t, c.launcher(t).Logs(t.Context(), "alice", true, func(l launch.LogLine) { lines = append(lines, l.Message) }))
	require.Len(t, lines, 5)
	assert.Equal(t, []string{"not JSON", `{"event":"starting"}`, "last words"}, lines[:3])
	assert.Contains(t, lines[3], "starting")
	assert.Contains(t, lines[4], "over")

	lines = nil
	require.NoError(t, c.launcher(t).Logs(t.Context(), "alice", false, func(l launch.LogLine) { lines = append(lines, l.Message) }))
	assert.Len(t, lines, 2, "the last attempt's")

	err := c.launcher(t).Logs(t.Context(), "bob", false, nil)
	assert.ErrorIs(t, err, launch.ErrNoSession)
}

func TestThePasswordTakesARightThatTheLauncherPolicyDoesNotGrant(t *testing.T) {
	c := newCloud(t)
	l := c.launcher(t)
	got, err := l.Password(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, contract.Credentials{Username: "alice", Password: "correct-horse"}, got)

	c.with(func() { c.denied["GetSecretValue"] = true })
	_, err = l.Password(t.Context(), "alice")
	var denied *launch.Denied
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "secretsmanager:GetSecretValue", denied.Action)
	assert.ErrorContains(t, err, "the launcher policy does not grant it")
	assert.Equal(t, launch.CodeDenied, launch.ExitCode(err))
}

func TestEveryExitCodeIsInTheTable(t *testing.T) {
	for i, code := range launch.Codes {
		assert.NotEmpty(t, code.Meaning)
		if i > 0 {
			assert.Greater(t, code.Code, launch.Codes[i-1].Code)
		}
	}
	assert.Equal(t, launch.CodeOK, launch.ExitCode(nil))
	assert.Equal(t, launch.CodeFault, launch.ExitCode(assert.AnError))
}

func TestWhoWaitsWhileEveryHostIsTakenIsToldSo(t *testing.T) {
	for most, want := range map[int]string{1: "in the queue, the next: every host is taken, it starts when a session ends", 2: "waiting for a host to start"} {
		c := newCloud(t)
		out := c.outputs()
		out.MaxSessions = most
		l, err := launch.New(c.config(), out, launch.WithPoll(time.Millisecond))
		require.NoError(t, err)
		c.add("bob", running("1"), nothing)
		_, err = l.Show(t.Context(), "bob") // it takes its first step
		require.NoError(t, err)
		c.add("alice", to("RUNNABLE"), nothing)
		s, err := l.Show(t.Context(), "alice")
		require.NoError(t, err)
		assert.Equal(t, want, s.Wait)
	}
}
