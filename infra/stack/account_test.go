package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/userresources"
)

// with runs a function in a context with this configuration.
func with(t *testing.T, all map[string]string, do func(*pulumi.Context)) {
	t.Helper()
	componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		do(ctx)
		return nil
	}, componenttest.WithConfig(all)).Must(t)
}

func store(t *testing.T, all map[string]string) (made *userresources.Passwords, err error) {
	t.Helper()
	with(t, all, func(ctx *pulumi.Context) {
		var a *account
		if a, err = newAccount(ctx); err == nil {
			made, err = a.passwords()
		}
	})
	return made, err
}

// service is an AWS on this machine that records each call and its credentials.
type service struct {
	url string
	mu  sync.Mutex
	got []string // "OPERATION key/date/Region/service"
	sts string   // the last call of STS
}

// serve answers DescribeSecret as of a secret that has its password, and
// AssumeRole.
func serve(t *testing.T) *service {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		scope, _, _ = strings.Cut(scope, "/aws4_request")
		parts := strings.Split(scope, "/")
		s.mu.Lock()
		defer s.mu.Unlock()
		if operation == "" {
			operation, s.sts = "AssumeRole", string(body)
			fmt.Fprint(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
				<AccessKeyId>ROLEKEY</AccessKeyId><SecretAccessKey>role</SecretAccessKey><SessionToken>role-token</SessionToken>
				<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
		} else {
			fmt.Fprint(w, `{"ARN":"arn:secret","VersionIdsToStages":{"1":["AWSCURRENT"]}}`)
		}
		if assert.Len(t, parts, 4, scope) {
			s.got = append(s.got, fmt.Sprintf("%s by %s in %s", operation, parts[0], parts[2]))
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func TestPasswordsAreMadeWhereTheProviderPutsSecrets(t *testing.T) {
	here, elsewhere := serve(t), serve(t)
	passwords, err := store(t, map[string]string{
		"aws:region": "eu-central-1", "aws:accessKey": "KEY", "aws:secretKey": "secret",
		"aws:endpoints": fmt.Sprintf(`[{"batch":%q},{"secretsmanager":%q}]`, elsewhere.url, here.url),
	})
	require.NoError(t, err)
	assert.Empty(t, here.got, "nothing is called before a hook runs")

	require.NoError(t, passwords.Ensure(context.Background(), "arn:secret", "player1"))
	assert.Equal(t, []string{"DescribeSecret by KEY in eu-central-1"}, here.got, "the provider's own key, Region and endpoint")
	assert.Empty(t, elsewhere.got)
}

func TestPasswordsAreMadeInTheProvidersRole(t *testing.T) {
	here := serve(t)
	passwords, err := store(t, map[string]string{
		"aws:region": "us-east-1", "aws:accessKey": "KEY", "aws:secretKey": "secret",
		"aws:endpoints":  fmt.Sprintf(`[{"secretsmanager":%q,"sts":%q}]`, here.url, here.url),
		"aws:assumeRole": `{"roleArn":"arn:aws:iam::123456789012:role/deploy","sessionName":"ci","externalId":"studio","duration":"1h"}`,
	})
	require.NoError(t, err)
	assert.Empty(t, here.got)

	require.NoError(t, passwords.Ensure(context.Background(), "arn:secret", "player1"))
	assert.Equal(t, []string{"AssumeRole by KEY in us-east-1", "DescribeSecret by ROLEKEY in us-east-1"}, here.got)
	for _, part := range []string{"RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdeploy", "RoleSessionName=ci", "ExternalId=studio"} {
		assert.Contains(t, here.sts, part)
	}
}

func TestARoleWithoutFurtherWordIsAssumedWithoutAnExternalID(t *testing.T) {
	here := serve(t)
	passwords, err := store(t, map[string]string{
		"aws:region": "us-east-1", "aws:accessKey": "KEY", "aws:secretKey": "secret",
		"aws:endpoints":  fmt.Sprintf(`[{"secretsmanager":%q,"sts":%q}]`, here.url, here.url),
		"aws:assumeRole": `{"roleArn":"arn:aws:iam::123456789012:role/deploy"}`,
	})
	require.NoError(t, err)
	require.NoError(t, passwords.Ensure(context.Background(), "arn:secret", "player1"))
	assert.NotContains(t, here.sts, "ExternalId")
	assert.Regexp(t, `RoleSessionName=[^&]+`, here.sts, "STS wants a name: the SDK makes one")
}

func TestAWrongProviderConfigurationIsToldWithItsKey(t *testing.T) {
	for text, all := range map[string]map[string]string{
		"aws:endpoints is no list of maps from service to URL: json: cannot unmarshal object": {"aws:endpoints": `{"secretsmanager":"http://localhost"}`},
		"aws:endpoints is no list of maps from service to URL: invalid character":             {"aws:endpoints": "http://localhost"},
		"aws:assumeRole is no object: invalid character":                                      {"aws:assumeRole": "arn:aws:iam::123456789012:role/deploy"},
		"aws:assumeRole is no object: json: cannot unmarshal array":                           {"aws:assumeRole": `["arn:aws:iam::123456789012:role/deploy"]`},
		"aws:assumeRole is no object: json: cannot unmarshal number":                          {"aws:assumeRole": `{"roleArn":1}`},
		"aws configuration: failed to get shared config profile, nobody":                      {"aws:profile": "nobody"},
	} {
		all["aws:region"] = "us-east-1"
		made, err := store(t, all)
		assert.ErrorContains(t, err, text)
		assert.Nil(t, made)
	}
	_, err := store(t, map[string]string{"aws:region": "us-east-1", "aws:endpoints": "[1]", "aws:assumeRole": `{"roleArn":"arn"}`})
	assert.ErrorContains(t, err, "aws:endpoints is no list", "the endpoint of STS comes from there too")
}

func TestAnEndpointIsItsServicesFirst(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"[]":                     "",
		"[{}]":                   "",
		`[{"batch":"http://a"}]`: "",
		`[{"secretsmanager":"http://a","batch":"http://b"}]`:                                    "http://a",
		`[{"batch":"http://b"},{"secretsmanager":""},{"secretsmanager":"http://c"}]`:            "http://c",
		`[{"secretsmanager":"http://d"},{"secretsmanager":"http://e"},{"sts":"http://f/path"}]`: "http://d",
	} {
		with(t, map[string]string{"aws:endpoints": text}, func(ctx *pulumi.Context) {
			got, err := (&account{config: config.New(ctx, "aws")}).endpoint("secretsmanager")
			assert.NoError(t, err, text)
			assert.Equal(t, want, aws.ToString(got), text)
		})
	}
}

func TestWithoutARoleTheCredentialsStay(t *testing.T) {
	with(t, nil, func(ctx *pulumi.Context) {
		a := &account{config: config.New(ctx, "aws"), client: aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}}
		require.NoError(t, a.assumeRole())
		assert.Equal(t, aws.AnonymousCredentials{}, a.client.Credentials)
	})
}

func TestTheBuilderIsStartedWhereTheProviderMadeIt(t *testing.T) {
	args := builder.HooksArgs{InstanceID: pulumi.String("i-1"), InstanceURN: pulumi.String("urn:builder"), LoginDir: "login", IdleMinutes: 15, MaxHours: 4}
	for endpoints, want := range map[string]string{
		`[{"ec2":"http://127.0.0.1:1","ssm":"http://127.0.0.1:2"}]`: "",
		"[1]": "aws:endpoints is no list",
	} {
		with(t, map[string]string{"aws:region": "us-east-1", "aws:endpoints": endpoints}, func(ctx *pulumi.Context) {
			a, err := newAccount(ctx)
			require.NoError(t, err)
			bound, err := a.builderHooks(ctx, "builder", args)
			if want != "" {
				assert.ErrorContains(t, err, want)
				return
			}
			require.NoError(t, err)
			assert.Len(t, bound.BeforeCreate, 1)
			assert.Len(t, bound.OnError, 1)
		})
	}
}

func TestWhatTheConfigurationDoesNotSayTheEnvironmentDoes(t *testing.T) {
	from := aws.String("http://environment")
	override(&from, nil)
	assert.Equal(t, "http://environment", *from)
	override(&from, aws.String("http://configuration"))
	assert.Equal(t, "http://configuration", *from)
}
