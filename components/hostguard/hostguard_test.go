package hostguard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/intraverse/dcv-sessions/contract"
)

const (
	envTry    = "TEST_TRY"    // makes this program one that tries something and prints what came of it
	envInside = "TEST_INSIDE" // is set where a test runs in a network of its own
)

func TestMain(m *testing.M) {
	if what := os.Getenv(envTry); what != "" {
		fmt.Print(attempt(strings.Fields(what)))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attempt runs one command: "dial NETWORK ADDRESS", "listen NETWORK ADDRESS", "say
// ADDRESS TEXT" by UDP, or "mptcp IPv4-ADDRESS". It returns "ok" or the error.
func attempt(what []string) string {
	var err error
	switch what[0] {
	case "dial":
		dialer := net.Dialer{Timeout: 2 * time.Second, LocalAddr: from(what[1], what[2])}
		_, err = dialer.Dial(what[1], what[2])
	case "listen":
		if strings.HasPrefix(what[1], "udp") {
			_, err = net.ListenPacket(what[1], what[2])
		} else {
			_, err = net.Listen(what[1], what[2])
		}
	case "say":
		var c net.Conn
		dialer := net.Dialer{LocalAddr: from("udp", what[1])}
		if c, err = dialer.Dial("udp", what[1]); err == nil {
			_, err = c.Write([]byte(what[2]))
		}
	case "mptcp":
		at := netip.MustParseAddrPort(what[1])
		var socket int
		if socket, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP); err == nil {
			err = unix.Connect(socket, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
		}
	}
	var number syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}

// from returns the loopback address: an instance sends from its own address, not from
// the one that it sends to.
func from(network, to string) net.Addr {
	host := net.IPv4(127, 0, 0, 1)
	if netip.MustParseAddrPort(to).Addr().Is6() {
		host = net.IPv6loopback
	}
	if network == "udp" {
		return &net.UDPAddr{IP: host}
	}
	return &net.TCPAddr{IP: host}
}

// as has a user try something.
func as(t *testing.T, uid uint32, format string, values ...any) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{envTry + "=" + fmt.Sprintf(format, values...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

const (
	player  = contract.FirstPlayerUID
	nobody  = 65534
	dcv     = contract.FirstPlayerUID - 1 // system accounts end here
	refused = "connection refused"
)

// inNetwork runs a test in a network of its own, where rules and limits are its own.
func inNetwork(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(envInside) != "" {
		test(t)
		return
	}
	for _, program := range []string{"ip", "iptables", "ip6tables", "sysctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: it takes iptables, iproute2 and procps: ", err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envInside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED: it takes root to make a network of its own")
	}
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "SKIP")
}

func command(t *testing.T, line ...string) {
	t.Helper()
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	require.NoError(t, err, "%v: %s", line, out)
}

// host runs the script as cloud-init does, in a real bash, and returns the folder
// that stands for the host's root and the calls of systemctl.
func host(t *testing.T, lastPort int) (root, calls string) {
	t.Helper()
	root = t.TempDir()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(bin+"/systemctl", []byte("#!/bin/sh\necho \"$@\" >> "+bin+"/calls\n"), 0o755))
	script := exec.Command("bash", "-eu", "-c", Script(lastPort))
	script.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOST_ROOT=" + root}
	out, err := script.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
	said, err := os.ReadFile(bin + "/calls")
	require.NoError(t, err)
	return root, string(said)
}

// start runs the commands that systemd runs for the unit, until one fails.
func start(t *testing.T, root string) error {
	t.Helper()
	text, err := os.ReadFile(root + "/etc/systemd/system/" + Unit)
	require.NoError(t, err)
	steps := regexp.MustCompile(`(?m)^ExecStart=(.+)$`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, steps, 3)
	for _, step := range steps {
		line := strings.Fields(strings.ReplaceAll(step[1], "/etc/", root+"/etc/"))
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line[0], err, out)
		}
	}
	return nil
}

// serve listens at the host's services, as instance and agent do, and as ecs-init
// prepares it (packaging of aws/amazon-ecs-agent: 169.254.170.2 is the agent).
func serve(t *testing.T) {
	t.Helper()
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "ip", "route", "add", "169.254.0.0/16", "dev", "lo")
	for _, address := range []string{"169.254.169.254/32", "169.254.169.253/32", "fd00:ec2::254/128", "fd00:ec2::253/128", "10.0.1.5/32"} {
		command(t, "ip", "address", "add", address, "dev", "lo", "nodad")
	}
	command(t, "iptables", "-t", "nat", "-A", "OUTPUT", "-d", "169.254.170.2", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "51679")
	for _, at := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80", ":51678", ":51679", ":51680", "169.254.169.253:53", "[fd00:ec2::253]:53", ":8443"} {
		l, err := net.Listen("tcp", at)
		require.NoError(t, err, at)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(c, c) }()
			}
		}()
	}
}

func TestPlayersDontReachTheHostsCredentials(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		serve(t)
		services := append([]string{"10.0.1.5:51678", "10.0.1.5:51680"}, contract.HostServices...)
		for _, at := range services {
			assert.Equal(t, "ok", as(t, player, "dial tcp %s", at), "%s, before the rules", at)
		}
		root, _ := host(t, 8446)
		require.NoError(t, start(t, root))
		for _, at := range services {
			assert.Equal(t, refused, as(t, player, "dial tcp %s", at), at)
			assert.Equal(t, refused, as(t, nobody, "dial tcp %s", at), at)
			assert.Equal(t, "ok", as(t, 0, "dial tcp %s", at), "the session's supervisor reaches %s", at)
			assert.Equal(t, "ok", as(t, dcv, "dial tcp %s", at), "DCV's server reaches %s, which asks for its licence", at)
		}
		for _, at := range []string{"169.254.169.253:53", "[fd00:ec2::253]:53", "127.0.0.1:8443", "10.0.1.5:8443", "[::1]:8443"} {
			assert.Equal(t, "ok", as(t, player, "dial tcp %s", at), "names and sessions: %s", at)
		}
	})
}

// A packet's owner is its socket's, and the kernel opens some sockets itself.
func TestPlayersDontReachTheHostsCredentialsByOtherProtocols(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		serve(t)
		got := make(chan string, 9)
		for _, at := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80"} {
			heard, err := net.ListenPacket("udp", at)
			require.NoError(t, err)
			defer heard.Close()
			go func() {
				for text := make([]byte, 9); ; {
					n, _, err := heard.ReadFrom(text)
					if err != nil {
						return
					}
					got <- string(text[:n])
				}
			}()
		}
		root, _ := host(t, 8446)
		require.NoError(t, start(t, root))
		if answer := as(t, player, "mptcp 169.254.169.254:80"); answer != "protocol not supported" {
			assert.Equal(t, refused, answer)
		}
		for _, who := range []uint32{player, 0} {
			for _, at := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80"} {
				as(t, who, "say %s %d", at, who)
			}
		}
		for range 2 {
			assert.Equal(t, "0", <-got, "what root sends arrives, and a player's doesn't")
		}
	})
}

func TestOnlyRootTakesThePortsOfSessions(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		command(t, "ip", "link", "set", "lo", "up")
		root, _ := host(t, 8446)
		require.NoError(t, start(t, root))
		for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
			for _, port := range []int{8443, 8446, FirstFreePort(8446) - 1} {
				assert.Equal(t, "permission denied", as(t, player, "listen %s :%d", network, port))
				assert.Equal(t, "permission denied", as(t, dcv, "listen %s :%d", network, port))
				assert.Equal(t, "ok", as(t, 0, "listen %s :%d", network, port))
			}
			for _, port := range []int{FirstFreePort(8446), 0} {
				assert.Equal(t, "ok", as(t, player, "listen %s :%d", network, port), "a game listens on ports from there up")
			}
		}
	})
}

func TestTheLastPortThatSessionsMayHaveIsOneThatLinuxProtects(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		root, _ := host(t, contract.LastSessionPort)
		require.NoError(t, start(t, root))
		root, _ = host(t, contract.LastSessionPort+1)
		require.ErrorContains(t, start(t, root), "Invalid argument")
	})
}

// A host on which one of the steps fails gets none of the later ones, and systemd
// starts nothing that requires the unit (man 5 systemd.service, Type=oneshot;
// man 5 systemd.unit, Requires= with After=).
func TestAHostThatCantBeGuardedNeverJoinsTheCluster(t *testing.T) {
	root, calls := host(t, 8446)
	assert.Equal(t, "daemon-reload\nstart "+Unit+"\n", calls)
	for _, service := range []string{"ecs", "docker"} {
		text, err := os.ReadFile(root + "/etc/systemd/system/" + service + ".service.d/dcv-sessions.conf")
		require.NoError(t, err)
		assert.Equal(t, "[Unit]\nRequires="+Unit+"\nAfter="+Unit+"\n", string(text))
	}
	inNetwork(t, func(t *testing.T) {
		for name, spoil := range map[string]func(root string){
			"a limit that Linux refuses": func(string) {
				command(t, "sysctl", "-w", "net.ipv4.ip_unprivileged_port_start=1024", "net.ipv4.ip_local_port_range=2000 60999")
			},
			"rules of IPv4": func(root string) {
				require.NoError(t, os.WriteFile(root+rulesIPv4, []byte("*filter\n-A X\nCOMMIT\n"), 0o600))
			},
			"rules of IPv6": func(root string) { require.NoError(t, os.Remove(root+rulesIPv6)) },
		} {
			command(t, "sysctl", "-w", "net.ipv4.ip_local_port_range=32768 60999")
			root, _ := host(t, 8446)
			require.NoError(t, start(t, root), name)
			spoil(root)
			assert.Error(t, start(t, root), name)
		}
	})
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: this machine has no systemd")
	}
	root, _ := host(t, 8446)
	units := root + "/etc/systemd/system/"
	for _, service := range []string{"ecs", "docker"} {
		require.NoError(t, os.WriteFile(units+service+".service", []byte("[Service]\nExecStart=/bin/true\n"), 0o644))
	}
	cmd := exec.Command(verify, "verify", units+"ecs.service", units+"docker.service", units+Unit)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+units+":")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, line := range strings.Split(string(out), "\n") {
		assert.NotContains(t, line, filepath.Base(root), "nothing to complain of: %s", line)
	}
}

// The rules are rendered from a table, which must have each service that gives
// credentials.
func TestEveryServiceOfTheHostIsClosed(t *testing.T) {
	rules := Host()
	within := func(list []Destination, at netip.AddrPort) bool {
		for _, d := range list {
			if (!d.To.IsValid() || d.To.Contains(at.Addr())) && (d.Ports == contract.PortRange{} || d.Ports.Contains(contract.PortRange{First: int(at.Port()), Last: int(at.Port())})) {
				return true
			}
		}
		return false
	}
	for _, service := range contract.HostServices {
		at := netip.MustParseAddrPort(service)
		assert.True(t, within(rules.Closed, at) && !within(rules.Open, at), service)
	}
	assert.LessOrEqual(t, len(rules.Chain), 28)
}

func TestRangesThatMoveALittleLeaveTheHostsAsTheyAre(t *testing.T) {
	for last, want := range map[int]int{1025: 4096, 4095: 4096, 4096: 8192, 8443: 12288, 9446: 12288, 28671: 28672, contract.LastSessionPort: 32768} {
		assert.Equal(t, want, FirstFreePort(last), last)
		assert.Greater(t, FirstFreePort(last), last)
	}
}
