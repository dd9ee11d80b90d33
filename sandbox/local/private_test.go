package local

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A folder of the work tree may be everybody's, as in a shared checkout.
func TestOnlyThisUserReadsTheAdministratorsAccessKey(t *testing.T) {
	former := syscall.Umask(0) // a careless user's
	t.Cleanup(func() { syscall.Umask(former) })
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	require.NoError(t, os.WriteFile("Pulumi.yaml", nil, 0o600))
	require.NoError(t, os.Mkdir(".sandbox", 0o777)) //nolint:gosec // as a former version made it
	tree, err := FindTree()
	require.NoError(t, err)
	c := &Cloud{ID: "20260101-000000", AccessKey: newAccessKey(), tree: tree}
	require.NoError(t, os.MkdirAll(c.Dir(), 0o755)) //nolint:gosec // likewise
	committed := filepath.Join(t.TempDir(), "Pulumi.sandbox.yaml")
	require.NoError(t, os.WriteFile(committed, []byte("config: {}"), 0o600))
	_, err = c.WriteConfig("infra", Stack, committed, Found{})
	require.NoError(t, err)
	_, err = c.run(Process{Name: "gateway"}, nil)
	require.NoError(t, err)

	folder, err := os.Stat(tree.State)
	require.NoError(t, err)
	assert.Equal(t, fs.ModeDir|0o700, folder.Mode(), "nobody else enters it")
	var holding []string
	require.NoError(t, filepath.WalkDir(tree.State, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), c.AccessKey) {
			info, err := entry.Info()
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode(), path)
			holding = append(holding, filepath.Base(path))
		}
		return nil
	}))
	assert.Equal(t, []string{"cloud.json", "infra.Pulumi.sandbox.yaml"}, holding)
}

func TestEachStartHasAnAccessKeyOfItsOwn(t *testing.T) {
	first, second := newAccessKey(), newAccessKey()
	assert.NotEqual(t, first, second)
	assert.Regexp(t, `^SANDBOX[0-9A-F]{32}$`, first)
}

func TestACloudWhoseKeyEverybodyKnowsIsStartedAnew(t *testing.T) {
	assert.Contains(t, (&Cloud{}).lost(t.Context()), "a key that is public")
}

// In /tmp, another user may have made it before, with a link or a socket in it.
func TestASocketFolderOfSomebodyElseIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	require.NoError(t, privateFolder(own))
	require.NoError(t, os.Chmod(own, 0o777)) //nolint:gosec // it is closed again
	require.NoError(t, privateFolder(own))
	info, err := os.Stat(own)
	require.NoError(t, err)
	assert.Equal(t, fs.ModeDir|0o700, info.Mode())

	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(own, link))
	require.ErrorContains(t, privateFolder(link), "is not a folder of this user")
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's folder")
	}
	foreign := filepath.Join(dir, "foreign")
	require.NoError(t, os.Mkdir(foreign, 0o777)) //nolint:gosec // an attacker's
	require.NoError(t, os.Chown(foreign, 65534, 65534))
	require.ErrorContains(t, privateFolder(foreign), "of uid 65534")
}

func TestAServerOnASocketIsReachedByItsURL(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a socket.sock") // its path is longer than a label of a host may be
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })} //nolint:gosec // this test's alone
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	at, err := url.Parse(SocketURL(socket))
	require.NoError(t, err)
	for label := range strings.SplitSeq(at.Host, ".") {
		assert.LessOrEqual(t, len(label), 63)
	}
	assert.True(t, answers(t.Context(), SocketURL(socket)+"/moto-api/"))
	assert.False(t, answers(t.Context(), SocketURL(socket+"x")+"/moto-api/"))
}

func TestAStacksConfigurationIsAskedForWhatMakesRoot(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	privileged := func() error { return Configs(dir).Need("session.privileged", "true") }
	const asked = "by dcv-sessions:session.privileged: true"
	require.ErrorContains(t, privileged(), asked, "nothing is configured")
	write("infra.Pulumi.sandbox.yaml", "config:\n  dcv-sessions:session.privileged: false\n")
	require.ErrorContains(t, privileged(), asked)
	for _, value := range []string{"true", `"true"`} {
		write("infra.Pulumi.other.yaml", "config:\n  dcv-sessions:session.privileged: "+value+"\n")
		require.NoError(t, privileged(), value)
	}
	write("infra.Pulumi.other.yaml", "config: [")
	require.ErrorContains(t, privileged(), "infra.Pulumi.other.yaml")
}
