package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func target(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(file), 0o644))
	var out bytes.Buffer
	err := run(append(args, "--dir", dir), &out)
	return out.String(), err
}

const good = `
secretsprovider: awskms://alias/state
config:
  aws:region: us-east-1
  aws:allowedAccountIds: ["111111111111"]
  dcv-sessions:delivery.stateBucket: studio-state
`

func TestAStacksFileSaysWhereAWorkflowDeploysAndAsWhom(t *testing.T) {
	for role, want := range map[string]string{
		"preview": "region=us-east-1\nrole=arn:aws:iam::111111111111:role/dcv-sessions_dev_preview\nseconds=3600\nbackend=s3://studio-state\nuse=\n",
		"deploy":  "region=us-east-1\nrole=arn:aws:iam::111111111111:role/dcv-sessions_dev_deploy\nseconds=21600\nbackend=s3://studio-state\nuse=\n",
	} {
		got, err := target(t, good, "--stack", "dev", "--role", role)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	got, err := target(t, good+"  dcv-sessions:image.use: 1.4.1\n", "--stack", "dev", "--role", "preview")
	require.NoError(t, err)
	assert.Contains(t, got, "\nuse=1.4.1\n")
}

func TestRegionsOfOtherPartitionsHaveTheirARNs(t *testing.T) {
	for region, want := range map[string]string{"eu-central-1": "aws", "us-gov-west-1": "aws-us-gov", "cn-north-1": "aws-cn"} {
		assert.Equal(t, want, partition(region))
	}
}

func TestWhatIsMissingIsToldAtOnceAndNothingPrinted(t *testing.T) {
	got, err := target(t, "config: {}\n", "--stack", "dev", "--role", "deploy")
	assert.Empty(t, got)
	assert.ErrorContains(t, err, "has 3 faults")
	for _, key := range []string{"aws:region is ", "aws:allowedAccountIds is ", "dcv-sessions:delivery.stateBucket is "} {
		assert.ErrorContains(t, err, key)
	}
	_, err = target(t, good, "--stack", "../dev", "--role", "admin")
	assert.ErrorContains(t, err, `--stack is "../dev"; allowed`)
	assert.ErrorContains(t, err, `--role is "admin"; allowed: preview or deploy`)
	_, err = target(t, good, "--stack", "prod", "--role", "deploy")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestAValueWritesNoOutputOfItsOwn(t *testing.T) {
	got, err := target(t, good+"  dcv-sessions:image.use: \"1\\nrole=arn:other\"\n", "--stack", "dev", "--role", "deploy")
	assert.Empty(t, got)
	assert.ErrorContains(t, err, "dcv-sessions:image.use")
}
