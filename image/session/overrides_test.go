package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// AWS Batch takes an override for a variable's new value, and a new variable beside the
// others.
func overridden(environ []string, overrides ...string) []string {
	for _, override := range overrides {
		name, _, _ := strings.Cut(override, "=")
		for i, pair := range environ {
			if strings.HasPrefix(pair, name+"=") {
				environ[i] = ""
			}
		}
		environ = append(environ, override)
	}
	return environ
}

func TestAJobMayOverrideNothingOfItsDefinition(t *testing.T) {
	forged := map[string]string{"DCV_MAX_SECONDS": "600000"}
	for _, override := range []string{
		"DCV_MAX_SECONDS=600000", "DCV_IDLE_SECONDS=1", "DCV_PORT_LAST=9000", "DCV_USER=player2", "DCV_STACK=prod", "DCV_SOFTWARE_RENDERING=true",
		"DCV_IMAGE=another", "AWS_REGION=eu-west-1", "DCV_UNKNOWN=1", "DCV_NOTIFY={}", "DCV_CERTIFICATE={}",
		"AWS_ENDPOINT_URL_BATCH=http://127.0.0.1:1", "AWS_ENDPOINT_URL_SNS=http://127.0.0.1:1",
		contract.Seal(forged) + "=player1",
	} {
		_, err := read(overridden(job(), override))
		assert.ErrorContains(t, err, "a variable that only its definition may set", override)
	}
	_, err := read(overridden(job(), "DCV_LAUNCH=abc"))
	assert.NoError(t, err, "but for the launcher's own")
	s, err := read(overridden(job(), contract.EnvSubmitted+"=2026-11-28T09:00:00.000Z"))
	assert.NoError(t, err)
	assert.Equal(t, "2026-11-28T09:00:00.000Z", s.submitted)
}

func TestADefinitionWithoutASealIsOfAnEarlierVersion(t *testing.T) {
	var unsealed []string
	for _, pair := range job() {
		if !strings.HasPrefix(pair, contract.EnvSeal) {
			unsealed = append(unsealed, pair)
		}
	}
	_, err := read(unsealed)
	assert.ErrorContains(t, err, "the job definition is of an earlier version than the image")
	_, err = read(overridden(unsealed, contract.EnvSeal+"0=player1"))
	assert.Error(t, err)
}

func TestAJobCallsNoOtherAWSAndAsNobodyElse(t *testing.T) {
	for _, override := range []string{
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://198.51.100.1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/", "AWS_CONTAINER_AUTHORIZATION_TOKEN=a",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=@198.51.100.1/", "ECS_CONTAINER_METADATA_URI_V4=http://198.51.100.1/v4/a",
		"AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=a", "AWS_SESSION_TOKEN=a", "AWS_PROFILE=a", "AWS_CONFIG_FILE=/tmp/a",
		"AWS_SHARED_CREDENTIALS_FILE=/tmp/a", "AWS_WEB_IDENTITY_TOKEN_FILE=/tmp/a", "AWS_ROLE_ARN=a",
		"AWS_ENDPOINT_URL=http://198.51.100.1", "AWS_ENDPOINT_URL_STS=http://198.51.100.1", "AWS_CA_BUNDLE=/tmp/a",
	} {
		name, value, _ := strings.Cut(override, "=")
		_, err := read(overridden(job(), override))
		require.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "allowed: ")
		if strings.Contains(name, "KEY") || strings.Contains(name, "TOKEN") {
			assert.NotContains(t, err.Error(), name+"="+value)
		}
	}
	_, err := read(overridden(job(), "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/a", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/a"))
	assert.NoError(t, err, "these are the ECS agent's")
}

func TestWhereTheDefinitionsAWSIsOnThisMachineItsAgentNamesTheRest(t *testing.T) {
	agents := []string{
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.1.0.1:1", "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.1.0.1:1/", "ECS_CONTAINER_METADATA_URI_V4=http://127.1.0.1:1/v4/a",
	}
	s, err := read(overridden(job("AWS_ENDPOINT_URL_BATCH=http://127.0.0.1:1"), agents...))
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:1", s.BatchEndpoint)
	_, err = read(overridden(job("AWS_ENDPOINT_URL_BATCH=https://vpce-1.batch.us-east-1.vpce.amazonaws.com"), agents...))
	for _, override := range agents {
		name, _, _ := strings.Cut(override, "=")
		assert.ErrorContains(t, err, name, "an endpoint of AWS's own is no reason")
	}
}

func TestALogHoldsEventsOnlyAndNamesWhatWasLeftOut(t *testing.T) {
	standard := log.Writer()
	t.Cleanup(func() { log.SetOutput(standard) })
	var out bytes.Buffer
	run(t.Context(), boot.Choose(job("GODEBUG=http2debug=2", "HTTPS_PROXY=http://"+secret+"@198.51.100.1")), &out,
		func(context.Context, settings, *events.Writer) status.Ending {
			log.Printf("a library knows %s", secret)
			return status.Ending{}
		})
	assert.NotContains(t, out.String(), secret)
	lines := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var e contract.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		lines[e.Part] = e.Line
	}
	assert.Equal(t, "left out, since no session has a use for them: GODEBUG HTTPS_PROXY", lines["environment"])
	assert.Equal(t, "a library knows ***", lines["session"])
}
