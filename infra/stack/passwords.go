package stack

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/intraverse/dcv-sessions/components/secrets"
)

// passwordStore is the Secrets Manager that the stack's provider uses: the hook
// that makes passwords runs in this program, not in the provider, so it reads
// the same `aws:` configuration. Nothing is called before a hook runs.
func passwordStore(ctx *pulumi.Context) (*secrets.Passwords, error) {
	cfg := config.New(ctx, "aws")
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(cfg.Get("region"))}
	if profile := cfg.Get("profile"); profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(profile))
	}
	if key := cfg.Get("accessKey"); key != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(key, cfg.Get("secretKey"), cfg.Get("token"))))
	}
	client, err := awsconfig.LoadDefaultConfig(context.Background(), options...)
	if err != nil {
		return nil, wrap("aws configuration", err)
	}
	if err := assumeRole(cfg, &client); err != nil {
		return nil, err
	}
	endpoint, err := endpoint(cfg, "secretsmanager")
	if err != nil {
		return nil, err
	}
	return secrets.NewPasswords(secretsmanager.NewFromConfig(client, func(o *secretsmanager.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})), nil
}

// assumeRole follows aws:assumeRole, as the provider does.
func assumeRole(cfg *config.Config, client *aws.Config) error {
	text := cfg.Get("assumeRole")
	if text == "" {
		return nil
	}
	var role struct {
		RoleARN     string `json:"roleArn"`
		SessionName string `json:"sessionName"`
		ExternalID  string `json:"externalId"`
	}
	if err := json.Unmarshal([]byte(text), &role); err != nil {
		return fmt.Errorf("aws:assumeRole is no object: %w", err)
	}
	endpoint, err := endpoint(cfg, "sts")
	if err != nil {
		return err
	}
	caller := sts.NewFromConfig(*client, func(o *sts.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
	client.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(caller, role.RoleARN,
		func(o *stscreds.AssumeRoleOptions) {
			if role.SessionName != "" {
				o.RoleSessionName = role.SessionName
			}
			if role.ExternalID != "" {
				o.ExternalID = aws.String(role.ExternalID)
			}
		}))
	return nil
}

// endpoint finds a service in aws:endpoints, a list of maps from service to URL.
func endpoint(cfg *config.Config, service string) (string, error) {
	text := cfg.Get("endpoints")
	if text == "" {
		return "", nil
	}
	var list []map[string]string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return "", fmt.Errorf("aws:endpoints is no list of maps from service to URL: %w", err)
	}
	for _, services := range list {
		if url := services[service]; url != "" {
			return url, nil
		}
	}
	return "", nil
}
