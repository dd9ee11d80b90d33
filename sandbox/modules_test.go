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

// Packages that are compiled from one version of their module are compiled once:
// Pulumi's SDK, gRPC and AWS's SDK are several minutes of a first `make up`.
func TestTheProgramTheSandboxAndTheEngineCompileTheSamePackages(t *testing.T) {
	sandbox := requirements(t, "go.mod")
	for _, file := range []string{"../go.mod", "engine/go.mod"} {
		for module, version := range requirements(t, file) {
			if here, both := sandbox[module]; both {
				assert.Equal(t, here, version, "%s: %s; `go get` the newer of both", file, module)
			}
		}
	}
}
