package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAnImageWithAFileThatGivesMoreRightsIsRefused(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Mkdir(in("bin"), 0o755|os.ModeSetgid)) // new files get its group, no more
	for name, mode := range map[string]os.FileMode{"bin/plain": 0o755, "bin/su": 0o755 | os.ModeSetuid, "bin/wall": 0o755 | os.ModeSetgid, "bin/ping": 0o755} {
		require.NoError(t, os.WriteFile(in(name), nil, 0o755))
		require.NoError(t, os.Chmod(in(name), mode))
	}
	require.NoError(t, os.Symlink("su", in("bin/link")))
	checked := func() (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), []string{"rights", dir}, os.Getenv, &out, &out)
		return out.String(), err
	}
	// struct vfs_cap_data of linux/capability.h: revision 2, effective, CAP_NET_RAW.
	netRaw := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	withCapability := unix.Lsetxattr(in("bin/ping"), "security.capability", netRaw, 0)

	_, err := checked()
	require.Error(t, err)
	assert.Contains(t, err.Error(), in("bin/su")+" has the setuid or setgid bit: chmod ug-s FILE")
	assert.Contains(t, err.Error(), in("bin/wall")+" has the setuid or setgid bit")
	for _, name := range []string{"bin/plain", "bin/link", "bin "} {
		assert.NotContains(t, err.Error(), in(name))
	}

	for _, name := range []string{"bin/su", "bin/wall"} {
		require.NoError(t, os.Chmod(in(name), 0o755))
	}
	if withCapability == nil {
		_, err = checked()
		assert.ErrorContains(t, err, "1 files of this image would run with more rights than the user that starts them:\n  - "+in("bin/ping")+" has capabilities: setcap -r FILE in the base image (image.base)")
		require.NoError(t, unix.Lremovexattr(in("bin/ping"), "security.capability"))
	}
	out, err := checked()
	require.NoError(t, err)
	assert.Equal(t, "none of 4 files runs with more rights than the user that starts it\n", out)
}
