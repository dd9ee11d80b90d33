package ecs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/intraverse/dcv-sessions/components/hostguard"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// A host's security groups decide which addresses connect to it. This machine's
// packet filter enforces that: a chain for each host, for packets that arrive at its
// address on loopback.

// inbound is one rule of a security group.
type inbound struct {
	protocol    string // tcp, udp, or -1 for all
	from        netip.Prefix
	first, last int32
}

// tracked marks connections that a rule has admitted and that AWS tracks.
const tracked = "0xdc5"

// chain is the name of a host's.
func chain(address netip.Addr) string { return "dcv-" + address.String() }

// ruleset is a host's chain, as iptables-restore reads it.
//
// When a rule is removed, connections that it admitted go on if AWS tracks them,
// and stop at once if it does not, which is the case if both the rule and an outbound
// rule are for the whole internet (Amazon EC2 user guide, "Amazon EC2 security group
// connection tracking"). Session hosts have such an outbound rule.
func ruleset(address netip.Addr, rules []inbound) string {
	var b strings.Builder
	add := func(format string, args ...any) {
		fmt.Fprintf(&b, "-A %s %s\n", chain(address), fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "*filter\n:%s - [0:0]\n", chain(address))
	add("-p tcp --dport %d -j RETURN", agentPort) // on AWS these are link-local addresses
	for _, r := range rules {
		match := fmt.Sprintf("-s %s", r.from)
		if r.protocol != "-1" {
			match += fmt.Sprintf(" -p %s --dport %d:%d", r.protocol, r.first, r.last)
		}
		if r.from.Bits() > 0 {
			add("%s -j CONNMARK --set-mark %s", match, tracked)
		}
		add("%s -j RETURN", match)
	}
	add("-m connmark --mark %s -m conntrack --ctstate ESTABLISHED -j RETURN", tracked)
	add("-j DROP")
	b.WriteString("COMMIT\n")
	return b.String()
}

// jump returns the rule that leads packets for a host's address into its chain.
func jump(address netip.Addr) []string {
	return []string{"INPUT", "-i", "lo", "-d", address.String(), "-j", chain(address)}
}

// admit lets these rules decide which clients connect to an address, from now on.
func admit(ctx context.Context, address netip.Addr, rules []inbound) error {
	if err := filter(ctx, ruleset(address, rules), "iptables-restore", "--noflush", "--wait"); err != nil {
		return err
	}
	if filter(ctx, "", "iptables", append([]string{"--wait", "--check"}, jump(address)...)...) == nil {
		return nil
	}
	return filter(ctx, "", "iptables", append([]string{"--wait", "--insert"}, jump(address)...)...)
}

// admitAll undoes admit.
func admitAll(ctx context.Context, address netip.Addr) error {
	return errors.Join(
		filter(ctx, "", "iptables", append([]string{"--wait", "--delete"}, jump(address)...)...),
		filter(ctx, "", "iptables", "--wait", "--flush", chain(address)),
		filter(ctx, "", "iptables", "--wait", "--delete-chain", chain(address)),
	)
}

// guard has the rules that keep players' processes from a host's metadata and
// credentials, as an EC2 host's own rules do.
func guard(address netip.Addr) hostguard.Rules {
	return hostguard.Rules{
		Chain: "dcv-guard-" + address.String(),
		Closed: []hostguard.Destination{{
			To: netip.PrefixFrom(address, address.BitLen()), Ports: contract.PortRange{First: agentPort, Last: agentPort},
		}},
	}
}

// keepOut keeps players' processes from a host's metadata and credentials, from now on.
func keepOut(ctx context.Context, address netip.Addr) error {
	_ = letIn(ctx, address) // rules that a killed sandbox has left
	return filter(ctx, guard(address).IPv4(), "iptables-restore", "--noflush", "--wait")
}

// letIn undoes keepOut.
func letIn(ctx context.Context, address netip.Addr) error {
	chain := guard(address).Chain
	return errors.Join(
		filter(ctx, "", "iptables", "--wait", "--delete", "OUTPUT", "-j", chain),
		filter(ctx, "", "iptables", "--wait", "--flush", chain),
		filter(ctx, "", "iptables", "--wait", "--delete-chain", chain),
	)
}

func filter(ctx context.Context, input, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// filterTime is how long changing the packet filter may take.
const filterTime = 30 * time.Second

// guardHost keeps players out of a host's credentials before anything runs on it. On
// AWS a host that cannot be guarded never joins the cluster. Here it joins if this
// machine has no packet filter, or the sandbox no right to it.
func (a *Agent) guardHost(h *host) {
	ctx, cancel := context.WithTimeout(context.Background(), filterTime)
	defer cancel()
	err := keepOut(ctx, h.address)
	h.guarded = err == nil
	if err != nil {
		a.log.Printf("host %s: players reach its metadata and credentials: %v", h.ID, err)
	}
}

// protect lets a host's security groups decide which clients connect to it. If this
// machine has no packet filter, or the sandbox no right to it, all clients do.
func (a *Agent) protect(h *host) {
	if len(h.SecurityGroups) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), filterTime)
	defer cancel()
	h.guard.Lock()
	defer h.guard.Unlock()
	if h.guard.over {
		return
	}
	rules, err := a.inbound(ctx, h.SecurityGroups)
	if err == nil {
		err = admit(ctx, h.address, rules)
	}
	h.guard.on = h.guard.on || err == nil
	if err != nil {
		a.log.Printf("host %s: its security groups don't decide who connects: %v", h.ID, err)
	}
}

// unprotect forgets a host that has left.
func (a *Agent) unprotect(h *host) {
	ctx, cancel := context.WithTimeout(context.Background(), filterTime)
	defer cancel()
	h.guard.Lock()
	defer h.guard.Unlock()
	h.guard.over = true
	var err error
	if h.guard.on {
		err = admitAll(ctx, h.address)
	}
	if h.guarded {
		err = errors.Join(err, letIn(ctx, h.address))
	}
	if err != nil {
		a.log.Printf("host %s: %v", h.ID, err)
	}
}

// inbound reads security groups' rules of IPv4 networks: hosts have no other
// addresses here.
func (a *Agent) inbound(ctx context.Context, groups []string) ([]inbound, error) {
	client := ec2.NewFromConfig(a.with(a.config.Admin))
	var rules []inbound
	for pages := ec2.NewDescribeSecurityGroupRulesPaginator(client, &ec2.DescribeSecurityGroupRulesInput{
		Filters: []types.Filter{{Name: aws.String("group-id"), Values: groups}},
	}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.SecurityGroupRules {
			from, err := netip.ParsePrefix(aws.ToString(r.CidrIpv4))
			if aws.ToBool(r.IsEgress) || err != nil {
				continue
			}
			rules = append(rules, inbound{aws.ToString(r.IpProtocol), from, aws.ToInt32(r.FromPort), aws.ToInt32(r.ToPort)})
		}
	}
	return rules, nil
}

// SecurityGroups lets a change of rules take effect before its answer.
func (a *Agent) SecurityGroups() gateway.Behaviour {
	return gateway.Behaviour{Name: "security groups", Service: "ec2", Answers: map[string]gateway.Handler{
		"AuthorizeSecurityGroupIngress": a.rulesChanged, "RevokeSecurityGroupIngress": a.rulesChanged, "ModifySecurityGroupRules": a.rulesChanged,
	}}
}

func (a *Agent) rulesChanged(c *gateway.Call) (*http.Response, error) {
	res, err := c.Forward()
	a.mu.Lock()
	var hosts []*host
	for _, h := range a.hosts {
		hosts = append(hosts, h)
	}
	a.mu.Unlock()
	for _, h := range hosts {
		a.protect(h)
	}
	return res, err
}
