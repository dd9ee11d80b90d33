package batch

import "time"

// reasons are AWS Batch's status reasons of a job that is stuck at its queue's head,
// by code (user guide, "Jobs stuck in a RUNNABLE status").
var reasons = map[string]string{
	codeMaxResource: " - CE(s) associated with the job queue cannot meet the CPU requirement of the job.",
	codeRequirement: " - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.",
	codeInvalid:     " - CE(s) associated with the job queue are invalid.",
}

const (
	codeMaxResource = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
	codeRequirement = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
	codeInvalid     = "ACTION_REQUIRED"
)

// markBlocked gives the head of each queue its reason if it can never be placed at
// present, and removes the reason of a job that is no longer blocked. A job that
// only waits for room has no reason, as on AWS.
func (s *Scheduler) markBlocked(now time.Time) {
	for _, l := range s.turns {
		var head *job
		code := ""
		if len(l.jobs) > 0 {
			head = l.jobs[0]
			code = s.hindrance(l, head)
		}
		if l.blocked != nil && l.blocked != head && l.blocked.Status == Runnable {
			l.blocked.block("", now)
		}
		if l.blocked = nil; code != "" {
			l.blocked = head
		}
		if head != nil && head.block(code, now) && code != "" {
			s.announceBlocked(head)
		}
	}
}

// block gives a job the reason of a code, or takes it away, and reports whether that is
// a change.
func (j *job) block(code string, now time.Time) bool {
	if code == j.blocked {
		return false
	}
	j.blocked, j.since, j.StatusReason = code, now, ""
	if code != "" {
		j.StatusReason = code + reasons[code]
	}
	return true
}

// announceBlocked makes known after the pass that a job blocks the front of its queue.
func (s *Scheduler) announceBlocked(j *job) {
	if s.config.blocked != nil {
		now := j.copy()
		s.later(func() { s.config.blocked(now) })
	}
}

// hindrance returns the code of the reason why a job cannot be placed, or "" if it
// can be placed at some time.
func (s *Scheduler) hindrance(l *line, j *job) string {
	if len(l.fleets) == 0 {
		return codeInvalid
	}
	code := codeRequirement
	for _, f := range l.fleets {
		for _, t := range f.candidates(j.need) {
			if t.VCPUs <= f.MaxVCPUs {
				return ""
			}
			code = codeMaxResource
		}
	}
	return code
}

// cancelBlocked carries out the queues' time limits.
func (s *Scheduler) cancelBlocked(now time.Time) {
	for _, l := range s.turns {
		if len(l.jobs) == 0 {
			continue
		}
		head := l.jobs[0]
		for _, limit := range l.TimeLimits {
			if head.blocked != "" && limit.Reason == head.blocked && !head.since.Add(limit.Max).After(now) {
				s.withdraw(head, "Canceled by JobStateTimeLimit action due to reason: "+head.blocked, now)
				s.awake() // for the next head
				break
			}
		}
	}
}
