package session

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// rendered returns the containerProperties of a job definition.
func rendered(t *testing.T) string {
	t.Helper()
	text, err := SessionsArgs{Settings: contract.Settings{Stack: "dev"}, GPUs: 1}.properties("player1", shared{Image: "i@sha256:1"}, "arn:secret:player1", "arn:notify:player1").render(nil)
	require.NoError(t, err)
	return text
}

func called(inputs resource.PropertyMap) *pulumi.ResourceHookArgs {
	return &pulumi.ResourceHookArgs{Name: "sessions-player1", NewInputs: inputs}
}

func TestTheHookEnsuresTheSecretThatTheDefinitionInjects(t *testing.T) {
	text := resource.NewProperty(rendered(t))
	for name, value := range map[string]resource.PropertyValue{
		"as it is":       text,
		"as a secret":    resource.MakeSecret(text),
		"as an output":   resource.NewProperty(resource.Output{Element: text, Known: true}),
		"doubly wrapped": resource.MakeSecret(resource.NewProperty(resource.Output{Element: text, Known: true, Secret: true})),
	} {
		var got []string
		hook := credentialsHook(t.Context(), func(ctx context.Context, secretARN, user string) error {
			deadline, bounded := ctx.Deadline()
			assert.True(t, bounded && time.Until(deadline) <= ensureTimeout, "bounded")
			got = append(got, secretARN, user)
			return nil
		})
		assert.NoError(t, hook(called(resource.PropertyMap{"containerProperties": value})), name)
		assert.Equal(t, []string{"arn:secret:player1", "player1"}, got, name)
	}
}

func TestAPasswordThatCanNotBeMadeStopsTheDefinition(t *testing.T) {
	hook := credentialsHook(t.Context(), func(context.Context, string, string) error { return errors.New("AccessDenied") })
	err := hook(called(resource.PropertyMap{"containerProperties": resource.NewProperty(rendered(t))}))
	assert.EqualError(t, err, "credentials of user player1: AccessDenied")
}

func TestTheHookEndsWithTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hook := credentialsHook(ctx, func(ctx context.Context, _, _ string) error { return ctx.Err() })
	assert.ErrorIs(t, errors.Unwrap(hook(called(resource.PropertyMap{"containerProperties": resource.NewProperty(rendered(t))}))), context.Canceled)
}

func TestTheHookRefusesADefinitionThatNamesNoSecretOrUser(t *testing.T) {
	for name, inputs := range map[string]resource.PropertyMap{
		"no inputs":      nil,
		"no properties":  {},
		"not known":      {"containerProperties": resource.MakeComputed(resource.NewProperty(""))},
		"no text":        {"containerProperties": resource.NewProperty(1.0)},
		"no JSON":        {"containerProperties": resource.NewProperty("{")},
		"no user":        {"containerProperties": resource.NewProperty(strings.ReplaceAll(rendered(t), contract.EnvUser, "X"))},
		"no credentials": {"containerProperties": resource.NewProperty(strings.ReplaceAll(rendered(t), contract.EnvCredentials, "X"))},
	} {
		hook := credentialsHook(t.Context(), func(context.Context, string, string) error {
			t.Errorf("%s: called", name)
			return nil
		})
		assert.ErrorContains(t, hook(called(inputs)), "sessions-player1", name)
	}
}

func TestRetryRulesFitAWSBatchAndTheLastMatchesEverything(t *testing.T) {
	list := rules()
	assert.LessOrEqual(t, len(list), maxRules, "AWS Batch takes no more")
	assert.Equal(t, rule{reason: "*"}, list[len(list)-1], "without a match AWS Batch retries")
	for _, r := range list {
		conditions := []string{r.exitCode, r.reason, r.statusReason}
		set := 0
		for _, pattern := range conditions {
			if pattern != "" {
				set++
				assert.Regexp(t, `^[0-9A-Za-z.:\s]*\*?$`, pattern, "AWS Batch takes no other characters")
			}
		}
		assert.Equal(t, 1, set, "conditions of one rule must all hold")
	}
}

func TestOnlyTheContractsRetriedExitCodesAreRetried(t *testing.T) {
	retried := func(code int) bool {
		return slices.ContainsFunc(rules(), func(r rule) bool {
			beginning, isPattern := strings.CutSuffix(r.exitCode, "*")
			matches := strconv.Itoa(code) == r.exitCode || isPattern && strings.HasPrefix(strconv.Itoa(code), beginning)
			return r.retry && matches
		})
	}
	for _, code := range contract.ExitCodes {
		assert.Equal(t, code.Retry, retried(code.Code), code.Name)
	}
	for _, signal := range []int{9, 15} {
		assert.False(t, retried(128+signal), "a killed session's")
	}
}

func TestBothOfTheAgentsPullErrorsAreRetried(t *testing.T) {
	for reason, want := range map[string]bool{
		"CannotPullContainerError: Error response from daemon: i/o timeout":                   true,
		"CannotPullECRContainerError: RequestError: send request failed":                      true,
		"CannotStartContainerError: Error response from daemon: no such file or directory":    false,
		"OutOfMemoryError: Container killed due to memory usage":                              false,
		"CannotCreateContainerError: Error response from daemon: No such image: game@sha256…": false,
	} {
		first := slices.IndexFunc(rules(), func(r rule) bool {
			return r.reason != "" && strings.HasPrefix(reason, strings.TrimSuffix(r.reason, "*"))
		})
		assert.Equal(t, want, rules()[first].retry, reason)
	}
}
