package launch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/intraverse/dcv-sessions/contract"
)

// Password returns a user's credentials. The launcher policy does not grant it: without
// a right to read the user's secret it fails with *Denied.
func (l *Launcher) Password(ctx context.Context, user string) (contract.Credentials, error) {
	if err := l.checkUser(user); err != nil {
		return contract.Credentials{}, err
	}
	arn := l.stack.CredentialsARNs[user]
	out, err := l.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return contract.Credentials{}, asDenied(err)
	}
	var c contract.Credentials
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &c) != nil || c.Password == "" {
		return contract.Credentials{}, fmt.Errorf("the secret of %s holds no password: run pulumi up once", user)
	}
	return c, nil
}
