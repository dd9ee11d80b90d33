// Package scaling computes how a stack does with many sessions: how long players wait,
// how many hosts run, their cost, and which of AWS's quotas is reached first. It is a
// discrete-event simulation: sessions arrive by a plan, and the scheduler is the
// sandbox's Batch host itself, under a clock that jumps from event to event.
package scaling

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/sandbox/agenda"
	"github.com/intraverse/dcv-sessions/sandbox/batch"
)

// Setup is a stack as far as the simulation knows it: one queue with one environment
// of one instance type.
type Setup struct {
	Type      string // of the hosts
	Need      capacity.Need
	HourlyUSD float64 // of a host

	MinVCPUs, MaxVCPUs int           // as compute.minVcpus and compute.maxVcpus
	HostStart          time.Duration // from the scheduler's decision until the host takes jobs
	HostIdle           time.Duration // after how long without a session a host leaves
}

// Wait is how long a player waited, by the reasons.
type Wait struct {
	Queue time.Duration // from the submission until a host takes the session
	Image time.Duration // for the image
	Start time.Duration // until the session is ready
}

// Total is the whole wait.
func (w Wait) Total() time.Duration { return w.Queue + w.Image + w.Start }

// Span is a time, from and to since the simulation's start.
type Span struct{ From, To time.Duration }

// Run is the result of a simulation.
type Run struct {
	Setup    Setup
	Sessions []Session
	Waits    []Wait // of the sessions, in their order
	Hosts    []Span // from their start, which is paid, until they left
}

// Simulate runs sessions, which are in the order of their submission, until all of them
// are ready and a time has come.
func Simulate(setup Setup, sessions []Session, until time.Duration) (*Run, error) {
	w, err := newWorld(setup, sessions)
	if err != nil {
		return nil, err
	}
	for next := 0; w.ready < len(sessions) || w.since() < until; {
		if w.now = w.earliest(next); w.now.IsZero() || w.ready == len(sessions) && w.since() > until {
			w.now = w.epoch.Add(until) // nothing more happens before
			break
		}
		for ; next < len(sessions) && !w.epoch.Add(sessions[next].At).After(w.now); next++ {
			if err := w.submit(next); err != nil {
				return nil, err
			}
		}
		for happens := range w.events.Due(w.now) {
			happens()
		}
		w.due = w.scheduler.Settle()
	}
	for _, h := range w.hosts {
		w.run.Hosts = append(w.run.Hosts, Span{h.from, w.since()})
	}
	slices.SortFunc(w.run.Hosts, func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return &w.run, nil
}

// world is the simulated machines: the scheduler's agent.
type world struct {
	run       Run
	scheduler *batch.Scheduler
	container batch.ContainerProperties
	epoch     time.Time
	now       time.Time
	due       time.Time // when the scheduler has something to do by itself
	events    agenda.Agenda[func()]
	hosts     map[string]*machine
	jobs      map[string]int // the sessions that have not begun to run, by job
	ready     int            // sessions so far
	ids       uint64
}

// machine is a host that runs.
type machine struct {
	from   time.Duration // since when it is paid
	pulled time.Time     // when the image is there; zero until a session needs it
}

const (
	queueARN       = "arn:aws:batch:us-east-1:000000000000:job-queue/sessions"
	environmentARN = "arn:aws:batch:us-east-1:000000000000:compute-environment/sessions"
)

func newWorld(setup Setup, sessions []Session) (*world, error) {
	t, known := capacity.InstanceTypes[setup.Type]
	if !known || t.Sessions(setup.Need) == 0 {
		return nil, fmt.Errorf("instance type %q carries no session that needs %+v", setup.Type, setup.Need)
	}
	epoch := time.Unix(0, 0).UTC()
	w := &world{
		run: Run{Setup: setup, Sessions: sessions, Waits: make([]Wait, len(sessions))}, epoch: epoch, now: epoch,
		hosts: map[string]*machine{}, jobs: map[string]int{},
		container: batch.ContainerProperties{ResourceRequirements: []batch.Requirement{
			{Type: "VCPU", Value: strconv.Itoa(setup.Need.VCPUs)}, {Type: "MEMORY", Value: strconv.Itoa(setup.Need.MemoryMiB)},
			{Type: "GPU", Value: strconv.Itoa(setup.Need.GPUs)},
		}},
	}
	w.scheduler = batch.New(batch.Config{
		Agent: w, HostStart: setup.HostStart, HostIdle: setup.HostIdle,
		Keep: time.Minute, // nobody asks for ended jobs here
		Now:  func() time.Time { return w.now }, NewID: w.newID, Logf: func(string, ...any) {},
	})
	w.scheduler.SetPlane(batch.Plane{
		Queues: []batch.Queue{{ARN: queueARN, Name: "sessions", Enabled: true, Priority: 1, Environments: []string{environmentARN}}},
		Environments: []batch.Environment{{
			ARN: environmentARN, Name: "sessions", Enabled: true, MinVCPUs: setup.MinVCPUs, MaxVCPUs: setup.MaxVCPUs, Strategy: "BEST_FIT_PROGRESSIVE",
			Types: []batch.InstanceType{{Name: setup.Type, VCPUs: t.VCPUs, MemoryMiB: t.MemoryForContainers(), GPUs: t.GPUs}},
		}},
	})
	w.due = w.scheduler.Settle()
	return w, nil
}

// newID returns 32 hexadecimal digits, of which the first 16 are unique too.
func (w *world) newID() string {
	w.ids++
	return fmt.Sprintf("%016x%016x", w.ids, w.ids)
}

func (w *world) since() time.Duration { return w.now.Sub(w.epoch) }

// earliest returns when the next thing happens, of which the next session's submission
// is one.
func (w *world) earliest(next int) time.Time {
	var first time.Time
	consider := func(at time.Time) {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if next < len(w.run.Sessions) {
		consider(w.epoch.Add(w.run.Sessions[next].At))
	}
	consider(w.events.Next())
	consider(w.due)
	return first
}

func (w *world) submit(session int) error {
	j, err := w.scheduler.Submit(batch.Submission{Name: "session", QueueARN: queueARN, Container: w.container})
	w.jobs[j.ID] = session
	return err
}

// StartHost is called when a host takes jobs; its start is paid too.
func (w *world) StartHost(h batch.Host) error {
	w.hosts[h.ID] = &machine{from: max(w.since()-w.run.Setup.HostStart, 0)}
	return nil
}

// StopHost is called when a host leaves.
func (w *world) StopHost(id string) {
	w.run.Hosts = append(w.run.Hosts, Span{w.hosts[id].from, w.since()})
	delete(w.hosts, id)
}

// Run starts a session on a host: the first one pulls the image, and those that come
// meanwhile wait for the same pull.
func (w *world) Run(t batch.Task, watcher batch.Watcher) {
	i := w.jobs[t.JobID]
	delete(w.jobs, t.JobID)
	session, host := w.run.Sessions[i], w.hosts[t.HostID]
	if host.pulled.IsZero() {
		host.pulled = w.now.Add(session.Pull)
	}
	wait := Wait{Queue: w.since() - session.At, Image: max(host.pulled.Sub(w.now), 0), Start: session.Start}
	w.run.Waits[i] = wait
	started := w.now.Add(wait.Image + wait.Start)
	w.events.Add(started, func() {
		w.ready++
		watcher.Started(t.ID, "")
	})
	w.events.Add(started.Add(session.Length), func() {
		watcher.Ended(t.ID, batch.Ending{ExitCode: new(int)})
	})
}

// Stop would end a session; nobody asks for it here.
func (w *world) Stop(taskID string) { panic("nothing stops task " + taskID) }
