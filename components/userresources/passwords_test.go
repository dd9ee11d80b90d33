package userresources_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/player1/credentials-0a1b2c-AbCdEf"
	generated = "MadeBySecretsManager23456"
)

// manager answers like Secrets Manager for one secret; err fails the call of
// that name.
type manager struct {
	err map[string]error

	mu       sync.Mutex
	stages   map[string][]string // by version
	values   map[string]string   // by version
	calls    []string
	asked    *secretsmanager.GetRandomPasswordInput
	put      *secretsmanager.PutSecretValueInput
	made     int // passwords
	deadline time.Time
}

func (m *manager) call(ctx context.Context, name string) error {
	m.calls = append(m.calls, name)
	m.deadline, _ = ctx.Deadline()
	return errors.Join(ctx.Err(), m.err[name])
}

func (m *manager) DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stages := map[string][]string{}
	for id, of := range m.stages {
		stages[id] = of
	}
	return &secretsmanager.DescribeSecretOutput{ARN: in.SecretId, VersionIdsToStages: stages}, m.call(ctx, "DescribeSecret")
}

func (m *manager) GetRandomPassword(ctx context.Context, in *secretsmanager.GetRandomPasswordInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetRandomPasswordOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = in
	m.made++
	password := generated + strings.Repeat("x", m.made-1)
	return &secretsmanager.GetRandomPasswordOutput{RandomPassword: &password}, m.call(ctx, "GetRandomPassword")
}

func (m *manager) PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put = in
	if err := m.call(ctx, "PutSecretValue"); err != nil {
		return nil, err
	}
	token := *in.ClientRequestToken
	if before, ok := m.values[token]; ok && before != *in.SecretString {
		return nil, &types.ResourceExistsException{}
	}
	if m.stages == nil {
		m.stages, m.values = map[string][]string{}, map[string]string{}
	}
	m.stages[token], m.values[token] = []string{"AWSCURRENT"}, *in.SecretString
	return &secretsmanager.PutSecretValueOutput{}, nil
}

func TestAFirstPasswordIsMadeBySecretsManagerAndStoredAsTheContractSays(t *testing.T) {
	for name, stages := range map[string]map[string][]string{
		"no version":         nil,
		"no current version": {"1": {"AWSPENDING"}, "2": {"AWSPREVIOUS"}, "3": nil},
	} {
		m := &manager{stages: stages, values: map[string]string{}}
		require.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1"), name)
		assert.Equal(t, []string{"DescribeSecret", "GetRandomPassword", "PutSecretValue"}, m.calls, name)
		assert.Equal(t, secretARN, *m.put.SecretId)
		assert.Nil(t, m.put.VersionStages, "the current one, as where nothing is said")

		decoder := json.NewDecoder(strings.NewReader(*m.put.SecretString))
		decoder.DisallowUnknownFields()
		var stored contract.Credentials
		require.NoError(t, decoder.Decode(&stored))
		assert.Equal(t, contract.Credentials{Username: "player1", Password: generated}, stored)
	}
}

func TestASecretThatHasAPasswordIsLeftAlone(t *testing.T) {
	m := &manager{stages: map[string][]string{"1": {"AWSPREVIOUS"}, "2": {"custom", "AWSCURRENT"}}}
	require.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1"))
	assert.Equal(t, []string{"DescribeSecret"}, m.calls)
}

func TestRunsAtOnceAgreeOnOnePassword(t *testing.T) {
	m := &manager{err: map[string]error{}}
	var runs sync.WaitGroup
	for range 8 {
		runs.Go(func() { assert.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1")) })
	}
	runs.Wait()
	assert.Len(t, m.values, 1)

	late := &manager{err: map[string]error{"PutSecretValue": &types.ResourceExistsException{}}}
	assert.NoError(t, userresources.NewPasswords(late).Ensure(t.Context(), secretARN, "player1"), "another run's password counts")
}

func TestAFailureNamesUserAndSecretAndNoPassword(t *testing.T) {
	denied := errors.New("AccessDeniedException: not authorized")
	for _, call := range []string{"DescribeSecret", "GetRandomPassword", "PutSecretValue"} {
		m := &manager{err: map[string]error{call: denied}}
		err := userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1")
		assert.ErrorIs(t, err, denied)
		assert.EqualError(t, err, "credentials of player1 in "+secretARN+": "+denied.Error())
		assert.Equal(t, call, m.calls[len(m.calls)-1], "and nothing is done after")
		assert.Empty(t, m.values)
	}
}

func TestAPasswordIsNeverWaitedForLongerThanAMinute(t *testing.T) {
	m := &manager{}
	require.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1"))
	assert.WithinDuration(t, time.Now().Add(time.Minute), m.deadline, 10*time.Second)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, userresources.NewPasswords(&manager{}).Ensure(ctx, secretARN, "player1"), context.Canceled)
}

// 128 bits are beyond guessing; letters and digits alone need no quoting in a
// shell, a URL or JSON.
func TestAPasswordIsStrongAndCanBeTyped(t *testing.T) {
	m := &manager{}
	require.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), secretARN, "player1"))
	var letters int
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" {
		if !strings.ContainsRune(*m.asked.ExcludeCharacters, c) {
			letters++
		}
	}
	assert.Greater(t, float64(*m.asked.PasswordLength)*math.Log2(float64(letters)), 128.)
	for _, alike := range "0Oo1lI" {
		assert.Contains(t, *m.asked.ExcludeCharacters, string(alike))
	}
	assert.True(t, *m.asked.ExcludePunctuation)
	assert.True(t, *m.asked.RequireEachIncludedType)
	for name, kind := range map[string]*bool{
		"lower case": m.asked.ExcludeLowercase, "upper case": m.asked.ExcludeUppercase, "digits": m.asked.ExcludeNumbers, "no space": m.asked.IncludeSpace,
	} {
		assert.Nil(t, kind, name)
	}
}

func TestASecretsFirstVersionHasOneIdForEver(t *testing.T) {
	id := func(arn, user string) string {
		m := &manager{}
		require.NoError(t, userresources.NewPasswords(m).Ensure(t.Context(), arn, user))
		return *m.put.ClientRequestToken
	}
	first := id(secretARN, "player1")
	assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`), first, "as Secrets Manager's own clients make it")
	assert.Equal(t, first, id(secretARN, "player1"))
	assert.NotEqual(t, first, id(secretARN+"x", "player1"), "a secret made again is another")
}
