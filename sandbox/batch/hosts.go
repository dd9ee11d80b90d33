package batch

import (
	"slices"
	"time"
)

// host is a simulated instance with its jobs.
type host struct {
	Host
	ready   time.Time // from then on it takes jobs
	running bool      // it is ready, and the agent knows it
	idle    time.Time // since when it has nothing to do
	tasks   map[string]*job
	gpus    []bool // which are taken

	infrastructure string // the environment's when it was started
}

func (h *host) free() Resources {
	free := h.Type.offers()
	for _, j := range h.tasks {
		free = free.minus(j.need)
	}
	return free
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

// release takes a task off its host.
func (h *host) release(t *task, now time.Time) {
	delete(h.tasks, t.ID)
	for _, i := range t.GPUs {
		h.gpus[i] = false
	}
	if len(h.tasks) == 0 {
		h.idle = now
	}
}

// candidates returns an environment's types that fit a job, in the order in
// which they are tried.
func (e Environment) candidates(need Resources) []InstanceType {
	var fit []InstanceType
	for _, t := range e.Types {
		if need.fitsIn(t.offers()) {
			fit = append(fit, t)
		}
	}
	preferred(fit, e.Strategy)
	return fit
}

// room is the free capacity of a host that exists or that a plan adds.
type room struct {
	host *host
	free Resources
}

func (s *Scheduler) rooms() []*room {
	var all []*room
	for _, h := range s.hosts {
		if !s.outdated(h) {
			all = append(all, &room{h, h.free()})
		}
	}
	return all
}

// vcpus are those of an environment's hosts, starting ones too. Outdated hosts
// are left out: AWS does not document whether they count, and if they did, a full
// environment would start no job until its update is over.
func (s *Scheduler) vcpus(environment string) int {
	sum := 0
	for _, h := range s.hosts {
		if h.EnvironmentARN == environment && !s.outdated(h) {
			sum += h.Type.VCPUs
		}
	}
	return sum
}

// grow starts the hosts that are missing: up to each environment's minimum, and
// for the jobs that wait, in their order. A job for which none can be started
// holds up those behind it.
func (s *Scheduler) grow(now time.Time) {
	for _, e := range s.plane.Environments {
		s.growToMinimum(e, now)
	}
	rooms := s.rooms()
	for _, q := range s.plane.queues() {
		for _, j := range s.waiting[q.ARN] {
			if !s.plan(q, j, &rooms, now) {
				break
			}
		}
	}
}

// growToMinimum holds even while the environment is disabled, as on AWS.
func (s *Scheduler) growToMinimum(e Environment, now time.Time) {
	for {
		total := s.vcpus(e.ARN)
		i := slices.IndexFunc(e.candidates(Resources{}), func(t InstanceType) bool { return total+t.VCPUs <= e.MaxVCPUs })
		if total >= e.MinVCPUs || i < 0 {
			return
		}
		s.startHost(e, e.candidates(Resources{})[i], now)
	}
}

// plan finds room for a job on a host, or starts a host for it.
func (s *Scheduler) plan(q Queue, j *job, rooms *[]*room, now time.Time) bool {
	for _, e := range s.plane.enabled(q) {
		for _, r := range *rooms {
			if r.host.EnvironmentARN == e.ARN && j.need.fitsIn(r.free) {
				r.free = r.free.minus(j.need)
				return true
			}
		}
	}
	for _, e := range s.plane.enabled(q) {
		total := s.vcpus(e.ARN)
		for _, t := range e.candidates(j.need) {
			if total+t.VCPUs <= e.MaxVCPUs {
				h := s.startHost(e, t, now)
				*rooms = append(*rooms, &room{h, t.offers().minus(j.need)})
				return true
			}
		}
	}
	return false
}

func (s *Scheduler) startHost(e Environment, t InstanceType, now time.Time) *host {
	h := &host{
		Host: Host{
			ID: "i-" + s.config.NewID()[:17], Type: t, EnvironmentARN: e.ARN, EnvironmentName: e.Name,
			InstanceProfileARN: e.InstanceProfileARN, SecurityGroups: e.SecurityGroups, StopTimeout: e.StopTimeout,
		},
		ready: now.Add(s.config.HostStart), tasks: map[string]*job{}, gpus: make([]bool, t.GPUs), infrastructure: e.Infrastructure,
	}
	s.hosts = append(s.hosts, h)
	s.config.Logf("host %s (%s, %s) starts", h.ID, t.Name, e.Name)
	return h
}

// wakeHosts makes hosts ready that have finished their start.
func (s *Scheduler) wakeHosts(now time.Time) {
	for _, h := range s.hosts {
		if h.running || h.ready.After(now) {
			continue
		}
		h.running, h.idle = true, now
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
	for _, h := range slices.Clone(s.hosts) {
		e, there := s.plane.environment(h.EnvironmentARN)
		if len(h.tasks) > 0 || there && !s.outdated(h) && (!h.running || h.idle.Add(s.config.HostIdle).After(now) || s.vcpus(e.ARN)-h.Type.VCPUs < e.MinVCPUs) {
			continue
		}
		s.config.Logf("host %s leaves", h.ID)
		s.remove(h)
	}
}

func (s *Scheduler) remove(h *host) {
	s.hosts = slices.DeleteFunc(s.hosts, func(o *host) bool { return o == h })
	s.awake() // another may start in its place
	if h.running {
		s.later(func() { s.config.Agent.StopHost(h.ID) })
	}
}
