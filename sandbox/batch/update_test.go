package batch

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// infrastructure is an environment with settings that a change replaces hosts for.
func infrastructure(settings string, minutes int) Environment {
	e := environment(first, 0, 8, small)
	e.Infrastructure, e.UpdatePolicy.Minutes = settings, minutes
	return e
}

func (w *world) update(e Environment) {
	w.set(Plane{Queues: w.plane.Queues, Environments: []Environment{e}})
}

// playing is a job that runs, with its host.
func (w *world) playing(change ...func(*Submission)) (id, host string) {
	id = w.submit(container(3, 900, 1), change...)
	w.after(2 * time.Second)
	w.start(id)
	return id, w.task(id).HostID
}

func TestAnUpdateLeavesRunningJobsAndStartsNewOnesOnNewHosts(t *testing.T) {
	w := newWorld(t, infrastructure("a", 60))
	plays, old := w.playing()
	idle, _ := w.playing()
	w.exit(idle, 0)
	assert.False(t, w.Updating(first))

	w.update(infrastructure("b", 60))
	assert.True(t, w.Updating(first))
	require.Len(t, w.Hosts(), 1, "one without a job leaves at once")
	w.after(30 * time.Minute)
	assert.Equal(t, Running, w.job(plays).Status)
	next, host := w.playing()
	third, _ := w.playing()
	assert.NotEqual(t, old, host, "a new job goes to a new host")
	assert.Equal(t, []Status{Running, Running}, w.statuses(next, third), "outdated hosts take no room of the environment")

	w.exit(plays, 0)
	assert.False(t, w.Updating(first), "the last old host has gone")
	w.after(2 * time.Hour)
	assert.Equal(t, []Status{Running, Running}, w.statuses(next, third), "the timeout is none of theirs")
}

func TestAnUpdateEndsJobsOlderThanItsTimeout(t *testing.T) {
	w := newWorld(t, infrastructure("a", 60))
	plays, old := w.playing()
	retried, _ := w.playing(func(s *Submission) { s.RetryStrategy.Attempts = 2 })
	w.update(infrastructure("b", 60))
	w.after(time.Hour - time.Second)
	assert.Equal(t, []Status{Running, Running}, w.statuses(plays, retried))
	assert.True(t, w.Updating(first))
	w.after(time.Second)
	assert.Equal(t, Failed, w.job(plays).Status)
	assert.Equal(t, "Host EC2 (instance "+old+") terminated.", w.job(plays).StatusReason)
	assert.Equal(t, Runnable, w.job(retried).Status, "as its retry strategy says")
	assert.False(t, w.Updating(first))

	terminates := infrastructure("c", 60)
	terminates.UpdatePolicy.TerminateJobs = true
	w.after(2 * time.Second)
	w.start(retried)
	w.update(terminates)
	assert.Equal(t, Failed, w.job(retried).Status, "terminateJobsOnUpdate does not wait")
}

func TestAChangeOfScalingReplacesNoHost(t *testing.T) {
	w := newWorld(t, infrastructure("a", 60))
	plays, _ := w.playing()
	wider := infrastructure("a", 60)
	wider.MaxVCPUs = 64
	w.update(wider)
	assert.False(t, w.Updating(first))
	w.after(2 * time.Hour)
	assert.Equal(t, Running, w.job(plays).Status)
}

// The provider waits for VALID, and asks at once.
func TestAnEnvironmentIsUpdatingUntilTheJobsOfItsOldHostsEnd(t *testing.T) {
	p := newPlant(t)
	id, err := p.submit()
	require.NoError(t, err)
	p.await(id, types.JobStatusRunning)
	status := func() types.CEStatus {
		out, err := p.client.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{p.name}})
		require.NoError(t, err)
		require.Len(t, out.ComputeEnvironments, 1)
		assert.EqualValues(t, 8, *out.ComputeEnvironments[0].ComputeResources.MaxvCpus, "the rest is as it was")
		return out.ComputeEnvironments[0].Status
	}
	update := func(resources *types.ComputeResourceUpdate) error {
		_, err := p.client.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &p.name, ComputeResources: resources})
		return err
	}
	require.NoError(t, update(&types.ComputeResourceUpdate{MaxvCpus: aws.Int32(8), MinvCpus: aws.Int32(0)}))
	assert.Equal(t, types.CEStatusValid, status(), "a scaling update waits for nobody")

	other := &types.ComputeResourceUpdate{MaxvCpus: aws.Int32(8), InstanceTypes: []string{"g5.xlarge"}}
	require.NoError(t, update(other))
	assert.Equal(t, types.CEStatusUpdating, status())
	assert.Equal(t, "Error executing request, Exception : Cannot update, resource is being modified.", refused(t, update(other)))
	_, err = p.client.DeleteComputeEnvironment(t.Context(), &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &p.name})
	assert.Equal(t, "Error executing request, Exception : Cannot delete, resource is being modified.", refused(t, err))

	p.mu.Lock()
	task := p.tasks[0].ID
	p.mu.Unlock()
	p.end(task, 0)
	assert.Eventually(t, func() bool { return status() == types.CEStatusValid }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, update(other), "the same again replaces nothing")
	assert.Equal(t, types.CEStatusValid, status())
}

func TestAnEnvironmentHasTheVCPUsOfItsHosts(t *testing.T) {
	p := newPlant(t)
	vcpus := func() int32 {
		out, err := p.client.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{p.name}})
		require.NoError(t, err)
		return aws.ToInt32(out.ComputeEnvironments[0].ComputeResources.DesiredvCpus)
	}
	assert.Zero(t, vcpus(), "none has started")
	id, err := p.submit()
	require.NoError(t, err)
	p.await(id, types.JobStatusRunning)
	assert.EqualValues(t, 4, vcpus())
}
