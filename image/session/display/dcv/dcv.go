// Package dcv runs the Amazon DCV server as a session's display, under this supervisor
// instead of systemd. A console session shows an Xorg on the session's own GPU. A virtual
// session shows an X server that DCV starts.
package dcv

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// Config configures a Server.
type Config struct {
	display.Config
	DisplayMode contract.DisplayMode
	// GPU is the container's NVIDIA_VISIBLE_DEVICES, for a console session: the GPU's
	// UUID, or "all" for the first one.
	GPU string
	// SoftwareRendering allows a console session without the GPU's OpenGL.
	SoftwareRendering bool
	// Sound is the PulseAudio server that DCV records, "unix:/run/…"; "": none.
	Sound string
}

// sessionID is the id of the DCV session.
const sessionID = "session"

// Server is a display.Display.
//
// The X server of a virtual session belongs to DCV and starts with the session: then
// StartX starts all of DCV, and StartServer finds it started.
type Server struct {
	config Config
	// Tests change these: root is the folder of all paths but the X server's socket, and
	// account is the one that DCV's package creates for its server.
	root, account string

	ctx       context.Context // until Close
	cancel    context.CancelFunc
	failed    chan error
	restarted chan struct{} // receives when dcvserver was restarted
	proxy     atomic.Pointer[httputil.ReverseProxy]

	dcvUser process.User
	trusted *x509.Certificate
	x       display.X // of a console session, for DCV's account

	mu       sync.Mutex // guards the fields below, which Close ends
	name     *x11.Name
	bus      *process.Kept
	launcher *process.Kept
	server   *process.Kept
	xorg     *process.Process
}

var _ display.Display = (*Server)(nil)

// New returns a display that has not started.
func New(c Config) *Server {
	s := &Server{config: c, root: "/", account: "dcv", failed: make(chan error, 1), restarted: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SessionID returns the id of the DCV session. DCV sends it to the verifier.
func (s *Server) SessionID() string { return sessionID }

// StartX starts the X server of a console session, or all of a virtual one.
func (s *Server) StartX(ctx context.Context) (display.X, error) {
	if s.config.DisplayMode == contract.DisplayConsole {
		if err := s.holdName(); err != nil {
			return display.X{}, err
		}
	}
	if err := s.prepare(); err != nil {
		return display.X{}, err
	}
	if err := s.startBus(ctx); err != nil {
		return display.X{}, err
	}
	if s.config.DisplayMode == contract.DisplayConsole {
		return s.startXorg(ctx)
	}
	if err := s.startDCV(ctx); err != nil {
		return display.X{}, err
	}
	return s.virtualX(ctx)
}

// StartServer starts the DCV server and its session. Handler then serves the client.
func (s *Server) StartServer(ctx context.Context) error {
	if s.config.DisplayMode == contract.DisplayConsole {
		if err := s.startDCV(ctx); err != nil {
			return err
		}
	}
	proxy := newProxy(s.config.Port, s.trusted, func(line string) { s.config.Log("proxy", line) })
	client := &http.Client{Transport: proxy.Transport}
	if err := waitFor(ctx, "dcvserver's page", nil, func() error { return s.checkPage(ctx, client) }); err != nil {
		return err
	}
	s.proxy.Store(proxy)
	go s.watchLicence()
	return nil
}

// checkPage requests the client's page, which is in a package of its own.
func (s *Server) checkPage(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d%s", s.config.Port, display.Path), http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}

// Handler returns a proxy to the DCV server.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxy := s.proxy.Load(); proxy != nil {
			proxy.ServeHTTP(w, r)
			return
		}
		http.Error(w, "The display does not answer.", http.StatusBadGateway)
	})
}

// Entry returns the address of DCV's web client.
func (s *Server) Entry(token string) string {
	return display.Path + "?authToken=" + url.QueryEscape(token) + "#" + sessionID
}

// Idle reports that the time is unknown: DCV disconnects an idle player itself.
func (s *Server) Idle(context.Context) (time.Duration, bool) { return 0, false }

// Failed receives one error, when a part has failed for good.
func (s *Server) Failed() <-chan error { return s.failed }

// fail ends the session, unless it is being closed or has failed before.
func (s *Server) fail(err error) {
	if s.ctx.Err() != nil {
		return
	}
	select {
	case s.failed <- fault.New(contract.ExitDisplay, err):
	default:
	}
}

// Close ends the DCV session, then the processes below it.
func (s *Server) Close(ctx context.Context) {
	s.cancel()
	s.mu.Lock() // nothing starts from here on
	name, bus, launcher, server, xorg := s.name, s.bus, s.launcher, s.server, s.xorg
	s.bus, s.launcher, s.server, s.xorg = nil, nil, nil, nil // or ends twice
	s.mu.Unlock()
	if server != nil {
		s.closeSession(ctx)
		// The child is DCV's wrapper script: it ends when the server ends.
		signalMembers(server.Process().PID(), syscall.SIGTERM)
		server.Stop(0, timeLeft(ctx, 10*time.Second))
	}
	if launcher != nil {
		launcher.Stop(syscall.SIGTERM, timeLeft(ctx, 2*time.Second))
	}
	if xorg != nil {
		xorg.Stop(syscall.SIGTERM, timeLeft(ctx, 3*time.Second))
	}
	if bus != nil {
		bus.Stop(syscall.SIGTERM, timeLeft(ctx, 2*time.Second))
	}
	name.Release()
}

func (s *Server) closeSession(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := s.dcv(ctx, "close-session", sessionID); err != nil {
		s.config.Log("dcv", err.Error())
	}
}

// timeLeft returns the time until ctx ends, at most limit.
func timeLeft(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(0, min(limit, time.Until(deadline)))
	}
	return limit
}

// path returns a path below root.
func (s *Server) path(name string) string { return filepath.Join(s.root, name) }

// env returns the environment of DCV's programs. A console session's agent finds the X
// server by it, and the sound.
func (s *Server) env() []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		"HOME=/var/lib/dcv",
		"DBUS_SYSTEM_BUS_ADDRESS=" + s.busAddress(),
	}
	if s.x != (display.X{}) {
		env = append(env, s.x.Env()...)
	}
	if s.config.Sound != "" {
		env = append(env, "PULSE_SERVER="+s.config.Sound)
	}
	return env
}

// lookupUser returns an account with its groups.
func lookupUser(name string) (process.User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return process.User{}, fault.New(contract.ExitImage, fmt.Errorf("DCV's packages are not in this image: %w", err))
	}
	ids, err := found.GroupIds()
	if err != nil {
		return process.User{}, err
	}
	number := func(text string) uint32 {
		n, _ := strconv.ParseUint(text, 10, 32) // Linux has no other ids
		return uint32(n)
	}
	u := process.User{UID: number(found.Uid), GID: number(found.Gid)}
	for _, id := range ids {
		u.Groups = append(u.Groups, number(id))
	}
	return u, nil
}

// waitFor calls try until it succeeds, ctx ends or ended is closed. name begins its errors.
func waitFor(ctx context.Context, name string, ended <-chan struct{}, try func() error) error {
	var last error
	for {
		err := try()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // a try that ctx cut off explains nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (at last: %w)", name, context.Cause(ctx), last)
		case <-ended:
			return fmt.Errorf("%s: it ended before it answered (at last: %w)", name, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
