package batch

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// control reads the control plane by AWS's own calls.
type control struct {
	batch *batch.Client
	ec2   *ec2.Client
}

// newControl returns a control that calls an endpoint as the administrator.
func newControl(endpoint, accessKey string) control {
	config := aws.Config{
		Region: local.Region, BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, local.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: local.Transport(), Timeout: 30 * time.Second},
	}
	return control{batch.NewFromConfig(config), ec2.NewFromConfig(config)}
}

// plane reads all queues and environments.
func (c control) plane(ctx context.Context) (Plane, error) {
	var p Plane
	for pages := batch.NewDescribeJobQueuesPaginator(c.batch, &batch.DescribeJobQueuesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return p, err
		}
		for _, q := range page.JobQueues {
			p.Queues = append(p.Queues, queueOf(q))
		}
	}
	for pages := batch.NewDescribeComputeEnvironmentsPaginator(c.batch, &batch.DescribeComputeEnvironmentsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return p, err
		}
		for _, detail := range page.ComputeEnvironments {
			e, err := c.environment(ctx, detail)
			if err != nil {
				return p, fmt.Errorf("compute environment %s: %w", e.Name, err)
			}
			p.Environments = append(p.Environments, e)
		}
	}
	return p, nil
}

func queueOf(q types.JobQueueDetail) Queue {
	queue := Queue{ARN: *q.JobQueueArn, Name: *q.JobQueueName, Enabled: q.State == types.JQStateEnabled, Priority: int(aws.ToInt32(q.Priority))}
	slices.SortFunc(q.ComputeEnvironmentOrder, func(a, b types.ComputeEnvironmentOrder) int { return cmp.Compare(*a.Order, *b.Order) })
	for _, o := range q.ComputeEnvironmentOrder {
		queue.Environments = append(queue.Environments, *o.ComputeEnvironment)
	}
	for _, l := range q.JobStateTimeLimitActions {
		queue.TimeLimits = append(queue.TimeLimits, TimeLimit{*l.Reason, time.Duration(*l.MaxTimeSeconds) * time.Second})
	}
	return queue
}

func (c control) environment(ctx context.Context, detail types.ComputeEnvironmentDetail) (Environment, error) {
	r := cmp.Or(detail.ComputeResources, &types.ComputeResource{}) // an unmanaged one has none
	policy := cmp.Or(detail.UpdatePolicy, &types.UpdatePolicy{})
	e := Environment{
		ARN: *detail.ComputeEnvironmentArn, Name: *detail.ComputeEnvironmentName,
		Enabled:  detail.State == types.CEStateEnabled && detail.Status != types.CEStatusInvalid,
		MinVCPUs: int(aws.ToInt32(r.MinvCpus)), MaxVCPUs: int(aws.ToInt32(r.MaxvCpus)), Strategy: string(r.AllocationStrategy),
		InstanceProfileARN: aws.ToString(r.InstanceRole), SecurityGroups: r.SecurityGroupIds,
		UpdatePolicy: UpdatePolicy{aws.ToBool(policy.TerminateJobsOnUpdate), int(cmp.Or(aws.ToInt64(policy.JobExecutionTimeoutMinutes), 30))}, // 30 is AWS's default
	}
	var err error
	if e.Infrastructure, err = infrastructureOf(*r); err != nil {
		return e, err
	}
	if e.Types, err = c.types(ctx, r.InstanceTypes); err != nil {
		return e, err
	}
	e.StopTimeout, err = c.stopTimeout(ctx, r.LaunchTemplate)
	return e, err
}

// infrastructureOf returns an environment's settings without those that can change
// without a replacement of hosts.
func infrastructureOf(r types.ComputeResource) (string, error) {
	r.MinvCpus, r.MaxvCpus, r.DesiredvCpus = nil, nil, nil
	text, err := json.Marshal(r)
	return string(text), err
}

// agentReserveMiB is ECS_RESERVED_MEMORY on Batch's images (AWS Batch user
// guide, "Compute resource memory management").
const agentReserveMiB = 32

// types reads the sizes of instance types. The kernel takes a part of the
// memory that is sold: 5 percent, as components/compute estimates, so that a session
// which passes there fits here.
func (c control) types(ctx context.Context, names []string) ([]InstanceType, error) {
	if len(names) == 0 {
		return nil, nil
	}
	in := &ec2.DescribeInstanceTypesInput{}
	for _, name := range names {
		in.InstanceTypes = append(in.InstanceTypes, ec2types.InstanceType(name))
	}
	sizes := map[string]InstanceType{}
	for pages := ec2.NewDescribeInstanceTypesPaginator(c.ec2, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.InstanceTypes {
			size := InstanceType{Name: string(t.InstanceType), VCPUs: int(*t.VCpuInfo.DefaultVCpus), MemoryMiB: int(*t.MemoryInfo.SizeInMiB)*95/100 - agentReserveMiB}
			if t.GpuInfo != nil {
				for _, gpu := range t.GpuInfo.Gpus {
					size.GPUs += int(*gpu.Count)
				}
			}
			sizes[size.Name] = size
		}
	}
	var list []InstanceType
	for _, name := range names {
		size, known := sizes[name]
		if !known {
			return nil, fmt.Errorf("the sandbox knows no instance type %s: whole types are taken, no families", name)
		}
		list = append(list, size)
	}
	return list, nil
}

// defaultStop is ECS_CONTAINER_STOP_TIMEOUT if a host sets none (ECS developer
// guide, "Amazon ECS container agent configuration").
const defaultStop = 30 * time.Second

var stopSetting = regexp.MustCompile(`(?m)^ECS_CONTAINER_STOP_TIMEOUT=(\w+)$`)

// stopTimeout reads the agent's setting from the user data of the hosts' launch
// template.
func (c control) stopTimeout(ctx context.Context, template *types.LaunchTemplateSpecification) (time.Duration, error) {
	if template == nil {
		return defaultStop, nil
	}
	versions, err := c.ec2.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: template.LaunchTemplateId, LaunchTemplateName: template.LaunchTemplateName,
		Versions: []string{cmp.Or(aws.ToString(template.Version), "$Default")},
	})
	if err != nil {
		return 0, err
	}
	for _, version := range versions.LaunchTemplateVersions {
		text, err := base64.StdEncoding.DecodeString(aws.ToString(version.LaunchTemplateData.UserData))
		if err != nil {
			return 0, fmt.Errorf("launch template %s: user data: %w", *version.LaunchTemplateId, err)
		}
		if found := stopSetting.FindSubmatch(text); found != nil {
			return time.ParseDuration(string(found[1]))
		}
	}
	return defaultStop, nil
}

// definition is a revision of a job definition, as this Batch understands it and with
// all its members.
type definition struct {
	Definition
	members map[string]any
}

// definitions returns all revisions of a job definition.
func (c control) definitions(ctx context.Context, name string) ([]definition, error) {
	var all []definition
	for pages := batch.NewDescribeJobDefinitionsPaginator(c.batch, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &name}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, revision := range page.JobDefinitions {
			// The SDK's fields have the members' names, except for the first letter's case.
			text, err := json.Marshal(revision)
			if err != nil {
				return nil, err
			}
			var d definition
			if err := errors.Join(json.Unmarshal(text, &d.Definition), json.Unmarshal(text, &d.members)); err != nil {
				return nil, fmt.Errorf("job definition %s: %w", name, err)
			}
			all = append(all, d)
		}
	}
	return all, nil
}

var capital = regexp.MustCompile(`\b[A-Z]`)

// unknown returns the paths of the members that this Batch does not know.
func (d definition) unknown() []string {
	delete(d.members, "ContainerOrchestrationType") // ECS, always
	paths := gateway.Unknown(d.members, reflect.TypeFor[Definition]())
	for i, path := range paths {
		paths[i] = capital.ReplaceAllStringFunc(path, strings.ToLower)
	}
	return paths
}
