package batch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	queueARN = "arn:aws:batch:us-east-1:123456789012:job-queue/sessions"
	first    = "arn:aws:batch:us-east-1:123456789012:compute-environment/first"
	second   = "arn:aws:batch:us-east-1:123456789012:compute-environment/second"
)

var (
	small  = InstanceType{"g4dn.xlarge", 4, 15000, 1}
	medium = InstanceType{"g4dn.2xlarge", 8, 31000, 1}
	large  = InstanceType{"g4dn.12xlarge", 48, 186000, 4}
)

// world is a scheduler with a clock that stands still until it is moved, and an
// agent that does nothing by itself.
type world struct {
	*Scheduler
	t     *testing.T
	now   time.Time
	plane Plane

	hosts map[string]Host // as the agent knows them
	runs  []Task          // in the order in which they were started
	stops []string        // ids of tasks
	gone  []string        // hosts
	ids   int
}

func newWorld(t *testing.T, environments ...Environment) *world {
	w := &world{t: t, now: time.Unix(1_800_000_000, 0), hosts: map[string]Host{}}
	w.Scheduler = New(Config{
		Agent: w, HostStart: 2 * time.Second, HostIdle: time.Minute, Minute: time.Minute,
		Now:   func() time.Time { return w.now },
		NewID: func() string { w.ids++; return fmt.Sprintf("%016x%016x", w.ids, w.ids) },
		Logf:  t.Logf,
	})
	q := Queue{ARN: queueARN, Name: "sessions", Enabled: true, Priority: 1}
	for _, e := range environments {
		q.Environments = append(q.Environments, e.ARN)
	}
	w.set(Plane{Queues: []Queue{q}, Environments: environments})
	return w
}

func (w *world) set(p Plane) {
	w.plane = p
	w.SetPlane(p)
	w.Pass()
}

func (w *world) StartHost(h Host) error { w.hosts[h.ID] = h; return nil }

func (w *world) StopHost(id string) {
	delete(w.hosts, id)
	w.gone = append(w.gone, id)
}

func (w *world) Run(task Task, _ Watcher) { w.runs = append(w.runs, task) }

func (w *world) Stop(taskID string) { w.stops = append(w.stops, taskID) }

// after moves the clock and makes all passes that become due on the way.
func (w *world) after(d time.Duration) {
	for end := w.now.Add(d); ; {
		next := w.Pass()
		if next.IsZero() || next.After(end) {
			w.now = end
			w.Pass()
			return
		}
		w.now = next
	}
}

func environment(arn string, minimum, maximum int, types ...InstanceType) Environment {
	return Environment{ARN: arn, Name: arn[len(arn)-6:], Enabled: true, MinVCPUs: minimum, MaxVCPUs: maximum,
		Strategy: "BEST_FIT_PROGRESSIVE", Types: types, StopTimeout: 30 * time.Second}
}

func container(vcpus, memory, gpus int) ContainerProperties {
	c := ContainerProperties{Image: "game", ResourceRequirements: []Requirement{{"VCPU", strconv.Itoa(vcpus)}, {"MEMORY", strconv.Itoa(memory)}}}
	if gpus != 0 {
		c.ResourceRequirements = append(c.ResourceRequirements, Requirement{"GPU", strconv.Itoa(gpus)})
	}
	return c
}

// submit gives a job to the queue and makes a pass.
func (w *world) submit(c ContainerProperties, change ...func(*Submission)) string {
	w.t.Helper()
	in := Submission{Name: "session", QueueARN: queueARN, Definition: Definition{Name: "definition"}, Container: c}
	for _, f := range change {
		f(&in)
	}
	j, err := w.Submit(in)
	require.NoError(w.t, err)
	assert.Equal(w.t, Submitted, j.Status)
	w.Pass()
	return j.ID
}

func (w *world) job(id string) Job {
	j, there := w.Job(id)
	require.True(w.t, there)
	return j
}

// task is the task of a job's attempt under way.
func (w *world) task(id string) Task {
	w.t.Helper()
	for i := len(w.runs) - 1; i >= 0; i-- {
		if w.runs[i].JobID == id {
			return w.runs[i]
		}
	}
	w.t.Fatalf("job %s was never run", id)
	return Task{}
}

func (w *world) start(id string) { w.Started(w.task(id).ID, "stream"); w.Pass() }

func (w *world) exit(id string, code int) {
	w.Ended(w.task(id).ID, Ending{ExitCode: &code, StatusReason: "Essential container in task exited"})
	w.Pass()
}

func (w *world) statuses(ids ...string) []Status {
	var list []Status
	for _, id := range ids {
		list = append(list, w.job(id).Status)
	}
	return list
}

func TestAJobGoesThroughItsStatesWithTheirTimes(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	submitted := w.now
	id := w.submit(container(3, 2000, 1))
	assert.Equal(t, Runnable, w.job(id).Status)
	assert.Empty(t, w.job(id).StatusReason, "it waits for a host, and nothing is wrong")

	w.after(2 * time.Second)
	j := w.job(id)
	assert.Equal(t, Starting, j.Status)
	assert.True(t, j.Started.IsZero())

	w.after(3 * time.Second)
	w.start(id)
	j = w.job(id)
	assert.Equal(t, Running, j.Status)
	assert.Equal(t, []time.Time{submitted, submitted.Add(5 * time.Second)}, []time.Time{j.Created, j.Started})
	assert.Equal(t, "stream", j.Last.LogStream)
	assert.Empty(t, j.Attempts)

	w.after(time.Minute)
	w.exit(id, 0)
	j = w.job(id)
	assert.Equal(t, Succeeded, j.Status)
	assert.Equal(t, "Essential container in task exited", j.StatusReason, "also of a job that succeeded")
	assert.Equal(t, submitted.Add(65*time.Second), j.Stopped)
	require.Len(t, j.Attempts, 1)
	assert.Equal(t, 0, *j.Attempts[0].ExitCode)
}

func TestHostsComeFromTheEnvironmentsTypesAndLimits(t *testing.T) {
	for name, test := range map[string]struct {
		environments []Environment
		jobs         []ContainerProperties
		hosts        []string // the types that are started
	}{
		"the type whose vCPUs cost least":                    {[]Environment{environment(first, 0, 99, small, medium, large)}, []ContainerProperties{container(3, 9000, 1)}, []string{"g4dn.12xlarge"}},
		"the next where the environment is too small for it": {[]Environment{environment(first, 0, 47, small, medium, large)}, []ContainerProperties{container(3, 9000, 1)}, []string{"g4dn.2xlarge"}},
		"a type without a price last":                        {[]Environment{environment(first, 0, 99, InstanceType{"g9.xlarge", 4, 15000, 1}, small)}, []ContainerProperties{container(3, 9000, 1)}, []string{"g4dn.xlarge"}},
		"the first environment, whatever it costs":           {[]Environment{environment(first, 0, 99, small), environment(second, 0, 99, large)}, []ContainerProperties{container(3, 9000, 1)}, []string{"g4dn.xlarge"}},
		"the second where memory asks for it":                {[]Environment{environment(first, 0, 99, small), environment(second, 0, 99, medium)}, []ContainerProperties{container(3, 20000, 1)}, []string{"g4dn.2xlarge"}},
		"or several GPUs do":                                 {[]Environment{environment(first, 0, 99, small, large)}, []ContainerProperties{container(3, 9000, 2)}, []string{"g4dn.12xlarge"}},
		"one host for jobs that fit together":                {[]Environment{environment(first, 0, 99, medium)}, []ContainerProperties{container(4, 9000, 0), container(4, 9000, 0)}, []string{"g4dn.2xlarge"}},
		"two for jobs that share no GPU":                     {[]Environment{environment(first, 0, 99, medium)}, []ContainerProperties{container(4, 9000, 1), container(4, 9000, 1)}, []string{"g4dn.2xlarge", "g4dn.2xlarge"}},
		"none above the limit":                               {[]Environment{environment(first, 0, 11, small)}, []ContainerProperties{container(3, 9000, 1), container(3, 9000, 1), container(3, 9000, 1)}, []string{"g4dn.xlarge", "g4dn.xlarge"}},
		"the second environment when one is full":            {[]Environment{environment(first, 0, 4, small), environment(second, 0, 8, medium)}, []ContainerProperties{container(3, 9000, 1), container(3, 9000, 1)}, []string{"g4dn.xlarge", "g4dn.2xlarge"}},
		"a smaller type where the best is too large":         {[]Environment{environment(first, 0, 4, medium, small)}, []ContainerProperties{container(1, 900, 0)}, []string{"g4dn.xlarge"}},
		"the minimum without any job":                        {[]Environment{environment(first, 5, 99, small)}, nil, []string{"g4dn.xlarge", "g4dn.xlarge"}},
		"the minimum, as far as the limit lets":              {[]Environment{environment(first, 5, 7, small)}, nil, []string{"g4dn.xlarge"}},
		"nothing in a disabled environment":                  {[]Environment{disabled(environment(first, 0, 99, small))}, []ContainerProperties{container(1, 900, 0)}, nil},
		"but its minimum":                                    {[]Environment{disabled(environment(first, 1, 99, small))}, []ContainerProperties{container(1, 900, 0)}, []string{"g4dn.xlarge"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.environments...)
			for _, c := range test.jobs {
				w.submit(c)
			}
			var types []string
			for _, h := range w.Hosts() {
				types = append(types, h.Type)
			}
			assert.Equal(t, test.hosts, types)
		})
	}
}

// With all sizes in one environment, the first
// session starts the host whose vCPUs cost least, at five times the price.
func TestOneEnvironmentOfAllSizesStartsTheLargestAndOneForEachSizeTheFirst(t *testing.T) {
	xlarge, double, twelve := InstanceType{"g5.xlarge", 4, 15532, 1}, InstanceType{"g5.2xlarge", 8, 31097, 1}, InstanceType{"g5.12xlarge", 48, 186745, 4}
	for name, test := range map[string]struct {
		environments []Environment
		host         string
	}{
		"one":  {[]Environment{environment(first, 0, 256, xlarge, double, twelve)}, "g5.12xlarge"},
		"each": {[]Environment{environment(first, 0, 256, xlarge), environment(second, 0, 256, double)}, "g5.xlarge"},
	} {
		w := newWorld(t, test.environments...)
		w.submit(container(3, 14000, 1))
		require.Len(t, w.Hosts(), 1, name)
		assert.Equal(t, test.host, w.Hosts()[0].Type, name)
	}
}

func disabled(e Environment) Environment { e.Enabled = false; return e }

func TestEachStrategyHasItsOrderOfTypes(t *testing.T) {
	for strategy, host := range map[string]string{"BEST_FIT": "g4dn.xlarge", "BEST_FIT_PROGRESSIVE": "g4dn.12xlarge", "SPOT_CAPACITY_OPTIMIZED": "g4dn.2xlarge"} {
		e := environment(first, 0, 99, medium, large, small)
		e.Strategy = strategy
		w := newWorld(t, e)
		w.submit(container(3, 9000, 1))
		assert.Equal(t, host, w.Hosts()[0].Type, strategy)
	}
}

func TestJobsAreTakenFirstInFirstOutAndTheFirstHoldsUpTheOthers(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, medium))
	a, b, c := w.submit(container(6, 9000, 0)), w.submit(container(6, 9000, 0)), w.submit(container(1, 900, 0))
	w.after(2 * time.Second)
	assert.Equal(t, []Status{Starting, Runnable, Runnable}, w.statuses(a, b, c), "the third would fit, but it isn't its turn")
	w.start(a)
	w.exit(a, 0)
	assert.Equal(t, []Status{Succeeded, Starting, Starting}, w.statuses(a, b, c))
}

func TestAQueueOfHigherPriorityGoesFirst(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	urgent := Queue{ARN: queueARN + "-urgent", Name: "urgent", Enabled: true, Priority: 9, Environments: []string{first}}
	w.set(Plane{Queues: append(w.plane.Queues, urgent), Environments: w.plane.Environments})
	a := w.submit(container(3, 900, 1))
	b := w.submit(container(3, 900, 1), func(s *Submission) { s.QueueARN = urgent.ARN })
	w.after(2 * time.Second)
	assert.Equal(t, []Status{Runnable, Starting}, w.statuses(a, b))
}

func TestATaskHasGPUsOfItsOwn(t *testing.T) {
	w := newWorld(t, environment(first, 0, 48, large))
	a, b := w.submit(container(3, 900, 2)), w.submit(container(3, 900, 1))
	w.after(2 * time.Second)
	assert.Equal(t, []int{0, 1}, w.task(a).GPUs)
	assert.Equal(t, []int{2}, w.task(b).GPUs)
	w.start(a)
	w.exit(a, 0)
	c := w.submit(container(3, 900, 3))
	assert.Equal(t, []int{0, 1, 3}, w.task(c).GPUs)
}

func TestAnIdleHostLeavesAndOneThatIsNeededOrWantedStays(t *testing.T) {
	w := newWorld(t, environment(first, 4, 8, small))
	a, b := w.submit(container(3, 900, 1)), w.submit(container(3, 900, 1))
	w.after(2 * time.Second)
	w.start(a)
	w.start(b)
	w.after(time.Hour)
	assert.Len(t, w.Hosts(), 2, "both work")
	w.exit(a, 0)
	w.after(59 * time.Second)
	assert.Len(t, w.Hosts(), 2, "not at once")
	w.after(2 * time.Second)
	require.Len(t, w.Hosts(), 1)
	assert.Equal(t, []string{b}, w.Hosts()[0].Jobs)
	w.exit(b, 0)
	w.after(time.Hour)
	assert.Len(t, w.Hosts(), 1, "minvCpus")
	assert.Len(t, w.gone, 1, "the agent knows")
}

func TestWhatCanNeverBePlacedHasBatchsReasonAtTheHeadOnly(t *testing.T) {
	for name, test := range map[string]struct {
		environment Environment
		job         ContainerProperties
		reason      string
	}{
		"more memory than any type": {environment(first, 0, 99, small), container(3, 16000, 1),
			"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue."},
		"more GPUs than any type": {environment(first, 0, 99, small), container(3, 900, 2),
			"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue."},
		"a type over the environment's limit": {environment(first, 0, 3, small), container(3, 900, 1),
			"MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job."},
		"no environment that is enabled": {disabled(environment(first, 0, 99, small)), container(3, 900, 1),
			"ACTION_REQUIRED - CE(s) associated with the job queue are invalid."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.environment)
			stuck, behind := w.submit(test.job), w.submit(test.job)
			w.after(time.Hour)
			assert.Equal(t, test.reason, w.job(stuck).StatusReason)
			assert.Empty(t, w.job(behind).StatusReason)
			w.Cancel(stuck, "enough")
			w.Pass()
			assert.Equal(t, test.reason, w.job(behind).StatusReason, "now it is the head")
		})
	}
}

func TestAJobThatOnlyWaitsForRoomHasNoReason(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	w.submit(container(3, 900, 1))
	waits := w.submit(container(3, 900, 1))
	w.after(time.Hour)
	assert.Equal(t, Runnable, w.job(waits).Status)
	assert.Empty(t, w.job(waits).StatusReason)
}

func TestAMendedEnvironmentFreesWhatWasStuck(t *testing.T) {
	w := newWorld(t, environment(first, 0, 3, small))
	id := w.submit(container(3, 900, 1))
	require.NotEmpty(t, w.job(id).StatusReason)
	w.set(Plane{Queues: w.plane.Queues, Environments: []Environment{environment(first, 0, 4, small)}})
	assert.Empty(t, w.job(id).StatusReason)
	w.after(2 * time.Second)
	assert.Equal(t, Starting, w.job(id).Status)
}

func TestAStateTimeLimitCancelsWhatIsStuckForItsReason(t *testing.T) {
	w := newWorld(t, environment(first, 0, 99, small))
	q := w.plane.Queues[0]
	q.TimeLimits = []TimeLimit{{"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", time.Minute}, {"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 10 * time.Minute}}
	w.set(Plane{Queues: []Queue{q}, Environments: w.plane.Environments})
	stuck, behind := w.submit(container(3, 16000, 1)), w.submit(container(3, 900, 1))
	w.after(10*time.Minute - time.Second)
	assert.Equal(t, []Status{Runnable, Runnable}, w.statuses(stuck, behind))
	w.after(time.Second)
	assert.Equal(t, Failed, w.job(stuck).Status)
	assert.Equal(t, "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", w.job(stuck).StatusReason)
	w.after(2 * time.Second)
	assert.Equal(t, Starting, w.job(behind).Status)
}

func TestAnAttemptIsRetriedAsTheRulesSay(t *testing.T) {
	exit := func(code int) Ending {
		return Ending{ExitCode: &code, StatusReason: "Essential container in task exited"}
	}
	ours := RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{
		{OnStatusReason: "Host EC2*", Action: "retry"}, {OnReason: "CannotPull*", Action: "RETRY"},
		{OnExitCode: "75", Action: "retry"}, {OnReason: "*", Action: "exit"},
	}}
	for name, test := range map[string]struct {
		strategy RetryStrategy
		ending   Ending
		retried  bool
	}{
		"a plain failure, by default":               {RetryStrategy{}, exit(1), false},
		"a plain failure with attempts left":        {RetryStrategy{Attempts: 3}, exit(1), true},
		"a host that went away":                     {ours, Ending{StatusReason: "Host EC2 (instance i-1) terminated."}, true},
		"an image that could not be pulled":         {ours, Ending{StatusReason: "Task failed to start", Reason: "CannotPullContainerError: x"}, true},
		"a registry that gave no password":          {ours, Ending{StatusReason: "Task failed to start", Reason: "CannotPullECRContainerError: x"}, true},
		"an exit code that is named":                {ours, exit(75), true},
		"another, by the last rule":                 {ours, exit(70), false},
		"without a match it is retried":             {RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnExitCode: "3", Action: "EXIT"}}}, exit(1), true},
		"all conditions of a rule have to hold":     {RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnExitCode: "1", OnReason: "x", Action: "EXIT"}}}, exit(1), true},
		"an exit code's prefix":                     {RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnExitCode: "1*", Action: "EXIT"}}}, exit(137), false},
		"no exit code is none that a rule names":    {RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnExitCode: "*", Action: "EXIT"}}}, Ending{}, true},
		"without a star the whole text is compared": {RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnStatusReason: "Host EC2", Action: "EXIT"}}}, Ending{StatusReason: "Host EC2 (x)"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, environment(first, 0, 4, small))
			id := w.submit(container(3, 900, 1), func(s *Submission) { s.RetryStrategy = test.strategy })
			w.after(2 * time.Second)
			w.start(id)
			w.Ended(w.task(id).ID, test.ending)
			assert.Equal(t, test.retried, w.job(id).Status == Runnable)
		})
	}
}

func TestARetriedJobGoesToTheFrontAndEachAttemptIsTold(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	id := w.submit(container(3, 900, 1), func(s *Submission) { s.RetryStrategy.Attempts = 2 })
	behind := w.submit(container(3, 900, 1))
	w.after(2 * time.Second)
	w.start(id)
	w.exit(id, 1)
	assert.Equal(t, []Status{Starting, Runnable}, w.statuses(id, behind))
	assert.Equal(t, 2, w.task(id).Attempt)
	w.start(id)
	w.exit(id, 1)
	assert.Equal(t, []Status{Failed, Starting}, w.statuses(id, behind))
	assert.Len(t, w.job(id).Attempts, 2)
}

func TestAHostThatIsTakenAwayHasItsJobsRetriedElsewhere(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	id := w.submit(container(3, 900, 1), func(s *Submission) {
		s.RetryStrategy = RetryStrategy{Attempts: 2, EvaluateOnExit: []Rule{{OnStatusReason: "Host EC2*", Action: "retry"}, {OnReason: "*", Action: "exit"}}}
	})
	w.after(2 * time.Second)
	w.start(id)
	lost := w.task(id)
	require.Error(t, w.TakeHost("i-none"))
	require.NoError(t, w.TakeHost(lost.HostID))
	w.Pass()
	assert.Equal(t, []string{lost.HostID}, w.gone)
	j := w.job(id)
	assert.Equal(t, Runnable, j.Status)
	require.Len(t, j.Attempts, 1)
	assert.Equal(t, "Host EC2 (instance "+lost.HostID+") terminated.", j.Attempts[0].StatusReason)
	assert.Nil(t, j.Attempts[0].ExitCode)

	code := 137
	w.Ended(lost.ID, Ending{ExitCode: &code}) // the agent may still report this
	assert.Equal(t, Runnable, w.job(id).Status)
	w.after(2 * time.Second)
	assert.NotEqual(t, lost.HostID, w.task(id).HostID)
	w.start(id)
	assert.Equal(t, Running, w.job(id).Status)
}

func TestCancelAndTerminateDoWhatAWSDoesInEachState(t *testing.T) {
	for _, test := range []struct {
		state           Status
		cancelled, gone bool // after a cancel the job is FAILED; after a terminate the agent was asked
	}{{Runnable, true, false}, {Starting, false, true}, {Running, false, true}} {
		for _, terminate := range []bool{false, true} {
			w := newWorld(t, environment(first, 0, 4, small))
			id := w.submit(container(3, 900, 1), func(s *Submission) { s.RetryStrategy.Attempts = 5 })
			if test.state != Runnable {
				w.after(2 * time.Second)
			}
			if test.state == Running {
				w.start(id)
			}
			require.Equal(t, test.state, w.job(id).Status)
			if terminate {
				w.Terminate(id, "by hand")
			} else {
				w.Cancel(id, "by hand")
			}
			w.Pass()
			assert.Equal(t, test.cancelled, w.job(id).Status == Failed, "%s, terminate %v", test.state, terminate)
			assert.Equal(t, test.gone && terminate, len(w.stops) == 1)
			if test.gone && terminate {
				w.Terminate(id, "again")
				w.exit(id, 0)
				assert.Len(t, w.stops, 1, "a second time changes nothing")
				assert.Equal(t, Failed, w.job(id).Status, "even where it exits with 0, and whatever its retry strategy")
			}
			if w.job(id).Status == Failed {
				assert.Equal(t, "by hand", w.job(id).StatusReason)
			}
		}
	}
	w := newWorld(t)
	w.Cancel("unknown", "x")
	w.Terminate("unknown", "x")
}

func TestAnAttemptThatTakesTooLongIsStoppedAndNotRetried(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	id := w.submit(container(3, 900, 1), func(s *Submission) {
		s.Timeout.AttemptDurationSeconds, s.RetryStrategy.Attempts = 60, 5
	})
	w.after(time.Hour)
	assert.Equal(t, Starting, w.job(id).Status, "the time runs from when the container runs")
	w.start(id)
	w.after(59 * time.Second)
	assert.Empty(t, w.stops)
	w.after(time.Second)
	assert.Len(t, w.stops, 1)
	w.exit(id, 137)
	assert.Equal(t, Failed, w.job(id).Status)
	assert.Equal(t, "Job attempt duration exceeded timeout", w.job(id).StatusReason)
}

func TestTheJobsOfADeletedQueueEndAndItsHostsLeave(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	runs, waits := w.submit(container(3, 900, 1)), w.submit(container(3, 900, 1))
	w.after(2 * time.Second)
	w.start(runs)
	w.set(Plane{})
	assert.Equal(t, Failed, w.job(waits).Status)
	assert.Equal(t, []string{w.task(runs).ID}, w.stops)
	w.exit(runs, 0)
	w.Pass()
	assert.Empty(t, w.Hosts())
}

func TestADisabledQueueFinishesWhatItHas(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	id := w.submit(container(3, 900, 1))
	q := w.plane.Queues[0]
	q.Enabled = false
	w.set(Plane{Queues: []Queue{q}, Environments: w.plane.Environments})
	w.after(2 * time.Second)
	assert.Equal(t, Starting, w.job(id).Status)
}

func TestRequirementsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []ContainerProperties{
		{}, container(0, 900, 0), container(1, 3, 0), container(1, 900, -1),
		{ResourceRequirements: []Requirement{{"VCPU", "1.5"}, {"MEMORY", "900"}}}, {ResourceRequirements: []Requirement{{"DISK", "1"}}},
	} {
		_, err := w.Submit(Submission{Container: c})
		assert.Error(t, err, c)
	}
}

// TestTenThousandJobsAtRandom drives everything at once, from a fixed seed: no
// host is ever overfull, no job lost, none run twice at a time.
func TestTenThousandJobsAtRandom(t *testing.T) {
	const jobs = 10_000
	random := rand.New(rand.NewPCG(1, 2))
	spot := environment(second, 0, 120, small, medium, large)
	spot.Strategy = "SPOT_CAPACITY_OPTIMIZED"
	w := newWorld(t, environment(first, 8, 200, medium, small, large), spot)
	w.config.Logf = func(string, ...any) {}
	var ids []string
	alive := map[string]*Task{} // the agent's tasks, by id
	taken := 0
	for ended, step := 0, 0; ended < jobs; step++ {
		require.Less(t, step, 40*jobs, "it gets nowhere")
		for range random.IntN(4) {
			if len(ids) < jobs {
				ids = append(ids, w.submit(container(1+random.IntN(8), 500+random.IntN(20000), random.IntN(3)), func(s *Submission) {
					s.RetryStrategy.Attempts = 1 + random.IntN(10)
					s.Timeout.AttemptDurationSeconds = 60 + random.IntN(600)
				}))
			}
		}
		w.after(time.Duration(random.IntN(3000)) * time.Millisecond)
		for len(w.runs) > 0 {
			task := &w.runs[0]
			w.runs = w.runs[1:]
			for _, other := range alive {
				if task.JobID == other.JobID {
					t.Fatalf("job %s runs twice at a time", task.JobID)
				}
			}
			alive[task.ID] = task
			if random.IntN(5) > 0 {
				w.Started(task.ID, "stream")
			}
		}
		w.gone = nil
		if hosts := w.Hosts(); len(hosts) > 0 && random.IntN(50) == 0 {
			id := hosts[random.IntN(len(hosts))].ID
			require.NoError(t, w.TakeHost(id))
			taken++
			for task, of := range alive {
				if of.HostID == id {
					delete(alive, task)
				}
			}
		}
		if len(ids) > 0 && random.IntN(10) == 0 {
			w.Terminate(ids[random.IntN(len(ids))], "by hand")
		}
		w.Pass()
		stopped := w.stops
		w.stops = nil
		for _, id := range stopped {
			if task, there := alive[id]; there {
				delete(alive, id)
				code := 143
				w.Ended(task.ID, Ending{ExitCode: &code})
			}
		}
		for _, id := range slices.Sorted(maps.Keys(alive)) { // in an order, so that the seed decides
			if task := alive[id]; random.IntN(8) == 0 {
				delete(alive, id)
				code := random.IntN(2)
				w.Ended(task.ID, Ending{ExitCode: &code, StatusReason: "Essential container in task exited"})
			}
		}
		w.check()
		if step%50 == 0 || len(ids) == jobs {
			ended = 0
			for _, id := range ids {
				if w.jobs[id].Status.Ended() {
					ended++
				}
			}
		}
	}
	assert.NotZero(t, taken)
	w.after(time.Hour)
	assert.Empty(t, w.tasks)
	total := 0
	for _, h := range w.Hosts() {
		assert.Empty(t, h.Jobs)
		total += w.hosts[h.ID].Type.VCPUs
	}
	assert.GreaterOrEqual(t, total, 8, "the minimum stays")
	for _, id := range ids {
		j := w.job(id)
		assert.LessOrEqual(t, len(j.Attempts), max(j.RetryStrategy.Attempts, 1))
		assert.False(t, j.Stopped.IsZero())
	}
}

// check asserts the invariants that hold at any moment.
func (w *world) check() {
	w.t.Helper()
	vcpus := map[string]int{}
	for _, h := range w.Scheduler.hosts {
		free, owned := h.Type.offers(), [8]bool{}
		for _, j := range h.tasks {
			free = free.minus(j.need)
			w.must(j.task.host == h, h, "one of its tasks is on another host")
			for _, gpu := range j.task.GPUs {
				w.must(!owned[gpu], h, "a GPU has two tasks")
				owned[gpu] = true
			}
		}
		w.must(free == h.free && Resources{}.fitsIn(free), h, "it is overfull, or its room is wrong")
		vcpus[h.EnvironmentARN] += h.Type.VCPUs
		for _, j := range h.planned {
			free = free.minus(j.need)
			w.must(j.plan == h && j.Status == Runnable, h, "a job that is planned on it does not wait for it")
		}
		w.must(free == h.spare && Resources{}.fitsIn(free), h, "more is planned than it has room for")
	}
	for _, e := range w.plane.Environments {
		require.LessOrEqual(w.t, vcpus[e.ARN], e.MaxVCPUs)
	}
	queued, waiting, placed := 0, 0, 0
	for _, l := range w.lines {
		queued += len(l.jobs)
	}
	for _, j := range w.jobs {
		switch j.Status {
		case Runnable:
			waiting++
		case Starting, Running:
			placed++
		}
	}
	require.Equal(w.t, queued, waiting, "a job is lost or waits twice")
	require.Equal(w.t, len(w.tasks), placed)
}

// must fails unless something holds of a host. It is called millions of times, for which
// require is too slow.
func (w *world) must(holds bool, of *host, otherwise string) {
	if !holds {
		w.t.Fatalf("host %s: %s: %+v", of.ID, otherwise, of)
	}
}

// TestAlikeJobsHaveExactlyTheHostsThatTheyNeed drives jobs with the same needs, for which
// the plan is kept from pass to pass: a host starts for a job if and only if all the
// others have no room, whichever job takes which place.
func TestAlikeJobsHaveExactlyTheHostsThatTheyNeed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	w := newWorld(t, environment(first, 8, 600, large, small))
	w.config.Logf, w.config.HostIdle, w.config.HostStart = func(string, ...any) {}, 20*time.Second, 10*time.Second
	alive, started := map[string]Task{}, map[string]bool{}
	for range 4000 {
		for range random.IntN(4) {
			w.submit(container(4, 9000, 1), func(s *Submission) { s.RetryStrategy.Attempts = 3 })
			for _, h := range w.Scheduler.hosts {
				require.True(t, started[h.ID] || h.number == 1 || len(h.planned) > 0, "a host starts for no job")
				started[h.ID] = true
			}
		}
		w.after(time.Duration(random.IntN(3000)) * time.Millisecond)
		for _, task := range w.runs {
			alive[task.ID] = task
		}
		w.runs = nil
		if hosts := w.Hosts(); len(hosts) > 0 && random.IntN(100) == 0 {
			id := hosts[random.IntN(len(hosts))].ID
			require.NoError(t, w.TakeHost(id))
			maps.DeleteFunc(alive, func(_ string, task Task) bool { return task.HostID == id })
		}
		for _, id := range slices.Sorted(maps.Keys(alive)) {
			if random.IntN(10) == 0 {
				delete(alive, id)
				code := random.IntN(2)
				w.Ended(id, Ending{ExitCode: &code})
			}
		}
		w.Pass()
		w.check()
		waiting, room := len(w.line(queueARN).jobs), 0
		for _, h := range w.Scheduler.hosts {
			room += h.free.GPUs
			started[h.ID] = true
		}
		full := w.fleet(first).vcpus > 600-small.VCPUs
		require.True(t, full || waiting <= room, "%d jobs wait, hosts have room for %d", waiting, room)
	}
	assert.Greater(t, len(started), 100)
}

func TestAnEndedJobIsRememberedAsLongAsAWSPromises(t *testing.T) {
	w := newWorld(t, environment(first, 0, 4, small))
	old := w.submit(container(3, 900, 1))
	w.Cancel(old, "no")
	w.after(kept - time.Second)
	recent := w.submit(container(3, 900, 1))
	w.Cancel(recent, "no")
	assert.Len(t, w.Jobs(queueARN, func(Job) bool { return true }), 2)
	w.after(time.Second)
	_, there := w.Job(old)
	assert.False(t, there)
	list := w.Jobs(queueARN, func(Job) bool { return true })
	require.Len(t, list, 1)
	assert.Equal(t, recent, list[0].ID)
}

func TestEveryNewStateIsToldButTheSubmission(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	var told []string
	w.config.changed = func(j Job) {
		w.Jobs(queueARN, func(Job) bool { return true }) // the scheduler is not locked meanwhile
		told = append(told, j.Name+" "+string(j.Status)+" "+j.StatusReason)
	}
	name := func(n string) func(*Submission) {
		return func(in *Submission) { in.Name, in.RetryStrategy = n, RetryStrategy{Attempts: 2} }
	}
	plays := w.submit(container(1, 1000, 1), name("plays"))
	w.after(3 * time.Second)
	w.Started(w.task(plays).ID, "stream")
	w.Pass()
	code := 1
	w.Ended(w.task(plays).ID, Ending{ExitCode: &code, StatusReason: "Essential container in task exited"})
	w.Pass()
	w.Terminate(plays, "enough")
	w.Pass()
	w.Ended(w.task(plays).ID, Ending{})
	w.Pass()
	waits := w.submit(container(100, 1000, 0), name("waits"))
	w.Cancel(waits, "no room")
	w.Pass()
	assert.Equal(t, []string{
		"plays RUNNABLE ", "plays STARTING ", "plays RUNNING ", "plays RUNNABLE ", "plays STARTING ", "plays FAILED enough",
		"waits RUNNABLE ", "waits FAILED no room",
	}, told)
}
