// Package ecs is the Amazon ECS agent of the sandbox's simulated hosts: it runs the
// containers of AWS Batch's jobs on a real Docker, with secrets, credentials,
// metadata, logs and error texts as the agent has them on AWS.
package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Config configures an agent.
type Config struct {
	DockerHost string // a DOCKER_HOST
	Label      string // the value of the containers' label local.Label
	Endpoint   string // the AWS endpoint, for the agent and for sessions
	Registry   string // the registry behind ECR's addresses, HOST:PORT
	Roles      Roles
	Admin      aws.CredentialsProvider // reads which role a host has
	Log        io.Writer               // one line a fault
}

// Roles gives AWS services credentials of roles.
type Roles interface {
	Issue(ctx context.Context, roleARN, service string) (gateway.Credentials, error)
}

// Agent runs tasks on all hosts. It implements batch.Agent.
type Agent struct {
	config Config
	docker *client.Client
	log    *log.Logger
	machine

	mu    sync.Mutex
	hosts map[string]*host
	runs  map[string]*run
	all   sync.WaitGroup
}

// run is a task under way.
type run struct {
	batch.Task
	host    *host
	watcher batch.Watcher
	// alive ends when the task's host is removed.
	alive context.Context
	leave context.CancelFunc
	// prepared ends when the task shall not start any more.
	prepared context.Context
	giveUp   context.CancelFunc

	roles         *roleCache    // its own: roles are assumed anew for each task
	credentialsID string        // the unguessable part of its credentials' address
	gone          chan struct{} // closed when nothing of it is left

	mu        sync.Mutex
	container string // its id, once it runs
	stopping  bool
}

// New connects to Docker.
func New(config Config) (*Agent, error) {
	docker, err := client.NewClientWithOpts(client.WithHost(config.DockerHost), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	a := &Agent{config: config, docker: docker, log: log.New(cmp.Or(config.Log, io.Discard), "agent: ", log.LstdFlags), hosts: map[string]*host{}, runs: map[string]*run{}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a.machine, err = inspectMachine(ctx, docker)
	if err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	for _, lacks := range a.lacks {
		a.log.Print(lacks)
	}
	return a, nil
}

// Close takes all hosts away, and waits until nothing of them is left.
func (a *Agent) Close() {
	a.mu.Lock()
	var ids []string
	for id := range a.hosts {
		ids = append(ids, id)
	}
	a.mu.Unlock()
	for _, id := range ids {
		a.StopHost(id)
	}
	a.all.Wait()
	_ = a.docker.Close()
}

// Run starts a task and returns at once.
func (a *Agent) Run(task batch.Task, w batch.Watcher) {
	r := &run{Task: task, watcher: w, roles: newRoleCache(a.config.Roles), credentialsID: batch.RandomID(), gone: make(chan struct{})}
	r.alive, r.leave = context.WithCancel(context.Background())
	r.prepared, r.giveUp = context.WithCancel(r.alive)
	a.mu.Lock()
	r.host = a.hosts[task.HostID]
	if r.host != nil {
		a.runs[task.ID] = r
		a.all.Add(1)
	}
	a.mu.Unlock()
	if r.host == nil { // it was taken away meanwhile, and so was the task
		r.leave()
		return
	}
	go a.live(r)
}

// live is a task's whole life.
func (a *Agent) live(r *run) {
	defer a.all.Done()
	defer close(r.gone)
	defer r.leave()
	ending := a.attempt(r)
	a.remove(r)
	a.mu.Lock()
	delete(a.runs, r.ID)
	a.mu.Unlock()
	if r.alive.Err() == nil {
		r.watcher.Ended(r.ID, ending)
	}
}

// attempt runs the container and returns its ending.
func (a *Agent) attempt(r *run) batch.Ending {
	stream, fault := a.prepare(r)
	if fault != nil {
		return r.notStarted(fault)
	}
	defer stream.close()
	output, err := a.attach(r)
	if err == nil {
		defer output.Close()
		err = a.docker.ContainerStart(r.prepared, name(r.ID), container.StartOptions{})
	}
	if err != nil {
		return r.notStarted(&failure{"CannotStartContainerError", err})
	}
	r.watcher.Started(r.ID, stream.name)
	a.started(r)
	return a.follow(r, output.Reader, stream)
}

// notStarted returns the ending of a task that did not start; a task that was
// stopped before has no error.
func (r *run) notStarted(why *failure) batch.Ending {
	if r.prepared.Err() != nil {
		return batch.Ending{StatusReason: "Task failed to start"}
	}
	return why.ending()
}

// prepare does all that comes before the container's start.
func (a *Agent) prepare(r *run) (*stream, *failure) {
	secrets, fault := a.secrets(r)
	if fault != nil {
		return nil, fault
	}
	image, fault := a.pull(r)
	if fault != nil {
		return nil, fault
	}
	if fault := a.create(r, image, secrets); fault != nil {
		return nil, fault
	}
	return a.open(r)
}

// started records the container, and stops it if a stop was requested before.
func (a *Agent) started(r *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.container = name(r.ID)
	if r.stopping {
		go a.stop(r)
	}
}

// follow reads the container's output until it has ended.
func (a *Agent) follow(r *run, output io.Reader, s *stream) batch.Ending {
	ended, failed := a.docker.ContainerWait(r.alive, name(r.ID), container.WaitConditionNotRunning)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if err := copyLog(output, s); err != nil && r.alive.Err() == nil {
			a.log.Printf("task %s: its output: %v", r.ID, err)
		}
	}()
	select {
	case result := <-ended:
		<-copied
		return a.ending(r, int(result.StatusCode))
	case err := <-failed:
		return (&failure{"DockerTimeoutError", err}).ending()
	}
}

// ending of a container that exited by itself or was stopped.
func (a *Agent) ending(r *run, code int) batch.Ending {
	e := batch.Ending{ExitCode: &code, StatusReason: "Essential container in task exited"}
	// On a busy machine Docker learns of it after it has reported the end.
	if code == killed && local.WaitUntil(time.Second, func() bool { return a.ranOutOfMemory(r) }) {
		e.Reason = "OutOfMemoryError: Container killed due to memory usage"
	}
	return e
}

// killed is the exit code of a process that SIGKILL ended.
const killed = 128 + int(syscall.SIGKILL)

func (a *Agent) ranOutOfMemory(r *run) bool {
	state, err := a.docker.ContainerInspect(r.alive, name(r.ID))
	return err == nil && state.State != nil && state.State.OOMKilled
}

// Stop ends a task: SIGTERM, and SIGKILL after the host's stop timeout.
func (a *Agent) Stop(taskID string) {
	a.mu.Lock()
	r := a.runs[taskID]
	a.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return
	}
	r.stopping = true
	if r.container == "" {
		r.giveUp()
		return
	}
	go a.stop(r)
}

func (a *Agent) stop(r *run) {
	patience := int(r.host.StopTimeout / time.Second)
	if err := a.docker.ContainerStop(r.alive, name(r.ID), container.StopOptions{Timeout: &patience}); err != nil && r.alive.Err() == nil {
		a.log.Printf("stop of task %s: %v", r.ID, err)
	}
}

// remove removes a task's container, even if it runs.
func (a *Agent) remove(r *run) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := a.docker.ContainerRemove(ctx, name(r.ID), container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		a.log.Printf("removal of task %s: %v", r.ID, err)
	}
}

// name is a task's container's.
func name(taskID string) string { return "ecs-" + taskID }

// failure is why a task did not start, in ECS's words.
type failure struct {
	kind string // e.g. "CannotPullContainerError"; "" if the cause is the task's stopped reason
	err  error
}

func (f *failure) ending() batch.Ending {
	if f.kind == "" {
		return batch.Ending{StatusReason: f.err.Error()}
	}
	// AWS shows 255 characters of a container's reason (API reference, ContainerDetail).
	reason := fmt.Sprintf("%s: %v", f.kind, f.err)
	return batch.Ending{StatusReason: "Task failed to start", Reason: strings.ToValidUTF8(reason[:min(len(reason), 255)], "")}
}
