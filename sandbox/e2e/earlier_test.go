package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/contract"
)

// What an update from the earlier release replaces and deletes on purpose, each with
// its reason. None of these resources holds data. Any other replacement or deletion
// is a fault: a resource that was renamed needs an alias.
var (
	replacedByUpdate = map[string]string{
		"aws:ec2/instance:Instance builder":                "new user data; docs/operations.md says so",
		"aws:ecr/lifecyclePolicy:LifecyclePolicy registry": "the AWS provider replaces it whenever a rule changes; here, released images are kept",
	}
	deletedByUpdate = map[string]string{
		"aws:iam/serviceLinkedRole:ServiceLinkedRole hosts":                                                "belongs to the account; docs/operations.md says how the state forgets it",
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment roles-host-AmazonEC2ContainerServiceforEC2Role": "a narrower policy of the role's own stands for it",
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment roles-host-AmazonSSMManagedInstanceCore":        "granted only with compute.supportAccess",
	}
)

// updateEarlierRelease previews the present program on the state of a stack that
// commit dff3703 deployed with its `make up`. The recorded state has no times, source
// positions and property dependencies; placeholders stand for values that are new at
// each start of the local AWS.
func (s *sandbox) updateEarlierRelease(t *testing.T, base config) {
	state := filepath.Join(s.cloud(t).StateDir(), ".pulumi", "stacks", contract.Product, s.stack+".json")
	present, err := os.ReadFile(state)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(state, s.earlierState(t), 0o600))
	defer func() { require.NoError(t, os.WriteFile(state, present, 0o600)) }()

	replaced, deleted := map[string]string{}, map[string]string{}
	for _, step := range s.deploy(t, "preview", base).Changed() {
		resource := step.Type + " " + step.Name()
		t.Logf("%s %s: %s", step.Op, resource, strings.Join(step.Diffs, ", "))
		switch step.Op {
		case "create", "update":
		case "delete":
			deleted[resource] = deletedByUpdate[resource]
		default: // replace, create-replacement, delete-replaced
			replaced[resource] = replacedByUpdate[resource]
		}
	}
	assert.Equal(t, replacedByUpdate, replaced)
	assert.Equal(t, deletedByUpdate, deleted)
}

// earlierState returns the recorded state with the addresses, the access key and the
// network of the running local AWS.
func (s *sandbox) earlierState(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "dff3703.json"))
	require.NoError(t, err)
	cloud := s.cloud(t)
	written, err := os.ReadFile(cloud.ConfigFile("infra", s.stack))
	require.NoError(t, err)
	var file struct {
		Config struct {
			VPC     string   `yaml:"dcv-sessions:network.vpcId"`
			Subnets []string `yaml:"dcv-sessions:network.subnetIds"`
		}
	}
	require.NoError(t, yaml.Unmarshal(written, &file))
	require.Len(t, file.Config.Subnets, 2)
	return []byte(strings.NewReplacer(
		"@ENDPOINT@", cloud.Endpoint(), "@REGISTRY@", cloud.Registry(), "@DOCKER@", cloud.DockerHost, "@ACCESS_KEY@", cloud.AccessKey,
		"@VPC@", file.Config.VPC, "@SUBNET1@", file.Config.Subnets[0], "@SUBNET2@", file.Config.Subnets[1],
	).Replace(string(text)))
}
