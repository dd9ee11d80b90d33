package account

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
)

// tree is a system's /etc in a folder of its own: this machine's stays as it is.
func tree(t *testing.T, groups string) accountMaker {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root makes accounts")
	}
	if _, err := os.Stat(useradd); err != nil {
		t.Skip("useradd is not installed: the Debian package is passwd")
	}
	m := accountMaker{prefix: t.TempDir()}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\nstudio:x:1000:1000::/srv/studio:/bin/bash\nnobody:x:65534:65534::/home/nobody:/bin/false\n",
		"shadow": "root:*:19000:0:99999:7:::\ngames:*:19000:0:99999:7:::\nstudio:!:19000::::::\nnobody:*:19000::::::\n",
		"group":  "root:x:0:\nadm:x:4:\nsudo:x:27:\naudio:x:29:pulse\nusers:x:100:\nstudio:x:1000:\n" + groups,
	} {
		m.write(t, "etc/"+name, text)
	}
	return m
}

func (m accountMaker) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.prefix, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func (m accountMaker) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.prefix, name))
	require.NoError(t, err)
	return string(b)
}

// isPlayers asserts that a folder is the player's alone.
func (m accountMaker) isPlayers(t *testing.T, a Account, folder string) {
	t.Helper()
	info, err := os.Lstat(filepath.Join(m.prefix, folder))
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o700, info.Mode(), folder)
	of := info.Sys().(*syscall.Stat_t)
	assert.Equal(t, []uint32{a.UID, a.GID}, []uint32{of.Uid, of.Gid}, folder)
}

// assertFault asserts the exit code of an error, and a part of its text.
func assertFault(t *testing.T, err error, code int, says string) {
	t.Helper()
	got, _ := fault.Code(err)
	assert.Equal(t, code, got, "%v", err)
	assert.ErrorContains(t, err, says)
}

func TestAPlayerHasAnAccountThatNobodyLogsInToAndThatMayDoNothing(t *testing.T) {
	m := tree(t, "video:x:44:\nrender:x:105:\n")
	a, err := m.account(context.Background(), "player1")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, a.UID, uint32(1001))
	assert.Equal(t, "player1", a.Name)
	assert.Equal(t, []uint32{a.UID, a.GID}, []uint32{a.User.UID, a.User.GID})
	assert.ElementsMatch(t, []uint32{44, 105}, a.User.Groups)

	assert.Contains(t, m.read(t, "etc/passwd"), "::/home/player1:/bin/bash\n")
	assert.Contains(t, m.read(t, "etc/shadow"), "\nplayer1:!:", "no password matches")
	groups := m.read(t, "etc/group")
	for _, other := range []string{"root:x:0:\n", "adm:x:4:\n", "sudo:x:27:\n", "audio:x:29:pulse\n", "users:x:100:\n", "studio:x:1000:\n"} {
		assert.Contains(t, groups, other)
	}
	assert.Equal(t, "/home/player1", a.Home)
	m.isPlayers(t, a, a.Home)
	m.isPlayers(t, a, a.RuntimeDir)
	assert.Contains(t, a.Env(), "XDG_RUNTIME_DIR="+a.RuntimeDir)
	assert.Contains(t, a.Env(), "HOME=/home/player1")
}

func TestGroupsThatTheImageDoesNotHaveAreNotMissed(t *testing.T) {
	m := tree(t, "")
	a, err := m.account(context.Background(), "player1")
	require.NoError(t, err)
	assert.Empty(t, a.User.Groups)
}

func TestAContainerThatWasStartedAgainKeepsItsPlayer(t *testing.T) {
	m := tree(t, "video:x:44:\n")
	first, err := m.account(context.Background(), "player1")
	require.NoError(t, err)
	m.write(t, "home/player1/save", "game")
	require.NoError(t, os.RemoveAll(filepath.Join(m.prefix, "run"))) // as /run is emptied
	again, err := m.account(context.Background(), "player1")
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.Equal(t, "game", m.read(t, "home/player1/save"))
	m.isPlayers(t, again, again.RuntimeDir)
}

func TestAnAccountOfTheImagesOwnIsNobodys(t *testing.T) {
	m := tree(t, "player1:x:2000:\n")
	before := m.read(t, "etc/passwd")
	for _, name := range []string{"games", "studio", "nobody", "sudo", "player1"} {
		_, err := m.account(context.Background(), name)
		assertFault(t, err, contract.ExitConfiguration, `"`+name+`"`)
	}
	assert.Equal(t, before, m.read(t, "etc/passwd"))
}

func TestAFolderThatIsALinkIsNotHandedOver(t *testing.T) {
	m := tree(t, "")
	_, err := m.account(context.Background(), "player1")
	require.NoError(t, err)
	home := filepath.Join(m.prefix, "home/player1")
	require.NoError(t, os.RemoveAll(home))
	require.NoError(t, os.Symlink(m.prefix, home))
	_, err = m.account(context.Background(), "player1")
	assertFault(t, err, contract.ExitHost, "is no folder")
}

// mounted mounts a small file system on a folder below the prefix.
func (m accountMaker) mounted(t *testing.T, folder string, flags uintptr, options string) {
	t.Helper()
	path := filepath.Join(m.prefix, folder)
	require.NoError(t, os.MkdirAll(path, 0o755))
	if err := unix.Mount("none", path, "tmpfs", flags, options); err != nil {
		t.Skipf("no file system may be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

func TestAFullDiskIsTheHostsFault(t *testing.T) {
	m := tree(t, "")
	m.mounted(t, "home", 0, "nr_inodes=1") // its own folder is that one
	_, err := m.account(context.Background(), "player1")
	assertFault(t, err, contract.ExitHost, "useradd: exit code 12: useradd: cannot create directory")
}

func TestAReadOnlyDiskIsTheHostsFault(t *testing.T) {
	m := tree(t, "")
	m.mounted(t, "home", unix.MS_RDONLY, "")
	_, err := m.account(context.Background(), "player1")
	assertFault(t, err, contract.ExitHost, "the player's account")
}

func TestAMissingAccountFileIsTheHostsFault(t *testing.T) {
	_, err := accountMaker{prefix: t.TempDir()}.account(context.Background(), "player1")
	assertFault(t, err, contract.ExitHost, "passwd")
}

func TestWhoIsOutOfTimeIsTold(t *testing.T) {
	m := tree(t, "")
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err := m.account(ctx, "player1")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestAPlayersEnvironmentIsItsOwnAndSmall(t *testing.T) {
	t.Setenv(contract.EnvCredentials, "correct-horse")
	a := Account{Name: "player1", Home: "/home/player1", RuntimeDir: "/run/user/1001"}
	assert.Equal(t, []string{
		"HOME=/home/player1", "USER=player1", "LOGNAME=player1", "SHELL=/bin/bash",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games", "LANG=C.UTF-8", "XDG_RUNTIME_DIR=/run/user/1001",
	}, a.Env())
}
