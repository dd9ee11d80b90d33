package ecs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/ecs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

func (s *onDocker) TestAContainerHasBatchsAndECSsVariablesAndItsOwn() {
	w := s.world()
	t := task("serve", "0")
	t.Container.Environment = []batch.KeyValue{{Name: "OWN", Value: "a=b c"}, {Name: "NVIDIA_VISIBLE_DEVICES", Value: "all"}}
	t.Container.JobRoleARN = roleARN("session")
	got := w.serving(t)
	for name, value := range map[string]string{
		"OWN": "a=b c", "NVIDIA_VISIBLE_DEVICES": "all",
		"AWS_BATCH_JOB_ID": "job-1", "AWS_BATCH_JOB_ATTEMPT": "2", "AWS_BATCH_JQ_NAME": "queue", "AWS_BATCH_CE_NAME": "pool",
		"AWS_EXECUTION_ENV": "AWS_ECS_EC2",
	} {
		assert.Equal(w, value, got[name], name)
	}
	for _, name := range []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "ECS_CONTAINER_METADATA_URI_V4"} {
		assert.Regexp(w, `^http://127\.1\.\d+\.\d+:\d+`, got[name], name)
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"} {
		assert.NotContains(w, got, name, "AWS Batch sets none on EC2")
	}
}

func (s *onDocker) TestWithoutAJobRoleThereAreNoCredentials() {
	w := s.world()
	assert.NotContains(w, w.serving(task("serve", "0")), "AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

func (s *onDocker) TestATaskSeesItsOwnGPUsWhateverItsDefinitionSays() {
	w := s.world()
	seen := map[string]bool{}
	for _, gpus := range [][]int{{0, 1}, {2}} {
		t := task("env")
		t.GPUs = gpus
		t.Container.Environment = []batch.KeyValue{{Name: "NVIDIA_VISIBLE_DEVICES", Value: "all"}}
		lines, _ := w.output(t)
		for _, line := range lines {
			if list, is := strings.CutPrefix(line, "NVIDIA_VISIBLE_DEVICES="); is {
				ids := strings.Split(list, ",")
				assert.Len(w, ids, len(gpus))
				for _, id := range ids {
					assert.Regexp(w, "^GPU-", id)
					seen[id] = true
				}
			}
		}
	}
	assert.Len(w, seen, 3, "another id for each")
}

func (s *onDocker) TestContainerParametersBecomeDockers() {
	w := s.world()
	t := task("serve", "0")
	t.Container.ResourceRequirements = []batch.Requirement{{Type: "VCPU", Value: "3"}, {Type: "MEMORY", Value: "96"}}
	t.Container.LinuxParameters.SharedMemorySize = 80
	t.Container.Privileged = true
	t.Container.User = "1234"
	w.serving(t)
	var seen []struct {
		Config struct {
			User   string
			Labels map[string]string
		}
		HostConfig struct {
			CPUShares   int `json:"CpuShares"`
			Memory      int
			ShmSize     int
			Privileged  bool
			NetworkMode string
		}
	}
	require.NoError(w, json.Unmarshal([]byte(s.cli("inspect", s.containers(t))), &seen))
	host := seen[0].HostConfig
	assert.Equal(w, 3*1024, host.CPUShares)
	if s.limitsMemory() {
		assert.Equal(w, 96<<20, host.Memory)
	}
	assert.Equal(w, 80<<20, host.ShmSize)
	assert.True(w, host.Privileged)
	assert.Equal(w, "host", host.NetworkMode)
	assert.Equal(w, "1234", seen[0].Config.User)
	for name, value := range map[string]string{
		local.Label: "of-the-test", "com.amazonaws.ecs.task-arn": t.ARN, "com.amazonaws.ecs.container-name": "default",
		"com.amazonaws.ecs.task-definition-family": "definition",
	} {
		assert.Equal(w, value, seen[0].Config.Labels[name], name)
	}
}

func (s *onDocker) TestAContainerSeesItsSharedMemoryAndItsUser() {
	w := s.world()
	t := task("look")
	t.Container.LinuxParameters.SharedMemorySize = 80
	t.Container.User = "1234"
	lines, ending := w.output(t)
	exited(w.T, 0, ending)
	assert.Contains(w, lines, "shm 80")
	assert.Contains(w, lines, "uid 1234")
}

func (s *onDocker) limitsMemory() bool {
	out, err := local.Docker(context.Background(), s.docker, "info", "-f", "{{.MemoryLimit}}").Output()
	s.Require().NoError(err)
	return strings.TrimSpace(string(out)) == "true"
}

func (s *onDocker) TestAContainerThatTakesTooMuchMemoryIsKilledInECSsWords() {
	if !s.limitsMemory() {
		s.T().Skip("this machine's Docker can't limit memory: it has no memory cgroup")
	}
	w := s.world()
	t := task("eat", "400")
	w.start(t)
	ending := w.ended()
	exited(w.T, 137, ending)
	assert.Equal(w, "OutOfMemoryError: Container killed due to memory usage", ending.Reason)
}

func (s *onDocker) TestAContainerThatCannotStartIsToldInECSsWords() {
	w := s.world()
	t := task("exit", "0")
	t.Container.User = "nobody-knows-him"
	ending := w.refusedStart(t)
	assert.Equal(w, "Task failed to start", ending.StatusReason)
	assert.Regexp(w, "^CannotStartContainerError: Error response from daemon: .*nobody-knows-him", ending.Reason)
}

func (s *onDocker) TestAContainerThatCannotBeMadeIsToldInECSsWords() {
	w := s.world()
	t := task("exit", "0")
	t.Container.ResourceRequirements[1].Value = "4" // Docker takes 6 MiB at least
	if !s.limitsMemory() {
		w.Skip("this machine's Docker can't limit memory")
	}
	ending := w.refusedStart(t)
	assert.Equal(w, "Task failed to start", ending.StatusReason)
	assert.Regexp(w, "^CannotCreateContainerError: Error response from daemon: Minimum memory limit", ending.Reason)
}

func TestWhatTheAgentDoesNotKnowIsNamedWithItsPath(t *testing.T) {
	good := func() batch.ContainerProperties {
		return batch.ContainerProperties{
			Image:                "i",
			ResourceRequirements: []batch.Requirement{{Type: "VCPU", Value: "1"}, {Type: "MEMORY", Value: "4"}, {Type: "GPU", Value: "1"}},
			LogConfiguration: batch.LogConfiguration{LogDriver: "awslogs", Options: map[string]string{
				"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
				"mode": "non-blocking", "max-buffer-size": "10m",
			}},
		}
	}
	assert.Empty(t, ecs.Check(good()))
	assert.Empty(t, ecs.Check(batch.ContainerProperties{ResourceRequirements: good().ResourceRequirements}), "the defaults")
	option := func(name, value string) func(*batch.ContainerProperties) {
		return func(c *batch.ContainerProperties) { c.LogConfiguration.Options[name] = value }
	}
	need := func(i int, value string) func(*batch.ContainerProperties) {
		return func(c *batch.ContainerProperties) { c.ResourceRequirements[i].Value = value }
	}
	for path, change := range map[string]func(*batch.ContainerProperties){
		"containerProperties.logConfiguration.logDriver":               func(c *batch.ContainerProperties) { c.LogConfiguration.LogDriver = "syslog" },
		"containerProperties.logConfiguration.options.syslog-address":  option("syslog-address", "x"),
		"containerProperties.logConfiguration.options.mode":            option("mode", "sometimes"),
		"containerProperties.logConfiguration.options.max-buffer-size": option("max-buffer-size", "lots"),
		"containerProperties.linuxParameters.sharedMemorySize":         func(c *batch.ContainerProperties) { c.LinuxParameters.SharedMemorySize = -1 },
		"containerProperties.resourceRequirements":                     need(0, "0"),
	} {
		c := good()
		change(&c)
		faults := ecs.Check(c)
		if assert.Len(t, faults, 1, path) {
			assert.Contains(t, faults[0].Error(), path)
		}
	}
	for _, change := range []func(*batch.ContainerProperties){need(0, "1.5"), need(1, "3"), need(1, "much"), need(2, "half")} {
		c := good()
		change(&c)
		assert.Len(t, ecs.Check(c), 1, c.ResourceRequirements)
	}
}

// Otherwise a caller with the right to register job definitions would be root on
// this machine.
func TestAPrivilegedContainerIsRefusedByNameUnlessTheConfigurationAsksForIt(t *testing.T) {
	privileged := batch.ContainerProperties{Privileged: true, ResourceRequirements: []batch.Requirement{{Type: "VCPU", Value: "1"}}}
	no := ecs.Checked(func() error { return errors.New("not configured") })
	faults := no(privileged)
	require.Len(t, faults, 1)
	assert.EqualError(t, faults[0], "containerProperties.privileged is true: not configured")
	assert.Empty(t, no(batch.ContainerProperties{ResourceRequirements: privileged.ResourceRequirements}))
	assert.Empty(t, ecs.Checked(func() error { return nil })(privileged))
}
