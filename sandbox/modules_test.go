package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var requirement = regexp.MustCompile(`(?m)^\s+(\S+\.\S+/\S+) (v\S+)`)

func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	versions := map[string]string{}
	for _, m := range requirement.FindAllStringSubmatch(string(text), -1) {
		versions[m[1]] = m[2]
	}
	require.NotEmpty(t, versions)
	return versions
}

// With other versions of a module that Pulumi's SDK needs, its AWS packages are
// compiled once for each of our modules: four more minutes on a fresh machine.
func TestTheProgramAndTheSandboxCompileTheSamePackages(t *testing.T) {
	sandbox := requirements(t, "go.mod")
	for module, version := range requirements(t, "../go.mod") {
		if here, both := sandbox[module]; both {
			assert.Equal(t, here, version, "%s: `go get %s@%s` in the root", module, module, here)
		}
	}
}
