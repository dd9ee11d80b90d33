package ecs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// machine describes this computer's Docker.
type machine struct {
	limitsMemory bool
	gpus         []string // ids of real GPUs; none if NVIDIA's runtime is not installed
	lacks        []string // in words
}

var gpuID = regexp.MustCompile(`UUID: (GPU-[0-9a-f-]+)`)

func inspectMachine(ctx context.Context, docker *client.Client) (machine, error) {
	info, err := docker.Info(ctx)
	if err != nil {
		return machine{}, err
	}
	m := machine{limitsMemory: info.MemoryLimit}
	if !m.limitsMemory {
		m.lacks = append(m.lacks, "this machine's Docker can't limit memory: no session is ended for using too much")
	}
	if _, installed := info.Runtimes["nvidia"]; installed {
		out, err := exec.CommandContext(ctx, "nvidia-smi", "-L").Output()
		if err != nil {
			m.lacks = append(m.lacks, fmt.Sprintf("NVIDIA's runtime is installed, but its GPUs can't be listed, and jobs get none: nvidia-smi -L: %v", err))
		}
		for _, found := range gpuID.FindAllSubmatch(out, -1) {
			m.gpus = append(m.gpus, string(found[1]))
		}
	}
	return m, nil
}

// create creates the container as the job definition describes it.
func (a *Agent) create(r *run, image string, secrets map[string]string) *failure {
	environment, err := a.environment(r, secrets)
	if err != nil {
		return &failure{"", err}
	}
	config, host, err := a.parameters(r, image, environment)
	if err != nil {
		return &failure{"CannotCreateContainerError", err}
	}
	if _, err := a.docker.ContainerCreate(r.prepared, config, host, nil, nil, name(r.ID)); err != nil {
		return &failure{"CannotCreateContainerError", err}
	}
	return nil
}

// parameters returns Docker's parameters for a job's container (AWS Batch API
// reference, ContainerProperties, has the mapping).
func (a *Agent) parameters(r *run, image string, environment []string) (*container.Config, *container.HostConfig, error) {
	c := r.Container
	needs, err := c.Needs()
	if err != nil {
		return nil, nil, err
	}
	config := &container.Config{
		Image: image, Cmd: c.Command, Env: environment, User: c.User,
		Labels: map[string]string{
			local.Label: a.config.Label, "com.amazonaws.ecs.task-arn": r.ARN, "com.amazonaws.ecs.container-name": "default",
			"com.amazonaws.ecs.task-definition-family": r.DefinitionName,
		},
	}
	host := &container.HostConfig{
		NetworkMode: "host", Privileged: c.Privileged, ShmSize: int64(c.LinuxParameters.SharedMemorySize) << 20,
		// The agent is attached; this small log is for people who use `docker logs`.
		LogConfig: container.LogConfig{Type: "local", Config: map[string]string{"max-size": "1m", "max-file": "1", "compress": "false"}},
		Resources: container.Resources{CPUShares: max(int64(needs.VCPUs)*1024, 2)},
	}
	if a.limitsMemory {
		host.Memory = int64(needs.MemoryMiB) << 20
	}
	if len(r.GPUs) > 0 && len(a.gpus) > 0 {
		host.Runtime = "nvidia"
	}
	return config, host, nil
}

// environment is the container's, in the order of the names. The agent's own
// variables replace a definition's.
func (a *Agent) environment(r *run, secrets map[string]string) ([]string, error) {
	all := map[string]string{}
	for _, v := range r.Container.Environment {
		all[v.Name] = v.Value
	}
	for name, value := range secrets {
		if _, taken := all[name]; taken {
			return nil, fmt.Errorf("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", name) //nolint:revive,staticcheck // ECS's words
		}
		all[name] = value
	}
	maps.Copy(all, a.given(r))
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list, nil
}

// given are the variables of AWS Batch and of the agent.
func (a *Agent) given(r *run) map[string]string {
	all := map[string]string{
		"AWS_BATCH_JOB_ID": r.JobID, "AWS_BATCH_JOB_ATTEMPT": strconv.Itoa(r.Attempt),
		"AWS_BATCH_JQ_NAME": r.QueueName, "AWS_BATCH_CE_NAME": r.EnvironmentName,
		"AWS_EXECUTION_ENV":             "AWS_ECS_EC2",
		"ECS_CONTAINER_METADATA_URI_V4": r.host.url + "/v4/" + r.ID,
		// The SDKs' own variables: on AWS these servers are at 169.254.169.254 and
		// 169.254.170.2. The job definition has the endpoints of AWS itself.
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": r.host.url,
	}
	if r.Container.JobRoleARN != "" {
		all["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = r.host.url + credentialsPath + r.credentialsID
	}
	if len(r.GPUs) > 0 {
		all["NVIDIA_VISIBLE_DEVICES"] = strings.Join(a.gpuIDs(r), ",")
	}
	return all
}

// gpuIDs returns the real GPUs' ids if there are any: several simulated hosts then
// share them. Otherwise the ids are made from the host's id.
func (a *Agent) gpuIDs(r *run) []string {
	var ids []string
	for _, i := range r.GPUs {
		if len(a.gpus) > 0 {
			ids = append(ids, a.gpus[i%len(a.gpus)])
		} else {
			ids = append(ids, fmt.Sprintf("GPU-%s-%d", strings.TrimPrefix(r.HostID, "i-"), i))
		}
	}
	return ids
}

// logOptions are those of awslogs that this agent carries out.
var logOptions = []string{optionGroup, optionRegion, optionPrefix, optionMode, optionBuffer}

// least are the smallest values of requirements on EC2.
var least = map[string]int{"VCPU": 1, "MEMORY": 4, "GPU": 0}

// Checked returns Check with a rule of this machine's: privileged returns why no
// container may be privileged, which on this machine makes its processes root.
func Checked(privileged func() error) func(batch.ContainerProperties) []error {
	return func(c batch.ContainerProperties) []error {
		faults := Check(c)
		if c.Privileged {
			if err := privileged(); err != nil {
				faults = append(faults, fmt.Errorf("containerProperties.privileged is true: %w", err))
			}
		}
		return faults
	}
}

// Check returns the properties of a container that this agent does not support.
func Check(c batch.ContainerProperties) []error {
	var faults []error
	for i, r := range c.ResourceRequirements {
		value, err := strconv.Atoi(r.Value)
		if smallest, known := least[r.Type]; !known || err != nil || value < smallest {
			faults = append(faults, fmt.Errorf("containerProperties.resourceRequirements[%d]: %s %s (a whole number of VCPU, MEMORY from 4, or GPU)", i, r.Type, r.Value))
		}
	}
	const at = "containerProperties.logConfiguration"
	if driver := c.LogConfiguration.LogDriver; driver != "" && driver != "awslogs" {
		faults = append(faults, fmt.Errorf("%s.logDriver %s (awslogs is known)", at, driver))
	}
	for _, option := range slices.Sorted(maps.Keys(c.LogConfiguration.Options)) {
		if !slices.Contains(logOptions, option) {
			faults = append(faults, fmt.Errorf("%s.options.%s", at, option))
		}
	}
	if mode := c.LogConfiguration.Options[optionMode]; mode != "" && mode != "blocking" && mode != "non-blocking" {
		faults = append(faults, fmt.Errorf("%s.options.mode %s", at, mode))
	}
	if _, err := bufferSize(c.LogConfiguration.Options[optionBuffer]); err != nil {
		faults = append(faults, fmt.Errorf("%s.options.max-buffer-size: %w", at, err))
	}
	if c.LinuxParameters.SharedMemorySize < 0 {
		faults = append(faults, errors.New("containerProperties.linuxParameters.sharedMemorySize is negative"))
	}
	return faults
}
