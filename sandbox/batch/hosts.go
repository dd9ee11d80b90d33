package batch

import (
	"cmp"
	"slices"
	"time"
)

// host is a simulated instance with its jobs.
type host struct {
	Host
	fleet   *fleet
	number  int       // hosts are numbered in the order of their starts
	place   int       // in its fleet's rooms
	running bool      // it is ready, and the agent knows it
	gone    bool      // it has left
	idle    time.Time // since when it has nothing to do
	tasks   map[string]*job
	gpus    []bool // which are taken

	free    Resources // beside its tasks
	planned []*job    // those that wait and are to run here
	spare   Resources // beside both; less than nothing for a moment only

	infrastructure string // the environment's when it was started
	outdated       bool   // the environment has been updated since
}

// enter counts the host as its fleet's, unless it is outdated.
func (h *host) enter() {
	if !h.outdated {
		h.fleet.vcpus += h.Type.VCPUs
		h.fleet.rooms.add(h)
	}
}

// leave undoes enter.
func (h *host) leave() {
	if !h.outdated {
		h.fleet.vcpus -= h.Type.VCPUs
		h.fleet.rooms.remove(h)
	}
}

// former reports whether the host only finishes its jobs: it is outdated, or its
// environment is gone.
func (h *host) former() bool { return h.outdated || h.fleet.gone }

// noteRoom lets the fleet know of a change of the host's room.
func (h *host) noteRoom() {
	if !h.outdated && !h.gone {
		h.fleet.rooms.note(h)
	}
}

// take gives a job its part of the host.
func (h *host) take(id string, j *job) {
	h.tasks[id] = j
	h.free, h.spare = h.free.minus(j.need), h.spare.minus(j.need)
	h.noteRoom()
}

// takeGPUs gives a task the first free ones.
func (h *host) takeGPUs(count int) []int {
	var taken []int
	for i := range h.gpus {
		if len(taken) < count && !h.gpus[i] {
			h.gpus[i] = true
			taken = append(taken, i)
		}
	}
	return taken
}

// release takes a job's task off its host.
func (s *Scheduler) release(j *job, now time.Time) {
	h := j.task.host
	delete(h.tasks, j.task.ID)
	for _, i := range j.task.GPUs {
		h.gpus[i] = false
	}
	h.free, h.spare = h.free.plus(j.need), h.spare.plus(j.need)
	h.noteRoom()
	if len(h.tasks) == 0 {
		h.idle = now
		s.rest(h)
	}
}

func (s *Scheduler) startHost(f *fleet, t InstanceType, now time.Time) *host {
	s.started++
	h := &host{
		Host: Host{
			ID: "i-" + s.config.NewID()[:17], Type: t, EnvironmentARN: f.ARN, EnvironmentName: f.Name,
			InstanceProfileARN: f.InstanceProfileARN, SecurityGroups: f.SecurityGroups, StopTimeout: f.StopTimeout,
		},
		fleet: f, number: s.started, tasks: map[string]*job{}, gpus: make([]bool, t.GPUs), free: t.offers(), spare: t.offers(), infrastructure: f.Infrastructure,
	}
	s.hosts = append(s.hosts, h)
	h.enter()
	s.starts.Add(now.Add(s.config.HostStart), h)
	s.config.Logf("host %s (%s, %s) starts", h.ID, t.Name, f.Name)
	return h
}

// wakeHosts makes hosts ready that have finished their start.
func (s *Scheduler) wakeHosts(now time.Time) {
	for h := range s.starts.Due(now) {
		if h.gone {
			continue
		}
		h.running, h.idle = true, now
		h.noteRoom()
		s.rest(h)
		s.later(func() {
			if err := s.config.Agent.StartHost(h.Host); err != nil {
				s.config.Logf("host %s: %v", h.ID, err)
				_ = s.TakeHost(h.ID) // as one that failed; another is started
			}
		})
	}
}

// shrink lets hosts go that have been idle long enough, outdated ones that are
// idle, and those of environments that are gone.
func (s *Scheduler) shrink(now time.Time) {
	if s.former > 0 {
		for _, h := range slices.Clone(s.hosts) {
			if h.former() && len(h.tasks) == 0 {
				s.dismiss(h)
			}
		}
	}
	for h := range s.rests.Due(now) {
		if s.rested(h, now) {
			h.fleet.kept = append(h.fleet.kept, h)
		}
	}
	for _, e := range s.plane.Environments {
		f := s.fleet(e.ARN)
		slices.SortFunc(f.kept, byNumber)
		f.kept = slices.DeleteFunc(f.kept, func(h *host) bool {
			if !s.rested(h, now) {
				return true // it has worked meanwhile
			}
			if f.vcpus-h.Type.VCPUs < f.MinVCPUs {
				return false
			}
			s.dismiss(h)
			return true
		})
	}
}

func (s *Scheduler) dismiss(h *host) {
	s.config.Logf("host %s leaves", h.ID)
	s.remove(h)
}

func (s *Scheduler) remove(h *host) {
	if i, there := slices.BinarySearchFunc(s.hosts, h, byNumber); there {
		s.hosts = slices.Delete(s.hosts, i, i+1)
	}
	for _, j := range h.planned {
		j.plan, s.line(j.QueueARN).planned = nil, 0
	}
	if h.former() {
		s.former--
	}
	h.leave()
	h.gone, h.planned = true, nil
	s.awake() // another may start in its place
	if h.running {
		s.later(func() { s.config.Agent.StopHost(h.ID) })
	}
}

// rest notes when an idle host may leave.
func (s *Scheduler) rest(h *host) {
	if h.running && len(h.tasks) == 0 {
		s.rests.Add(h.idle.Add(s.config.HostIdle), h)
	}
}

// rested reports whether a host has been idle long enough to leave.
func (s *Scheduler) rested(h *host, now time.Time) bool {
	return !h.gone && h.running && len(h.tasks) == 0 && !h.idle.Add(s.config.HostIdle).After(now)
}

func byNumber(a, b *host) int { return cmp.Compare(a.number, b.number) }
