package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is dcvserver.
type server struct {
	conf     conf
	eviction string

	mu       sync.Mutex
	sessions []*session
}

// serve is dcvserver until it is asked to end. Without --service it runs, but
// `dcv` does not find it.
func serve(args []string) error {
	c := parse(args)
	text, err := os.ReadFile(at("/etc/dcv/dcv.conf"))
	if err != nil {
		return err
	}
	logs, err := os.OpenFile(at("/var/log/dcv/server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	log.SetOutput(logs)
	s := &server{conf: parseConf(string(text)), eviction: c.flags["client-eviction-policy"]}
	certificate, err := tls.LoadX509KeyPair(at("/etc/dcv/dcv.pem"), at("/etc/dcv/dcv.key"))
	if err != nil {
		return err
	}
	for _, endpoint := range s.conf.list("connectivity/web-listen-endpoints") {
		listener, err := tls.Listen("tcp", endpoint, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
		if err != nil {
			return err
		}
		go func() { _ = http.Serve(listener, s.web()) }()
	}
	if _, service := c.flags["service"]; service {
		if !answers(busSocket) {
			return errors.New("could not get the system bus")
		}
		control, err := listen(serverSocket)
		if err != nil {
			return err
		}
		go s.answerCommands(control)
	}
	fmt.Println("dcvserver: started")
	<-terminated()
	fmt.Println("dcvserver: asked to end")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, open := range slices.Clone(s.sessions) {
		s.close(open)
	}
	return nil
}

func (s *server) answerCommands(control net.Listener) {
	for {
		connection, err := control.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			var args []string
			if json.NewDecoder(connection).Decode(&args) == nil {
				_ = json.NewEncoder(connection).Encode(s.command(parse(args)))
			}
		}()
	}
}

// command carries out a `dcv` command.
func (s *server) command(c command) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.name {
	case "list-sessions":
		if len(s.sessions) == 0 {
			return answer{"There are no sessions available.\n", 0}
		}
		var b strings.Builder
		for _, open := range s.sessions {
			fmt.Fprintf(&b, "Session: '%s' (owner:%s type:%s)\n", open.id, open.owner, open.kind)
		}
		return answer{b.String(), 0}
	case "create-session":
		return s.create(c)
	case "list-endpoints":
		return toJSON(map[string]any{"endpoints": s.conf.list("connectivity/web-listen-endpoints")})
	}
	id := c.flags["session"]
	if id == "" && len(c.rest) > 0 {
		id = c.rest[0]
	}
	i := slices.IndexFunc(s.sessions, func(open *session) bool { return open.id == id })
	if i < 0 {
		return failed("Could not find session '%s'", id)
	}
	return s.onSession(s.sessions[i], c)
}

func (s *server) onSession(open *session, c command) answer {
	switch c.name {
	case "describe-session":
		r := readRecorded()
		if r.Describe != "" {
			return answer{r.Describe, 0}
		}
		return toJSON(open.description(r))
	case "list-connections":
		list := []map[string]any{}
		for _, v := range open.connections {
			list = append(list, map[string]any{"id": v.id, "user": v.user})
		}
		return toJSON(list)
	case "close-connection":
		for _, v := range open.connections {
			if len(c.rest) == 1 && c.rest[0] == strconv.Itoa(v.id) {
				v.leave("The connection has been closed")
				return answer{}
			}
		}
		return failed("Could not find the connection")
	case "set-display-layout":
		if _, err := fmt.Sscanf(strings.Join(c.rest, ""), "%dx%d+0+0", &open.width, &open.height); err != nil {
			return failed("Invalid display layout")
		}
		return answer{}
	case "close-session":
		s.close(open)
		return answer{}
	}
	return failed("Unknown command '%s'", c.name)
}

// create opens a session. Like the real one it needs the session launcher, and an
// owner with an account.
func (s *server) create(c command) answer {
	r := readRecorded()
	kind, owner := c.flags["type"], c.flags["owner"]
	switch {
	case r.Refuse != "":
		return failed("%s", r.Refuse)
	case len(c.rest) != 1 || owner == "" || kind != "console" && kind != "virtual":
		return failed("Invalid arguments")
	case slices.ContainsFunc(s.sessions, func(open *session) bool { return open.id == c.rest[0] || kind == "console" }):
		return failed("Could not create session: it exists already")
	case !answers(launcherSocket):
		return failed("The name com.nicesoftware.DcvSessionLauncher was not provided by any .service files")
	}
	if _, err := user.Lookup(owner); err != nil {
		return failed("Could not create session: user %s is not known", owner)
	}
	open := &session{id: c.rest[0], owner: owner, kind: kind, created: time.Now(), most: -1, closed: func() {}, width: 800, height: 600}
	if most, err := strconv.Atoi(c.flags["max-concurrent-clients"]); err == nil {
		open.most = most
	}
	if kind == "virtual" {
		if err := open.startX(c.flags["init"]); err != nil {
			return failed("Could not create session: %v", err)
		}
	}
	s.sessions = append(s.sessions, open)
	return answer{}
}

// startX starts a virtual session's X server, and its init program, with which
// the session ends.
func (open *session) startX(init string) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	open.xauth = at("/run/dcv/" + open.id + ".xauth")
	if err := os.WriteFile(open.xauth, authority(), 0o644); err != nil {
		return err
	}
	x := exec.Command(at("/usr/bin/Xdcv"), "-displayfd", "3", "-auth", open.xauth)
	x.ExtraFiles, x.Stderr = []*os.File{writer}, os.Stderr
	x.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := x.Start(); err != nil {
		return err
	}
	_ = writer.Close()
	var number int
	if _, err := fmt.Fscan(reader, &number); err != nil {
		return fmt.Errorf("its X server: %w", err)
	}
	open.display = fmt.Sprintf(":%d", number)
	ctx, cancel := context.WithCancel(context.Background())
	if init != "" {
		script := exec.CommandContext(ctx, init)
		script.Env = append(os.Environ(), "DISPLAY="+open.display)
		if err := script.Start(); err != nil {
			cancel()
			return err
		}
		go func() { _ = script.Wait() }()
	}
	go func() { _ = x.Wait() }()
	open.closed = func() { cancel(); _ = x.Process.Signal(syscall.SIGTERM) }
	return nil
}

// authority is an Xauthority file with a new cookie, for any display.
func authority() []byte {
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails
	b := []byte{0xff, 0xff}  // FamilyWild
	for _, text := range []string{"", "", "MIT-MAGIC-COOKIE-1", string(cookie)} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
	}
	return b
}

func (s *server) close(open *session) {
	s.sessions = slices.DeleteFunc(s.sessions, func(other *session) bool { return other == open })
	for _, v := range open.connections {
		v.leave("The connection has been closed")
	}
	open.closed()
	fmt.Println("dcvserver: session closed")
}

// web is the client's page and its WebSocket, below web-url-path.
func (s *server) web() http.Handler {
	host, origin := s.conf.pattern("security/allowed-http-host-regex", "^.+$"), s.conf.pattern("security/allowed-ws-origin-regex", "^https://.+$")
	base := strings.TrimSuffix(s.conf.text("connectivity/web-url-path"), "/")
	mux := http.NewServeMux()
	mux.Handle(base+"/", http.StripPrefix(base, http.FileServer(http.Dir(at("/usr/share/dcv/www")))))
	mux.HandleFunc(base+"/ws", func(w http.ResponseWriter, r *http.Request) {
		if !origin.MatchString(r.Header.Get("Origin")) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s.view(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !host.MatchString(r.Host) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("X-Frame-Options", s.conf.text("connectivity/web-x-frame-options"))
		mux.ServeHTTP(w, r)
	})
}

// conf is dcv.conf: values by "section/key".
type conf map[string]string

func parseConf(text string) conf {
	c, section := conf{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, isPair := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case isPair:
			c[section+"/"+strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return c
}

func (c conf) text(key string) string { return strings.Trim(c[key], `"'`) }

func (c conf) pattern(key, otherwise string) *regexp.Regexp {
	if text := c.text(key); text != "" {
		otherwise = text
	}
	return regexp.MustCompile(otherwise)
}

var quoted = regexp.MustCompile(`'([^']*)'`)

// list is a list of texts in single quotes.
func (c conf) list(key string) []string {
	var values []string
	for _, m := range quoted.FindAllStringSubmatch(c[key], -1) {
		values = append(values, m[1])
	}
	return values
}
