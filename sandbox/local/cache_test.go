package local

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOldBuildsLeaveTheCacheExceptTheOneBefore(t *testing.T) {
	cache := t.TempDir()
	made := func(name string, ago time.Duration) string {
		path := filepath.Join(cache, name)
		require.NoError(t, os.Mkdir(path, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(path, "content"), nil, 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-ago)))
		return path
	}
	const day = 24 * time.Hour
	old := filepath.Join(cache, "base-bookworm-0.tar.gz")
	require.NoError(t, os.WriteFile(old, nil, 0o600))
	require.NoError(t, os.Chtimes(old, time.Time{}, time.Now().Add(-5*day)))
	oldest, before, now := made("base-bookworm-1", 4*day), made("base-bookworm-2", 2*day), made("base-bookworm-3", 3*day)
	otherKind := made("game-1", 9*day)

	require.NoError(t, Use(now))
	for _, gone := range []string{old, oldest} {
		assert.NoFileExists(t, gone)
		assert.NoDirExists(t, gone)
	}
	for _, kept := range []string{now, before, otherKind} {
		assert.DirExists(t, kept)
	}

	recent := made("base-bookworm-4", time.Hour)
	another := made("base-bookworm-5", 2*time.Hour)
	require.NoError(t, Use(before))
	for _, kept := range []string{before, now, recent, another} {
		assert.DirExists(t, kept, "other work trees may use those of today; %s was used just now", filepath.Base(now))
	}
	assert.ErrorIs(t, Use(filepath.Join(cache, "base-none")), os.ErrNotExist)
}
