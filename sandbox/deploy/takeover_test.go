package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARunWaitsForAnEarlierOne(t *testing.T) {
	state := t.TempDir()
	earlier := exec.Command("flock", filepath.Join(state, "lock"), "sleep", "1")
	require.NoError(t, earlier.Start())
	require.Eventually(t, func() bool {
		return exec.Command("flock", "--nonblock", filepath.Join(state, "lock"), "true").Run() != nil
	}, 10*time.Second, 10*time.Millisecond, "the earlier run has the lock")
	_, err := takeOver(state, "sandbox")
	require.NoError(t, err)
	assert.NoError(t, earlier.Wait(), "it had ended by then")
}

func TestARunWaitsForTheEngineOfAKilledOneAndTakesItsLock(t *testing.T) {
	state := t.TempDir()
	sleep, err := os.ReadFile("/bin/sleep")
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "pulumi")
	require.NoError(t, os.WriteFile(program, sleep, 0o755))
	engine := exec.Command(program, "1")
	require.NoError(t, engine.Start())
	ended := make(chan error, 1)
	go func() { ended <- engine.Wait() }()
	lock := filepath.Join(state, ".pulumi", "locks", "organization", "dcv-sessions", "sandbox", "1.json")
	require.NoError(t, os.MkdirAll(filepath.Dir(lock), 0o755))

	for pid, isEngine := range map[int]bool{engine.Process.Pid: true, os.Getpid(): false} {
		require.NoError(t, os.WriteFile(lock, fmt.Appendf(nil, `{"pid": %d}`, pid), 0o600))
		locks, err := filepath.Glob(filepath.Join(state, ".pulumi", "locks", "*", "*", "sandbox", "*.json"))
		require.NoError(t, err)
		require.Equal(t, []string{lock}, locks)
		require.NoError(t, awaitEngine(lock))
		if isEngine {
			assert.NoError(t, <-ended)
		}
	}
}

func TestAStateWhoseAttributesWereCutOffIsReadWithoutThem(t *testing.T) {
	state := t.TempDir()
	for name, text := range map[string]string{"a.json": "{}", "a.json.attrs": "", "b.json.attrs": "{}"} {
		require.NoError(t, os.WriteFile(filepath.Join(state, name), []byte(text), 0o600))
	}
	_, err := takeOver(state, "sandbox")
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(state, "a.json.attrs"))
	assert.FileExists(t, filepath.Join(state, "a.json"))
	assert.FileExists(t, filepath.Join(state, "b.json.attrs"))
}
