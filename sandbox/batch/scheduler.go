package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures a scheduler.
type Config struct {
	Region, Account string
	AccessKey       string // by which the control plane is read
	Agent           Agent
	HostStart       time.Duration // how long a host takes to start; minutes on AWS
	HostIdle        time.Duration // after how long without a job it leaves
	Minute          time.Duration // how long a minute of an environment's update policy is; a real one on AWS
	Now             func() time.Time
	NewID           func() string // 32 random hexadecimal digits
	Logf            func(format string, args ...any)

	changed func(Job) // is called for every new state of a job except its submission; may be nil
}

// Scheduler accepts jobs and has them run. It is safe for concurrent use. All work
// is done in passes: Run makes one after each call or report, and when something is
// due, and none otherwise, so waiting costs nothing.
type Scheduler struct {
	config Config
	wake   chan struct{}
	pass   sync.Mutex // one pass at a time

	mu        sync.Mutex
	plane     Plane
	jobs      map[string]*job
	order     []*job               // all of them, as they were submitted
	submitted []*job               // those that no pass has seen yet
	waiting   map[string][]*job    // RUNNABLE ones by queue, in the order of their turn
	tasks     map[string]*job      // by the id of the task under way
	hosts     []*host              // in the order in which they were started
	updates   map[string]time.Time // when an environment's last infrastructure update began, by ARN
	effects   []func()             // the calls of a pass to the agent, made after it
}

// New makes a scheduler without queues.
func New(config Config) *Scheduler {
	return &Scheduler{config: config, wake: make(chan struct{}, 1), jobs: map[string]*job{}, waiting: map[string][]*job{}, tasks: map[string]*job{}, updates: map[string]time.Time{}}
}

// Run makes passes until the context ends.
func (s *Scheduler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := s.Pass()
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(next.Sub(s.config.Now()))
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-due:
		}
	}
}

func (s *Scheduler) awake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will be
	}
}

// Pass does all that can be done now, and returns when the next thing is due; zero
// if nothing is.
func (s *Scheduler) Pass() (next time.Time) {
	s.pass.Lock()
	defer s.pass.Unlock()
	s.mu.Lock()
	now := s.config.Now()
	s.admit()
	s.dropQueuesJobs(now)
	s.wakeHosts(now)
	s.endOverdue(now)
	s.replaceHosts(now)
	s.place()
	s.grow(now)
	s.shrink(now)
	s.markBlocked(now)
	s.cancelBlocked(now)
	next = s.due(now)
	effects := s.effects
	s.effects = nil
	s.mu.Unlock()
	for _, effect := range effects {
		effect()
	}
	return next
}

// later keeps a call of the agent until the pass is over: the agent may answer
// at once, and the scheduler must not be locked then.
func (s *Scheduler) later(effect func()) { s.effects = append(s.effects, effect) }

// SetPlane gives the scheduler the present control plane.
func (s *Scheduler) SetPlane(p Plane) {
	s.mu.Lock()
	s.noteUpdates(p)
	s.plane = p
	s.mu.Unlock()
	s.awake()
}

// Submission is a checked SubmitJob.
type Submission struct {
	Name          string
	QueueARN      string
	Definition    Definition
	Container     ContainerProperties // with the overrides
	RetryStrategy RetryStrategy
	Timeout       Timeout
	Tags          map[string]string
	PropagateTags bool
}

// Submit takes a job. It fails only if its requirements make no sense.
func (s *Scheduler) Submit(in Submission) (Job, error) {
	need, err := in.Container.Needs()
	if err != nil {
		return Job{}, err
	}
	id := UUID(s.config.NewID())
	j := &job{need: need, Job: Job{
		ID: id, ARN: fmt.Sprintf("arn:aws:batch:%s:%s:job/%s", s.config.Region, s.config.Account, id), Name: in.Name,
		QueueARN: in.QueueARN, Definition: in.Definition, Container: in.Container, RetryStrategy: in.RetryStrategy, Timeout: in.Timeout,
		Tags: maps.Clone(in.Tags), PropagateTags: in.PropagateTags, Status: Submitted, Created: s.config.Now(),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.awake()
	s.jobs[id] = j
	s.order, s.submitted = append(s.order, j), append(s.submitted, j)
	return j.copy(), nil
}

// UUID returns 32 hexadecimal digits in the form of a UUID.
func UUID(hex string) string {
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:32]}, "-")
}

// Job is the job of that id.
func (s *Scheduler) Job(id string) (Job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, there := s.jobs[id]
	if !there {
		return Job{}, false
	}
	return j.copy(), true
}

// Jobs are a queue's jobs that fulfil a condition, in the order of submission.
func (s *Scheduler) Jobs(queueARN string, want func(Job) bool) []Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Job
	for _, j := range s.order {
		if j.QueueARN == queueARN && want(j.Job) {
			list = append(list, j.copy())
		}
	}
	return list
}

// Tag puts tags on a job.
func (s *Scheduler) Tag(id string, tags map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, there := s.jobs[id]; there {
		if j.Tags == nil {
			j.Tags = map[string]string{}
		}
		maps.Copy(j.Tags, tags)
	}
}

// Untag takes tags off a job.
func (s *Scheduler) Untag(id string, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, there := s.jobs[id]; there {
		for _, key := range keys {
			delete(j.Tags, key)
		}
	}
}

func (s *Scheduler) queues() []Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plane.queues()
}

func (j *job) copy() Job {
	c := j.Job
	c.Attempts, c.Tags = slices.Clone(j.Attempts), maps.Clone(j.Tags)
	return c
}

// Cancel ends a job that has not been placed yet, and does nothing to others.
func (s *Scheduler) Cancel(id, reason string) { s.end(id, reason, false) }

// Terminate ends a job in any state.
func (s *Scheduler) Terminate(id, reason string) { s.end(id, reason, true) }

func (s *Scheduler) end(id, reason string, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.awake()
	j, there := s.jobs[id]
	switch {
	case !there || j.Status.Ended():
	case j.task == nil:
		j.Cancelled, j.Terminated = true, running
		s.withdraw(j, reason, s.config.Now())
	case running:
		j.Terminated = true
		s.stopTask(j, reason)
	}
}

// withdraw ends a job that is not running.
func (s *Scheduler) withdraw(j *job, reason string, now time.Time) {
	s.waiting[j.QueueARN] = slices.DeleteFunc(s.waiting[j.QueueARN], func(o *job) bool { return o == j })
	j.Status, j.StatusReason, j.Stopped = Failed, reason, now
	s.announce(j)
}

// announce makes a job's new state known after the pass.
func (s *Scheduler) announce(j *job) {
	if s.config.changed != nil {
		now := j.copy()
		s.later(func() { s.config.changed(now) })
	}
}

// stopTask asks for a task's end, once; the reason that came first stays.
func (s *Scheduler) stopTask(j *job, reason string) {
	if j.stop == "" {
		j.stop = reason
		id := j.task.ID
		s.later(func() { s.config.Agent.Stop(id) })
	}
}

// TakeHost takes a host away as a Spot reclaim does, with all that runs on it.
func (s *Scheduler) TakeHost(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.awake()
	i := slices.IndexFunc(s.hosts, func(h *host) bool { return h.ID == id })
	if i < 0 {
		return fmt.Errorf("there is no host %s", id)
	}
	s.terminate(s.hosts[i], s.config.Now())
	return nil
}

// terminate takes a host away with all that runs on it.
func (s *Scheduler) terminate(h *host, now time.Time) {
	s.config.Logf("host %s is taken away", h.ID)
	s.remove(h)
	for _, task := range slices.Sorted(maps.Keys(h.tasks)) {
		s.ended(h.tasks[task], Ending{StatusReason: "Host EC2 (instance " + h.ID + ") terminated."}, now)
	}
}

// Started is called by the agent.
func (s *Scheduler) Started(taskID, logStreamName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, there := s.tasks[taskID]; there && j.task.started.IsZero() {
		j.task.started, j.task.stream = s.config.Now(), logStreamName
		j.Status, j.Started = Running, j.task.started
		j.Last.Started, j.Last.LogStream = j.task.started, logStreamName
		s.announce(j)
		s.awake() // its timeout runs
	}
}

// Ended is called by the agent. It is ignored for a task on a host that was removed.
func (s *Scheduler) Ended(taskID string, e Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, there := s.tasks[taskID]; there {
		s.ended(j, e, s.config.Now())
		s.awake()
	}
}

// ended closes an attempt, and with it the job or not.
func (s *Scheduler) ended(j *job, e Ending, now time.Time) {
	if j.stop != "" {
		e.StatusReason = j.stop
	}
	j.Last.Stopped, j.Last.Ending = now, e
	j.Attempts = append(j.Attempts, j.Last)
	j.task.host.release(j.task, now)
	delete(s.tasks, j.task.ID)
	j.task, j.StatusReason = nil, e.StatusReason
	switch {
	case j.stop == "" && e.ExitCode != nil && *e.ExitCode == 0:
		j.Status, j.Stopped = Succeeded, now
	case j.stop == "" && j.RetryStrategy.retries(len(j.Attempts), e):
		j.Status, j.StatusReason, j.blocked = Runnable, "", ""
		s.waiting[j.QueueARN] = slices.Insert(s.waiting[j.QueueARN], 0, j)
	default:
		j.Status, j.Stopped = Failed, now
	}
	s.announce(j)
}

// admit lets submitted jobs wait for room: no job depends on another here.
func (s *Scheduler) admit() {
	for _, j := range s.submitted {
		if j.Status == Submitted {
			j.Status = Runnable
			s.waiting[j.QueueARN] = append(s.waiting[j.QueueARN], j)
			s.announce(j)
		}
	}
	s.submitted = nil
}

// dropQueuesJobs ends the jobs of queues that were deleted, as AWS does.
func (s *Scheduler) dropQueuesJobs(now time.Time) {
	const reason = "Job queue deleted"
	for arn, jobs := range s.waiting {
		if !s.plane.has(arn) {
			for _, j := range slices.Clone(jobs) {
				s.withdraw(j, reason, now)
			}
			delete(s.waiting, arn)
		}
	}
	for _, j := range s.tasks {
		if !s.plane.has(j.QueueARN) {
			s.stopTask(j, reason)
		}
	}
}

// endOverdue stops attempts that have taken too long.
func (s *Scheduler) endOverdue(now time.Time) {
	for _, j := range s.tasks {
		if limit := j.overdue(); !limit.IsZero() && !limit.After(now) {
			s.stopTask(j, "Job attempt duration exceeded timeout")
		}
	}
}

// overdue is when an attempt has taken too long; zero for never.
func (j *job) overdue() time.Time {
	if j.Timeout.AttemptDurationSeconds == 0 || j.task.started.IsZero() {
		return time.Time{}
	}
	return j.task.started.Add(time.Duration(j.Timeout.AttemptDurationSeconds) * time.Second)
}

// place puts waiting jobs on hosts with room, first in, first out: one that finds
// none holds up those behind it.
func (s *Scheduler) place() {
	for _, q := range s.plane.queues() {
		for len(s.waiting[q.ARN]) > 0 {
			j := s.waiting[q.ARN][0]
			h := s.roomFor(q, j)
			if h == nil {
				break
			}
			s.waiting[q.ARN] = s.waiting[q.ARN][1:]
			s.run(q, j, h)
		}
	}
}

// roomFor is the first host with room, in the order of the queue's environments.
func (s *Scheduler) roomFor(q Queue, j *job) *host {
	for _, e := range s.plane.enabled(q) {
		for _, h := range s.hosts {
			if h.EnvironmentARN == e.ARN && h.running && !s.outdated(h) && j.need.fitsIn(h.free()) {
				return h
			}
		}
	}
	return nil
}

// run gives a job to the agent.
func (s *Scheduler) run(q Queue, j *job, h *host) {
	id := s.config.NewID()
	j.task = &task{host: h, Task: Task{
		ID: id, ARN: fmt.Sprintf("arn:aws:ecs:%s:%s:task/%s_Batch/%s", s.config.Region, s.config.Account, h.EnvironmentName, id),
		JobID: j.ID, Attempt: len(j.Attempts) + 1, QueueName: q.Name, EnvironmentName: h.EnvironmentName, HostID: h.ID,
		DefinitionName: j.Definition.Name, Container: j.Container, GPUs: h.takeGPUs(j.need.GPUs),
	}}
	j.Status, j.StatusReason, j.blocked = Starting, "", ""
	j.Last = Attempt{TaskARN: j.task.ARN, HostID: h.ID}
	h.tasks[id], s.tasks[id] = j, j
	s.announce(j)
	task := j.task.Task
	s.later(func() { s.config.Agent.Run(task, s) })
}

// due is when the next thing happens by itself; zero if nothing does.
func (s *Scheduler) due(now time.Time) time.Time {
	var next time.Time
	add := func(at time.Time) {
		if !at.IsZero() && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, h := range s.hosts {
		switch {
		case !h.running:
			add(h.ready)
		case len(h.tasks) == 0:
			add(h.idle.Add(s.config.HostIdle))
		case s.outdated(h):
			add(s.deadline(h))
		}
	}
	for _, j := range s.tasks {
		add(j.overdue())
	}
	for _, q := range s.plane.Queues {
		if waiting := s.waiting[q.ARN]; len(waiting) > 0 && waiting[0].blocked != "" {
			for _, limit := range q.TimeLimits {
				if limit.Reason == waiting[0].blocked {
					add(waiting[0].since.Add(limit.Max))
				}
			}
		}
	}
	return next
}

// HostState is a host as it is seen from outside.
type HostState struct {
	ID, Type, Environment string
	Running               bool // false while it starts
	Jobs                  []string
}

// Hosts are those that there are, in the order in which they were started.
func (s *Scheduler) Hosts() []HostState {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []HostState{}
	for _, h := range s.hosts {
		state := HostState{ID: h.ID, Type: h.Type.Name, Environment: h.EnvironmentName, Running: h.running, Jobs: []string{}}
		for _, j := range h.tasks {
			state.Jobs = append(state.Jobs, j.ID)
		}
		slices.Sort(state.Jobs)
		list = append(list, state)
	}
	return list
}
