// Package display is what every remote display is to the session: an X server,
// and a server that streams it to a browser. See its folders for the kinds.
package display

import (
	"context"
	"net/http"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/process"
)

// Path is where a display's client is served, on the session's own origin.
const Path = "/display/"

// Display is a remote display. Its methods are called in the order in which they
// stand here, Close at any time.
type Display interface {
	// StartX starts the X server and returns how its clients reach it.
	StartX(ctx context.Context) (X, error)
	// StartServer starts what streams the X server's picture. After it, a client
	// that Handler serves shows the picture.
	StartServer(ctx context.Context) error

	// Handler serves the client and its WebSockets below Path, to players who have
	// signed in.
	Handler() http.Handler
	// Entry is the address of the client, below Path, with query and fragment.
	// token is good for a moment; the verifier that Config names knows it.
	Entry(token string) string

	// SessionID returns the name by which the token verifier and a native client's
	// connection file know the display's session; "" if its clients show no token.
	SessionID() string
	// Licence returns the state of the display server's licence, and an error if the
	// licence is not in order; "" if the server needs none.
	Licence(ctx context.Context) (string, error)

	// Idle is for how long the player has done nothing. Where it is not known the
	// display disconnects an idle player itself.
	Idle(ctx context.Context) (time.Duration, bool)
	// Failed receives one error, when a part has failed for good: one of package
	// fault if the exit code is not contract.ExitDisplay.
	Failed() <-chan error
	// Close ends everything that was started, in order, until ctx ends.
	Close(ctx context.Context)
}

// X is how a client reaches the X server.
type X struct {
	Display   string // ":8443"
	Authority string // the file with the cookie, readable by the user
}

// Env are the variables that a client needs.
func (x X) Env() []string { return []string{"DISPLAY=" + x.Display, "XAUTHORITY=" + x.Authority} }

// Config is what every kind takes.
type Config struct {
	User    string       // the Linux account's name
	Account process.User // whose the game is
	Home    string
	// RunDir is the session's own folder below /run, root's, mode 0711. A display
	// makes its files in it.
	RunDir string
	// Number is the X display's, free on this host even among other sessions.
	Number        int
	Width, Height int // of the screen, pixels
	// Port is a TCP port on loopback that no other session of this host takes.
	Port int
	// Verifier is the URL on loopback at which a token is verified.
	Verifier string
	Idle     time.Duration // 0: never
	// Tell takes what a part said, for the log.
	Log func(part, line string)
}
