package builder_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bare is a machine that is not the builder yet, below a folder of its own.
type bare struct {
	t         *testing.T
	root, bin string
}

func newBare(t *testing.T, distribution string) *bare {
	t.Helper()
	b := &bare{t, t.TempDir(), t.TempDir()}
	for _, dir := range []string{"etc/ssh/sshd_config.d", "var/lib"} {
		require.NoError(t, os.MkdirAll(filepath.Join(b.root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(b.root, "etc/os-release"), []byte("ID="+distribution+"\n"), 0o644))
	for _, name := range []string{"dnf", "apt-get", "systemctl"} {
		b.command(name, "true")
	}
	b.command("id", `[ -e "$BUILDER_ROOT/user" ]`)
	b.command("useradd", `touch "$BUILDER_ROOT/user"`)
	return b
}

// command is a program that the installation finds; it notes how it is called.
func (b *bare) command(name, script string) {
	text := "#!/bin/sh\necho \"" + name + " $*\" >>\"$BUILDER_ROOT/asked\"\n" + script + "\n"
	require.NoError(b.t, os.WriteFile(filepath.Join(b.bin, name), []byte(text), 0o700))
}

// install returns the commands that were called.
func (b *bare) install() (asked string, err error) {
	b.t.Helper()
	cmd := exec.Command("sh", "setup.sh")
	cmd.Env = []string{"BUILDER_ROOT=" + b.root, "PATH=" + b.bin + ":" + os.Getenv("PATH")}
	said, err := cmd.CombinedOutput()
	b.t.Logf("%s", said)
	text, _ := os.ReadFile(filepath.Join(b.root, "asked"))
	require.NoError(b.t, os.RemoveAll(filepath.Join(b.root, "asked")))
	return string(text), err
}

func (b *bare) ready() bool {
	_, err := os.Stat(filepath.Join(b.root, "var/lib/builder-ready"))
	return err == nil
}

func TestAnInstallationThatFailedSucceedsTheNextTime(t *testing.T) {
	const user = "useradd --create-home --shell /bin/sh --groups docker builder\n"
	for distribution, c := range map[string]struct{ program, install, daemon string }{
		"amzn":   {"dnf", "dnf install --assumeyes docker\n", "sshd"},
		"debian": {"apt-get", "apt-get install --quiet=2 --yes docker.io\n", "ssh"},
	} {
		t.Run(distribution, func(t *testing.T) {
			b := newBare(t, distribution)
			b.command(c.program, "exit 1")
			asked, err := b.install()
			require.Error(t, err)
			assert.Equal(t, c.install, asked)
			assert.False(t, b.ready())

			b.command(c.program, "true")
			b.command("systemctl", `[ "$1" != restart ]`)
			asked, err = b.install()
			require.Error(t, err, "the last step fails")
			assert.Equal(t, c.install+"systemctl enable --now docker\nid builder\n"+user+"systemctl restart "+c.daemon+"\n", asked)
			assert.False(t, b.ready())

			b.command("systemctl", "true")
			asked, err = b.install()
			require.NoError(t, err)
			assert.NotContains(t, asked, user, "there is the user already")
			assert.True(t, b.ready())
		})
	}
	b := newBare(t, "fedora")
	_, err := b.install()
	require.Error(t, err)
	assert.False(t, b.ready())
}
