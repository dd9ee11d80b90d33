package session

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// containerProperties are the properties of ContainerProperties (AWS Batch API
// reference) that a session uses. Left out on purpose:
//   - initProcessEnabled: the session itself is process 1 and reaps processes;
//   - command: the image has an entrypoint;
//   - the deprecated vcpus and memory, which resourceRequirements replace.
type containerProperties struct {
	Image                string           `json:"image"`
	ResourceRequirements []typedValue     `json:"resourceRequirements"`
	Environment          []namedValue     `json:"environment"`
	Secrets              []secret         `json:"secrets"`
	ExecutionRoleARN     string           `json:"executionRoleArn"`
	JobRoleARN           string           `json:"jobRoleArn"`
	LinuxParameters      linuxParameters  `json:"linuxParameters"`
	LogConfiguration     logConfiguration `json:"logConfiguration"`
	Privileged           bool             `json:"privileged,omitempty"`
}

type typedValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type namedValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"` // the secret's ARN, with a key for one field of it
}

type linuxParameters struct {
	SharedMemorySize int `json:"sharedMemorySize"` // MiB
}

type logConfiguration struct {
	LogDriver string            `json:"logDriver"`
	Options   map[string]string `json:"options"`
}

// shared are the values of other resources that all job definitions share.
type shared struct {
	Image, ExecutionRoleARN, SessionRoleARN, LogGroupName string
}

// properties returns the properties of one user's sessions, each list sorted.
func (a SessionsArgs) properties(user string, s shared, credentialsARN, notificationARN string) containerProperties {
	p := containerProperties{
		Image:                s.Image,
		ResourceRequirements: a.requirements(),
		Environment:          a.environment(user, s.Image),
		Secrets:              []secret{{contract.EnvCredentials, credentialsARN}},
		ExecutionRoleARN:     s.ExecutionRoleARN,
		JobRoleARN:           s.SessionRoleARN,
		LinuxParameters:      linuxParameters{SharedMemorySize: a.SharedMemoryMiB},
		LogConfiguration:     a.logs(user, s.LogGroupName),
		Privileged:           a.Privileged,
	}
	if notificationARN != "" {
		p.Secrets = append(p.Secrets, secret{contract.EnvNotify, notificationARN})
	}
	if a.CertificateARN != "" {
		p.Secrets = append(p.Secrets, secret{contract.EnvCertificate, a.CertificateARN})
	}
	p.Secrets = append(p.Secrets, p.seal(credentialsARN))
	slices.SortFunc(p.Secrets, func(a, b secret) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// seal returns the secret with the name that seals these properties: see
// contract.Seal. Its value is the user's name, the field of the credentials that is
// not confidential, which the ARN selects by its key (AWS Batch user guide, "Specify
// sensitive data using Secrets Manager").
func (p containerProperties) seal(credentialsARN string) secret {
	all := map[string]string{}
	for _, v := range p.Environment {
		all[v.Name] = v.Value
	}
	for _, s := range p.Secrets {
		all[s.Name] = ""
	}
	return secret{contract.Seal(all), credentialsARN + ":username::"}
}

func (a SessionsArgs) requirements() []typedValue {
	needs := []typedValue{
		{"MEMORY", strconv.Itoa(a.MemoryMiB)},
		{"VCPU", strconv.Itoa(a.VCPUs)},
	}
	if gpus := ReservedGPUs(a.GPUs, a.PerGPU); gpus > 0 {
		needs = append([]typedValue{{"GPU", strconv.Itoa(gpus)}}, needs...)
	}
	return needs
}

func (a SessionsArgs) environment(user, image string) []namedValue {
	settings := a.Settings
	settings.User, settings.Image = user, image
	environ := settings.Environ()
	if ReservedGPUs(a.GPUs, a.PerGPU) == 0 {
		// The ECS agent names the GPUs only of jobs that reserve some.
		environ = append(environ, "NVIDIA_VISIBLE_DEVICES=all")
		slices.Sort(environ)
	}
	var list []namedValue
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		list = append(list, namedValue{name, value})
	}
	return list
}

// logs returns the configuration that sends the session's events to the stack's log
// group, in streams "USER/default/TASK": so the streams of one user can be granted.
//
// The mode is explicit, since ECS changed its default in 2025. In mode blocking a
// session would stop at its next line if CloudWatch Logs did not answer. In mode
// non-blocking only lines that exceed the buffer are lost, and a session writes few.
func (a SessionsArgs) logs(user, group string) logConfiguration {
	return logConfiguration{LogDriver: "awslogs", Options: map[string]string{
		"awslogs-group":         group,
		"awslogs-region":        a.Settings.Region,
		"awslogs-stream-prefix": user,
		"mode":                  "non-blocking",
		"max-buffer-size":       "10m",
	}}
}

// maxDefinition is the largest job definition (AWS Batch service quotas).
const maxDefinition = 24 << 10

// render returns the properties as JSON, or an error if the job definition would
// exceed AWS Batch's limit.
func (p containerProperties) render(tags map[string]string) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	all, err := json.Marshal(tags)
	if err != nil {
		return "", err
	}
	// Name, type, timeout and retry rules are well below this.
	const rest = 1 << 10
	if size := len(text) + len(all) + rest; size > maxDefinition {
		return "", fmt.Errorf("a job definition of %d bytes is over AWS Batch's %d: use fewer or shorter tags", size, maxDefinition)
	}
	return string(text), nil
}

// maxRules is the most retry rules that AWS Batch takes (API reference,
// RetryStrategy).
const maxRules = 5

// rule is a retry rule of AWS Batch, with one of the three conditions. A condition's
// pattern has letters, digits, ".", ":", blanks and one "*" at the end.
type rule struct {
	exitCode, reason, statusReason string
	retry                          bool
}

// rules returns the retry rules, of which the first that matches applies. AWS Batch
// retries if none matches: so the last one matches everything, and ends the job.
func rules() []rule {
	return []rule{
		// The host was terminated: a Spot interruption, a hardware failure.
		{statusReason: contract.ReasonHost + "*", retry: true},
		// A new host's network or the registry wasn't ready: CannotPullContainerError if
		// Docker couldn't pull, CannotPullECRContainerError if ECR gave no password
		// (amazon-ecs-agent, agent/dockerclient/dockerapi/errors.go). A missing image
		// or permission fails alike, but attempts are counted and each costs little.
		{reason: "CannotPull*", retry: true},
		{exitCode: contract.RetriedExitCodes, retry: true},
		{reason: "*"},
	}
}

// retryStrategy returns the retry strategy of a job definition. AWS Batch never
// retries a job that timed out or was terminated.
func retryStrategy(attempts int) batch.JobDefinitionRetryStrategyArgs {
	var list batch.JobDefinitionRetryStrategyEvaluateOnExitArray
	for _, r := range rules() {
		list = append(list, r.args())
	}
	return batch.JobDefinitionRetryStrategyArgs{Attempts: pulumi.Int(attempts), EvaluateOnExits: list}
}

func (r rule) args() batch.JobDefinitionRetryStrategyEvaluateOnExitArgs {
	// AWS returns actions in lower case.
	args := batch.JobDefinitionRetryStrategyEvaluateOnExitArgs{Action: pulumi.String("exit")}
	if r.retry {
		args.Action = pulumi.String("retry")
	}
	if r.exitCode != "" {
		args.OnExitCode = pulumi.String(r.exitCode)
	}
	if r.reason != "" {
		args.OnReason = pulumi.String(r.reason)
	}
	if r.statusReason != "" {
		args.OnStatusReason = pulumi.String(r.statusReason)
	}
	return args
}
