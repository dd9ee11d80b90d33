// Package display defines the remote display of a session: an X server, and a server
// that streams its picture to a browser. Its subfolders implement it.
package display

import (
	"context"
	"net/http"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/process"
)

// Path is the path of a display's client, on the session's own origin.
const Path = "/display/"

// Display is a remote display. Its methods are called in the order of this declaration;
// Close may be called at any time.
type Display interface {
	// StartX starts the X server and returns its address for clients.
	StartX(ctx context.Context) (X, error)
	// StartServer starts the server that streams the X server's picture. Then the client
	// that Handler serves shows the picture.
	StartServer(ctx context.Context) error

	// Handler serves the client and its WebSockets below Path, to signed-in players.
	Handler() http.Handler
	// Entry returns the address of the client, below Path, with query and fragment.
	// token is valid for a short time at Config.Verifier.
	Entry(token string) string

	// SessionID returns the name by which the token verifier and a native client's
	// connection file know the display's session; "" if its clients show no token.
	SessionID() string
	// Licence returns the state of the display server's licence, and an error if the
	// licence is not in order; "" if the server needs none.
	Licence(ctx context.Context) (string, error)

	// Idle returns how long the player has done nothing, and reports whether that is
	// known. If it is not, the display disconnects an idle player itself.
	Idle(ctx context.Context) (time.Duration, bool)
	// Failed receives one error, when a part has failed for good: one of package
	// fault if the exit code is not contract.ExitDisplay.
	Failed() <-chan error
	// Close ends all that was started, in order. It returns when ctx ends at the latest.
	Close(ctx context.Context)
}

// X is the address of an X server for a client.
type X struct {
	Display   string // ":8443"
	Authority string // the file with the cookie, readable by the user
}

// Env returns the environment variables of a client.
func (x X) Env() []string { return []string{"DISPLAY=" + x.Display, "XAUTHORITY=" + x.Authority} }

// Config has the settings that every display server needs.
type Config struct {
	User    string       // the Linux account's name
	Account process.User // the player, who runs the game
	Home    string
	// RunDir is the session's folder below /run. It belongs to root and has mode 0711. A
	// display makes its files in it.
	RunDir string
	// Number is the number of the X display. No other session of this host has it.
	Number        int
	Width, Height int // of the screen, pixels
	// Port is a TCP port on loopback. No other session of this host uses it.
	Port int
	// Verifier is the URL, on loopback, of the token verifier.
	Verifier string
	Idle     time.Duration // 0: never
	// Log logs a line of a part of the session.
	Log func(part, line string)
}
