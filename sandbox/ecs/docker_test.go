package ecs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
	"github.com/stretchr/testify/suite"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage/dockertest"
	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/ecs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// account is the test registry's one account, in ECR's manner.
var account = dockertest.Login{Username: "AWS", Password: "of-the-registry"}

const testImage = "test/session:1"

// onDocker has the tests that need a Docker: they share one, which takes seconds
// to start and to end.
type onDocker struct {
	suite.Suite
	docker, registry string
}

func TestOnDocker(t *testing.T) { suite.Run(t, &onDocker{}) }

func (s *onDocker) SetupSuite() {
	s.docker = dockertest.Docker(s.T())
	dir := s.T().TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "session"), "./testdata/session")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	s.Require().NoError(err, string(out))
	program, err := os.ReadFile(filepath.Join(dir, "session"))
	s.Require().NoError(err)
	load := local.Docker(context.Background(), s.docker, "import", "-c", `ENTRYPOINT ["/session"]`, "-", testImage)
	load.Stdin = archive(s.T(), program)
	out, err = load.CombinedOutput()
	s.Require().NoError(err, string(out))
}

func archive(t *testing.T, program []byte) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "session", Mode: 0o755, Size: int64(len(program))}))
	_, err := w.Write(program)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return &b
}

func (s *onDocker) cli(args ...string) string {
	s.T().Helper()
	out, err := local.Docker(context.Background(), s.docker, args...).CombinedOutput()
	s.Require().NoError(err, string(out))
	return strings.TrimSpace(string(out))
}

// world is an agent with an AWS of its own.
type world struct {
	*testing.T
	*cloud
	agent *ecs.Agent
	told  chan event
	log   *safeBuffer
}

// event is a call of the watcher.
type event struct {
	task, stream string
	ending       *batch.Ending
}

func (s *onDocker) world() *world {
	t := s.T()
	w := &world{T: t, cloud: newCloud(t), told: make(chan event, 100), log: &safeBuffer{}}
	var err error
	w.agent, err = ecs.New(ecs.Config{
		DockerHost: s.docker, Label: "of-the-test", Endpoint: w.url, Registry: s.registry,
		Roles: w.cloud, Admin: credentials.NewStaticCredentialsProvider("admin", "admin", ""), Log: w.log,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		w.agent.Close()
		if left := s.cli("ps", "-aq", "--filter", "label="+local.Label+"=of-the-test"); left != "" {
			t.Errorf("containers are left: %s", left)
		}
		if t.Failed() {
			t.Logf("the agent said:\n%s", w.log)
		}
	})
	w.host("i-1", time.Minute)
	return w
}

func (w *world) host(id string, patience time.Duration) {
	require.NoError(w, w.agent.StartHost(batch.Host{
		ID: id, Type: batch.InstanceType{Name: "g4dn.xlarge", VCPUs: 4, MemoryMiB: 16000, GPUs: 4}, EnvironmentName: "pool",
		InstanceProfileARN: "arn:aws:iam::123456789012:instance-profile/hosts", StopTimeout: patience,
	}))
}

func (w *world) Started(task, stream string) { w.told <- event{task: task, stream: stream} }
func (w *world) Ended(task string, e batch.Ending) {
	w.told <- event{task: task, ending: &e}
}

// task does something in the test's image.
func task(does ...string) batch.Task {
	id := batch.RandomID()
	return batch.Task{
		ID: id, ARN: "arn:aws:ecs:us-east-1:123456789012:task/pool_Batch/" + id, JobID: "job-1", Attempt: 2,
		QueueName: "queue", EnvironmentName: "pool", HostID: "i-1", DefinitionName: "definition",
		Container: batch.ContainerProperties{
			Image: testImage, Command: does, ExecutionRoleARN: roleARN("execution"),
			ResourceRequirements: []batch.Requirement{{Type: "VCPU", Value: "1"}, {Type: "MEMORY", Value: "64"}},
		},
	}
}

func (w *world) next() event {
	w.Helper()
	select {
	case e := <-w.told:
		return e
	case <-time.After(60 * time.Second):
		w.Fatal("nothing is told for a minute")
		return event{}
	}
}

// start runs a task until its container runs, and returns its log stream.
func (w *world) start(t batch.Task) string {
	w.Helper()
	w.agent.Run(t, w)
	e := w.next()
	require.Nil(w, e.ending, "it should run, but: %+v", e.ending)
	require.Equal(w, t.ID, e.task)
	return e.stream
}

func (w *world) ended() batch.Ending {
	w.Helper()
	e := w.next()
	require.NotNil(w, e.ending, "it should have ended")
	return *e.ending
}

// output runs a task to its end and returns its output.
func (w *world) output(t batch.Task) ([]string, batch.Ending) {
	w.Helper()
	stream := w.start(t)
	ending := w.ended()
	return w.lines(stream), ending
}

// refusedStart runs a task that must not start.
func (w *world) refusedStart(t batch.Task) batch.Ending {
	w.Helper()
	w.agent.Run(t, w)
	ending := w.ended()
	require.Nil(w, ending.ExitCode)
	return ending
}

// serving starts a task that serves, and returns its environment.
func (w *world) serving(t batch.Task) map[string]string {
	w.Helper()
	stream := w.start(t)
	w.ready(stream)
	variables := map[string]string{}
	for _, line := range w.lines(stream) {
		if name, value, is := strings.Cut(line, "="); is {
			variables[name] = value
		}
	}
	return variables
}

// ready waits until a task says so, while it runs.
func (w *world) ready(stream string) {
	w.Helper()
	w.until(w.T, "it says that it is ready", func() bool {
		said := w.streams[stream]
		return len(said) > 0 && said[len(said)-1] == "ready"
	})
}

func exited(t *testing.T, code int, e batch.Ending) {
	t.Helper()
	require.NotNil(t, e.ExitCode, "%+v", e)
	require.Equal(t, code, *e.ExitCode)
	require.Equal(t, "Essential container in task exited", e.StatusReason)
}
