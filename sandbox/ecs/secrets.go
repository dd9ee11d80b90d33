package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
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
	reader := secretsmanager.NewFromConfig(a.as(r.roles, role, taskService))
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
		_, err := r.roles.provider(role, taskService).Retrieve(r.prepared)
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
	var absent *types.ResourceNotFoundException
	switch {
	case errors.As(err, &absent):
		return "", fmt.Errorf("ResourceInitializationError: The task can't retrieve the secret with ARN '%s' from AWS Secrets Manager. Check that the secret ARN is correct: %w", arn, err)
	case err != nil:
		return "", fmt.Errorf("%w: %w", err, err) // the agent wraps the error into its own text
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
func (a *Agent) as(roles *roleCache, role, service string) aws.Config {
	return a.with(roles.provider(role, service))
}

func (a *Agent) with(credentials aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: local.Region, BaseEndpoint: &a.config.Endpoint, Credentials: credentials}
}

// renewBefore is how long credentials are still good for when others replace
// them: SDKs ask for new ones up to 15 minutes before the end.
const renewBefore = 20 * time.Minute

// roleCache keeps a task's or a host's credentials until they are renewed.
type roleCache struct {
	roles Roles
	mu    sync.Mutex
	known map[string]*lease
}

func newRoleCache(roles Roles) *roleCache {
	return &roleCache{roles: roles, known: map[string]*lease{}}
}

func (c *roleCache) provider(role, service string) aws.CredentialsProvider {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := role + " " + service
	if c.known[key] == nil {
		c.known[key] = &lease{issue: func(ctx context.Context) (gateway.Credentials, error) { return c.roles.Issue(ctx, role, service) }}
	}
	return c.known[key]
}

// lease is a role's credentials. It does not use the SDK's cache, which reports an
// earlier expiry than the credentials have.
type lease struct {
	issue func(context.Context) (gateway.Credentials, error)
	mu    sync.Mutex
	given gateway.Credentials
}

// Retrieve implements aws.CredentialsProvider.
func (l *lease) Retrieve(ctx context.Context) (aws.Credentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Until(l.given.Expiration) < renewBefore {
		given, err := l.issue(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		l.given = given
	}
	return aws.Credentials{
		AccessKeyID: l.given.AccessKeyID, SecretAccessKey: l.given.SecretAccessKey, SessionToken: l.given.SessionToken,
		CanExpire: true, Expires: l.given.Expiration, Source: "sandbox",
	}, nil
}

var _ batch.Agent = (*Agent)(nil)
