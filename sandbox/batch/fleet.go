package batch

import "slices"

// fleet is an environment with its hosts.
type fleet struct {
	Environment      // as it is now, or as it was last
	gone        bool // there is no such environment any more

	vcpus int     // of its hosts, starting ones too; not of outdated ones
	rooms rooms   // of its hosts, without outdated ones
	kept  []*host // those that would leave but for the environment's minimum, in the order of their starts
	fit   map[Resources][]InstanceType
}

// line is a queue with the jobs that wait in it.
type line struct {
	Queue
	gone   bool     // there is no such queue
	fleets []*fleet // of its environments, those that place jobs

	jobs    []*job // RUNNABLE ones, in the order of their turn
	mixed   bool   // they may have different needs
	planned int    // so many of the first jobs are known to be planned on a host
	blocked *job   // the one with a reason why it is stuck
}

// insert lets a job wait before the one at a place.
func (l *line) insert(i int, j *job) {
	l.mixed = len(l.jobs) > 0 && (l.mixed || j.need != l.jobs[0].need)
	l.jobs = slices.Insert(l.jobs, i, j)
	l.planned = min(l.planned, i)
}

// pop takes the first job out.
func (l *line) pop() {
	l.jobs, l.planned = l.jobs[1:], max(l.planned-1, 0)
}

func (l *line) remove(j *job) {
	if i := slices.Index(l.jobs, j); i >= 0 {
		l.jobs = slices.Delete(l.jobs, i, i+1)
		l.planned = min(l.planned, i)
	}
}

// line returns the line of a queue, which may not exist.
func (s *Scheduler) line(queueARN string) *line {
	l, there := s.lines[queueARN]
	if !there {
		l = &line{Queue: Queue{ARN: queueARN}, gone: true}
		s.lines[queueARN] = l
	}
	return l
}

// fleet returns the fleet of an environment, which may not exist.
func (s *Scheduler) fleet(environmentARN string) *fleet {
	f, there := s.fleets[environmentARN]
	if !there {
		f = &fleet{Environment: Environment{ARN: environmentARN}, gone: true}
		s.fleets[environmentARN] = f
	}
	return f
}

// arrange fits fleets, lines and plan to the present control plane.
func (s *Scheduler) arrange() {
	for _, f := range s.fleets {
		f.gone, f.vcpus, f.rooms, f.kept = true, 0, rooms{}, nil
	}
	for _, e := range s.plane.Environments {
		f := s.fleet(e.ARN)
		f.Environment, f.gone, f.fit = e, false, map[Resources][]InstanceType{}
	}
	s.former = 0
	for _, h := range s.hosts {
		h.outdated = !h.fleet.gone && h.infrastructure != h.fleet.Infrastructure
		if h.former() {
			s.former++
		}
		h.planned, h.spare = nil, h.free
		h.enter()
		s.rest(h) // the environment's minimum may be another
	}
	for _, l := range s.lines {
		l.gone, l.planned = true, 0
		for _, j := range l.jobs {
			j.plan = nil
		}
	}
	s.turns = nil
	for _, q := range s.plane.queues() {
		l := s.line(q.ARN)
		l.Queue, l.gone, l.fleets = q, false, nil
		for _, e := range s.plane.enabled(q) {
			l.fleets = append(l.fleets, s.fleet(e.ARN))
		}
		s.turns = append(s.turns, l)
	}
	for _, j := range s.tasks {
		if s.line(j.QueueARN).gone {
			s.stopTask(j, queueDeleted)
		}
	}
}

// candidates returns an environment's types that fit a job, in the order in
// which they are tried.
func (f *fleet) candidates(need Resources) []InstanceType {
	fit, known := f.fit[need]
	if !known {
		for _, t := range f.Types {
			if need.fitsIn(t.offers()) {
				fit = append(fit, t)
			}
		}
		preferred(fit, f.Strategy)
		f.fit[need] = fit
	}
	return fit
}

// startable returns the type that is started for a job; it reports whether there is one
// that the environment has room for.
func (f *fleet) startable(need Resources) (InstanceType, bool) {
	candidates := f.candidates(need)
	i := slices.IndexFunc(candidates, func(t InstanceType) bool { return f.vcpus+t.VCPUs <= f.MaxVCPUs })
	if i < 0 {
		return InstanceType{}, false
	}
	return candidates[i], true
}
