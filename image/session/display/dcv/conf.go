package dcv

import (
	"fmt"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// dcvConf is the part of dcv.conf that differs between sessions.
type dcvConf struct {
	port          int
	verifier      string
	idle          time.Duration // 0: never
	width, height int
}

// urlPath is the path at which dcvserver serves its client. The proxy keeps paths, so it
// is also the path on the session's own port.
var urlPath = strings.TrimSuffix(display.Path, "/")

// render returns /etc/dcv/dcv.conf: an INI file with GVariants in text form as values.
// Its keys are in the administrator guide, "Amazon DCV server parameter reference".
// dcvserver reads most of them only at its start.
func (s dcvConf) render() string {
	var b strings.Builder
	for _, section := range s.sections() {
		fmt.Fprintf(&b, "[%s]\n", section.name)
		for _, pair := range section.pairs {
			fmt.Fprintf(&b, "%s=%s\n", pair[0], pair[1])
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

type confSection struct {
	name  string
	pairs [][2]string
}

func (s dcvConf) sections() []confSection {
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	return []confSection{
		{"log", [][2]string{{"level", gvariantText("info")}}},
		// The supervisor creates the session, once its X server answers.
		{"session-management", [][2]string{{"create-session", "false"}}},
		{"display", [][2]string{
			{"target-fps", "60"},
			// A mode requested by a client can block an NVIDIA head until the host reboots.
			{"enable-client-resize", "false"},
			{"web-client-max-head-resolution", fmt.Sprintf("(%d, %d)", s.width, s.height)},
			{"console-session-default-layout", fmt.Sprintf("[{'w':<%d>, 'h':<%d>, 'x':<0>, 'y':<0>}]", s.width, s.height)},
		}},
		{"connectivity", [][2]string{
			{"web-listen-endpoints", "['" + address + "']"},
			{"web-port", fmt.Sprint(s.port)},
			// The default is true, and listens on every address of the host.
			{"enable-quic-frontend", "false"},
			{"web-url-path", gvariantText(urlPath)},
			// Only the session's own page may frame the client.
			{"web-x-frame-options", gvariantText("SAMEORIGIN")},
			{"web-extra-http-headers", `[("Content-Security-Policy", "frame-ancestors 'self'")]`},
			// HSTS for the host's name is the door's decision.
			{"web-use-hsts", "false"},
			{"idle-timeout", fmt.Sprint(wholeMinutes(s.idle))},
		}},
		{"security", [][2]string{
			{"authentication", gvariantText("system")},
			{"auth-token-verifier", gvariantText(s.verifier)},
			// The values that the session's proxy sends.
			{"allowed-http-host-regex", gvariantText("^" + hostPattern(address) + "$")},
			{"allowed-ws-origin-regex", gvariantText("^https://" + hostPattern(address) + "$")},
			{"os-auto-lock", "false"},
		}},
		{"input", [][2]string{{"enable-relative-mouse", "true"}}},
		{"audio", [][2]string{{"source-channels", "2"}}},
	}
}

// gvariantText returns a string as a GVariant in text form. s has no quote and no
// backslash.
func gvariantText(s string) string { return `"` + s + `"` }

// hostPattern returns a regular expression that matches an address. It has no backslash,
// which a GVariant would interpret.
func hostPattern(address string) string { return strings.ReplaceAll(address, ".", "[.]") }

// wholeMinutes returns d in minutes, rounded up: DCV's unit for timeouts.
func wholeMinutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

// defaultPerm is /etc/dcv/default.perm, which DCV merges into every session. DCV's own
// file grants the owner everything. This one grants a player the features that a game
// needs, and none that moves files or the clipboard into or out of the session. "deny"
// is final.
const defaultPerm = `[groups]

[aliases]

[permissions]
%owner% allow display keyboard mouse pointer audio-out gamepad touch
%any% deny clipboard-copy clipboard-paste file-upload file-download screenshot printer smartcard usb webcam audio-in extensions-client extensions-server webauthn-redirection unsupervised-access
`
