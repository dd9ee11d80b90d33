package session

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// container is AWS Batch's ContainerProperties (API reference), as far as a
// session uses it. Lists are in the order in which AWS Batch compares them.
type container struct {
	Image                string           `json:"image"`
	ExecutionRoleARN     string           `json:"executionRoleArn"`
	JobRoleARN           string           `json:"jobRoleArn"`
	Environment          []variable       `json:"environment"`
	Secrets              []secret         `json:"secrets"`
	ResourceRequirements []requirement    `json:"resourceRequirements"`
	LinuxParameters      linuxParameters  `json:"linuxParameters"`
	LogConfiguration     logConfiguration `json:"logConfiguration"`
	Privileged           bool             `json:"privileged,omitempty"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

type requirement struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// linuxParameters has no initProcessEnabled: the session is its own init.
type linuxParameters struct {
	SharedMemorySize int `json:"sharedMemorySize"` // MiB
}

type logConfiguration struct {
	LogDriver string            `json:"logDriver"`
	Options   map[string]string `json:"options"`
}

// maxDefinition is AWS Batch's limit on a job definition, bytes (user guide,
// "AWS Batch service quotas").
const maxDefinition = 24 << 10

// containerProperties renders a user's container once everything is known.
func containerProperties(args *SessionsArgs, user User) pulumi.StringOutput {
	needs := []any{args.Image, args.Region, args.ExecutionRoleARN, args.SessionRoleARN, args.LogGroupName, user.CredentialsARN}
	if user.NotificationARN != nil {
		needs = append(needs, user.NotificationARN)
	}
	return pulumi.All(needs...).ApplyT(func(known []any) (string, error) {
		text := make([]string, len(known))
		for i, value := range known {
			text[i] = value.(string)
		}
		return args.render(user.Name, text[0], text[1], text[2], text[3], text[4], text[5:])
	}).(pulumi.StringOutput)
}

func (a *SessionsArgs) render(user, image, region, executionRole, sessionRole, logGroup string, secrets []string) (string, error) {
	c := container{
		Image: image, ExecutionRoleARN: executionRole, JobRoleARN: sessionRole, Privileged: a.Privileged,
		Environment: sorted(map[string]string{
			contract.EnvContract:    strconv.Itoa(contract.Version),
			contract.EnvStack:       a.Stack,
			contract.EnvUser:        user,
			contract.EnvPortFirst:   strconv.Itoa(a.Ports.First),
			contract.EnvPortLast:    strconv.Itoa(a.Ports.Last),
			contract.EnvRegion:      region,
			contract.EnvImage:       image,
			contract.EnvStopSeconds: strconv.Itoa(a.StopSeconds),
			contract.EnvMaxSeconds:  strconv.Itoa(a.MaxSeconds),
		}),
		Secrets: []secret{{contract.EnvCredentials, secrets[0]}},
		ResourceRequirements: []requirement{
			{"MEMORY", strconv.Itoa(a.MemoryMiB)}, {"VCPU", strconv.Itoa(a.VCPUs)},
		},
		LinuxParameters: linuxParameters{a.SharedMemoryMiB},
		LogConfiguration: logConfiguration{"awslogs", map[string]string{
			"awslogs-group": logGroup, "awslogs-region": region, "awslogs-stream-prefix": user,
			// A session never waits for its log; under a flood the oldest lines go.
			"mode": "non-blocking", "max-buffer-size": "25m",
		}},
	}
	if len(secrets) > 1 {
		c.Secrets = append(c.Secrets, secret{contract.EnvNotify, secrets[1]})
	}
	if a.GPUs > 0 {
		c.ResourceRequirements = append([]requirement{{"GPU", strconv.Itoa(a.GPUs)}}, c.ResourceRequirements...)
	}
	b, err := json.Marshal(c)
	if err == nil && len(b) > maxDefinition {
		err = fmt.Errorf("the job definition of %s has %d bytes, AWS Batch takes %d", user, len(b), maxDefinition)
	}
	return string(b), err
}

func sorted(environment map[string]string) []variable {
	list := make([]variable, 0, len(environment))
	for name, value := range environment {
		list = append(list, variable{name, value})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// credentialsOf reads back whose credentials a rendered container takes, and from
// which secret.
func credentialsOf(properties string) (secretARN, user string, err error) {
	var c container
	if err := json.Unmarshal([]byte(properties), &c); err != nil {
		return "", "", fmt.Errorf("container properties: %w", err)
	}
	for _, s := range c.Secrets {
		if s.Name == contract.EnvCredentials {
			secretARN = s.ValueFrom
		}
	}
	for _, v := range c.Environment {
		if v.Name == contract.EnvUser {
			user = v.Value
		}
	}
	if secretARN == "" || user == "" {
		return "", "", fmt.Errorf("container properties name no %s or no %s", contract.EnvCredentials, contract.EnvUser)
	}
	return secretARN, user, nil
}

// retryStrategy tries again what another host or moment may cure, and ends
// everything else: a failure that matches no rule would be retried too. AWS
// Batch takes up to five rules, whose patterns may end with one "*".
func retryStrategy(attempts int) batch.JobDefinitionRetryStrategyArgs {
	rules := batch.JobDefinitionRetryStrategyEvaluateOnExitArray{
		// The host went away: Spot reclaim or failure.
		batch.JobDefinitionRetryStrategyEvaluateOnExitArgs{Action: pulumi.String("retry"), OnStatusReason: pulumi.String("Host EC2*")},
	}
	for _, code := range contract.ExitCodes {
		if code.Retry {
			rules = append(rules, batch.JobDefinitionRetryStrategyEvaluateOnExitArgs{
				Action: pulumi.String("retry"), OnExitCode: pulumi.String(strconv.Itoa(code.Code)),
			})
		}
	}
	rules = append(rules, batch.JobDefinitionRetryStrategyEvaluateOnExitArgs{Action: pulumi.String("exit"), OnReason: pulumi.String("*")})
	return batch.JobDefinitionRetryStrategyArgs{Attempts: pulumi.Int(attempts), EvaluateOnExits: rules}
}
