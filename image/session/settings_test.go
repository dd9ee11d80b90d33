package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
)

const secret = "correct-horse"

// good returns a session's settings.
func good() contract.Settings {
	s := contract.DefaultSettings()
	s.Stack, s.User, s.Image, s.Region = "dev", "player1", "repo@sha256:1", "us-east-1"
	return s
}

// job is the environment of a job, as the session component, AWS Batch and the
// image make it. A change without "=" takes a variable away.
func job(changes ...string) []string {
	environ := append(good().Environ(), "DCV_DISPLAY_SERVER=dcv",
		"NVIDIA_VISIBLE_DEVICES=GPU-1", "AWS_BATCH_JOB_ID=job-1",
		`DCV_CREDENTIALS={"username":"player1","password":"`+secret+`"}`,
	)
	for _, change := range changes {
		name, _, set := strings.Cut(change, "=")
		for i, pair := range environ {
			if strings.HasPrefix(pair, name+"=") {
				environ[i] = ""
			}
		}
		if set {
			environ = append(environ, change)
		}
	}
	definition := map[string]string{}
	for _, pair := range environ {
		if name, value, set := strings.Cut(pair, "="); set {
			definition[name] = value
		}
	}
	return append(environ, contract.Seal(definition)+"=player1")
}

// read reads the settings of a job.
func read(environ []string) (settings, error) { return readSettings(boot.Choose(environ)) }

func TestAJobsEnvironmentIsReadAsTheProgramWritesIt(t *testing.T) {
	s, err := read(job())
	require.NoError(t, err)
	assert.Equal(t, "job-1", s.session)
	assert.True(t, s.onBatchHost)
	assert.Equal(t, good(), s.Settings)
	assert.Equal(t, contract.DCV, s.displayServer)
	assert.Equal(t, "GPU-1", s.gpu)
	assert.Nil(t, s.notification)
	assert.Nil(t, s.certificate)
}

func TestASessionOnNoBatchHostHasAnIdOfItsOwn(t *testing.T) {
	first, err := read(job("AWS_BATCH_JOB_ID"))
	require.NoError(t, err)
	second, _ := read(job("AWS_BATCH_JOB_ID"))
	assert.True(t, strings.HasPrefix(first.session, "local-"))
	assert.NotEqual(t, first.session, second.session)
}

func TestSecretsThatAreGivenAreRead(t *testing.T) {
	s, err := read(job(`DCV_NOTIFY={"topicArn":"arn:topic","address":"a@example.com"}`, `DCV_CERTIFICATE={"certificate":"c","privateKey":"k"}`))
	require.NoError(t, err)
	assert.Equal(t, "arn:topic", s.notification.TopicARN)
	assert.Equal(t, "k", s.certificate.PrivateKey)
	assert.ElementsMatch(t, []string{secret, "k"}, s.secrets())
}

// ended runs a session that can't start and returns its last event.
func ended(t *testing.T, environ []string) (contract.Event, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), boot.Choose(environ), &out, runSession)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last contract.Event
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.Equal(t, contract.EventEnded, last.Event)
	assert.Equal(t, code, *last.ExitCode)
	assert.Equal(t, contract.ExitName(code), last.Exit)
	return last, out.String()
}

func TestEveryFaultOfTheEnvironmentIsToldAtOnceAndNoSecretWithIt(t *testing.T) {
	last, said := ended(t, []string{
		"DCV_CONTRACT=2", "DCV_USER=Player", "DCV_PORT_FIRST=8443", "DCV_PORT_LAST=8442",
		"DCV_STOP_SECONDS=1", "DCV_MAX_SECONDS=", "DCV_GRACE_SECONDS=-1", "DCV_SESSION_TYPE=both", "DCV_NATIVE_CLIENTS=yes",
		`DCV_CREDENTIALS={"username":"other","password":"` + secret + `"}`, `DCV_CERTIFICATE={"privateKey":"` + secret,
	})
	assert.Equal(t, contract.ExitConfiguration, *last.ExitCode)
	for _, fault := range []string{
		"DCV_STACK", "DCV_IMAGE", "AWS_REGION", "DCV_CONTRACT", "DCV_USER", "DCV_PORT_FIRST, DCV_PORT_LAST", "8443-8442", "DCV_STOP_SECONDS",
		"DCV_MAX_SECONDS", "DCV_GRACE_SECONDS", "DCV_FIRST_CONNECT_SECONDS", "DCV_SESSION_TYPE", "console or virtual", "DCV_NATIVE_CLIENTS",
		`DCV_DISPLAY_SERVER is ""; allowed: [dcv vnc]`, "DCV_CREDENTIALS is not the JSON", "DCV_CERTIFICATE is not the JSON",
	} {
		assert.Contains(t, last.Reason, fault)
	}
	assert.NotContains(t, said, secret)
}

func TestABatchHostWithoutMetadataIsTheHostsFault(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
	last, said := ended(t, job())
	assert.Equal(t, contract.ExitHost, *last.ExitCode)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	require.Len(t, lines, 3)
	var summary contract.Event
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &summary))
	require.NotNil(t, summary.Summary, "a session that could not start has a summary too")
	assert.Equal(t, "host", summary.Summary.Exit)
	assert.Zero(t, summary.Summary.PlayedSeconds)
}
