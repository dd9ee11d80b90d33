package batch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

// plant is a service in a gateway before a real moto, with an agent that starts
// every task at once and ends it on request.
type plant struct {
	*Service
	t      *testing.T
	aws    aws.Config
	client *batch.Client
	url    string
	name   string // of the queue and everything else of this test

	mu    sync.Mutex
	tasks []Task
	hosts []Host
}

var plants atomic.Int64

// newPlant makes the test parallel to those that have a plant of their own: they wait for
// moto and for the gateway.
func newPlant(t *testing.T) *plant {
	t.Parallel()
	p := &plant{t: t, name: fmt.Sprintf("queue-%d", plants.Add(1))}
	moto := mototest.Moto(t)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	p.url = server.URL
	p.Service = NewService(Config{
		AccessKey: "sandbox", Agent: p, HostStart: time.Millisecond, HostIdle: time.Minute, Minute: time.Minute,
		Now: time.Now, NewID: RandomID, Logf: t.Logf,
	}, server.URL)
	g, err := gateway.New(gateway.Config{
		Upstream: moto, Registry: "127.0.0.1:1", Log: t.Output(), Behaviours: p.Behaviours(),
		Pages: map[string]http.HandlerFunc{HostsPath: p.HostsPage},
	})
	require.NoError(t, err)
	handler = g
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { p.Service.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	p.aws = aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	}
	p.client = batch.NewFromConfig(p.aws)
	p.createQueue()
	return p
}

func (p *plant) StartHost(h Host) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts = append(p.hosts, h)
	return nil
}

func (p *plant) StopHost(string) {}

func (p *plant) Run(task Task, w Watcher) {
	p.mu.Lock()
	p.tasks = append(p.tasks, task)
	p.mu.Unlock()
	w.Started(task.ID, "player1/default/"+task.ID)
}

func (p *plant) Stop(taskID string) { p.end(taskID, 143) }

func (p *plant) end(taskID string, code int) {
	p.scheduler.Ended(taskID, Ending{ExitCode: &code, StatusReason: "Essential container in task exited"})
}

// createQueue makes an environment of g4dn.xlarge, a queue and a definition.
func (p *plant) createQueue() {
	p.t.Helper()
	ctx := p.t.Context()
	machines, users := ec2.NewFromConfig(p.aws), iam.NewFromConfig(p.aws)
	subnets, err := machines.DescribeSubnets(ctx, nil)
	require.NoError(p.t, err)
	groups, err := machines.DescribeSecurityGroups(ctx, nil)
	require.NoError(p.t, err)
	template, err := machines.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: &p.name,
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{UserData: aws.String(base64.StdEncoding.EncodeToString([]byte("ECS_CONTAINER_STOP_TIMEOUT=45s\n")))},
	})
	require.NoError(p.t, err)
	_, err = users.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &p.name, AssumeRolePolicyDocument: aws.String("{}")})
	require.NoError(p.t, err)
	_, err = users.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: &p.name})
	require.NoError(p.t, err)
	environment, err := p.client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &p.name, Type: types.CETypeManaged, State: types.CEStateEnabled, ServiceRole: aws.String("arn:aws:iam::123456789012:role/" + p.name),
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, AllocationStrategy: types.CRAllocationStrategyBestFitProgressive, InstanceTypes: []string{"g4dn.xlarge"},
			MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(8), Subnets: []string{*subnets.Subnets[0].SubnetId}, SecurityGroupIds: []string{*groups.SecurityGroups[0].GroupId},
			InstanceRole:   aws.String("arn:aws:iam::123456789012:instance-profile/" + p.name),
			LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: template.LaunchTemplate.LaunchTemplateId, Version: aws.String("1")},
		},
	})
	require.NoError(p.t, err)
	_, err = p.client.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
		JobQueueName: &p.name, Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{ComputeEnvironment: environment.ComputeEnvironmentArn, Order: aws.Int32(1)}},
		JobStateTimeLimitActions: []types.JobStateTimeLimitAction{{Action: types.JobStateTimeLimitActionsActionCancel, State: types.JobStateTimeLimitActionsStateRunnable,
			Reason: aws.String("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"), MaxTimeSeconds: aws.Int32(600)}},
	})
	require.NoError(p.t, err)
	p.register(func(*batch.RegisterJobDefinitionInput) {})
}

func (p *plant) register(change func(*batch.RegisterJobDefinitionInput)) string {
	p.t.Helper()
	in := &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &p.name, Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityEc2},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("game@sha256:1"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/execution"), JobRoleArn: aws.String("arn:aws:iam::123456789012:role/session"),
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("3")}, {Type: types.ResourceTypeMemory, Value: aws.String("2048")}, {Type: types.ResourceTypeGpu, Value: aws.String("1")}},
			Environment:          []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("2")}, {Name: aws.String("A"), Value: aws.String("1")}},
			Secrets:              []types.Secret{{Name: aws.String("S"), ValueFrom: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf")}},
			LinuxParameters:      &types.LinuxParameters{SharedMemorySize: aws.Int32(256)},
			LogConfiguration:     &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/sessions"}},
		},
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{
			{Action: "retry", OnStatusReason: aws.String("Host EC2*")}, {Action: "exit", OnReason: aws.String("*")}}},
		Timeout: &types.JobTimeout{AttemptDurationSeconds: aws.Int32(3600)}, PropagateTags: aws.Bool(true),
	}
	change(in)
	out, err := p.client.RegisterJobDefinition(p.t.Context(), in)
	require.NoError(p.t, err)
	return *out.JobDefinitionArn
}

func (p *plant) submit(change ...func(*batch.SubmitJobInput)) (string, error) {
	in := &batch.SubmitJobInput{JobName: aws.String("player1"), JobQueue: &p.name, JobDefinition: &p.name, Tags: map[string]string{"user": "player1"}}
	for _, f := range change {
		f(in)
	}
	out, err := p.client.SubmitJob(p.t.Context(), in)
	if err != nil {
		return "", err
	}
	assert.Equal(p.t, "arn:aws:batch:us-east-1:123456789012:job/"+*out.JobId, *out.JobArn)
	return *out.JobId, nil
}

func (p *plant) describe(id string) types.JobDetail {
	p.t.Helper()
	out, err := p.client.DescribeJobs(p.t.Context(), &batch.DescribeJobsInput{Jobs: []string{id, "unknown"}})
	require.NoError(p.t, err)
	require.Len(p.t, out.Jobs, 1, "unknown ids are left out")
	return out.Jobs[0]
}

func (p *plant) await(id string, status types.JobStatus) types.JobDetail {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.describe(id).Status == status }, 10*time.Second, 10*time.Millisecond, status)
	return p.describe(id)
}

// refused is the message of the service's error.
func refused(t *testing.T, err error) string {
	t.Helper()
	var fault smithy.APIError
	require.ErrorAs(t, err, &fault)
	var client *types.ClientException
	assert.True(t, errors.As(err, &client), "a ClientException: %v", err)
	return fault.ErrorMessage()
}

func TestASubmittedJobRunsAndIsDescribedAsAWSDoes(t *testing.T) {
	p := newPlant(t)
	id, err := p.submit(func(in *batch.SubmitJobInput) {
		in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("B"), Value: aws.String("3")}}}
	})
	require.NoError(t, err)
	j := p.await(id, types.JobStatusRunning)
	assert.Equal(t, "arn:aws:batch:us-east-1:123456789012:job-queue/"+p.name, *j.JobQueue)
	assert.Equal(t, "arn:aws:batch:us-east-1:123456789012:job-definition/"+p.name+":1", *j.JobDefinition)
	assert.Equal(t, map[string]string{"user": "player1"}, j.Tags)
	assert.Nil(t, j.StatusReason)
	assert.Nil(t, j.StoppedAt)
	assert.NotNil(t, j.StartedAt)
	assert.Empty(t, j.Attempts)
	assert.EqualValues(t, 2, *j.RetryStrategy.Attempts)
	assert.EqualValues(t, 3600, *j.Timeout.AttemptDurationSeconds)
	c := j.Container
	assert.Equal(t, []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}, {Name: aws.String("B"), Value: aws.String("3")}}, c.Environment)
	assert.EqualValues(t, 256, *c.LinuxParameters.SharedMemorySize)
	assert.Equal(t, types.LogDriverAwslogs, c.LogConfiguration.LogDriver)
	assert.Nil(t, c.ExitCode)
	assert.Regexp(t, "^player1/default/[0-9a-f]{32}$", *c.LogStreamName)
	assert.True(t, strings.HasSuffix(*c.LogStreamName, (*c.TaskArn)[strings.LastIndex(*c.TaskArn, "/")+1:]), "the stream ends with the task's id")
	assert.Equal(t, 45*time.Second, p.hosts[0].StopTimeout, "as the launch template has it")
	assert.Equal(t, InstanceType{"g4dn.xlarge", 4, 16384*95/100 - 32, 1}, p.hosts[0].Type)

	p.end(p.tasks[0].ID, 0)
	j = p.await(id, types.JobStatusSucceeded)
	assert.Equal(t, "Essential container in task exited", *j.StatusReason)
	assert.EqualValues(t, 0, *j.Container.ExitCode)
	require.Len(t, j.Attempts, 1)
	assert.Equal(t, *j.Container.LogStreamName, *j.Attempts[0].Container.LogStreamName)
	assert.Equal(t, *j.StoppedAt, *j.Attempts[0].StoppedAt)
}

// By its definition, a job takes three of a host's four vCPUs.
func TestASubmissionDecidesHowManyJobsAHostCarries(t *testing.T) {
	p := newPlant(t)
	p.register(func(in *batch.RegisterJobDefinitionInput) {
		in.ContainerProperties.ResourceRequirements = in.ContainerProperties.ResourceRequirements[:2] // no GPU
	})
	half := []types.ResourceRequirement{{Type: types.ResourceTypeMemory, Value: aws.String("7766")}, {Type: types.ResourceTypeVcpu, Value: aws.String("2")}}
	hosts := map[string]int{}
	for range 3 {
		id, err := p.submit(func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{ResourceRequirements: half}
		})
		require.NoError(t, err)
		c := p.await(id, types.JobStatusRunning).Container
		assert.ElementsMatch(t, half, c.ResourceRequirements)
		hosts[*c.ContainerInstanceArn]++
	}
	assert.Len(t, hosts, 2, "two share a host, the third has another")
	for _, task := range p.tasks {
		needs, err := task.Container.Needs()
		require.NoError(t, err)
		assert.Equal(t, Resources{VCPUs: 2, MemoryMiB: 7766}, needs, "the container's limits")
	}
}

func TestAJobDefinitionIsTakenByNameRevisionOrARN(t *testing.T) {
	p := newPlant(t)
	second := p.register(func(in *batch.RegisterJobDefinitionInput) { in.ContainerProperties.Image = aws.String("game@sha256:2") })
	for named, revision := range map[string]string{
		p.name: ":2", p.name + ":1": ":1", second: ":2", strings.TrimSuffix(second, ":2"): ":2", strings.TrimSuffix(second, "2") + "1": ":1",
	} {
		id, err := p.submit(func(in *batch.SubmitJobInput) { in.JobDefinition = &named })
		require.NoError(t, err, named)
		assert.True(t, strings.HasSuffix(*p.describe(id).JobDefinition, revision), named)
	}
	_, err := p.client.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: &second})
	require.NoError(t, err)
	id, err := p.submit()
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(*p.describe(id).JobDefinition, ":1"), "the latest active one")
	for _, named := range []string{second, p.name + ":9", p.name + ":x", "none"} {
		_, err := p.submit(func(in *batch.SubmitJobInput) { in.JobDefinition = &named })
		assert.Contains(t, refused(t, err), named)
	}
}

func TestADisabledOrUnknownQueueTakesNoJob(t *testing.T) {
	p := newPlant(t)
	_, err := p.submit(func(in *batch.SubmitJobInput) { in.JobQueue = aws.String("none") })
	assert.Contains(t, refused(t, err), "none")
	_, err = p.client.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: &p.name, State: types.JQStateDisabled})
	require.NoError(t, err)
	_, err = p.submit()
	assert.Contains(t, refused(t, err), "DISABLED")
}

func TestWhatTheAgentDoesNotKnowIsRefusedByName(t *testing.T) {
	p := newPlant(t)
	p.Check = func(c ContainerProperties) []error {
		if c.LogConfiguration.LogDriver == "syslog" {
			return []error{errors.New("containerProperties.logConfiguration.logDriver syslog")}
		}
		return nil
	}
	for path, change := range map[string]func(*batch.RegisterJobDefinitionInput){
		"containerProperties.linuxParameters.tmpfs": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.LinuxParameters.Tmpfs = []types.Tmpfs{{ContainerPath: aws.String("/t"), Size: aws.Int32(1)}}
		},
		"containerProperties.linuxParameters.initProcessEnabled": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.LinuxParameters.InitProcessEnabled = aws.Bool(true)
		},
		"containerProperties.mountPoints": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.MountPoints = []types.MountPoint{{ContainerPath: aws.String("/m"), SourceVolume: aws.String("v")}}
		},
		"containerProperties.readonlyRootFilesystem": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.ReadonlyRootFilesystem = aws.Bool(true)
		},
		"containerProperties.logConfiguration.logDriver syslog": func(in *batch.RegisterJobDefinitionInput) {
			in.ContainerProperties.LogConfiguration.LogDriver = types.LogDriverSyslog
		},
		"parameters": func(in *batch.RegisterJobDefinitionInput) { in.Parameters = map[string]string{"a": "b"} },
	} {
		p.register(change)
		_, err := p.submit()
		assert.Contains(t, refused(t, err), path)
	}
	p.register(func(*batch.RegisterJobDefinitionInput) {})
	for key, change := range map[string]func(*batch.SubmitJobInput){
		"dependsOn":       func(in *batch.SubmitJobInput) { in.DependsOn = []types.JobDependency{{JobId: aws.String("x")}} },
		"arrayProperties": func(in *batch.SubmitJobInput) { in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(2)} },
		"shareIdentifier": func(in *batch.SubmitJobInput) { in.ShareIdentifier = aws.String("a") },
		"jobName":         func(in *batch.SubmitJobInput) { in.JobName = aws.String("no blanks") },
		"AWS_BATCH": func(in *batch.SubmitJobInput) {
			in.ContainerOverrides = &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("AWS_BATCH_X"), Value: aws.String("1")}}}
		},
		"attemptDuration": func(in *batch.SubmitJobInput) { in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(59)} },
		"attempts":        func(in *batch.SubmitJobInput) { in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(11)} },
		"RetryAttempts must": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = &types.RetryStrategy{EvaluateOnExit: []types.EvaluateOnExit{{Action: "exit", OnReason: aws.String("*")}}}
		},
		"restricted": func(in *batch.SubmitJobInput) {
			in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(2), EvaluateOnExit: []types.EvaluateOnExit{{Action: "exit", OnReason: aws.String("*x")}}}
		},
	} {
		_, err := p.submit(change)
		assert.Contains(t, refused(t, err), key)
	}
}

func TestListJobsShowsWhatAWSShows(t *testing.T) {
	p := newPlant(t)
	var ids []string
	for i := range 4 { // two run, two wait: the environment has 8 vCPUs
		id, err := p.submit(func(in *batch.SubmitJobInput) { in.JobName = aws.String(fmt.Sprintf("Stack_player%d", i)) })
		require.NoError(t, err)
		ids = append(ids, id)
	}
	p.await(ids[1], types.JobStatusRunning)
	list := func(in batch.ListJobsInput) (found []string) {
		in.JobQueue = &p.name
		pages := batch.NewListJobsPaginator(p.client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			for _, j := range page.JobSummaryList {
				found = append(found, *j.JobId)
			}
		}
		return found
	}
	filter := func(name string, values ...string) batch.ListJobsInput {
		return batch.ListJobsInput{Filters: []types.KeyValuesPair{{Name: &name, Values: values}}}
	}
	assert.ElementsMatch(t, ids[:2], list(batch.ListJobsInput{}), "RUNNING only, where nothing is asked for")
	assert.ElementsMatch(t, ids[2:], list(batch.ListJobsInput{JobStatus: types.JobStatusRunnable}))
	assert.Equal(t, []string{ids[3]}, list(filter("JOB_NAME", "stack_PLAYER3")), "whatever the case")
	assert.Equal(t, []string{ids[3], ids[2], ids[1], ids[0]}, list(filter("JOB_NAME", "stack_*")), "of every state, the newest first")
	paged := filter("JOB_NAME", "stack_*")
	paged.MaxResults = aws.Int32(1)
	assert.Len(t, list(paged), 4, "page by page")
	_, err := p.client.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: aws.String("none")})
	refused(t, err)
	other := filter("JOB_DEFINITION", p.name)
	other.JobQueue = &p.name
	_, err = p.client.ListJobs(t.Context(), &other)
	assert.Contains(t, refused(t, err), "JOB_DEFINITION")
}

func TestCancelTerminateAndTagsOfJobs(t *testing.T) {
	p := newPlant(t)
	runs, err := p.submit()
	require.NoError(t, err)
	p.await(runs, types.JobStatusRunning)
	_, err = p.client.CancelJob(t.Context(), &batch.CancelJobInput{JobId: &runs, Reason: aws.String("x")})
	require.NoError(t, err)
	assert.Equal(t, types.JobStatusRunning, p.describe(runs).Status, "a cancel does nothing to a job that runs")
	_, err = p.client.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &runs, Reason: aws.String("enough")})
	require.NoError(t, err)
	j := p.await(runs, types.JobStatusFailed)
	assert.Equal(t, "enough", *j.StatusReason)
	assert.True(t, *j.IsTerminated)

	arn := "arn:aws:batch:us-east-1:123456789012:job/" + runs
	_, err = p.client.TagResource(t.Context(), &batch.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"a": "b"}})
	require.NoError(t, err)
	_, err = p.client.UntagResource(t.Context(), &batch.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"user"}})
	require.NoError(t, err)
	tags, err := p.client.ListTagsForResource(t.Context(), &batch.ListTagsForResourceInput{ResourceArn: &arn})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "b"}, tags.Tags)
	_, err = p.client.ListTagsForResource(t.Context(), &batch.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:batch:us-east-1:123456789012:job-queue/" + p.name)})
	assert.NoError(t, err, "of other resources moto tells the tags")
	for _, absent := range []string{arn + "0", strings.Replace(arn, "123456789012", "210987654321", 1)} {
		_, err := p.client.TagResource(t.Context(), &batch.TagResourceInput{ResourceArn: &absent, Tags: map[string]string{"a": "b"}})
		assert.ErrorContains(t, err, "Resource "+absent+" does not exist.")
	}
}

func TestAHostIsTakenAwayByHand(t *testing.T) {
	p := newPlant(t)
	id, err := p.submit()
	require.NoError(t, err)
	p.await(id, types.JobStatusRunning)
	res, err := http.Post(p.url+HostsPath, "", nil)
	require.NoError(t, err)
	res.Body.Close()
	require.Eventually(t, func() bool {
		j := p.describe(id)
		return len(j.Attempts) == 1 && j.Status == types.JobStatusRunning
	}, 10*time.Second, 10*time.Millisecond, "it runs again")
	j := p.describe(id)
	assert.Regexp(t, `^Host EC2 \(instance i-[0-9a-f]{17}\) terminated\.$`, *j.Attempts[0].StatusReason)
	assert.Nil(t, j.Attempts[0].Container.ExitCode)
	assert.NotEqual(t, *j.Attempts[0].Container.LogStreamName, *j.Container.LogStreamName)
	var hosts []HostState
	res, err = http.Get(p.url + HostsPath)
	require.NoError(t, err)
	defer res.Body.Close()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&hosts))
	require.Len(t, hosts, 1)
	assert.Equal(t, []string{id}, hosts[0].Jobs)
	res, err = http.Post(p.url+HostsPath+"?take=i-none", "", nil)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
}

// jobOfBotocore makes each call once by botocore, on which the AWS CLI is built, and
// prints the answers.
const jobOfBotocore = `
import boto3, json, sys, time
url, queue = sys.argv[1:]
batch = boto3.client("batch", endpoint_url=url, region_name="us-east-1", aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
id = batch.submit_job(jobName="player1", jobQueue=queue, jobDefinition=queue, tags={"user": "player1"}, propagateTags=True)["jobId"]
def becomes(status):
    for _ in range(1000):
        job = batch.describe_jobs(jobs=[id])["jobs"][0]
        if job["status"] == status:
            return job
        time.sleep(0.01)
    sys.exit("the job is %s, not %s" % (job["status"], status))
runs = becomes("RUNNING")
listed = batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["player1"]}])["jobSummaryList"]
batch.cancel_job(jobId=id, reason="x")
batch.terminate_job(jobId=id, reason="enough")
print(json.dumps({"id": id, "runs": runs, "listed": listed, "failed": becomes("FAILED")}))
`

func TestBotocoreParsesEveryAnswer(t *testing.T) {
	p := newPlant(t)
	out, err := mototest.Python(t, jobOfBotocore, p.url, p.name).Output()
	require.NoError(t, err)
	var saw struct {
		ID           string
		Runs, Failed map[string]any
		Listed       []struct{ JobID string }
	}
	require.NoError(t, json.Unmarshal(out, &saw), string(out))
	assert.Equal(t, "RUNNING", saw.Runs["status"])
	assert.NotContains(t, saw.Runs, "stoppedAt")
	require.Len(t, saw.Listed, 1)
	assert.Equal(t, saw.ID, saw.Listed[0].JobID)
	assert.Equal(t, "enough", saw.Failed["statusReason"])
	assert.EqualValues(t, 143, saw.Failed["container"].(map[string]any)["exitCode"])
}

func TestAJobsNewStateIsToldAsDescribeJobsShowsIt(t *testing.T) {
	s := NewService(Config{}, "http://127.0.0.1:1")
	s.scheduler.config.changed(Job{ARN: "arn:untold"})
	told := map[string]any{}
	s.Changed = func(arn string, detail any) { told[arn] = detail }
	j := Job{ARN: "arn:job", Status: Failed, StatusReason: "enough"}
	s.scheduler.config.changed(j)
	require.Equal(t, map[string]any{"arn:job": s.detail(j)}, told)
}

func TestAJobThatBlocksItsQueueIsReportedAsDescribeJobsShowsIt(t *testing.T) {
	s := NewService(Config{}, "http://127.0.0.1:1")
	s.scheduler.config.blocked(Job{ARN: "arn:unreported"})
	reported := map[string]any{}
	s.Blocked = func(job, queue string, detail any) { reported[job+" "+queue] = detail }
	j := Job{ARN: "arn:job", QueueARN: "arn:queue", Status: Runnable, StatusReason: "MISCONFIGURATION"}
	s.scheduler.config.blocked(j)
	require.Equal(t, map[string]any{"arn:job arn:queue": s.detail(j)}, reported)
}
