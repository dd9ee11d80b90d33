package batch

import (
	"slices"
	"time"
)

// An infrastructure update replaces an environment's hosts (AWS Batch user guide,
// "Perform infrastructure updates" and "Updating compute environments"): the
// environment is UPDATING, new jobs go to new hosts, and those that run go on
// until they end or the update policy's timeout has passed. Then they are
// terminated, and retried if their retry strategy says so. Their status reason is not
// documented: here it is that of a terminated host.

// noteUpdates remembers which environments a new plane updates.
func (s *Scheduler) noteUpdates(p Plane) {
	for _, e := range p.Environments {
		if before, there := s.plane.environment(e.ARN); there && before.Infrastructure != e.Infrastructure {
			s.updates[e.ARN] = s.config.Now()
		}
	}
}

// deadline returns until when the jobs of an outdated host may go on.
func (s *Scheduler) deadline(h *host) time.Time {
	began, policy := s.updates[h.EnvironmentARN], h.fleet.UpdatePolicy
	if policy.TerminateJobs {
		return began
	}
	return began.Add(time.Duration(policy.Minutes) * s.config.Minute)
}

// replaceHosts terminates the outdated hosts after the timeout of their jobs.
func (s *Scheduler) replaceHosts(now time.Time) {
	if s.former == 0 {
		return
	}
	for _, h := range slices.Clone(s.hosts) {
		if h.outdated && len(h.tasks) > 0 && !s.deadline(h).After(now) {
			s.terminate(h, now)
		}
	}
}

// Updating reports whether an environment still has hosts that an infrastructure
// update replaces.
func (s *Scheduler) Updating(environmentARN string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.hosts, func(h *host) bool { return h.EnvironmentARN == environmentARN && h.outdated })
}

// DesiredVCPUs returns the vCPUs of an environment's hosts, starting ones too.
func (s *Scheduler) DesiredVCPUs(environmentARN string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, there := s.fleets[environmentARN]; there {
		return f.vcpus
	}
	return 0
}

// environment returns the ARN of an environment that a call names by its name or
// ARN, or "" if there is none.
func (s *Scheduler) environment(ref string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.plane.Environments {
		if ref == e.ARN || ref == e.Name {
			return e.ARN
		}
	}
	return ""
}
