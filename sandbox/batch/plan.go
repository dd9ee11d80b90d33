package batch

import (
	"slices"
	"time"
)

// The plan says on which host each waiting job is to run once it's ready, so that
// hosts are started for those jobs only that find no room. A job runs on the first host
// with room all the same, planned there or not.

// grow starts the hosts that are missing: up to each environment's minimum, and
// for the jobs that wait, in their order. A job for which none can be started
// holds up those behind it.
func (s *Scheduler) grow(now time.Time) {
	for _, e := range s.plane.Environments {
		s.growToMinimum(s.fleet(e.ARN), now)
	}
	if s.mixed() {
		s.forgetPlan()
	}
	for _, l := range s.turns {
		for l.planned < len(l.jobs) && s.plan(l, l.jobs[l.planned], now) {
			l.planned++
		}
	}
}

// growToMinimum holds even while the environment is disabled, as on AWS.
func (s *Scheduler) growToMinimum(f *fleet, now time.Time) {
	for f.vcpus < f.MinVCPUs {
		t, there := f.startable(Resources{})
		if !there {
			return
		}
		s.startHost(f, t, now)
	}
}

// mixed reports whether the waiting jobs may differ in their needs or queues. Then a
// change may make a better plan possible, and it's made anew in each pass. For jobs
// that are alike any plan starts as many hosts, so the plan stays.
func (s *Scheduler) mixed() bool {
	waiting := 0
	for _, l := range s.turns {
		if l.mixed {
			return true
		}
		if len(l.jobs) > 0 {
			waiting++
		}
	}
	return waiting > 1
}

func (s *Scheduler) forgetPlan() {
	for _, l := range s.turns {
		for _, j := range l.jobs {
			s.unplan(j)
		}
		l.planned = 0
	}
}

// plan finds room for a job on a host, or starts a host for it.
func (s *Scheduler) plan(l *line, j *job, now time.Time) bool {
	if j.plan != nil {
		return true
	}
	for _, f := range l.fleets {
		if h := f.rooms.waiting(j.need); h != nil {
			j.planOn(h)
			return true
		}
	}
	for _, f := range l.fleets {
		if t, there := f.startable(j.need); there {
			j.planOn(s.startHost(f, t, now))
			return true
		}
	}
	return false
}

func (j *job) planOn(h *host) {
	j.plan, h.planned = h, append(h.planned, j)
	h.spare = h.spare.minus(j.need)
	h.noteRoom()
}

// unplan gives up a job's place in the plan and returns it.
func (s *Scheduler) unplan(j *job) *host {
	h := j.plan
	if h != nil {
		i := slices.Index(h.planned, j)
		j.plan, h.planned = nil, slices.Delete(h.planned, i, i+1)
		h.spare = h.spare.plus(j.need)
		h.noteRoom()
	}
	return h
}

// displace moves the jobs that a host has no room for any more, since one that was
// planned elsewhere took it, to that place if they fit there.
func (s *Scheduler) displace(h, elsewhere *host) {
	for len(h.planned) > 0 && !(Resources{}).fitsIn(h.spare) {
		j := h.planned[len(h.planned)-1]
		s.unplan(j)
		if l := s.line(j.QueueARN); elsewhere != nil && slices.Contains(l.fleets, elsewhere.fleet) && j.need.fitsIn(elsewhere.spare) {
			j.planOn(elsewhere)
		} else {
			l.planned = 0
		}
	}
}
