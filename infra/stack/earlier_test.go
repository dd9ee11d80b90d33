package stack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
)

// removed lists the resources that the release dff3703 declared and the program no
// longer does. Nothing but a policy's attachment to a role is lost with them.
var removed = map[string]string{
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment roles-host-AmazonEC2ContainerServiceforEC2Role roles": "a narrower policy of the role's own stands for it",
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment roles-host-AmazonSSMManagedInstanceCore roles":        "granted only with compute.supportAccess",
}

// A resource under another type, name or parent is a new one, and an update deletes
// the old one with its data. The engine tests preview an update of the stack
// `sandbox` from the recorded state of that release.
func TestTheResourcesOfAnEarlierReleaseKeepTheirNamesOrHaveAliases(t *testing.T) {
	for _, name := range []string{"dev", "prod"} {
		present := map[string]bool{}
		for _, made := range asCommitted(t, name, componenttest.Update).Resources {
			for _, known := range append(made.Aliases, made.Name) {
				present[line(componenttest.Resource{Type: made.Type, Name: known, Parent: made.Parent})] = true
			}
		}
		earlier, err := os.ReadFile(filepath.Join("stack", "testdata", "dff3703", name+".golden"))
		require.NoError(t, err)
		for _, resource := range strings.Split(strings.TrimSpace(string(earlier)), "\n") {
			_, intended := removed[resource]
			assert.Equal(t, !intended, present[resource], "%s: %s", name, resource)
		}
	}
}
