package hostguard

import (
	"fmt"
	"path"
	"strings"
)

// Unit is the name of the systemd unit that guards a host.
const Unit = "dcv-sessions-guard.service"

// unit loads rules and limit at every start of the host: user data runs at the first
// one only. It starts after services that load a whole set of rules, since those would
// remove its rules.
const unit = `[Unit]
Description=Keep players from the host's credentials and from the ports of sessions
After=iptables.service ip6tables.service nftables.service firewalld.service
Before=docker.service ecs.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/sysctl -w net.ipv4.ip_unprivileged_port_start=%d
ExecStart=/usr/sbin/iptables-restore --noflush ` + rulesIPv4 + `
ExecStart=/usr/sbin/ip6tables-restore --noflush ` + rulesIPv6 + `
`

// gate is a drop-in of the services that run containers. If the unit fails, the ECS agent
// is not started, and the host never joins the cluster.
const gate = `[Unit]
Requires=` + Unit + `
After=` + Unit + `
`

const (
	rulesIPv4 = "/etc/dcv-sessions/players.ipv4"
	rulesIPv6 = "/etc/dcv-sessions/players.ipv6"
)

// portStep divides a host's limit of ports: if a range of ports moves by less, the hosts
// need no change.
const portStep = 4096

// FirstFreePort returns the first port on which processes other than root's may listen,
// if sessions have ports up to last. It is the same for many ranges.
func FirstFreePort(last int) int { return (last/portStep + 1) * portStep }

// Script returns a part of a bash script for a host's first start, as root. Sessions
// of the host have ports up to lastPort, at most contract.LastSessionPort. Tests set
// HOST_ROOT to a folder that stands for the root of the host's file system.
func Script(lastPort int) string {
	var b strings.Builder
	b.WriteString("# Players' processes don't reach the host's credentials, and only root's take the\n# ports of sessions, before any container runs and at every start of the host.\n")
	for _, file := range []struct{ path, text string }{
		// The gates come first: any later failure keeps the host from the cluster.
		{"/etc/systemd/system/ecs.service.d/dcv-sessions.conf", gate},
		{"/etc/systemd/system/docker.service.d/dcv-sessions.conf", gate},
		{"/etc/systemd/system/" + Unit, fmt.Sprintf(unit, FirstFreePort(lastPort))},
		{rulesIPv4, Host().IPv4()},
		{rulesIPv6, Host().IPv6()},
	} {
		fmt.Fprintf(&b, "mkdir -p \"$HOST_ROOT\"%s\ncat > \"$HOST_ROOT\"%s <<'EOF'\n%sEOF\n", path.Dir(file.path), file.path, file.text)
	}
	b.WriteString("systemctl daemon-reload\nsystemctl start " + Unit + "\n")
	return b.String()
}
