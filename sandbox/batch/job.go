package batch

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Job is a job as it is seen from outside; a copy, which nothing changes.
type Job struct {
	ID, ARN, Name string
	QueueARN      string
	Definition    Definition
	Container     ContainerProperties // the definition's with the submission's overrides
	RetryStrategy RetryStrategy
	Timeout       Timeout
	Tags          map[string]string
	PropagateTags bool

	Status       Status
	StatusReason string
	Created      time.Time
	Started      time.Time // of the last attempt; zero if it never ran
	Stopped      time.Time // zero while it has not ended
	Attempts     []Attempt // those that have ended
	Last         Attempt   // the one under way, or the last one; zero before the first

	Cancelled, Terminated bool // by a call
}

// Attempt is one run of a job.
type Attempt struct {
	TaskARN, HostID  string
	LogStream        string // "" if it never ran
	Started, Stopped time.Time
	Ending
}

// job is a job with the scheduler's own data.
type job struct {
	Job
	need    Resources
	task    *task     // the attempt under way
	plan    *host     // on which it is to run; nil while it isn't planned or waits no more
	blocked string    // the code of the reason why it is stuck at its queue's head
	since   time.Time // since when it is blocked by that
	stop    string    // why its task was asked to stop; "" if it was not
}

// task is an attempt on a host.
type task struct {
	Task
	host    *host
	started time.Time // zero until its container runs
	stream  string
}

// Resources are the part of a host that a job takes.
type Resources struct{ VCPUs, MemoryMiB, GPUs int }

func (r Resources) fitsIn(free Resources) bool {
	return r.VCPUs <= free.VCPUs && r.MemoryMiB <= free.MemoryMiB && r.GPUs <= free.GPUs
}

func (r Resources) minus(o Resources) Resources {
	return Resources{r.VCPUs - o.VCPUs, r.MemoryMiB - o.MemoryMiB, r.GPUs - o.GPUs}
}

func (r Resources) plus(o Resources) Resources {
	return Resources{r.VCPUs + o.VCPUs, r.MemoryMiB + o.MemoryMiB, r.GPUs + o.GPUs}
}

// orMore returns the larger of each.
func (r Resources) orMore(o Resources) Resources {
	return Resources{max(r.VCPUs, o.VCPUs), max(r.MemoryMiB, o.MemoryMiB), max(r.GPUs, o.GPUs)}
}

func (t InstanceType) offers() Resources { return Resources{t.VCPUs, t.MemoryMiB, t.GPUs} }

// Needs reads the requirements of a container. AWS wants VCPU from 1 and MEMORY
// from 4 MiB (API reference, ResourceRequirement).
func (c ContainerProperties) Needs() (Resources, error) {
	var r Resources
	targets := map[string]*int{"VCPU": &r.VCPUs, "MEMORY": &r.MemoryMiB, "GPU": &r.GPUs}
	for i, requirement := range c.ResourceRequirements {
		target, known := targets[requirement.Type]
		value, err := strconv.Atoi(requirement.Value)
		if !known || err != nil || value < 0 {
			return r, fmt.Errorf("resourceRequirements[%d] is %s %q: VCPU, MEMORY or GPU and a whole number are allowed", i, requirement.Type, requirement.Value)
		}
		*target = value
	}
	if r.VCPUs < 1 || r.MemoryMiB < 4 {
		return r, fmt.Errorf("resourceRequirements have VCPU %d and MEMORY %d: at least 1 and 4 are needed", r.VCPUs, r.MemoryMiB)
	}
	return r, nil
}

// retries reports whether another attempt follows one that ended: the first rule
// with only true conditions decides, and without such a rule the job is retried.
func (s RetryStrategy) retries(made int, e Ending) bool {
	if made >= cmp.Or(s.Attempts, 1) {
		return false
	}
	for _, rule := range s.EvaluateOnExit {
		if rule.holds(e) {
			return strings.EqualFold(rule.Action, "RETRY")
		}
	}
	return true
}

func (r Rule) holds(e Ending) bool {
	code := ""
	if e.ExitCode != nil {
		code = strconv.Itoa(*e.ExitCode)
	}
	return matches(r.OnStatusReason, e.StatusReason) && matches(r.OnReason, e.Reason) &&
		(r.OnExitCode == "" || e.ExitCode != nil && matches(r.OnExitCode, code))
}

// matches takes a pattern with at most one "*", at its end; "" asks for nothing.
func matches(pattern, text string) bool {
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == "" || pattern == text
}
