package stack

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/userresources"
)

// account makes AWS clients from the `aws:` configuration of the stack's provider, for
// the calls that the program makes itself: resource hooks and the check of ports run
// in the program and not in the provider.
type account struct {
	config *config.Config
	client aws.Config
}

func newAccount(ctx *pulumi.Context) (*account, error) {
	a := &account{config: config.New(ctx, "aws")}
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(a.config.Get("region"))}
	if a.profile() != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(a.profile()))
	}
	if key := a.config.Get("accessKey"); key != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(key, a.config.Get("secretKey"), a.config.Get("token"))))
	}
	var err error
	if a.client, err = awsconfig.LoadDefaultConfig(context.Background(), options...); err != nil {
		return nil, fmt.Errorf("aws configuration: %w", err)
	}
	return a, a.assumeRole()
}

func (a *account) profile() string { return a.config.Get("profile") }

// passwords returns the maker of passwords, in the Secrets Manager that the provider
// uses.
func (a *account) passwords() (*userresources.Passwords, error) {
	endpoint, err := a.endpoint("secretsmanager")
	if err != nil {
		return nil, err
	}
	return userresources.NewPasswords(secretsmanager.NewFromConfig(a.client, func(o *secretsmanager.Options) { override(&o.BaseEndpoint, endpoint) })), nil
}

// builderHooks registers the hooks that start and stop the builder, with the EC2 and
// the Systems Manager that the provider uses.
func (a *account) builderHooks(ctx *pulumi.Context, name string, args builder.HooksArgs) (*pulumi.ResourceHookBinding, error) {
	machines, err := a.endpoint("ec2")
	if err != nil {
		return nil, err
	}
	manager, err := a.endpoint("ssm")
	if err != nil {
		return nil, err
	}
	args.EC2 = ec2.NewFromConfig(a.client, func(o *ec2.Options) { override(&o.BaseEndpoint, machines) })
	args.SSM = ssm.NewFromConfig(a.client, func(o *ssm.Options) { override(&o.BaseEndpoint, manager) })
	return builder.Hooks(ctx, name, &args)
}

// hostHooks registers the hook of the compute environments, with the AWS Batch that
// the provider uses.
func (a *account) hostHooks(ctx *pulumi.Context, name string, updateTimeoutMinutes int) (*pulumi.ResourceHookBinding, error) {
	endpoint, err := a.endpoint("batch")
	if err != nil {
		return nil, err
	}
	return compute.Hooks(ctx, name, &compute.HooksArgs{
		Batch:                batch.NewFromConfig(a.client, func(o *batch.Options) { override(&o.BaseEndpoint, endpoint) }),
		UpdateTimeoutMinutes: updateTimeoutMinutes,
	})
}

// assumeRole makes the clients assume the role of aws:assumeRole, as the provider does.
func (a *account) assumeRole() error {
	text := a.config.Get("assumeRole")
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
	endpoint, err := a.endpoint("sts")
	if err != nil {
		return err
	}
	caller := sts.NewFromConfig(a.client, func(o *sts.Options) { override(&o.BaseEndpoint, endpoint) })
	a.client.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(caller, role.RoleARN,
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

// override sets a client's endpoint if the configuration has one. Otherwise the
// environment decides (AWS_ENDPOINT_URL).
func override(base **string, endpoint *string) {
	if endpoint != nil {
		*base = endpoint
	}
}

// endpoint returns the URL of a service in aws:endpoints, a list of maps from service
// to URL, or nil.
func (a *account) endpoint(service string) (*string, error) {
	text := a.config.Get("endpoints")
	if text == "" {
		return nil, nil
	}
	var list []map[string]string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("aws:endpoints is no list of maps from service to URL: %w", err)
	}
	for _, services := range list {
		if url := services[service]; url != "" {
			return &url, nil
		}
	}
	return nil, nil
}
