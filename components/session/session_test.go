package session_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	definition = "aws:batch/jobDefinition:JobDefinition"
	component  = "dcv:session:Sessions"
	image      = "123456789012.dkr.ecr.us-east-1.amazonaws.com/game@sha256:1111"
)

func goodArgs() session.SessionsArgs {
	settings := contract.DefaultSettings()
	settings.Stack, settings.Region, settings.Max = "dev", "eu-central-1", 8*time.Hour
	return session.SessionsArgs{
		Settings: settings,
		Users: []session.User{
			{Name: "player1", CredentialsARN: pulumi.String("arn:secret:player1"), NotificationARN: pulumi.String("arn:notify:player1")},
			{Name: "player2", CredentialsARN: pulumi.String("arn:secret:player2")},
		},
		Image:             pulumi.String(image),
		VCPUs:             3,
		MemoryMiB:         14000,
		GPUs:              1,
		PerGPU:            1,
		SharedMemoryMiB:   1024,
		Attempts:          2,
		ExecutionRoleARN:  pulumi.String("arn:role:execution"),
		SessionRoleARN:    pulumi.String("arn:role:session"),
		LogGroupName:      pulumi.String("/dcv-sessions/dev/sessions"),
		EnsureCredentials: func(context.Context, string, string) error { return nil },
		Tags:              map[string]string{"team": "games"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args session.SessionsArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := session.NewSessions(ctx, "sessions", &args)
		return err
	})
}

func properties(t *testing.T, r componenttest.Resource) map[string]any {
	t.Helper()
	var p map[string]any
	r.JSON(t, "containerProperties", &p)
	return p
}

func TestEachUserHasAJobDefinitionOfAFixedName(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Equal(t, []string{definition + " sessions-player1", definition + " sessions-player2", component + " sessions"}, r.Names())
		for _, user := range []string{"player1", "player2"} {
			made := r.Named(t, definition, "sessions-"+user)
			assert.Equal(t, "sessions", made.Parent)
			delete(made.Inputs, "containerProperties") // below
			assert.Equal(t, map[string]any{
				"name":                    "dcv-sessions_dev_" + user,
				"type":                    "container",
				"platformCapabilities":    []any{"EC2"},
				"propagateTags":           true,
				"deregisterOnNewRevision": true,
				"timeout":                 map[string]any{"attemptDurationSeconds": 29100.},
				"retryStrategy": map[string]any{"attempts": 2., "evaluateOnExits": []any{
					map[string]any{"action": "retry", "onStatusReason": "Host EC2*"},
					map[string]any{"action": "retry", "onReason": "CannotPull*"},
					map[string]any{"action": "retry", "onExitCode": "8*"},
					map[string]any{"action": "exit", "onReason": "*"},
				}},
				"tags": map[string]any{"team": "games", contract.TagUser: user},
			}, made.Inputs)
		}
	})
}

func TestASessionIsToldWhatTheContractSays(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		made := run(t, mode, goodArgs()).Must(t).Named(t, definition, "sessions-player1")
		settings := goodArgs().Settings
		settings.User, settings.Image = "player1", image
		var environment []any
		for _, pair := range settings.Environ() {
			name, value, _ := strings.Cut(pair, "=")
			environment = append(environment, map[string]any{"name": name, "value": value})
		}
		assert.Equal(t, map[string]any{
			"image": image,
			"resourceRequirements": []any{
				map[string]any{"type": "GPU", "value": "1"},
				map[string]any{"type": "MEMORY", "value": "14000"},
				map[string]any{"type": "VCPU", "value": "3"},
			},
			"environment": environment,
			"secrets": []any{
				map[string]any{"name": "DCV_CREDENTIALS", "valueFrom": "arn:secret:player1"},
				map[string]any{"name": seal(t, made), "valueFrom": "arn:secret:player1:username::"},
				map[string]any{"name": "DCV_NOTIFY", "valueFrom": "arn:notify:player1"},
			},
			"executionRoleArn": "arn:role:execution",
			"jobRoleArn":       "arn:role:session",
			"linuxParameters":  map[string]any{"sharedMemorySize": 1024.},
			"logConfiguration": map[string]any{"logDriver": "awslogs", "options": map[string]any{
				"awslogs-group":         "/dcv-sessions/dev/sessions",
				"awslogs-region":        "eu-central-1",
				"awslogs-stream-prefix": "player1",
				"mode":                  "non-blocking",
				"max-buffer-size":       "10m",
			}},
		}, properties(t, made), "nothing more: not privileged, no init process, no command")
	})
}

func TestAUsersSecretsAreInNoOtherUsersDefinition(t *testing.T) {
	r := run(t, componenttest.Update, goodArgs()).Must(t)
	other := r.Named(t, definition, "sessions-player2")
	assert.NotContains(t, other.Inputs["containerProperties"], "player1")
	assert.Equal(t, []any{
		map[string]any{"name": "DCV_CREDENTIALS", "valueFrom": "arn:secret:player2"},
		map[string]any{"name": seal(t, other), "valueFrom": "arn:secret:player2:username::"},
	}, properties(t, other)["secrets"], "and no notification where there is none")
}

func TestEverySessionHasTheStacksCertificateWhereThereIsOne(t *testing.T) {
	args := goodArgs()
	args.CertificateARN = "arn:certificate"
	r := run(t, componenttest.Update, args).Must(t)
	for _, user := range []string{"player1", "player2"} {
		assert.Contains(t, properties(t, r.Named(t, definition, "sessions-"+user))["secrets"],
			map[string]any{"name": "DCV_CERTIFICATE", "valueFrom": "arn:certificate"}, user)
	}
}

func TestASessionThatSharesAGPUReservesNoneButSeesIt(t *testing.T) {
	args := goodArgs()
	args.PerGPU = 2
	p := properties(t, run(t, componenttest.Update, args).Must(t).OfType(definition)[0])
	assert.NotContains(t, fmt.Sprint(p["resourceRequirements"]), "GPU")
	assert.Contains(t, p["environment"], map[string]any{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"})
}

func TestASessionIsPrivilegedOnlyWhereAsked(t *testing.T) {
	args := goodArgs()
	args.Privileged = true
	assert.Equal(t, true, properties(t, run(t, componenttest.Update, args).Must(t).OfType(definition)[0])["privileged"])
}

func TestAnImageThatIsNotKnownYetKeepsOnlyThePropertiesOpen(t *testing.T) {
	r := componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		args := goodArgs()
		args.Image = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "never" }).(pulumi.StringOutput)
		_, err := session.NewSessions(ctx, "sessions", &args)
		return err
	}).Must(t)
	made := r.Named(t, definition, "sessions-player1")
	assert.NotContains(t, made.Inputs, "containerProperties", "the mock leaves out what isn't known")
	assert.Equal(t, "dcv-sessions_dev_player1", made.Inputs["name"])
}

// Two equal runs render equal texts, whatever the order of Go's maps: otherwise every
// `up` would make a new revision.
func TestASecondRunRendersTheSameText(t *testing.T) {
	first := run(t, componenttest.Update, goodArgs()).Must(t).OfType(definition)
	for range 20 {
		again := run(t, componenttest.Update, goodArgs()).Must(t).OfType(definition)
		for i := range first {
			require.Equal(t, first[i].Inputs["containerProperties"], again[i].Inputs["containerProperties"])
		}
	}
}

func TestOneHookIsBoundToEveryDefinition(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		for _, made := range run(t, mode, goodArgs()).Must(t).OfType(definition) {
			assert.Equal(t, []string{"sessions-credentials", "sessions-credentials"}, made.Hooks, "before create and before update")
		}
	})
}

func TestARunCallsNothingForPasswordsByItself(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		args.EnsureCredentials = func(context.Context, string, string) error {
			t.Error("called without a hook")
			return nil
		}
		assert.Empty(t, run(t, mode, args).Must(t).Calls)
	})
}

func TestAThousandUsersHaveADefinitionEach(t *testing.T) {
	args := goodArgs()
	args.Users = nil
	for i := range 1000 {
		name := fmt.Sprintf("player%d", i)
		args.Users = append(args.Users, session.User{Name: name, CredentialsARN: pulumi.String("arn:secret:" + name)})
	}
	start := time.Now()
	r := run(t, componenttest.Update, args).Must(t)
	t.Logf("1,000 definitions registered in %v", time.Since(start))
	seen := map[any]bool{}
	for _, made := range r.OfType(definition) {
		seen[properties(t, made)["secrets"].([]any)[0].(map[string]any)["valueFrom"]] = true
	}
	assert.Len(t, seen, 1000)
}

func TestADefinitionOverAWSBatchsLimitIsRefused(t *testing.T) {
	args := goodArgs()
	args.Tags = map[string]string{}
	for i := range 49 { // AWS's own limits on tags: 50 of 128 and 256 characters
		args.Tags[fmt.Sprintf("%0128d", i)] = strings.Repeat("x", 256)
	}
	assert.NoError(t, run(t, componenttest.Update, args).Err, "19 KiB of tags fit")
	args.LogGroupName = pulumi.String(strings.Repeat("g", 4096))
	assert.ErrorContains(t, run(t, componenttest.Update, args).Err, "is over AWS Batch's 24576")
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	settings := contract.DefaultSettings()
	settings.Stack, settings.Ports, settings.DisplayMode = "Dev_1", contract.PortRange{First: 443, Last: 442}, "both"
	settings.Max, settings.Grace, settings.Idle, settings.Stop = 59*time.Second, 0, -time.Second, time.Second
	r := run(t, componenttest.Preview, session.SessionsArgs{
		Settings: settings,
		Users: []session.User{
			{Name: "Player", CredentialsARN: pulumi.String("a")},
			{Name: "root", CredentialsARN: pulumi.String("a")},
			{Name: "twice", CredentialsARN: pulumi.String("a")},
			{Name: "twice"},
		},
		GPUs:     9,
		Attempts: 11,
	})
	require.Error(t, r.Err)
	for _, fault := range []string{
		"settings.stack", "Dev_1", "settings.region", "settings.ports", "443-442", "settings.displayMode",
		"settings.firstConnect", "settings.grace", "settings.idle", "settings.max", "settings.stop",
		"users[0].name", "Player", "users[1].name", "root", "users[3].name", "twice", "users[3].credentialsArn",
		"vcpus is 0; allowed: a whole number from 1 to 192", "memoryMib is 0; allowed: a whole number from 128 to 1572864",
		"gpus is 9; allowed: a whole number from 1 to 8", "perGpu is 0; allowed: a whole number from 1 to 16",
		"sharedMemoryMib is 0; allowed: a whole number from 64 to 65536", "attempts is 11; allowed: a whole number from 1 to 10",
		"image", "logGroupName", "executionRoleArn", "sessionRoleArn", "ensureCredentials",
		"session has 24 faults",
	} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
}

func TestEachLimitIsWhereItIsSaidToBe(t *testing.T) {
	for name, change := range map[string]func(*session.SessionsArgs){
		"no credentials hook":         func(a *session.SessionsArgs) { a.EnsureCredentials = nil },
		"no vCPU":                     func(a *session.SessionsArgs) { a.VCPUs = 0 },
		"193 vCPUs":                   func(a *session.SessionsArgs) { a.VCPUs = 193 },
		"too little memory":           func(a *session.SessionsArgs) { a.MemoryMiB, a.SharedMemoryMiB = 127, 64 },
		"too much memory":             func(a *session.SessionsArgs) { a.MemoryMiB = 1572865 },
		"too little shared memory":    func(a *session.SessionsArgs) { a.SharedMemoryMiB = 63 },
		"too much shared memory":      func(a *session.SessionsArgs) { a.MemoryMiB, a.SharedMemoryMiB = 100000, 65537 },
		"shared memory of it all":     func(a *session.SessionsArgs) { a.SharedMemoryMiB = a.MemoryMiB },
		"no GPU":                      func(a *session.SessionsArgs) { a.GPUs = 0 },
		"a GPU shared by none":        func(a *session.SessionsArgs) { a.PerGPU = 0 },
		"a GPU shared by 17":          func(a *session.SessionsArgs) { a.PerGPU = 17 },
		"a GPU shared and owned":      func(a *session.SessionsArgs) { a.GPUs, a.PerGPU = 2, 2 },
		"no attempt":                  func(a *session.SessionsArgs) { a.Attempts = 0 },
		"settings out of their range": func(a *session.SessionsArgs) { a.Settings.Grace = 0 },
		"no Region":                   func(a *session.SessionsArgs) { a.Settings.Region = "" },
		"50 tags":                     func(a *session.SessionsArgs) { a.Tags = tags(50) },
		"a name too long":             func(a *session.SessionsArgs) { a.Users[0].Name = strings.Repeat("a", 32) },
	} {
		args := goodArgs()
		args.Users = slices.Clone(args.Users)
		change(&args)
		assert.Error(t, run(t, componenttest.Preview, args).Err, name)
	}
	for name, change := range map[string]func(*session.SessionsArgs){
		"no users yet": func(a *session.SessionsArgs) { a.Users = nil },
		"no tags":      func(a *session.SessionsArgs) { a.Tags = nil },
		"49 tags":      func(a *session.SessionsArgs) { a.Tags = tags(49) },
		"the least":    func(a *session.SessionsArgs) { a.VCPUs, a.MemoryMiB, a.SharedMemoryMiB, a.Attempts = 1, 128, 64, 1 },
		"the most": func(a *session.SessionsArgs) {
			a.VCPUs, a.MemoryMiB, a.SharedMemoryMiB, a.GPUs, a.Attempts = 192, 1572864, 65536, 8, 10
		},
		"as many sharers as may be": func(a *session.SessionsArgs) { a.PerGPU = 16 },
	} {
		args := goodArgs()
		change(&args)
		assert.NoError(t, run(t, componenttest.Preview, args).Err, name)
	}
}

func tags(count int) map[string]string {
	all := map[string]string{}
	for i := range count {
		all[fmt.Sprint(i)] = "x"
	}
	return all
}

// The session parses from its definition's environment the settings that the
// component was given.
func TestTheDefinitionCarriesTheSettings(t *testing.T) {
	args := goodArgs()
	args.CertificateARN = "arn:certificate"
	args.Settings.BatchEndpoint, args.Settings.TopicsEndpoint = "http://127.0.0.1:1", "http://127.0.0.1:2"
	args.Settings.DisplayMode, args.Settings.NativeClients, args.Settings.SoftwareRendering = contract.DisplayVirtual, true, true
	made := run(t, componenttest.Update, args).Must(t).Named(t, definition, "sessions-player1")
	variables := map[string]string{}
	for _, entry := range properties(t, made)["environment"].([]any) {
		variable := entry.(map[string]any)
		variables[variable["name"].(string)] = variable["value"].(string)
	}
	got, err := contract.ParseSettings(func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	})
	require.NoError(t, err)
	want := args.Settings
	want.User, want.Image = "player1", image
	assert.Equal(t, want, got)
	assert.Len(t, variables, len(want.Environ()), "and nothing else")
}

// seal returns the name of the seal of a job definition.
func seal(t *testing.T, made componenttest.Resource) string {
	t.Helper()
	all := map[string]string{}
	for _, list := range []string{"environment", "secrets"} {
		for _, entry := range properties(t, made)[list].([]any) {
			value, _ := entry.(map[string]any)["value"].(string)
			all[entry.(map[string]any)["name"].(string)] = value
		}
	}
	return contract.Seal(all)
}

// A seal that two job definitions share would let a job have the environment of either.
func TestEachDefinitionsSealIsItsOwn(t *testing.T) {
	seals := map[string]bool{}
	args := goodArgs()
	more := goodArgs()
	more.Settings.Max += time.Second
	for _, a := range []session.SessionsArgs{args, more} {
		for _, made := range run(t, componenttest.Update, a).Must(t).OfType(definition) {
			assert.Contains(t, made.Inputs["containerProperties"], seal(t, made))
			seals[seal(t, made)] = true
		}
	}
	assert.Len(t, seals, 2*len(args.Users))
}
