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
// present, and removes the reason of jobs that are no longer blocked. A job that
// only waits for room has no reason, as on AWS.
func (s *Scheduler) markBlocked(now time.Time) {
	for _, q := range s.plane.queues() {
		for i, j := range s.waiting[q.ARN] {
			code := ""
			if i == 0 {
				code = s.hindrance(q, j)
			}
			if code != j.blocked {
				j.blocked, j.since, j.StatusReason = code, now, ""
				if code != "" {
					j.StatusReason = code + reasons[code]
				}
			}
		}
	}
}

// hindrance returns the code of the reason why a job cannot be placed, or "" if it
// can be placed at some time.
func (s *Scheduler) hindrance(q Queue, j *job) string {
	environments := s.plane.enabled(q)
	if len(environments) == 0 {
		return codeInvalid
	}
	code := codeRequirement
	for _, e := range environments {
		for _, t := range e.candidates(j.need) {
			if t.VCPUs <= e.MaxVCPUs {
				return ""
			}
			code = codeMaxResource
		}
	}
	return code
}

// cancelBlocked carries out the queues' time limits.
func (s *Scheduler) cancelBlocked(now time.Time) {
	for _, q := range s.plane.queues() {
		if len(s.waiting[q.ARN]) == 0 {
			continue
		}
		head := s.waiting[q.ARN][0]
		for _, limit := range q.TimeLimits {
			if head.blocked != "" && limit.Reason == head.blocked && !head.since.Add(limit.Max).After(now) {
				s.withdraw(head, "Canceled by JobStateTimeLimit action due to reason: "+head.blocked, now)
				s.awake() // for the next head
				break
			}
		}
	}
}
