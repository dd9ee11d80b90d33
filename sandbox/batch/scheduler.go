package batch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/agenda"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Config configures a scheduler.
type Config struct {
	AccessKey string // by which the control plane is read
	Agent     Agent
	HostStart time.Duration // how long a host takes to start; minutes on AWS
	HostIdle  time.Duration // after how long without a job it leaves
	Minute    time.Duration // how long a minute of an environment's update policy is; a real one on AWS
	Keep      time.Duration // for how long a job is remembered after its end; 0: as long as AWS Batch promises
	Now       func() time.Time
	NewID     func() string // 32 random hexadecimal digits
	Logf      func(format string, args ...any)

	changed func(Job) // is called for every new state of a job except its submission; may be nil
	blocked func(Job) // is called if a job blocks the front of its queue; may be nil
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
	order     []*job               // all of them, as they were submitted, and some that are forgotten
	submitted []*job               // those that no pass has seen yet
	past      []*job               // those that have ended, as they did
	lines     map[string]*line     // by the queue's ARN
	turns     []*line              // those of the queues that there are, in the order in which they are served
	tasks     map[string]*job      // by the id of the task under way
	fleets    map[string]*fleet    // by the environment's ARN
	hosts     []*host              // in the order in which they were started
	started   int                  // hosts so far
	former    int                  // hosts that only finish their jobs
	starts    agenda.Agenda[*host] // when a host is ready
	rests     agenda.Agenda[*host] // when a host has been idle long enough
	limits    agenda.Agenda[*task] // when a task has taken too long
	updates   map[string]time.Time // when an environment's last infrastructure update began, by ARN
	effects   []func()             // the calls of a pass to the agent, made after it
}

// kept is how long AWS Batch keeps ended jobs at least (user guide, "Job states").
const kept = 7 * 24 * time.Hour

// New makes a scheduler without queues.
func New(config Config) *Scheduler {
	config.Keep = cmp.Or(config.Keep, kept)
	return &Scheduler{
		config: config, wake: make(chan struct{}, 1), jobs: map[string]*job{}, lines: map[string]*line{},
		tasks: map[string]*job{}, fleets: map[string]*fleet{}, updates: map[string]time.Time{},
	}
}

// Run makes passes until the context ends.
func (s *Scheduler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := s.Settle()
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

// Settle makes passes until nothing more can be done now, and returns when the next
// thing is due; zero if nothing is.
func (s *Scheduler) Settle() (next time.Time) {
	for {
		select {
		case <-s.wake:
		default:
		}
		next = s.Pass()
		if len(s.wake) == 0 {
			return next
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
	s.forget(now)
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
	s.arrange()
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
		ID: id, ARN: fmt.Sprintf("arn:aws:batch:%s:%s:job/%s", local.Region, local.Account, id), Name: in.Name,
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
		if _, known := s.jobs[j.ID]; known && j.QueueARN == queueARN && want(j.Job) {
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
	s.unplan(j)
	s.line(j.QueueARN).remove(j)
	j.Status, j.StatusReason, j.Stopped = Failed, reason, now
	s.announce(j)
}

// announce makes a job's new state known after the pass.
func (s *Scheduler) announce(j *job) {
	if j.Status.Ended() {
		s.past = append(s.past, j)
	}
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
		if seconds := j.Timeout.AttemptDurationSeconds; seconds > 0 {
			s.limits.Add(j.Started.Add(time.Duration(seconds)*time.Second), j.task)
			s.awake()
		}
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
	s.release(j, now)
	delete(s.tasks, j.task.ID)
	j.task, j.StatusReason = nil, e.StatusReason
	switch {
	case j.stop == "" && e.ExitCode != nil && *e.ExitCode == 0:
		j.Status, j.Stopped = Succeeded, now
	case j.stop == "" && j.RetryStrategy.retries(len(j.Attempts), e):
		j.Status, j.StatusReason, j.blocked = Runnable, "", ""
		s.line(j.QueueARN).insert(0, j)
	default:
		j.Status, j.Stopped = Failed, now
	}
	s.announce(j)
}

// forget drops the jobs that ended long ago.
func (s *Scheduler) forget(now time.Time) {
	for len(s.past) > 0 && !s.past[0].Stopped.Add(s.config.Keep).After(now) {
		delete(s.jobs, s.past[0].ID)
		s.past = s.past[1:]
	}
	if len(s.order) > 2*len(s.jobs)+1000 {
		s.order = slices.DeleteFunc(s.order, func(j *job) bool { return s.jobs[j.ID] == nil })
	}
}

// admit lets submitted jobs wait for room: no job depends on another here.
func (s *Scheduler) admit() {
	for _, j := range s.submitted {
		if j.Status == Submitted {
			j.Status = Runnable
			l := s.line(j.QueueARN)
			l.insert(len(l.jobs), j)
			s.announce(j)
		}
	}
	s.submitted = nil
}

// queueDeleted is the reason why the jobs of a queue end that was deleted.
const queueDeleted = "Job queue deleted"

// dropQueuesJobs ends the waiting jobs of queues that were deleted, as AWS does.
func (s *Scheduler) dropQueuesJobs(now time.Time) {
	for _, l := range s.lines {
		if l.gone {
			for _, j := range slices.Clone(l.jobs) {
				s.withdraw(j, queueDeleted, now)
			}
		}
	}
}

// endOverdue stops attempts that have taken too long.
func (s *Scheduler) endOverdue(now time.Time) {
	for t := range s.limits.Due(now) {
		if j, there := s.tasks[t.ID]; there {
			s.stopTask(j, "Job attempt duration exceeded timeout")
		}
	}
}

// place puts waiting jobs on hosts with room, first in, first out: one that finds
// none holds up those behind it.
func (s *Scheduler) place() {
	for _, l := range s.turns {
		for len(l.jobs) > 0 {
			j := l.jobs[0]
			h := l.roomFor(j)
			if h == nil {
				break
			}
			l.pop()
			s.run(l.Queue, j, h)
		}
	}
}

// roomFor is the first host with room, in the order of the queue's environments.
func (l *line) roomFor(j *job) *host {
	for _, f := range l.fleets {
		if h := f.rooms.running(j.need); h != nil {
			return h
		}
	}
	return nil
}

// run gives a job to the agent.
func (s *Scheduler) run(q Queue, j *job, h *host) {
	id := s.config.NewID()
	j.task = &task{host: h, Task: Task{
		ID: id, ARN: fmt.Sprintf("arn:aws:ecs:%s:%s:task/%s_Batch/%s", local.Region, local.Account, h.EnvironmentName, id),
		JobID: j.ID, Attempt: len(j.Attempts) + 1, QueueName: q.Name, EnvironmentName: h.EnvironmentName, HostID: h.ID,
		DefinitionName: j.Definition.Name, Container: j.Container, GPUs: h.takeGPUs(j.need.GPUs),
	}}
	j.Status, j.StatusReason, j.blocked = Starting, "", ""
	j.Last = Attempt{TaskARN: j.task.ARN, HostID: h.ID}
	s.tasks[id] = j
	elsewhere := s.unplan(j)
	h.take(id, j)
	s.displace(h, elsewhere)
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
	add(s.starts.Next())
	add(s.rests.Next())
	add(s.limits.Next())
	if s.former > 0 {
		for _, h := range s.hosts {
			if h.outdated {
				add(s.deadline(h))
			}
		}
	}
	for _, l := range s.turns {
		if len(l.jobs) > 0 && l.jobs[0].blocked != "" {
			for _, limit := range l.TimeLimits {
				if limit.Reason == l.jobs[0].blocked {
					add(l.jobs[0].since.Add(limit.Max))
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
