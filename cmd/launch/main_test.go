package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

const stackOutputs = `{"contractVersion":1,"stack":"dev","region":"us-east-1","queueArn":"arn:queue","logGroup":"/log",
	"jobDefinitions":{"alice":"dcv-sessions_dev_alice","bob":"dcv-sessions_dev_bob"},"credentialsArns":{"alice":"arn:alice","bob":"arn:bob"},
	"capacity":[{"instanceType":"g5.xlarge","sessionsPerHost":2,"usdPerHour":1,"usdPerSessionHour":0.5,"price":"list price, us-east-1, 2026-02-09"},
		{"instanceType":"g5.2xlarge","sessionsPerHost":4,"usdPerHour":8,"usdPerSessionHour":2,"price":"compute.prices"}]}`

// alice has a session that is ready, and nothing changes.
var answers = map[string]string{
	"/v1/listjobs": `{"jobSummaryList":[{"jobId":"job-1","jobName":"dcv-sessions_dev_alice","createdAt":1700000000000,"status":"RUNNING"}]}`,
	"/v1/describejobs": `{"jobs":[{"jobId":"job-1","jobName":"dcv-sessions_dev_alice","createdAt":1700000000000,"startedAt":1700000095000,"status":"RUNNING",
		"tags":{"dcv-sessions:stack":"dev","dcv-sessions:user":"alice"},"container":{"logStreamName":"alice/default/1"}}]}`,
	"/v1/terminatejob":                         `{}`,
	"Logs_20140328.GetLogEvents":               `{"events":[{"timestamp":1700000096000,"message":"{\"event\":\"ready\",\"url\":\"https://192.0.2.1:8443/\",\"certificateSha256\":\"00\"}"}],"nextForwardToken":"f/1"}`,
	"secretsmanager.GetSecretValue":            `{"SecretString":"{\"username\":\"alice\",\"password\":\"correct-horse\"}"}`,
	"Logs_20140328.GetLogEvents after the end": `{"events":[],"nextForwardToken":"f/1"}`,
	"/v1/describejobqueues":                    `{"jobQueues":[{"jobQueueArn":"arn:queue","computeEnvironmentOrder":[{"order":1,"computeEnvironment":"arn:hosts"}]}]}`,
	"/v1/describecomputeenvironments": `{"computeEnvironments":[{"computeEnvironmentArn":"arn:hosts","computeEnvironmentName":"hosts","status":"VALID",
		"computeResources":{"type":"EC2","desiredvCpus":8,"maxvCpus":32,"instanceTypes":["g5.xlarge"]}}]}`,
	"Logs_20140328.DescribeLogGroups": `{"logGroups":[{"logGroupName":"/log","retentionInDays":30}]}`,
	"Logs_20140328.StartQuery":        `{"queryId":"1"}`,
	"Logs_20140328.GetQueryResults": `{"status":"Complete","results":[
		[{"field":"time","value":"2023-11-14T10:00:00.000Z"},{"field":"event","value":"starting"},{"field":"user","value":"alice"},{"field":"session","value":"job-0"},{"field":"@logStream","value":"alice/0"}],
		[{"field":"time","value":"2023-11-14T10:00:02.000Z"},{"field":"event","value":"ready"},{"field":"sinceSubmitSeconds","value":"12.5"},{"field":"@logStream","value":"alice/0"}],
		[{"field":"time","value":"2023-11-14T11:30:00.000Z"},{"field":"event","value":"ended"},{"field":"@logStream","value":"alice/0"}]]}`,
}

// cloud answers so; denied operations, by the end of their names, with a denial.
func cloud(t *testing.T, denied ...string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		operation := r.Header.Get("X-Amz-Target")
		if operation == "" {
			operation = r.URL.Path
		}
		for _, d := range denied {
			if strings.HasSuffix(operation, d) {
				w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"__type":"AccessDeniedException","message":"no"}`)
				return
			}
		}
		if bytes.Contains(body, []byte(`"nextToken":"f/1"`)) {
			operation += " after the end"
		}
		_, _ = io.WriteString(w, answers[operation])
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

// command runs one, with the stack's outputs on standard input.
func command(ctx context.Context, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = run(ctx, append([]string{"--outputs", "-"}, args...), streams{strings.NewReader(stackOutputs), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestResultsGoToStandardOutputAndProgressToTheOther(t *testing.T) {
	cloud(t)
	code, out, errs := command(t.Context(), "start", "alice")
	assert.Equal(t, launch.CodeOK, code, errs)
	assert.Equal(t, "https://192.0.2.1:8443/\n", out)
	assert.Contains(t, errs, "ready    the session is ready")

	code, out, _ = command(t.Context(), "start", "alice", "--password")
	assert.Zero(t, code)
	assert.Equal(t, "https://192.0.2.1:8443/\nuser alice, password correct-horse\n", out)

	code, out, _ = command(t.Context(), "list")
	assert.Zero(t, code)
	assert.Contains(t, out, "alice  RUNNING")
	assert.Contains(t, out, "https://192.0.2.1:8443/")

	code, out, _ = command(t.Context(), "logs", "alice")
	assert.Zero(t, code)
	assert.Equal(t, `{"event":"ready","url":"https://192.0.2.1:8443/","certificateSha256":"00"}`+"\n", out)
}

func TestJSONIsOneDocument(t *testing.T) {
	cloud(t)
	for _, test := range []struct {
		args []string
		has  string
	}{
		{[]string{"--json", "start", "alice"}, `"url": "https://192.0.2.1:8443/"`},
		{[]string{"start", "--password", "alice", "--json"}, `"password": "correct-horse"`},
		{[]string{"--json", "list"}, `"jobId": "job-1"`},
		{[]string{"show", "alice", "--json"}, `"certificateSha256": "00"`},
		{[]string{"logs", "--json", "alice"}, `"message"`},
	} {
		code, out, errs := command(t.Context(), test.args...)
		assert.Zero(t, code, errs)
		var document any
		assert.NoError(t, json.Unmarshal([]byte(out), &document), out)
		assert.Contains(t, out, test.has)
	}
}

func TestEveryErrorHasItsExitCode(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for name, test := range map[string]struct {
		ctx    context.Context
		denied string
		args   []string
		code   int
		says   string
	}{
		"no such command": {nil, "", []string{"begin"}, launch.CodeUsage, `no command "begin"`},
		"no such flag":    {nil, "", []string{"start", "alice", "--quick"}, launch.CodeUsage, "-quick"},
		"no interval":     {nil, "", []string{"--poll", "0s", "list"}, launch.CodeUsage, "--poll is 0s; allowed: more than 0"},
		"no user":         {nil, "", []string{"start"}, launch.CodeUsage, "1 user(s)"},
		"two users":       {nil, "", []string{"start", "alice", "bob"}, launch.CodeUsage, "1 user(s)"},
		"an unknown user": {nil, "", []string{"start", "carol"}, launch.CodeUnknownUser, "the stack has alice, bob"},
		"no session":      {nil, "", []string{"end", "bob"}, launch.CodeNoSession, "bob has no session"},
		"the limit":       {nil, "", []string{"end", "alice", "--limit", "50ms"}, launch.CodeLimit, "50ms passed"},
		"denied":          {nil, "listjobs", []string{"list"}, launch.CodeDenied, "batch:ListJobs"},
		"no password":     {nil, "GetSecretValue", []string{"start", "--password", "alice"}, launch.CodeDenied, "the session is at https://192.0.2.1:8443/, but"},
		"somebody plays":  {nil, "", []string{"vacant", "--anyway", "make it so"}, launch.CodeOccupied, "alice  RUNNING since 2023-11-14 22:14:55 UTC, job job-1\nwait until they are over, or end them: make it so"},
		"who plays?":      {nil, "listjobs", []string{"vacant"}, launch.CodeDenied, "batch:ListJobs"},
		"interrupted":     {interrupted, "", []string{"start", "alice"}, launch.CodeInterrupted, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.denied != "" {
				cloud(t, test.denied)
			} else {
				cloud(t)
			}
			if test.ctx == nil {
				test.ctx = t.Context()
			}
			code, out, errs := command(test.ctx, test.args...)
			assert.Equal(t, test.code, code, errs)
			assert.Contains(t, errs, test.says)
			assert.Empty(t, out)
		})
	}
}

func TestTheDoctorsTableSaysWhatToChangeAndFailsWithARow(t *testing.T) {
	cloud(t)
	for operation, answer := range map[string]string{
		"/v1/submitjob": `{"jobId":"job-2"}`,
		"/v1/describejobs": `{"jobs":[{"jobId":"job-2","jobName":"dcv-sessions-doctor_dev_alice","createdAt":1700000000000,"status":"FAILED",
			"container":{"logStreamName":"alice/default/2","exitCode":69}}]}`,
		"Logs_20140328.GetLogEvents": `{"events":[
			{"message":"{\"event\":\"doctor\",\"check\":{\"name\":\"sound\",\"outcome\":\"holds\",\"found\":\"PulseAudio\\nanswers\"}}"},
			{"message":"{\"event\":\"doctor\",\"check\":{\"name\":\"console\",\"outcome\":\"fails\",\"found\":\"no picture\",\"change\":\"session.display: virtual\"}}"},
			{"message":"{\"event\":\"ended\",\"exitCode\":69}"}],"nextForwardToken":"f/1"}`,
	} {
		before := answers[operation]
		answers[operation] = answer
		t.Cleanup(func() { answers[operation] = before })
	}
	code, out, errs := command(t.Context(), "doctor")
	assert.Equal(t, launch.CodeFault, code)
	assert.Contains(t, out, "holds    sound\n           found:  PulseAudio answers\nfails    console\n           found:  no picture\n           change: session.display: virtual\n")
	assert.Contains(t, errs, "fails    console\n")

	code, out, _ = command(t.Context(), "doctor", "--json", "--user", "alice")
	assert.Equal(t, launch.CodeFault, code)
	var checks []contract.Check
	require.NoError(t, json.Unmarshal([]byte(out), &checks))
	assert.Len(t, checks, 2)

	answers["Logs_20140328.GetLogEvents"] = strings.ReplaceAll(answers["Logs_20140328.GetLogEvents"], "fails", "unknown")
	code, _, errs = command(t.Context(), "doctor")
	assert.Zero(t, code, errs)
}

func TestAnAcceptanceRunThatFindsEverybodyPlayingHoldsUpNoRelease(t *testing.T) {
	cloud(t)
	const listed, described = "/v1/listjobs", "/v1/describejobs"
	for operation, answer := range map[string]string{
		listed: `{"jobSummaryList":[{"jobId":"job-1","jobName":"dcv-sessions_dev_alice","status":"RUNNING"},{"jobId":"job-2","jobName":"dcv-sessions_dev_bob","status":"RUNNING"}]}`,
		described: `{"jobs":[{"jobId":"job-1","jobName":"dcv-sessions_dev_alice","status":"RUNNING","tags":{"dcv-sessions:stack":"dev","dcv-sessions:user":"alice"}},
			{"jobId":"job-2","jobName":"dcv-sessions_dev_bob","status":"RUNNING","tags":{"dcv-sessions:stack":"dev","dcv-sessions:user":"bob"}}]}`,
	} {
		before := answers[operation]
		answers[operation] = answer
		t.Cleanup(func() { answers[operation] = before })
	}
	code, out, errs := command(t.Context(), "acceptance")
	assert.Zero(t, code)
	assert.Contains(t, errs, "nothing was tried: every user has a session")
	assert.Empty(t, out)
	code, out, _ = command(t.Context(), "acceptance", "--json")
	assert.Zero(t, code)
	assert.Equal(t, "[]\n", out)
}

func TestHelpNamesEveryCommandAndExitCode(t *testing.T) {
	var out bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"help"}, streams{nil, &out, io.Discard}))
	for _, c := range commands {
		assert.Contains(t, out.String(), c.name)
	}
	for _, c := range launch.Codes {
		assert.Contains(t, out.String(), c.Meaning)
	}
	assert.Equal(t, launch.CodeUsage, run(t.Context(), nil, streams{nil, io.Discard, io.Discard}))
}

func TestOutputsComeFromPulumiOrAFile(t *testing.T) {
	cloud(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pulumi"), []byte("#!/bin/sh\n[ \"$*\" = 'stack output --json --stack dev' ] && cat \""+dir+"/outputs\"\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "outputs"), []byte(stackOutputs), 0o600))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, source := range [][]string{{"--stack", "dev"}, {"--outputs", filepath.Join(dir, "outputs")}} {
		var out bytes.Buffer
		assert.Zero(t, run(t.Context(), append(source, "show", "alice"), streams{nil, &out, io.Discard}))
		assert.Contains(t, out.String(), "job-1")
	}
	assert.Equal(t, launch.CodeFault, run(t.Context(), []string{"--stack", "prod", "list"}, streams{nil, io.Discard, io.Discard}))
	assert.Equal(t, launch.CodeUsage, run(t.Context(), []string{"list"}, streams{nil, io.Discard, io.Discard}))
}
