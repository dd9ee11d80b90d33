// Package hostguard protects a host's credentials and the ports of sessions from the
// players on the host. The containers of AWS Batch use the host's network, which gives
// both to every process.
package hostguard

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// Destination is a destination of packets.
type Destination struct {
	To    netip.Prefix       // addresses; the zero Prefix: all
	Ports contract.PortRange // TCP ports at these addresses; the zero range: all packets
}

// Rules are rules of a host's packet filter for packets of its own processes.
type Rules struct {
	Chain  string        // of their own, at most 28 characters
	Open   []Destination // reached by all users, even if within Closed
	Closed []Destination // reached by root and by system accounts only
}

// Host returns the rules of an EC2 instance that carries sessions. All that AWS
// serves at addresses of the instance's own link is closed (Amazon EC2 user guide,
// "Link-local addresses"; Amazon VPC user guide, "Unique local addresses"), so
// that a service which AWS adds there is closed too, and names are still resolved.
func Host() Rules {
	return Rules{
		Chain: "dcv-sessions-players",
		Open: []Destination{ // the VPC's resolver
			{To: netip.MustParsePrefix("169.254.169.253/32")},
			{To: netip.MustParsePrefix("fd00:ec2::253/128")},
		},
		Closed: []Destination{
			{To: netip.MustParsePrefix("169.254.0.0/16")},
			{To: netip.MustParsePrefix("fd00:ec2::/32")},
			// At every address: the agent listens on all addresses of the host, and packets
			// to 169.254.170.2 arrive here redirected to 127.0.0.1.
			{Ports: contract.AgentPorts},
		},
	}
}

// IPv4 returns the rules as iptables-restore --noflush reads them.
func (r Rules) IPv4() string { return r.render(netip.Addr.Is4) }

// IPv6 returns the rules as ip6tables-restore --noflush reads them.
func (r Rules) IPv6() string { return r.render(netip.Addr.Is6) }

// render writes the rules of one kind of addresses.
//
// The rules list the users that may pass, and close the rest: a packet's owner is the user
// that opened its socket, and sockets that the kernel opens for a process (MPTCP's and
// SMC's, in some versions) have no owner (net/netfilter/xt_owner.c). The last packets of
// a connection have none either if the process has ended, so of TCP only the packets that
// open a connection are checked.
func (r Rules) render(is func(netip.Addr) bool) string {
	var b strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&b, format+"\n", values...) }
	line("*filter\n:%[1]s - [0:0]\n-I OUTPUT -j %[1]s", r.Chain)
	for _, d := range r.Open {
		if d.of(is) {
			line("-A %s%s -j RETURN", r.Chain, d.address())
		}
	}
	line("-A %s -m owner --uid-owner 0-%d -j RETURN", r.Chain, contract.FirstPlayerUID-1)
	line("-A %s -p tcp ! --syn -j RETURN", r.Chain)
	for _, d := range r.Closed {
		if !d.of(is) {
			continue
		}
		line("-A %s%s -p tcp%s -j REJECT --reject-with tcp-reset", r.Chain, d.address(), d.ports())
		if d.ports() == "" {
			line("-A %s%s -j REJECT", r.Chain, d.address())
		}
	}
	line("COMMIT")
	return b.String()
}

func (d Destination) of(is func(netip.Addr) bool) bool { return !d.To.IsValid() || is(d.To.Addr()) }

func (d Destination) address() string {
	if !d.To.IsValid() {
		return ""
	}
	return " -d " + d.To.String()
}

func (d Destination) ports() string {
	if d.Ports == (contract.PortRange{}) {
		return ""
	}
	return fmt.Sprintf(" --dport %d:%d", d.Ports.First, d.Ports.Last)
}
