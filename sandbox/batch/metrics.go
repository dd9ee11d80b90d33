package batch

import (
	"path"
	"sync"
	"time"
)

// Measurement is a value of one of AWS Batch's own metrics (AWS Batch user guide, "Using
// CloudWatch metrics with AWS Batch").
type Measurement struct {
	Queue  string // its name, the only dimension
	Metric string
	Unit   string // Count or Milliseconds
	Value  float64
	At     time.Time
}

// Namespace and QueueDimension identify AWS Batch's metrics in CloudWatch.
const (
	Namespace      = "AWS/Batch"
	QueueDimension = "JobQueueName"
)

// moves are the metrics that count how many jobs entered a state. No job is ever
// PENDING, since none depends on another.
var moves = map[Status]string{
	Runnable: "JobsMovedToRunnable", Starting: "JobsMovedToStarting", Running: "JobsMovedToRunning",
	Succeeded: "JobsMovedToSucceeded", Failed: "JobsMovedToFailed",
}

// meter measures jobs by their changes of state.
type meter struct {
	mu    sync.Mutex
	times map[string]times // by the id of a job that has not ended
}

// times are when a job's attempt under way entered its states; zero: not yet.
type times struct{ runnable, starting, running time.Time }

// changed returns the measurements of a job's new state.
func (m *meter) changed(j Job, queue string, now time.Time) (all []Measurement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := func(metric string) { all = append(all, Measurement{queue, metric, "Count", 1, now}) }
	took := func(metric string, from, to time.Time) {
		if !from.IsZero() {
			all = append(all, Measurement{queue, metric, "Milliseconds", float64(max(0, to.Sub(from).Milliseconds())), now})
		}
	}
	count(moves[j.Status])
	t, again := m.times[j.ID], len(j.Attempts) > 0
	switch j.Status {
	case Runnable:
		if again {
			m.attempt(t, now, took)
			count("JobsRetried")
		} else {
			took("JobSubmittedToRunnableDuration", j.Created, now)
		}
		t = times{runnable: now}
	case Starting:
		took("JobAttemptRunnableToStartingDuration", t.runnable, now)
		if !again {
			took("JobSubmittedToFirstStartingDuration", j.Created, now)
		}
		t.starting = now
	case Running:
		took("JobAttemptStartingToRunningDuration", t.starting, now)
		t.running = now
	default:
		m.attempt(t, now, took)
		if j.Terminated {
			count("JobsTerminated")
		} else if j.Cancelled {
			count("JobsCancelled")
		}
	}
	if j.Status.Ended() {
		delete(m.times, j.ID)
	} else {
		m.times[j.ID] = t
	}
	return all
}

// attempt measures an attempt that has ended, if it got a host.
func (m *meter) attempt(t times, now time.Time, took func(metric string, from, to time.Time)) {
	if !t.starting.IsZero() {
		took("JobAttemptDuration", t.runnable, now)
		took("JobAttemptExecutionDuration", t.running, now)
	}
}

// measure reports the measurements of a job's new state.
func (s *Service) measure(j Job) {
	if s.Measured == nil {
		return
	}
	for _, m := range s.meter.changed(j, path.Base(j.QueueARN), s.scheduler.config.Now()) {
		s.Measured(m)
	}
}

// measureSubmission counts a job's submission, which is no change of its state.
func (s *Service) measureSubmission(queue string) {
	if s.Measured != nil {
		s.Measured(Measurement{queue, "JobsSubmitted", "Count", 1, s.scheduler.config.Now()})
	}
}
