package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// ours is this test's own address of loopback, which no other process uses.
var ours = netip.AddrFrom4([4]byte{127, 77, byte(os.Getpid() >> 8), byte(os.Getpid())})

var ports = contract.PortRange{First: 20000, Last: 20049}

// envListen makes this program a session that listens until its stdin ends.
const envListen = "TEST_LISTEN_AT"

func TestMain(m *testing.M) {
	if at := os.Getenv(envListen); at != "" {
		l, err := Listen(netip.MustParseAddr(at), ports)
		switch {
		case errors.Is(err, ErrNoPort):
			fmt.Println("none")
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(port(l))
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func TestFiftySessionsThatStartAtOnceTakeFiftyPortsAndOneMoreFindsNone(t *testing.T) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var first net.Listener
	taken := map[int]bool{}
	for range ports.Width() {
		all.Go(func() {
			l, err := Listen(ours, ports)
			if !assert.NoError(t, err) {
				return
			}
			t.Cleanup(func() { l.Close() })
			mu.Lock()
			defer mu.Unlock()
			taken[port(l)] = true
			if port(l) == ports.First+7 {
				first = l
			}
		})
	}
	all.Wait()
	assert.Len(t, taken, 50)
	_, err := Listen(ours, ports)
	require.ErrorIs(t, err, ErrNoPort)
	assert.ErrorContains(t, err, "20000-20049")

	require.NoError(t, first.Close())
	l, err := Listen(ours, ports)
	require.NoError(t, err)
	defer l.Close()
	assert.Equal(t, ports.First+7, port(l), "a port that was given back is taken again")
}

// session is this program as another session of the host.
func session(t *testing.T) (stop func(), says func() string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envListen+"="+ours.String(), "GORACE=atexit_sleep_ms=0")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stop = sync.OnceFunc(func() { // as the kernel ends a session: it closes nothing itself
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop, func() string {
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSpace(line)
	}
}

func TestFiftyProcessesThatStartAtOnceTakeFiftyPortsAndACrashGivesOneBack(t *testing.T) {
	var stops []func()
	var says []func() string
	for range ports.Width() {
		stop, say := session(t)
		stops, says = append(stops, stop), append(says, say)
	}
	taken := map[string]bool{}
	for _, say := range says {
		taken[say()] = true
	}
	assert.Len(t, taken, 50)
	assert.NotContains(t, taken, "none")
	_, say := session(t)
	assert.Equal(t, "none", say())

	stops[3]()
	_, say = session(t)
	assert.Contains(t, taken, say())
}

func TestAnAddressThatIsNotTheHostsIsNoMatterOfPorts(t *testing.T) {
	_, err := Listen(netip.MustParseAddr("192.0.2.1"), ports)
	require.Error(t, err)
	assert.NotErrorIs(t, err, ErrNoPort)
}

func at(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }

func TestSessionsOfAHostHaveDisplaysOfTheirOwn(t *testing.T) {
	seen := map[int]bool{}
	for p := 15536; p <= 65535; p++ { // 50,000 ports
		n := Display(at(fmt.Sprint("10.0.0.5:", p)))
		assert.False(t, seen[n])
		assert.LessOrEqual(t, n, 59535)
		seen[n] = true
	}
	assert.Equal(t, 8443, Display(at("10.0.0.5:8443")))
	assert.Equal(t, 8443, Display(at("[2001:db8::1]:8443")))
}

func TestTheDisplayServersPortHasThePublicOnesNumber(t *testing.T) {
	free, err := tryPort(0)
	require.NoError(t, err)
	got, err := LoopbackPort(at(fmt.Sprint("10.0.0.5:", free)))
	require.NoError(t, err)
	assert.Equal(t, free, got)
}

func TestADisplayServerEvadesWhoHasItsPortAlready(t *testing.T) {
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer stranger.Close()
	for _, public := range []string{"10.0.0.5", "127.0.0.1", "127.1.0.1", "0.0.0.0"} {
		got, err := LoopbackPort(at(fmt.Sprint(public, ":", port(stranger))))
		require.NoError(t, err)
		assert.NotEqual(t, port(stranger), got)
		assert.NotZero(t, got)
	}
}
