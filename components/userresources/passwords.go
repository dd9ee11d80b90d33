package userresources

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// SecretsManager is the part of Secrets Manager's client that passwords need.
type SecretsManager interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetRandomPassword(context.Context, *secretsmanager.GetRandomPasswordInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetRandomPasswordOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

// Passwords fills credentials secrets, once each.
type Passwords struct{ client SecretsManager }

// NewPasswords fills secrets through a client.
func NewPasswords(client SecretsManager) *Passwords { return &Passwords{client} }

// passwordLength is in characters, which have 5.8 bits each without those that are excluded below.
const passwordLength = 24

// awkward are characters that a person mistypes or a shell, URL or JSON quotes.
const awkward = "\"'`\\/@:;?&=+%#$*<>()[]{}|~^! ,.0Oo1lI"

// Ensure gives a secret its first version, contract.Credentials as JSON with a
// password of Secrets Manager's own generator, unless it has a current one. It
// may be repeated and run twice at once: both ask for the same version, and
// Secrets Manager takes the first.
func (p *Passwords) Ensure(ctx context.Context, secretARN, user string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.ensure(ctx, secretARN, user); err != nil {
		return fmt.Errorf("credentials of %s in %s: %w", user, secretARN, err)
	}
	return nil
}

func (p *Passwords) ensure(ctx context.Context, secretARN, user string) error {
	secret, err := p.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(secretARN)})
	if err != nil {
		return err
	}
	for _, stages := range secret.VersionIdsToStages {
		if slices.Contains(stages, "AWSCURRENT") {
			return nil
		}
	}
	generated, err := p.client.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{
		PasswordLength:          aws.Int64(passwordLength),
		ExcludeCharacters:       aws.String(awkward),
		ExcludePunctuation:      aws.Bool(true),
		RequireEachIncludedType: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	value, err := json.Marshal(contract.Credentials{Username: user, Password: aws.ToString(generated.RandomPassword)})
	if err != nil {
		return err
	}
	_, err = p.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId:           aws.String(secretARN),
		SecretString:       aws.String(string(value)),
		ClientRequestToken: aws.String(firstVersion(secretARN)),
	})
	var other *types.ResourceExistsException // another run's password came first, and counts
	if errors.As(err, &other) {
		return nil
	}
	return err
}

// firstVersion is the id of a secret's first version, a UUID that is always the
// same for one secret.
func firstVersion(secretARN string) string {
	sum := sha256.Sum256([]byte("dcv-sessions first version of " + secretARN))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
