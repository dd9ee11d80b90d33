package safefile

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyAPlainFileOfAnExpectedOwnerIsOpened(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	me := uint32(os.Getuid())
	require.NoError(t, os.WriteFile(in("plain"), []byte("text"), 0o600))
	require.NoError(t, os.WriteFile(in("secret"), nil, 0o600))
	require.NoError(t, os.Symlink("plain", in("symbolic link")))
	require.NoError(t, os.Link(in("secret"), in("hard link")))
	require.NoError(t, syscall.Mkfifo(in("pipe"), 0o600))

	for _, owners := range [][]uint32{nil, {me}, {me + 1, me}} {
		f, err := Open(in("plain"), owners...)
		require.NoError(t, err)
		text, err := io.ReadAll(f)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text))
		require.NoError(t, f.Close())
	}
	_, err := Open(in("plain"), me+1)
	assert.ErrorContains(t, err, "it belongs to the user id")
	for name, words := range map[string]string{
		"symbolic link": syscall.ELOOP.Error(), "hard link": "it has 2 names", "pipe": "it is no regular file (p", ".": "it is no regular file (d",
		"nothing": "no such file",
	} {
		refused := make(chan error, 1)
		go func() {
			_, err := Open(in(name), me)
			refused <- err
		}()
		select {
		case err := <-refused:
			assert.ErrorContains(t, err, words, name)
		case <-time.After(10 * time.Second):
			t.Fatalf("opening a %s does not return", name)
		}
	}
}
