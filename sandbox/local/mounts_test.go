package local

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyMountsInTheFolderAreFound(t *testing.T) {
	const info = `22 1 254:0 / / rw - ext4 /dev/vda rw
60 22 0:50 / /w/docker rw shared:1 - ext4 /dev/vda rw
61 60 0:51 / /w/docker/overlay2/a\040b/merged rw - overlay overlay rw
62 22 0:52 / /w/docker-other rw - tmpfs tmpfs rw
`
	assert.Equal(t, []string{"/w/docker", "/w/docker/overlay2/a b/merged"}, mountsUnder("/w/docker", info))
}

func TestAFolderWithMountsCanBeRemovedAfterwards(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := filepath.Join(t.TempDir(), "docker")
	inner := filepath.Join(dir, "inner")
	require.NoError(t, os.MkdirAll(inner, 0o755))
	for _, point := range []string{dir, inner} {
		require.NoError(t, os.MkdirAll(point, 0o755))
		require.NoError(t, syscall.Mount("none", point, "tmpfs", 0, ""))
		require.NoError(t, os.MkdirAll(inner, 0o755))
	}
	require.Error(t, os.RemoveAll(dir))
	require.NoError(t, unmountUnder(dir))
	require.NoError(t, os.RemoveAll(dir))
}
