package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

func testCloud(t *testing.T) *Cloud {
	t.Helper()
	root := t.TempDir()
	c := &Cloud{ID: "20260101-000000", AccessKey: newAccessKey(), Ports: Ports{Gateway: 20001, Registry: 20003}, DockerHost: "unix:///run/x.sock",
		tree: Tree{Root: root, State: filepath.Join(root, ".sandbox"), Cache: filepath.Join(root, "cache")}}
	require.NoError(t, os.MkdirAll(c.Dir(), 0o755))
	return c
}

func TestAStackThatWasDestroyedIsNotDeployed(t *testing.T) {
	c := testCloud(t)
	assert.False(t, c.Deployed(Stack))
	dir := filepath.Join(c.StateDir(), ".pulumi", "stacks", "dcv-sessions")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	file := filepath.Join(dir, Stack+".json")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	assert.True(t, c.Deployed(Stack))
	require.NoError(t, os.Rename(file, file+".bak"), "what Pulumi leaves of a stack that it removes")
	assert.False(t, c.Deployed(Stack))
}

func TestNothingOfTheCallersAccountReachesTheSandboxsEngine(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_PROFILE": "production", "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "real",
		"AWS_ENDPOINT_URL_BATCH": "https://real", "AWS_WEB_IDENTITY_TOKEN_FILE": "/real", "AWS_ROLE_ARN": "real",
		"PULUMI_ACCESS_TOKEN": "pul-real", "PULUMI_CONFIG": "real", "DOCKER_CONTEXT": "real", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://real",
	} {
		t.Setenv(name, value)
	}
	c := testCloud(t)
	env := map[string]string{}
	for _, pair := range c.Env() {
		name, value, _ := strings.Cut(pair, "=")
		assert.NotContains(t, env, name, "set once")
		env[name] = value
		if leadsElsewhere(pair) {
			assert.NotContains(t, strings.ToLower(value), "real", name)
		}
	}
	assert.Equal(t, c.AccessKey, env["AWS_ACCESS_KEY_ID"])
	assert.Equal(t, c.Endpoint(), env["AWS_ENDPOINT_URL"])
	assert.Equal(t, os.DevNull, env["AWS_CONFIG_FILE"])
	assert.Equal(t, os.DevNull, env["AWS_SHARED_CREDENTIALS_FILE"])
	assert.Equal(t, "true", env["AWS_EC2_METADATA_DISABLED"])
}

// The next `pulumi up` against AWS would use a narrowed or stand-in provider that it
// finds in ~/.pulumi.
func TestTheSandboxsProvidersLieWhereNoOtherPulumiLooks(t *testing.T) {
	c := testCloud(t)
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(c.tree.PulumiHome(), c.tree.Root+"/"), c.tree.PulumiHome())
	assert.False(t, strings.HasPrefix(c.tree.PulumiHome(), filepath.Join(home, ".pulumi")))
	assert.Contains(t, c.Env(), "PULUMI_HOME="+c.tree.PulumiHome())
	assert.Contains(t, c.Env(), "PULUMI_BACKEND_URL=file://"+c.StateDir(), "and neither is a state of the caller's touched")
}

func TestEveryServiceOfTheProviderHasTheGatewaysEndpoint(t *testing.T) {
	services, err := os.ReadFile("../awsprovider/build/services.go")
	require.NoError(t, err)
	for _, quoted := range strings.Split(string(services), ",") {
		if name, err := strconv.Unquote(lastField(quoted)); err == nil && name != "meta" { // meta calls nothing
			assert.Contains(t, endpoints, name)
		}
	}
	assert.Contains(t, endpoints, "organizations", "which the provider imports")
}

func lastField(text string) string {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

func TestTheRunningCloudsConfigurationLeadsNowhereElse(t *testing.T) {
	c := testCloud(t)
	committed := filepath.Join(t.TempDir(), "Pulumi.sandbox.yaml")
	require.NoError(t, os.WriteFile(committed, []byte("encryptionsalt: s\nconfig:\n  dcv-sessions:users: {player1: {}}\n"), 0o600))
	written, err := c.WriteConfig("infra", Stack, committed, Found{BaseImage: "base:1", Game: "/game", Subnets: []string{"subnet-1", "subnet-2"}})
	require.NoError(t, err)
	text, err := os.ReadFile(written)
	require.NoError(t, err)
	var file struct {
		Config map[string]any
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	at1 := file.Config["aws:endpoints"].([]any)[0].(map[string]any)
	assert.Len(t, at1, len(endpoints))
	for service, endpoint := range at1 {
		assert.Equal(t, c.Endpoint(), endpoint, service)
	}
	assert.Equal(t, []any{Account}, file.Config["aws:allowedAccountIds"])
	assert.Equal(t, c.AccessKey, file.Config["aws:accessKey"])
	assert.Equal(t, []any{"subnet-1", "subnet-2"}, file.Config["dcv-sessions:network.subnetIds"])
	assert.Equal(t, map[string]any{"player1": map[string]any{}}, file.Config["dcv-sessions:users"], "what is committed stays")
}
