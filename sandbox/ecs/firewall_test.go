package ecs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// echo is a server on a host's address that sends lines back.
func echo(t *testing.T, address netip.Addr) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func dial(at netip.AddrPort) (net.Conn, error) {
	return net.DialTimeout("tcp", at.String(), 700*time.Millisecond)
}

func reached(at netip.AddrPort) bool {
	c, err := dial(at)
	return err == nil && c.Close() == nil
}

// speaks reports whether a connection still carries a line there and back.
func speaks(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(700 * time.Millisecond))
	fmt.Fprintln(c, "hello")
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && line == "hello\n"
}

func TestSecurityGroupsDecideWhoConnectsToAHost(t *testing.T) {
	address := netip.MustParseAddr("127.1.255.77")
	at := echo(t, address)
	port := int32(at.Port())
	ctx := t.Context()
	if err := admit(ctx, address, nil); err != nil {
		t.Skipf("SKIPPED: security groups decide nothing on this machine: %v", err)
	}
	t.Cleanup(func() {
		require.NoError(t, admitAll(context.Background(), address))
		assert.True(t, reached(at), "nothing of it is left")
	})
	assert.False(t, reached(at), "no rule admits anybody")

	near := inbound{"tcp", netip.MustParsePrefix("127.0.0.0/8"), port, port}
	require.NoError(t, admit(ctx, address, []inbound{near}))
	assert.True(t, reached(at))
	for name, r := range map[string]inbound{
		"another protocol": {"udp", near.from, port, port},
		"another range":    {"tcp", near.from, 1025, port - 1},
		"another network":  {"tcp", netip.MustParsePrefix("203.0.113.0/24"), port, port},
	} {
		require.NoError(t, admit(ctx, address, []inbound{r}))
		assert.False(t, reached(at), name)
	}

	for name, r := range map[string]struct {
		rule inbound
		goOn bool
	}{
		"a tracked connection goes on":     {near, true},
		"one that is not tracked is cut":   {inbound{"tcp", netip.MustParsePrefix("0.0.0.0/0"), port, port}, false},
		"all protocols of a named network": {inbound{"-1", near.from, -1, -1}, true},
	} {
		require.NoError(t, admit(ctx, address, []inbound{r.rule}), name)
		open, err := dial(at)
		require.NoError(t, err, name)
		require.True(t, speaks(open), name)
		require.NoError(t, admit(ctx, address, nil), name)
		assert.False(t, reached(at), "%s: nobody new is admitted once the rule is gone", name)
		assert.Equal(t, r.goOn, speaks(open), name)
		open.Close()
	}
}

// reachedBy reports whether a user's process connects to an address.
func reachedBy(t *testing.T, uid uint32, at netip.AddrPort) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "timeout", "2", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", at.Addr(), at.Port()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var ended *exec.ExitError
	err := cmd.Run()
	if !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return err == nil
}

func TestPlayersDontReachASimulatedHostsCredentials(t *testing.T) {
	address := netip.MustParseAddr("127.1.255.78")
	game := echo(t, address)
	listener, err := net.Listen("tcp", netip.AddrPortFrom(address, agentPort).String())
	require.NoError(t, err)
	defer listener.Close()
	service := netip.AddrPortFrom(address, agentPort)
	ctx := t.Context()
	if err := keepOut(ctx, address); err != nil {
		t.Skipf("SKIPPED: players reach hosts' credentials on this machine: %v", err)
	}
	require.NoError(t, keepOut(ctx, address), "after a sandbox that was killed")
	for _, uid := range []uint32{contract.FirstPlayerUID, 65533, 65534} {
		assert.False(t, reachedBy(t, uid, service), uid)
		assert.True(t, reachedBy(t, uid, game), "a session, %d", uid)
	}
	for _, uid := range []uint32{0, contract.FirstPlayerUID - 1} {
		assert.True(t, reachedBy(t, uid, service), uid)
	}
	require.NoError(t, letIn(context.Background(), address))
	assert.True(t, reachedBy(t, contract.FirstPlayerUID, service))
	left, err := exec.CommandContext(ctx, "iptables", "--list-rules").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(left), address.String())
}

func TestInboundRulesAreThoseOfIPv4Networks(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		assert.Equal(t, "DescribeSecurityGroupRules sg-1", r.Form.Get("Action")+" "+r.Form.Get("Filter.1.Value.1"))
		fmt.Fprint(w, `<DescribeSecurityGroupRulesResponse><securityGroupRuleSet>
			<item><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>8443</fromPort><toPort>8446</toPort><cidrIpv4>203.0.113.0/24</cidrIpv4></item>
			<item><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>8443</fromPort><toPort>8446</toPort><cidrIpv6>2001:db8::/32</cidrIpv6></item>
			<item><isEgress>true</isEgress><ipProtocol>-1</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort><cidrIpv4>0.0.0.0/0</cidrIpv4></item>
			</securityGroupRuleSet></DescribeSecurityGroupRulesResponse>`)
	}))
	defer server.Close()
	a := &Agent{config: Config{Endpoint: server.URL, Admin: credentials.NewStaticCredentialsProvider("a", "b", "")}}
	rules, err := a.inbound(t.Context(), []string{"sg-1"})
	require.NoError(t, err)
	assert.Equal(t, []inbound{{"tcp", netip.MustParsePrefix("203.0.113.0/24"), 8443, 8446}}, rules)
}
