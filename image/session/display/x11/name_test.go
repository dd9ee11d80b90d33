package x11

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
)

// envClaim makes this program a session's container, as far as its processes go:
// the display with this number is claimed.
const envClaim = "TEST_CLAIM"

func TestMain(m *testing.M) {
	if name := os.Getenv(envClaim); name != "" {
		_, err := Claim(name)
		fmt.Println("a neighbour's:", err)
		fmt.Println("seen:", Kept(name))
		own, err := displayNumber(name)
		if err == nil {
			_, err = net.Listen("unix", abstract(own+1))
		}
		if err == nil {
			_, err = Claim(":" + strconv.Itoa(own+1))
		}
		err = errors.Join(err, Kept(":"+strconv.Itoa(own+1)))
		fmt.Println("its own:", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func abstract(number int) string { return fmt.Sprintf("@%s/X%d", SocketDir, number) }

// free is a number that no display of this machine has, nor the next two.
func free() int { return 400_000 + os.Getpid()*10%100_000 }

// listen is a neighbour with a display's name.
func listen(t *testing.T, number int) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", abstract(number))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func noPort(t *testing.T, err error) {
	t.Helper()
	if code, _ := fault.Code(err); code != contract.ExitNoPort {
		t.Errorf("got %v, not a fault with the exit code %d", err, contract.ExitNoPort)
	}
}

func TestADisplaysNameIsHeldUntilItIsReleased(t *testing.T) {
	name, err := Hold(free())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Listen("unix", abstract(name.Number)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a neighbour who takes the name of display :%d gets %v", name.Number, err)
	}
	if c, err := net.Dial("unix", abstract(name.Number)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a client gets %v, %v, and would not go on to the file", c, err)
	}
	if err := Kept(fmt.Sprintf(":%d", name.Number)); err != nil {
		t.Error(err)
	}
	name.Release()
	if err := Kept(fmt.Sprintf(":%d", name.Number)); err == nil || !strings.Contains(err.Error(), "a neighbour could take it") {
		t.Errorf("of a name that is free: %v", err)
	}
	listen(t, name.Number)
	name.Release() // of a name that is another's by now: no effect
	if c, err := net.Dial("unix", abstract(name.Number)); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
}

func TestADisplayEvadesNeighboursWhoHaveItsName(t *testing.T) {
	first := free()
	listen(t, first)
	listen(t, first+1)
	if _, err := holdFrom(first, 2); err == nil {
		t.Error("a name that is taken was held")
	} else {
		noPort(t, err)
	}
	name, err := holdFrom(first, 3)
	if err != nil || name.Number != first+2 {
		t.Fatalf("got %+v, %v, not display :%d", name, err, first+2)
	}
	name.Release()
}

func TestARunningDisplaysNameIsClaimed(t *testing.T) {
	number := free()
	name, err := Claim(fmt.Sprintf(":%d.0", number))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Listen("unix", abstract(number)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a neighbour who takes it afterwards gets %v", err)
	}
	_, err = Claim(fmt.Sprintf(":%d", number)) // as another session that holds it
	noPort(t, err)
	name.Release()
	if _, err := Claim("elsewhere:1"); err == nil {
		t.Error("a display of another host was claimed")
	}
}

func TestWhoListensOnAClaimedNameIsToBeOfThisContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a container's processes")
	}
	number := free()
	listen(t, number)
	container := exec.Command(os.Args[0])
	container.Env = append(os.Environ(), envClaim+"=:"+strconv.Itoa(number), "GORACE=atexit_sleep_ms=0")
	container.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := container.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("a process of another session listens on the abstract socket name of the X display :%d", number)
	if want := fmt.Sprintf("a neighbour's: %s\nseen: %s\nits own: <nil>\n", said, said); string(out) != want {
		t.Errorf("got %s, not %s", out, want)
	}
}
