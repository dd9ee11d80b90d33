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

// containerProperties are AWS Batch's (API reference, ContainerProperties), as
// far as a session uses them. Left out on purpose:
//   - initProcessEnabled: the session itself is process 1 and reaps;
//   - command: the image has its entrypoint;
//   - the old keys vcpus and memory, which resourceRequirements replace.
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
	ValueFrom string `json:"valueFrom"` // the whole secret's ARN
}

type linuxParameters struct {
	SharedMemorySize int `json:"sharedMemorySize"` // MiB
}

type logConfiguration struct {
	LogDriver string            `json:"logDriver"`
	Options   map[string]string `json:"options"`
}

// shared is what is the same for all users and known only once other resources
// are there.
type shared struct {
	Image, ExecutionRoleARN, SessionRoleARN, LogGroupName string
}

// properties are those of one user's session, every list sorted.
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

// seal returns the secret whose name a session knows these properties by, and which no
// job can do without: see contract.Seal. The ARN with the key gives the field of the
// user's credentials that is no secret (AWS Batch user guide, "Specify sensitive data
// using Secrets Manager").
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
	if a.GPUs > 0 {
		needs = append([]typedValue{{"GPU", strconv.Itoa(a.GPUs)}}, needs...)
	}
	return needs
}

func (a SessionsArgs) environment(user, image string) []namedValue {
	settings := a.Settings
	settings.User, settings.Image = user, image
	environ := settings.Environ()
	if a.GPUs == 0 {
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

// logs sends the session's events to the stack's log group, in streams
// "USER/default/TASK": a launcher finds them, and may be granted one user's.
//
// The mode is set since ECS changed its default in 2025. Non-blocking: with the
// other, a CloudWatch Logs that doesn't answer would stop a session that writes
// a line. Lost are only lines beyond the buffer, and a session writes few.
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

// render is the JSON of the properties, refused where the whole definition
// would pass AWS Batch's limit.
func (p containerProperties) render(tags map[string]string) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	all, err := json.Marshal(tags)
	if err != nil {
		return "", err
	}
	// Name, type, timeout and retry rules are the same for all and well below this.
	const rest = 1 << 10
	if size := len(text) + len(all) + rest; size > maxDefinition {
		return "", fmt.Errorf("a job definition of %d bytes is over AWS Batch's %d: use fewer or shorter tags", size, maxDefinition)
	}
	return string(text), nil
}

// maxRules is how many retry rules AWS Batch takes (API reference,
// RetryStrategy).
const maxRules = 5

// rule is one of AWS Batch's retry rules; of the three conditions one is set.
// Patterns hold letters, digits, ".", ":", blanks and one "*" at the end.
type rule struct {
	exitCode, reason, statusReason string
	retry                          bool
}

// rules: the first that matches decides. Without a match AWS Batch retries, so
// the last one matches everything and ends.
func rules() []rule {
	return []rule{
		// The host went away: reclaimed Spot, a fault of the hardware.
		{statusReason: "Host EC2*", retry: true},
		// A new host whose registry or network wasn't ready: CannotPullContainerError
		// where Docker couldn't pull, CannotPullECRContainerError where ECR gave no
		// password (amazon-ecs-agent, agent/dockerclient/dockerapi/errors.go). A missing
		// image or right fails alike, but attempts are counted and each costs little.
		{reason: "CannotPull*", retry: true},
		{exitCode: contract.RetriedExitCodes, retry: true},
		{reason: "*"},
	}
}

// retryStrategy is how often a session is tried. A timeout and a session that
// somebody ended are never retried.
func retryStrategy(attempts int) batch.JobDefinitionRetryStrategyArgs {
	var list batch.JobDefinitionRetryStrategyEvaluateOnExitArray
	for _, r := range rules() {
		list = append(list, r.args())
	}
	return batch.JobDefinitionRetryStrategyArgs{Attempts: pulumi.Int(attempts), EvaluateOnExits: list}
}

func (r rule) args() batch.JobDefinitionRetryStrategyEvaluateOnExitArgs {
	// Lower case is how AWS gives actions back.
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
