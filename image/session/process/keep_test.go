package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestAChildThatEndsIsStartedAgainAndGivenUpAtLast(t *testing.T) {
	ends := make(chan Exit, 10)
	begin := time.Now()
	k, err := Keep(shell("exit 3"), Restart{First: 20 * time.Millisecond, Limit: 4, Within: time.Hour}, func(e Exit) { ends <- e })
	require.NoError(t, err)
	err = next(t, k.Failed())
	assert.EqualError(t, err, "test ended 4 times within 1h0m0s, at last with exit code 3")
	assert.GreaterOrEqual(t, time.Since(begin), (20+40+80)*time.Millisecond, "it waits, doubling")
	for range 4 {
		assert.Equal(t, Exit{Code: 3}, next(t, ends))
	}
	k.Stop(syscall.SIGTERM, patience)
	k.Stop(syscall.SIGTERM, patience) // twice is no harm
	assert.Empty(t, ends, "what was given up stays so")
}

func TestEndsOfLongAgoAreForgotten(t *testing.T) {
	ends := make(chan Exit, 10)
	k, err := Keep(shell("exit 3"), Restart{First: time.Millisecond, Limit: 2, Within: time.Nanosecond}, func(e Exit) { ends <- e })
	require.NoError(t, err)
	for range 5 {
		next(t, ends)
	}
	k.Stop(syscall.SIGTERM, patience)
	assert.Empty(t, k.Failed())
}

func TestAKeptChildIsAnotherAfterItsDeath(t *testing.T) {
	k, err := Keep(shell("sleep 300"), Restart{First: time.Millisecond, Limit: 5, Within: time.Hour}, nil)
	require.NoError(t, err)
	first := k.Process()
	first.Signal(syscall.SIGKILL)
	assert.Equal(t, Exit{Signal: syscall.SIGKILL}, first.Exit())
	require.Eventually(t, func() bool { return k.Process() != first }, patience, time.Millisecond)
	second := k.Process()
	assert.True(t, lives(second.PID()))
	k.Stop(syscall.SIGTERM, patience)
	assert.Equal(t, Exit{Signal: syscall.SIGTERM}, second.Exit())
	assert.Same(t, second, k.Process(), "who is stopped is not started again")
}

func TestStoppingDoesNotWaitForTheNextStart(t *testing.T) {
	ended := make(chan Exit, 1)
	k, err := Keep(shell("exit 0"), Restart{First: time.Hour, Limit: 5, Within: time.Hour}, func(e Exit) { ended <- e })
	require.NoError(t, err)
	next(t, ended)
	stopped := make(chan struct{})
	go func() { k.Stop(syscall.SIGTERM, patience); close(stopped) }()
	next(t, stopped)
}

func TestAProgramThatVanishesIsGivenUpAtOnce(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nrm \"$0\"\n"), 0o755))
	k, err := Keep(Command{Name: "vanishing", Path: program, Env: path}, Restart{First: time.Millisecond, Limit: 50, Within: time.Hour}, nil)
	require.NoError(t, err)
	assert.ErrorIs(t, next(t, k.Failed()), os.ErrNotExist)
	k.Stop(syscall.SIGTERM, patience)
}

func TestWhatNeverStartedIsNotKept(t *testing.T) {
	_, err := Keep(Command{Name: "Xorg", Path: "/nowhere/Xorg"}, Patient, nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheWaitDoublesUpToAMinute(t *testing.T) {
	r := Restart{First: 200 * time.Millisecond}
	for ends, wait := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 5: 3200 * time.Millisecond, 9: 51200 * time.Millisecond, 10: time.Minute, 1000: time.Minute} {
		assert.Equal(t, wait, r.after(ends), "%d ends", ends)
	}
}
