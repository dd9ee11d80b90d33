package builder

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The files of a run's login. Their paths are part of the Docker provider's
// configuration and so the same at every run and on every machine: relative to
// the program's working directory. A run that builds writes and removes them.
const (
	keyFile   = "key"
	hostsFile = "known_hosts"
)

// SessionManager is the ssh proxy that reaches an instance without an open port:
// by the AWS CLI with its Session Manager plugin (Systems Manager user guide,
// "Allow and control permissions for SSH connections"). The CLI looks up
// credentials by itself; Region and profile are the stack's.
func SessionManager(region, profile string) string {
	command := "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p --region " + region
	if profile != "" {
		command += " --profile " + profile
	}
	return command
}

// SSHOptions returns the options by which ssh reaches the builder: by the proxy, with the
// run's key, and only with the host key that was read from the machine before. The user's
// own ssh configuration is not used.
func SSHOptions(loginDir, proxyCommand string) []string {
	return []string{
		"-F", "none",
		"-o", "ProxyCommand=" + proxyCommand,
		"-o", "IdentityFile=" + loginDir + "/" + keyFile, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "UserKnownHostsFile=" + loginDir + "/" + hostsFile, "-o", "GlobalKnownHostsFile=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UpdateHostKeys=no",
		"-o", "BatchMode=yes",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8", // a push says nothing for longer than a session may idle
	}
}

// newLogin makes the run's key and returns its public part in the form of
// authorized_keys.
func newLogin(dir string) (publicKey string, err error) {
	if err := removeLogin(dir); err != nil { // that of a run that was killed
		return "", err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o755), os.Mkdir(dir, 0o700)); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

// trust writes the host key, which the machine has returned through Systems Manager, to
// known_hosts.
func trust(dir, host, hostKey string) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		return fmt.Errorf("its host key, %q: %w", hostKey, err)
	}
	line := host + " " + string(ssh.MarshalAuthorizedKey(key))
	return os.WriteFile(filepath.Join(dir, hostsFile), []byte(line), 0o600)
}

func removeLogin(dir string) error { return os.RemoveAll(dir) }

// admission is the script by which a run prepares the machine.
type admission struct {
	key                   string
	idleMinutes, maxHours int
}

// script returns a script that sets the watchdog's limits and starts its time anew: the
// watchdog would otherwise power off, after idleMinutes, a machine that is still being
// installed. The script fails while the machine is not ready. Then it admits the key, for
// Docker only and no longer than the machine may run, and prints the host key.
func (a admission) script() string {
	return fmt.Sprintf(`set -eu
umask 022 # sshd reads the key as its user
mkdir -p /run/builder
printf 'IDLE_MINUTES=%d\nMAX_HOURS=%d\n' >/run/builder/limits
rm -f /run/builder/busy
test -e /var/lib/builder-ready || { echo "the machine is still being set up: $(tail -n 1 /var/log/builder-setup.log)" >&2; exit 1; }
docker version >/dev/null
until=$(date --date '+%d hours' +%%Y%%m%%d%%H%%M)
echo "restrict,command=\"docker system dial-stdio\",expiry-time=\"$until\" %s" >/run/builder/authorized_keys
cat /etc/ssh/ssh_host_ed25519_key.pub
`, a.idleMinutes, a.maxHours, a.maxHours, a.key)
}
