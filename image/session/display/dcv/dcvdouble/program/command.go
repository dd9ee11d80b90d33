package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// The real programs use D-Bus. The double's use sockets of their own, and only if the
// system's bus answers.
const (
	busSocket      = "/run/dbus/system_bus_socket"
	serverSocket   = "/run/dcv/double-server"
	launcherSocket = "/run/dcv/double-launcher"
)

// answer is dcvserver's answer, which `dcv` prints.
type answer struct {
	Out  string
	Code int
}

func failed(format string, args ...any) answer { return answer{fmt.Sprintf(format, args...) + "\n", 1} }

// ask is the `dcv` command: it has dcvserver answer.
func ask(args []string) int {
	if !answers(busSocket) {
		fmt.Fprintln(os.Stderr, "Could not get the system bus")
		return 1
	}
	connection, err := net.Dial("unix", at(serverSocket))
	if err != nil {
		fmt.Fprintln(os.Stderr, "Could not connect to the server: the dcvserver service is not running")
		return 1
	}
	defer connection.Close()
	var a answer
	if err := json.NewEncoder(connection).Encode(args); err != nil {
		return 1
	}
	if err := json.NewDecoder(connection).Decode(&a); err != nil {
		fmt.Fprintln(os.Stderr, "The connection to the server was lost")
		return 1
	}
	out := io.Writer(os.Stdout)
	if a.Code != 0 {
		out = os.Stderr
	}
	fmt.Fprint(out, a.Out)
	return a.Code
}

func answers(socket string) bool {
	connection, err := net.Dial("unix", at(socket))
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// listen listens on a socket of the double, and replaces an old one.
func listen(socket string) (net.Listener, error) {
	_ = os.Remove(at(socket))
	l, err := net.Listen("unix", at(socket))
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(at(socket), 0o666)
}

// launch is the session launcher: it is there.
func launch() error {
	l, err := listen(launcherSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			_ = connection.Close()
		}
	}()
	<-terminated()
	return l.Close()
}

// command is a command line of `dcv`, taken apart. Flags of the real one that
// take no value are in switches.
type command struct {
	name  string
	flags map[string]string
	rest  []string
}

var switches = []string{"json", "j", "service"}

func parse(args []string) command {
	c := command{flags: map[string]string{}}
	for i := 0; i < len(args); i++ {
		flag, isFlag := strings.CutPrefix(args[i], "-")
		if !isFlag {
			c.rest = append(c.rest, args[i])
			continue
		}
		key, value, given := strings.Cut(strings.TrimPrefix(flag, "-"), "=")
		if !given && !slices.Contains(switches, key) && i+1 < len(args) {
			i++
			value = args[i]
		}
		c.flags[key] = value
	}
	if len(c.rest) > 0 {
		c.name, c.rest = c.rest[0], c.rest[1:]
	}
	return c
}

// session is dcvserver's.
type session struct {
	id, owner, kind string
	created, left   time.Time
	display, xauth  string
	connections     []*viewer
	next, most      int
	closed          func()
	width, height   int
}

// stamp is a time as DCV writes it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// recorded are answers that a test chooses, from /var/lib/dcv/double.json; its zero
// value is a healthy server's.
type recorded struct {
	Mode     string // licensing-mode
	Status   string // of the licence
	Describe string // printed by describe-session instead
	Refuse   string // the error of create-session
}

func readRecorded() recorded {
	r := recorded{Mode: "ec2", Status: "licensed"} // "ec2" is inferred
	if b, err := os.ReadFile(at("/var/lib/dcv/double.json")); err == nil {
		_ = json.Unmarshal(b, &r)
	}
	return r
}

// description has the fields of AWS's guide of 2020 and those of a sample of
// 2024, which a console session's empty X display is from.
func (s *session) description(r recorded) map[string]any {
	now := stamp(time.Now())
	return map[string]any{
		"id": s.id, "owner": s.owner, "name": s.id, "user": s.runsAs(), "type": s.kind, "status": "created",
		"num-of-connections": len(s.connections), "creation-time": stamp(s.created), "last-disconnection-time": stamp(s.left),
		"licensing-mode": r.Mode,
		"licenses":       []map[string]string{{"product": "dcv", "status": r.Status, "check-timestamp": now, "expiration-date": stamp(time.Now().AddDate(1, 0, 0))}},
		"storage-root":   "", "x11-display": s.display, "x11-authority": s.xauth,
		"display-layout": []map[string]int{{"width": s.width, "height": s.height, "x": 0, "y": 0}},
	}
}

// runsAs returns the account of a session's agent: DCV's own for a console session.
func (s *session) runsAs() string {
	if s.kind == "console" {
		return "dcv"
	}
	return s.owner
}

func toJSON(value any) answer {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return failed("%v", err)
	}
	return answer{string(b) + "\n", 0}
}
