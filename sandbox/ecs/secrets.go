package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// taskService assumes the roles of tasks.
const taskService = "ecs-tasks.amazonaws.com"

// secrets reads a task's with its execution role, all at once, anew for each
// attempt. The words are those of the ECS agent's source.
func (a *Agent) secrets(r *run) (map[string]string, *failure) {
	list, role := r.Container.Secrets, r.Container.ExecutionRoleARN
	if fault := a.assumable(r); fault != nil {
		return nil, fault
	}
	if len(list) == 0 {
		return nil, nil
	}
	if role == "" {
		return nil, &failure{"", errors.New("ASM secret resource: unable to find execution role credentials")}
	}
	reader := secretsmanager.NewFromConfig(a.as(role, taskService))
	values, faults := make([]string, len(list)), make([]error, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		all.Go(func() { values[i], faults[i] = readSecret(r.prepared, reader, s.ValueFrom) })
	}
	all.Wait()
	found := map[string]string{}
	var told []string
	for i, s := range list {
		found[s.Name] = values[i]
		if faults[i] != nil {
			told = append(told, faults[i].Error())
		}
	}
	if len(told) > 0 {
		return nil, &failure{"", errors.New(strings.Join(told, ";"))}
	}
	return found, nil
}

// assumable is whether ECS may assume the task's roles at all.
func (a *Agent) assumable(r *run) *failure {
	for _, role := range []string{r.Container.ExecutionRoleARN, r.Container.JobRoleARN} {
		if role == "" {
			continue
		}
		_, err := a.roles.provider(role, taskService).Retrieve(r.prepared)
		var denied *gateway.Fault
		if errors.As(err, &denied) {
			return &failure{"", fmt.Errorf("ECS was unable to assume the role '%s' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.", role)} //nolint:revive,staticcheck // ECS's words
		}
		if err != nil {
			return &failure{"", err}
		}
	}
	return nil
}

// readSecret takes a whole ARN, or ARN:json-key:version-stage:version-id.
func readSecret(ctx context.Context, reader *secretsmanager.Client, valueFrom string) (string, error) {
	const plain, withKey = 7, 10
	parts := strings.Split(valueFrom, ":")
	if len(parts) != plain && len(parts) != withKey {
		return "", errors.New("an invalid ARN format for the AWS Secrets Manager secret was specified. Specify a valid ARN and try again.") //nolint:revive,staticcheck // ECS's words
	}
	arn := strings.Join(parts[:plain], ":")
	in, key := &secretsmanager.GetSecretValueInput{SecretId: &arn}, ""
	if len(parts) == withKey {
		key = parts[plain]
		in.VersionStage, in.VersionId = filled(parts[plain+1]), filled(parts[plain+2])
	}
	out, err := reader.GetSecretValue(ctx, in)
	if err != nil {
		return "", fmt.Errorf("ResourceInitializationError: The task can't retrieve the secret with ARN '%s' from AWS Secrets Manager. Check that the secret ARN is correct: %w", arn, err)
	}
	value := aws.ToString(out.SecretString)
	if key == "" {
		return value, nil
	}
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(value), &fields); err != nil {
		return "", fmt.Errorf("retrieved secret from Secrets Manager is not JSON, and the key %s of it is asked for", key)
	}
	field, there := fields[key]
	if !there {
		return "", fmt.Errorf("retrieved secret from Secrets Manager did not contain json key %s", key)
	}
	return fmt.Sprint(field), nil // as the agent does: a number is printed as Go prints a float
}

func filled(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// as is the configuration of AWS clients in a role.
func (a *Agent) as(role, service string) aws.Config {
	return aws.Config{Region: a.config.Region, BaseEndpoint: &a.config.Endpoint, Credentials: a.roles.provider(role, service)}
}

// roleCache keeps roles' credentials until shortly before they expire.
type roleCache struct {
	issue func(ctx context.Context, roleARN, service string) (gateway.Credentials, error)
	mu    sync.Mutex
	known map[string]aws.CredentialsProvider
}

func (c *roleCache) provider(role, service string) aws.CredentialsProvider {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := role + " " + service
	if c.known[key] == nil {
		c.known[key] = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			given, err := c.issue(ctx, role, service)
			return aws.Credentials{
				AccessKeyID: given.AccessKeyID, SecretAccessKey: given.SecretAccessKey, SessionToken: given.SessionToken,
				CanExpire: true, Expires: given.Expiration, Source: "sandbox",
			}, err
		}))
	}
	return c.known[key]
}

var _ batch.Agent = (*Agent)(nil)
