package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// printed returns the command's output for a stack.
func printed(t *testing.T, stack string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := run([]string{"--stack", stack}, &out)
	return out.String(), err
}

func TestTheTableIsTheOneOfTheDocs(t *testing.T) {
	text, err := printed(t, "dev")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "sizing.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "```text\n"+text+"```\n", "docs/sizing.md")
}

func TestEveryEnvironmentHasItsTable(t *testing.T) {
	for stack, first := range map[string]string{"dev": "g4dn.xlarge", "prod": "g6.xlarge", "sandbox": "g4dn.xlarge"} {
		text, err := printed(t, stack)
		require.NoError(t, err, stack)
		lines := strings.Split(text, "\n")
		assert.Regexp(t, `^INSTANCE TYPE +GPUS `, lines[0], stack)
		assert.Regexp(t, `^`+first+` +1 (T4|L4), `, lines[1], stack)
		assert.Contains(t, text, "\nAWS Batch starts "+first+" first", stack)
	}
}

// A stack's file in a folder of its own, with the project's Pulumi.yaml.
func TestAConfigurationWithFaultsHasItsTableAndItsFaults(t *testing.T) {
	dir := t.TempDir()
	project, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), project, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.big.yaml"), []byte(
		"config:\n  dcv-sessions:network.playerCidrs: [203.0.113.0/24]\n  dcv-sessions:session.vcpus: 5\n"+
			"  dcv-sessions:compute.instanceTypes: [g5.xlarge, g5.2xlarge]\n"), 0o600))
	t.Chdir(dir)
	text, err := printed(t, "big")
	assert.Regexp(t, `\ng5\.xlarge +1 A10G, 22888 MiB +0 +vCPUs +\$1\.0060 +none fits +none +0\n`, text)
	assert.Regexp(t, `\ng5\.2xlarge +1 A10G, 22888 MiB +1 +vCPUs, GPUs +\$1\.2120 +\$1\.2120 +none +8\n`, text)
	assert.ErrorContains(t, err, `compute.instanceTypes is "g5.xlarge"; allowed: a type that a session fits: it takes 5 vCPUs, 14000 MiB, 1 GPU`)
	assert.ErrorContains(t, err, `g5.xlarge has 4 vCPUs, 15532 MiB for containers, 1 GPU; missing: 1 vCPU; the cheapest type that it fits: g4dn.2xlarge`)
	_, err = printed(t, "none")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
