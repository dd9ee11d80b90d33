package bench

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
	"github.com/intraverse/dcv-sessions/sandbox/measure"
)

// sessions measures a session from its submission until it is ready: on a host that
// has to start first, and on one that is there.
func sessions(ctx context.Context, b *measure.Measurement) error {
	out, err := b.StackOutputs(ctx)
	if err != nil {
		return err
	}
	launcher, err := launch.New(b.AWS(), out, launch.WithPoll(100*time.Millisecond))
	if err != nil {
		return err
	}
	if err := takeHosts(ctx, b); err != nil {
		return err
	}
	const user = "player1"
	for _, host := range []string{"on a host that starts (2 s here, minutes on AWS)", "on a host that is there"} {
		var s launch.Session
		began := time.Now()
		err := b.Progress.Step("session "+host, "measured", func() (err error) {
			s, err = launcher.Start(ctx, user, launch.StartOptions{Wait: true})
			return err
		})
		if err != nil {
			return err
		}
		b.Add("submit to ready, "+host, s.Took(), "%.1f s", time.Since(began).Seconds())
		if _, err := launcher.End(ctx, user, "measured", launch.EndOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// takeHosts leaves no host that another session has started.
func takeHosts(ctx context.Context, b *measure.Measurement) error {
	list, err := batchhost.ReadHosts(ctx, b.Cloud)
	if err != nil {
		return err
	}
	for _, h := range list {
		if _, err := batchhost.TakeHost(ctx, b.Cloud, h.ID); err != nil {
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
func queued(ctx context.Context, b *measure.Measurement) error {
	out, err := b.StackOutputs(ctx)
	if err != nil {
		return err
	}
	client := batch.NewFromConfig(b.AWS())
	q, err := newQueue(ctx, b, client, out)
	if err != nil {
		return err
	}
	var waiting time.Duration
	var drained time.Duration
	err = b.Progress.Step(fmt.Sprintf("%d sessions at once on hosts for %d", crowd, places), "measured", func() error {
		if err := q.submit(ctx, places, longJob); err != nil {
			return err
		}
		if err := q.await(ctx, types.JobStatusRunning, places); err != nil {
			return err
		}
		if err := q.submit(ctx, crowd-places, shortJob); err != nil {
			return err
		}
		if waiting, err = gatewayCPU(b, observing); err != nil {
			return err
		}
		if err := q.await(ctx, types.JobStatusSucceeded, places); err != nil {
			return err
		}
		began := time.Now()
		err := q.await(ctx, types.JobStatusSucceeded, crowd)
		drained = time.Since(began)
		return err
	})
	if err != nil {
		return errors.Join(err, q.remove(ctx))
	}
	short := crowd - places
	ideal := shortJob * time.Duration(short/places)
	b.Add("queue of sessions worked off", fmt.Sprintf("%d of %s each, %d at a time; %.1f s where starting and ending cost nothing", short, shortJob, places, ideal.Seconds()),
		"%.1f a second", float64(short)/drained.Seconds())
	b.Add("CPU of waiting", fmt.Sprintf("%d jobs waiting and %d running, over %s, of one core; goal 0", short, places, observing), "%.1f %%",
		100*waiting.Seconds()/observing.Seconds())
	return q.remove(ctx)
}

// gatewayCPU returns how much processor time the gateway takes within a while.
func gatewayCPU(b *measure.Measurement, while time.Duration) (time.Duration, error) {
	i := slices.IndexFunc(b.Cloud.Processes, func(p local.Process) bool { return p.Name == "gateway" })
	if i < 0 {
		return 0, errors.New("there is no gateway")
	}
	before, err := processorTime(b.Cloud.Processes[i].PID)
	if err != nil {
		return 0, err
	}
	time.Sleep(while)
	after, err := processorTime(b.Cloud.Processes[i].PID)
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

// queue is a queue of the benchmark's own, on hosts like the stack's.
type queue struct {
	client                         *batch.Client
	environment, queue, definition string
}

func newQueue(ctx context.Context, b *measure.Measurement, client *batch.Client, out outputs.Outputs) (*queue, error) {
	image, err := jobImage(ctx, b)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("bench-%d", time.Now().Unix())
	stack, err := client.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{out.QueueARN}})
	if err != nil {
		return nil, err
	}
	like, err := client.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{
		ComputeEnvironments: []string{*stack.JobQueues[0].ComputeEnvironmentOrder[0].ComputeEnvironment}})
	if err != nil {
		return nil, err
	}
	resources := *like.ComputeEnvironments[0].ComputeResources
	resources.MaxvCpus, resources.InstanceTypes = aws.Int32(4*places), []string{"g4dn.xlarge"}
	environment, err := client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: like.ComputeEnvironments[0].ServiceRole, ComputeResources: &resources})
	if err != nil {
		return nil, err
	}
	created, err := client.CreateJobQueue(ctx, &batch.CreateJobQueueInput{JobQueueName: &name, Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{ComputeEnvironment: environment.ComputeEnvironmentArn, Order: aws.Int32(1)}}})
	if err != nil {
		return nil, err
	}
	definition, err := client.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: &image, LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": out.LogGroup}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("3")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}},
		}})
	if err != nil {
		return nil, err
	}
	return &queue{client, *environment.ComputeEnvironmentArn, *created.JobQueueArn, *definition.JobDefinitionArn}, nil
}

// jobImage puts the job's program into an image that has nothing else.
func jobImage(ctx context.Context, b *measure.Measurement) (string, error) {
	const image = "dcv-sessions/benchjob:1"
	program := b.File("benchjob")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./bench/job")
	build.Dir = b.Tree.Root + "/sandbox"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := b.Progress.Command(ctx, build); err != nil {
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
	load := local.Docker(ctx, b.Cloud.DockerHost, "import", "--change", `ENTRYPOINT ["/benchjob"]`, "-", image)
	load.Stdin = &layer
	return image, b.Progress.Command(ctx, load)
}

func (q *queue) submit(ctx context.Context, count int, length time.Duration) error {
	for range count {
		if _, err := q.client.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: &q.queue, JobDefinition: &q.definition,
			ContainerOverrides: &types.ContainerOverrides{Command: []string{length.String()}}}); err != nil {
			return err
		}
	}
	return nil
}

// await waits until so many jobs are in a state.
func (q *queue) await(ctx context.Context, status types.JobStatus, count int) error {
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
func (q *queue) remove(ctx context.Context) error {
	_, first := q.client.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &q.definition})
	_, second := q.client.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &q.queue, State: types.JQStateDisabled})
	_, third := q.client.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &q.queue})
	_, fourth := q.client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &q.environment, State: types.CEStateDisabled})
	_, fifth := q.client.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &q.environment})
	return errors.Join(first, second, third, fourth, fifth)
}
