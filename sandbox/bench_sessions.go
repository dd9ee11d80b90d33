package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	batchhost "github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// start measures a session from its submission until it is ready: on a host that
// has to start first, and on one that is there.
func (b *bencher) start() error {
	out, err := b.stackOutputs()
	if err != nil {
		return err
	}
	launcher, err := launch.New(b.aws(), out, launch.WithPoll(100*time.Millisecond))
	if err != nil {
		return err
	}
	if err := b.takeHosts(); err != nil {
		return err
	}
	const user = "player1"
	for _, host := range []string{"on a host that starts (2 s here, minutes on AWS)", "on a host that is there"} {
		var s launch.Session
		began := time.Now()
		err := b.progress.Step("session "+host, "measured", func() (err error) {
			s, err = launcher.Start(b.ctx, user, launch.StartOptions{Wait: true})
			return err
		})
		if err != nil {
			return err
		}
		b.add("submit to ready, "+host, s.Took(), "%.1f s", time.Since(began).Seconds())
		if _, err := launcher.End(b.ctx, user, "measured", launch.EndOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// takeHosts leaves no host that another session has started.
func (b *bencher) takeHosts() error {
	var list []batchhost.HostState
	if err := b.cloud.GetJSON(b.ctx, batchhost.HostsPath, &list); err != nil {
		return err
	}
	for _, h := range list {
		if err := takeHost(b.ctx, []string{h.ID}); err != nil {
			return err
		}
	}
	return nil
}

// The crowd: as many jobs, on hosts for so many at a time.
const (
	crowd     = 200
	places    = 20
	longJob   = 20 * time.Second
	shortJob  = time.Second
	observing = 8 * time.Second
)

// queued measures what waiting costs, and how fast a queue of jobs that are as
// small as can be is worked off.
func (b *bencher) queued() error {
	out, err := b.stackOutputs()
	if err != nil {
		return err
	}
	client := batch.NewFromConfig(b.aws())
	q, err := b.benchQueue(client, out)
	if err != nil {
		return err
	}
	var waiting time.Duration
	var drained time.Duration
	err = b.progress.Step(fmt.Sprintf("%d sessions at once on hosts for %d", crowd, places), "measured", func() error {
		if err := q.submit(b.ctx, places, longJob); err != nil {
			return err
		}
		if err := q.await(b.ctx, types.JobStatusRunning, places); err != nil {
			return err
		}
		if err := q.submit(b.ctx, crowd-places, shortJob); err != nil {
			return err
		}
		if waiting, err = b.gatewayCPU(observing); err != nil {
			return err
		}
		if err := q.await(b.ctx, types.JobStatusSucceeded, places); err != nil {
			return err
		}
		began := time.Now()
		err := q.await(b.ctx, types.JobStatusSucceeded, crowd)
		drained = time.Since(began)
		return err
	})
	if err != nil {
		return errors.Join(err, q.remove(b.ctx))
	}
	short := crowd - places
	ideal := shortJob * time.Duration(short/places)
	b.add("queue of sessions worked off", fmt.Sprintf("%d of %s each, %d at a time; %.1f s where starting and ending cost nothing", short, shortJob, places, ideal.Seconds()),
		"%.1f a second", float64(short)/drained.Seconds())
	b.add("CPU of waiting", fmt.Sprintf("%d jobs waiting and %d running, over %s, of one core; goal 0", short, places, observing), "%.1f %%",
		100*waiting.Seconds()/observing.Seconds())
	return q.remove(b.ctx)
}

func (b *bencher) aws() aws.Config { return awsOf(b.cloud) }

func (b *bencher) stackOutputs() (outputs.Outputs, error) {
	return stackOutputs(b.ctx, b.tree, b.cloud, local.Stack)
}

// gatewayCPU is how much processor time the gateway takes within a while.
func (b *bencher) gatewayCPU(while time.Duration) (time.Duration, error) {
	i := slices.IndexFunc(b.cloud.Processes, func(p local.Process) bool { return p.Name == "gateway" })
	if i < 0 {
		return 0, errors.New("there is no gateway")
	}
	before, err := processorTime(b.cloud.Processes[i].PID)
	if err != nil {
		return 0, err
	}
	time.Sleep(while)
	after, err := processorTime(b.cloud.Processes[i].PID)
	return after - before, err
}

// processorTime reads utime and stime of /proc/PID/stat (proc(5)), in ticks of
// 10 ms.
func processorTime(pid int) (time.Duration, error) {
	stat, err := local.Stat(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, field := range stat[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum, nil
}

// benchQueue is a queue of the benchmark's own, on hosts like the stack's.
type benchQueue struct {
	client                         *batch.Client
	environment, queue, definition string
}

func (b *bencher) benchQueue(client *batch.Client, out outputs.Outputs) (*benchQueue, error) {
	image, err := b.benchImage()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("bench-%d", time.Now().Unix())
	stack, err := client.DescribeJobQueues(b.ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{out.QueueARN}})
	if err != nil {
		return nil, err
	}
	like, err := client.DescribeComputeEnvironments(b.ctx, &batch.DescribeComputeEnvironmentsInput{
		ComputeEnvironments: []string{*stack.JobQueues[0].ComputeEnvironmentOrder[0].ComputeEnvironment}})
	if err != nil {
		return nil, err
	}
	resources := *like.ComputeEnvironments[0].ComputeResources
	resources.MaxvCpus, resources.InstanceTypes = aws.Int32(4*places), []string{"g4dn.xlarge"}
	environment, err := client.CreateComputeEnvironment(b.ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: like.ComputeEnvironments[0].ServiceRole, ComputeResources: &resources})
	if err != nil {
		return nil, err
	}
	queue, err := client.CreateJobQueue(b.ctx, &batch.CreateJobQueueInput{JobQueueName: &name, Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{ComputeEnvironment: environment.ComputeEnvironmentArn, Order: aws.Int32(1)}}})
	if err != nil {
		return nil, err
	}
	definition, err := client.RegisterJobDefinition(b.ctx, &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: &image, LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": out.LogGroup}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("3")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}},
		}})
	if err != nil {
		return nil, err
	}
	return &benchQueue{client, *environment.ComputeEnvironmentArn, *queue.JobQueueArn, *definition.JobDefinitionArn}, nil
}

// benchImage puts the job's program into an image that has nothing else.
func (b *bencher) benchImage() (string, error) {
	const image = "dcv-sessions/benchjob:1"
	program := b.file("benchjob")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", program, "./benchjob")
	build.Dir = b.tree.Root + "/sandbox"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := b.progress.Command(b.ctx, build); err != nil {
		return "", err
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	if err := archive.WriteHeader(&tar.Header{Name: "benchjob", Mode: 0o755, Size: int64(len(text))}); err != nil {
		return "", err
	}
	if _, err := archive.Write(text); err != nil {
		return "", err
	}
	if err := archive.Close(); err != nil {
		return "", err
	}
	load := local.Docker(b.ctx, b.cloud.DockerHost, "import", "--change", `ENTRYPOINT ["/benchjob"]`, "-", image)
	load.Stdin = &layer
	return image, b.progress.Command(b.ctx, load)
}

func (q *benchQueue) submit(ctx context.Context, count int, length time.Duration) error {
	for range count {
		if _, err := q.client.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: &q.queue, JobDefinition: &q.definition,
			ContainerOverrides: &types.ContainerOverrides{Command: []string{length.String()}}}); err != nil {
			return err
		}
	}
	return nil
}

// await waits until so many jobs are in a state.
func (q *benchQueue) await(ctx context.Context, status types.JobStatus, count int) error {
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		listed, err := q.client.ListJobs(ctx, &batch.ListJobsInput{JobQueue: &q.queue, JobStatus: status})
		if err != nil {
			return err
		}
		if len(listed.JobSummaryList) >= count {
			return nil
		}
	}
	return fmt.Errorf("no %d jobs are %s after 3 minutes", count, status)
}

// remove takes the queue away, and with it its jobs and hosts.
func (q *benchQueue) remove(ctx context.Context) error {
	_, first := q.client.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &q.definition})
	_, second := q.client.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &q.queue, State: types.JQStateDisabled})
	_, third := q.client.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &q.queue})
	_, fourth := q.client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &q.environment, State: types.CEStateDisabled})
	_, fifth := q.client.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &q.environment})
	return errors.Join(first, second, third, fourth, fifth)
}
