package measure

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Queue is a job queue of a measurement's own, on hosts like the stack's. Its jobs are
// as small as can be: each sleeps for a time.
type Queue struct {
	client                         *batch.Client
	environment, queue, definition string
}

// NewQueue makes a queue that runs so many jobs at a time, each on a host of its own.
func (m *Measurement) NewQueue(ctx context.Context, places int) (*Queue, error) {
	out, err := m.StackOutputs(ctx)
	if err != nil {
		return nil, err
	}
	client := batch.NewFromConfig(m.AWS())
	image, err := m.jobImage(ctx)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("bench-%d", time.Now().UnixMilli())
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
	resources.MaxvCpus, resources.InstanceTypes = aws.Int32(int32(4*places)), []string{"g4dn.xlarge"}
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
	role, err := executionRole(ctx, client, out)
	if err != nil {
		return nil, err
	}
	definition, err := client.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: &image, ExecutionRoleArn: role, LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": out.LogGroup}},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("3")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}},
		}})
	if err != nil {
		return nil, err
	}
	return &Queue{client, *environment.ComputeEnvironmentArn, *created.JobQueueArn, *definition.JobDefinitionArn}, nil
}

// executionRole returns the role of the stack's sessions by which the ECS agent writes
// their logs; a host itself may not.
func executionRole(ctx context.Context, client *batch.Client, out outputs.Outputs) (*string, error) {
	names := slices.Sorted(maps.Values(out.JobDefinitions))
	if len(names) == 0 {
		return nil, errors.New("the stack has no users: a job definition of one is needed")
	}
	described, err := client.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &names[0], Status: aws.String("ACTIVE")})
	if err != nil {
		return nil, err
	}
	if len(described.JobDefinitions) == 0 {
		return nil, fmt.Errorf("there is no active job definition %s", names[0])
	}
	return described.JobDefinitions[0].ContainerProperties.ExecutionRoleArn, nil
}

// jobImage puts the job's program into an image that has nothing else.
func (m *Measurement) jobImage(ctx context.Context) (string, error) {
	const image = "dcv-sessions/benchjob:1"
	program := m.File("benchjob")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./bench/job")
	build.Dir = m.Tree.Root + "/sandbox"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := m.Progress.Command(ctx, build); err != nil {
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
	load := local.Docker(ctx, m.Cloud.DockerHost, "import", "--change", `ENTRYPOINT ["/benchjob"]`, "-", image)
	load.Stdin = &layer
	return image, m.Progress.Command(ctx, load)
}

// Submit submits a job that sleeps for a time, and returns its id.
func (q *Queue) Submit(ctx context.Context, length time.Duration) (string, error) {
	submitted, err := q.client.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: &q.queue, JobDefinition: &q.definition,
		ContainerOverrides: &types.ContainerOverrides{Command: []string{length.String()}}})
	if err != nil {
		return "", err
	}
	return *submitted.JobId, nil
}

// Jobs describes jobs, in the order of their ids.
func (q *Queue) Jobs(ctx context.Context, ids []string) ([]types.JobDetail, error) {
	found := map[string]types.JobDetail{}
	for some := range slices.Chunk(ids, 100) { // as many as DescribeJobs takes
		described, err := q.client.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: some})
		if err != nil {
			return nil, err
		}
		for _, j := range described.Jobs {
			found[*j.JobId] = j
		}
	}
	jobs := make([]types.JobDetail, len(ids))
	for i, id := range ids {
		j, there := found[id]
		if !there {
			return nil, fmt.Errorf("there is no job %s", id)
		}
		jobs[i] = j
	}
	return jobs, nil
}

// Await waits until so many jobs are in a state. It is an error if one has failed.
func (q *Queue) Await(ctx context.Context, status types.JobStatus, count int) error {
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		listed, err := q.client.ListJobs(ctx, &batch.ListJobsInput{JobQueue: &q.queue, JobStatus: status})
		if err != nil {
			return err
		}
		if len(listed.JobSummaryList) >= count {
			return nil
		}
		failed, err := q.client.ListJobs(ctx, &batch.ListJobsInput{JobQueue: &q.queue, JobStatus: types.JobStatusFailed})
		if err != nil {
			return err
		}
		for _, j := range failed.JobSummaryList {
			return fmt.Errorf("job %s failed: %s", *j.JobId, reason(j))
		}
	}
	return fmt.Errorf("no %d jobs are %s after 3 minutes", count, status)
}

// reason returns why a job failed, as AWS Batch and its container give it.
func reason(j types.JobSummary) string {
	text := aws.ToString(j.StatusReason)
	if j.Container != nil && j.Container.Reason != nil {
		text += " (" + *j.Container.Reason + ")"
	}
	return text
}

// Remove takes the queue away, and with it its jobs and hosts.
func (q *Queue) Remove(ctx context.Context) error {
	_, first := q.client.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &q.definition})
	_, second := q.client.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &q.queue, State: types.JQStateDisabled})
	_, third := q.client.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &q.queue})
	_, fourth := q.client.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &q.environment, State: types.CEStateDisabled})
	_, fifth := q.client.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &q.environment})
	return errors.Join(first, second, third, fourth, fifth)
}
