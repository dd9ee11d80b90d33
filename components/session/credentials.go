package session

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// EnsureCredentials puts a password into a user's secret unless it has one. It is
// called for several users concurrently.
type EnsureCredentials func(ctx context.Context, secretARN, user string) error

// ensureTimeout bounds one call: a few requests, with their retries.
const ensureTimeout = time.Minute

// credentialsHook returns the function of the hook that runs before a job definition
// is created or updated, never in a preview. So no session can be submitted while its
// secret is empty, a run that was killed is completed by the next one, no password
// passes through the engine, and an `up` without changes calls nothing.
func credentialsHook(ctx context.Context, ensure EnsureCredentials) pulumi.ResourceHookFunction {
	return func(args *pulumi.ResourceHookArgs) error {
		user, secretARN, err := credentialsOf(args.NewInputs)
		if err != nil {
			return fmt.Errorf("job definition %s: %w", args.Name, err)
		}
		bounded, cancel := context.WithTimeout(ctx, ensureTimeout)
		defer cancel()
		if err := ensure(bounded, secretARN, user); err != nil {
			return fmt.Errorf("credentials of user %s: %w", user, err)
		}
		return nil
	}
}

// credentialsOf returns the user and the secret of a job definition's inputs: a
// session gets the very secret that is filled.
func credentialsOf(inputs resource.PropertyMap) (user, secretARN string, err error) {
	text, err := stringOf(inputs["containerProperties"])
	if err != nil {
		return "", "", fmt.Errorf("containerProperties: %w", err)
	}
	var p containerProperties
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", "", fmt.Errorf("containerProperties: %w", err)
	}
	for _, variable := range p.Environment {
		if variable.Name == contract.EnvUser {
			user = variable.Value
		}
	}
	for _, s := range p.Secrets {
		if s.Name == contract.EnvCredentials {
			secretARN = s.ValueFrom
		}
	}
	if user == "" || secretARN == "" {
		return "", "", fmt.Errorf("containerProperties have no %s or no secret %s", contract.EnvUser, contract.EnvCredentials)
	}
	return user, secretARN, nil
}

// stringOf returns the text of an input, without the engine's wrapping of secrets and
// outputs.
func stringOf(v resource.PropertyValue) (string, error) {
	for {
		switch {
		case v.IsSecret():
			v = v.SecretValue().Element
		case v.IsOutput() && v.OutputValue().Known:
			v = v.OutputValue().Element
		case v.IsString():
			return v.StringValue(), nil
		default:
			return "", fmt.Errorf("a %s is not a text", v.TypeString())
		}
	}
}
