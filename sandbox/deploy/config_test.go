package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheProgramIsGivenTheNamesOfTheKeysAndNoValues(t *testing.T) {
	t.Setenv(pulumi.EnvConfig, "")
	file := filepath.Join(t.TempDir(), "Pulumi.sandbox.yaml")
	require.NoError(t, os.WriteFile(file, []byte("config:\n  dcv-sessions:sesion.idleMinutes: 5\n  aws:secretKey: hunter2\n  dcv-sessions:tags: {a: b}\n"), 0o600))
	require.NoError(t, listKeys(file))
	assert.JSONEq(t, `{"dcv-sessions:sesion.idleMinutes":"","aws:secretKey":"","dcv-sessions:tags":""}`, os.Getenv(pulumi.EnvConfig))

	require.NoError(t, listKeys(""))
	assert.Error(t, listKeys(file+"x"))
}
