package batch

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// measured returns the measurements of a world's jobs, in the form "METRIC value".
func measured(w *world) *[]string {
	s := &Service{scheduler: w.Scheduler, meter: meter{times: map[string]times{}}}
	var all []string
	s.Measured = func(m Measurement) {
		require.Equal(w.t, "sessions", m.Queue)
		text := m.Metric
		if m.Unit == "Milliseconds" {
			text += fmt.Sprint(" ", m.Value)
		}
		all = append(all, text)
	}
	w.config.changed = s.measure
	return &all
}

func TestAJobsWayIsMeasuredAsAWSBatchMeasuresIt(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	all := measured(w)
	job := w.submit(container(1, 1000, 1), func(in *Submission) { in.RetryStrategy = RetryStrategy{Attempts: 2} })
	w.after(3 * time.Second)
	w.after(time.Second)
	w.Started(w.task(job).ID, "stream")
	w.Pass()
	w.after(10 * time.Second)
	code := 1
	w.Ended(w.task(job).ID, Ending{ExitCode: &code})
	w.Pass()
	w.after(2 * time.Second)
	w.Started(w.task(job).ID, "stream")
	w.after(5 * time.Second)
	ok := 0
	w.Ended(w.task(job).ID, Ending{ExitCode: &ok})
	w.Pass()
	assert.Equal(t, []string{
		"JobsMovedToRunnable", "JobSubmittedToRunnableDuration 0",
		"JobsMovedToStarting", "JobAttemptRunnableToStartingDuration 2000", "JobSubmittedToFirstStartingDuration 2000",
		"JobsMovedToRunning", "JobAttemptStartingToRunningDuration 2000",
		"JobsMovedToRunnable", "JobAttemptDuration 14000", "JobAttemptExecutionDuration 10000", "JobsRetried",
		"JobsMovedToStarting", "JobAttemptRunnableToStartingDuration 0",
		"JobsMovedToRunning", "JobAttemptStartingToRunningDuration 2000",
		"JobsMovedToSucceeded", "JobAttemptDuration 7000", "JobAttemptExecutionDuration 5000",
	}, *all)
}

func TestCancelledAndTerminatedJobsAreCountedAsFailedToo(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	all := measured(w)
	waits := w.submit(container(100, 1000, 0), func(*Submission) {})
	w.Cancel(waits, "no room")
	w.Pass()
	stops := w.submit(container(100, 1000, 0), func(*Submission) {})
	w.Terminate(stops, "enough")
	w.Pass()
	assert.Equal(t, []string{
		"JobsMovedToRunnable", "JobSubmittedToRunnableDuration 0", "JobsMovedToFailed", "JobsCancelled",
		"JobsMovedToRunnable", "JobSubmittedToRunnableDuration 0", "JobsMovedToFailed", "JobsTerminated",
	}, *all)
}

func TestAJobThatBlocksItsQueueIsAnnouncedOnceWithAWSsReason(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	var blocked []string
	w.config.blocked = func(j Job) { blocked = append(blocked, j.ID+" "+string(j.Status)+" "+j.StatusReason) }
	job := w.submit(container(100, 1000, 0), func(*Submission) {})
	w.after(time.Second)
	w.after(time.Second)
	require.Equal(t, []string{job + " RUNNABLE " + codeRequirement + reasons[codeRequirement]}, blocked)
}

func TestTheVCPUsOfRunningHostsAreCountedByQuota(t *testing.T) {
	w := newWorld(t, environment(first, 0, 8, small))
	require.Empty(t, w.vcpus())
	w.submit(container(1, 1000, 1), func(*Submission) {})
	w.Pass()
	require.Empty(t, w.vcpus(), "it starts")
	w.after(3 * time.Second)
	require.Equal(t, map[string]int{"G/OnDemand": small.VCPUs}, w.vcpus())
	for name, want := range map[string]string{"g5.xlarge": "G/Spot", "vt1.3xlarge": "G/Spot", "p3.2xlarge": "P/Spot", "m5.large": "Standard/Spot"} {
		assert.Equal(t, want, class(name, "SPOT_PRICE_CAPACITY_OPTIMIZED"))
	}
}
