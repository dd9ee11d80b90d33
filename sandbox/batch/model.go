// Package batch is the job part of the sandbox's AWS Batch: it accepts jobs, places
// them on simulated hosts as AWS Batch does, has an Agent run them, and reports their
// states. Queues, environments and job definitions are moto's (Control reads them);
// jobs live in this process's memory only.
//
// States, answers and error texts follow AWS's service model and user guide.
package batch

import (
	"time"
)

// Status is a job's state, by AWS's name.
type Status string

// The states in the order in which a job goes through them. PENDING is for jobs
// that depend on others, which this Batch refuses.
const (
	Submitted Status = "SUBMITTED"
	Runnable  Status = "RUNNABLE"
	Starting  Status = "STARTING"
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
)

// Ended reports whether a job in this state changes no more.
func (s Status) Ended() bool { return s == Succeeded || s == Failed }

// Definition is an active revision of a job definition, as DescribeJobDefinitions
// shows it and as far as this Batch honours it.
type Definition struct {
	ARN                  string              `json:"jobDefinitionArn"`
	Name                 string              `json:"jobDefinitionName"`
	Revision             int                 `json:"revision"`
	Type                 string              `json:"type"`
	Status               string              `json:"status"`
	Container            ContainerProperties `json:"containerProperties"`
	RetryStrategy        RetryStrategy       `json:"retryStrategy"`
	Timeout              Timeout             `json:"timeout"`
	Tags                 map[string]string   `json:"tags"`
	PropagateTags        bool                `json:"propagateTags"`
	PlatformCapabilities []string            `json:"platformCapabilities"`
}

// ContainerProperties are AWS Batch's, as far as the agent honours them. A
// definition with anything else is refused when a job of it is submitted.
type ContainerProperties struct {
	Image                string           `json:"image"`
	Command              []string         `json:"command"`
	Environment          []KeyValue       `json:"environment"`
	ResourceRequirements []Requirement    `json:"resourceRequirements"`
	Secrets              []Secret         `json:"secrets"`
	ExecutionRoleARN     string           `json:"executionRoleArn,omitempty"`
	JobRoleARN           string           `json:"jobRoleArn,omitempty"`
	LinuxParameters      LinuxParameters  `json:"linuxParameters"`
	LogConfiguration     LogConfiguration `json:"logConfiguration"`
	Privileged           bool             `json:"privileged,omitempty"`
	User                 string           `json:"user,omitempty"`
}

// KeyValue is an environment variable.
type KeyValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Requirement is VCPU, MEMORY (MiB) or GPU; the value is a whole number.
type Requirement struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Secret is an environment variable with the value of a secret: its whole ARN,
// or ARN:json-key:version-stage:version-id.
type Secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

// LinuxParameters has the size of /dev/shm in MiB, 0 for Docker's default.
type LinuxParameters struct {
	SharedMemorySize int `json:"sharedMemorySize,omitempty"`
}

// LogConfiguration names the driver, awslogs or none given, and its options.
type LogConfiguration struct {
	LogDriver string            `json:"logDriver,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
}

// RetryStrategy is how often a job is run in all, 1 to 10, and on which endings.
type RetryStrategy struct {
	Attempts       int    `json:"attempts,omitempty"`
	EvaluateOnExit []Rule `json:"evaluateOnExit,omitempty"`
}

// Rule is a retry rule: if all its conditions hold, its action applies (RETRY or
// EXIT, in upper or lower case).
type Rule struct {
	OnStatusReason string `json:"onStatusReason,omitempty"`
	OnReason       string `json:"onReason,omitempty"`
	OnExitCode     string `json:"onExitCode,omitempty"`
	Action         string `json:"action"`
}

// Timeout ends an attempt so many seconds after it began to run; 0: never.
type Timeout struct {
	AttemptDurationSeconds int `json:"attemptDurationSeconds,omitempty"`
}

// Queue is a job queue with its environments in their order.
type Queue struct {
	ARN, Name    string
	Enabled      bool
	Priority     int
	Environments []string // ARNs
	TimeLimits   []TimeLimit
}

// TimeLimit cancels a job that stands at its queue's head for longer than Max
// with this reason's code.
type TimeLimit struct {
	Reason string
	Max    time.Duration
}

// Environment is a compute environment.
type Environment struct {
	ARN, Name          string
	Enabled            bool
	MinVCPUs, MaxVCPUs int
	Strategy           string         // AWS's name of the allocation strategy
	Types              []InstanceType // in the order given
	InstanceProfileARN string
	SecurityGroups     []string      // ids, of its hosts
	StopTimeout        time.Duration // between SIGTERM and SIGKILL on its hosts

	// Infrastructure are all settings that replace the hosts when they change, as one
	// text.
	Infrastructure string
	UpdatePolicy   UpdatePolicy
}

// UpdatePolicy decides about running jobs when the hosts are replaced.
type UpdatePolicy struct {
	TerminateJobs bool `json:"terminateJobsOnUpdate"`
	Minutes       int  `json:"jobExecutionTimeoutMinutes"` // how long jobs may go on otherwise
}

// InstanceType is the capacity for jobs of a host of a type.
type InstanceType struct {
	Name      string
	VCPUs     int
	MemoryMiB int // the part that jobs can use
	GPUs      int
}

// Host is a simulated EC2 instance.
type Host struct {
	ID                 string // an instance id, "i-0123456789abcdef0"
	Type               InstanceType
	EnvironmentARN     string
	EnvironmentName    string
	InstanceProfileARN string
	SecurityGroups     []string // ids
	StopTimeout        time.Duration
}

// Task is one attempt of a job on a host, which the agent runs.
type Task struct {
	ID              string // the last part of ARN: 32 hexadecimal digits
	ARN             string // arn:aws:ecs:REGION:ACCOUNT:task/ENVIRONMENT_Batch/ID
	JobID           string
	Attempt         int // from 1
	QueueName       string
	EnvironmentName string
	HostID          string
	DefinitionName  string              // the default prefix of its log stream
	Container       ContainerProperties // with the submission's overrides
	GPUs            []int               // which of the host's GPUs it has, from 0
}

// Ending is how a task ended.
type Ending struct {
	ExitCode     *int   // nil if the container did not run
	StatusReason string // e.g. "Essential container in task exited"
	Reason       string // the container's, if ECS reports an error, e.g. "CannotPullContainerError: …"
}

// Agent runs tasks on hosts. Its methods return at once; results go to the Watcher.
type Agent interface {
	// StartHost gives a host its address and its metadata service.
	StartHost(Host) error
	// StopHost removes a host and its tasks at once. The watcher gets no Ended for
	// these tasks.
	StopHost(id string)
	// Run starts a task. It calls the watcher's Started once if the container runs,
	// and then Ended once.
	Run(Task, Watcher)
	// Stop ends a task as ECS does: SIGTERM, SIGKILL after the host's stop timeout.
	// A task that has not started yet never does.
	Stop(taskID string)
}

// Watcher gets the results of tasks, from any goroutine.
type Watcher interface {
	Started(taskID, logStreamName string)
	Ended(taskID string, ending Ending)
}
