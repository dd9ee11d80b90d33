package dcv

import (
	"fmt"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// settings are what dcv.conf says, beside what it says for every session.
type settings struct {
	port          int
	verifier      string
	idle          time.Duration // 0: never
	width, height int
}

// urlPath is where dcvserver serves its client: the proxy passes paths on as
// they are, so it is the path on the session's own port.
var urlPath = strings.TrimSuffix(display.Path, "/")

// render is /etc/dcv/dcv.conf: an INI file whose values are GVariants in text.
// Its keys are in the administrator guide, "Amazon DCV server parameter
// reference". dcvserver reads most of them at its start only.
func (s settings) render() string {
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

type section struct {
	name  string
	pairs [][2]string
}

func (s settings) sections() []section {
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	return []section{
		{"log", [][2]string{{"level", text("info")}}},
		// The session is created by us, once its X server answers.
		{"session-management", [][2]string{{"create-session", "false"}}},
		{"display", [][2]string{
			{"target-fps", "60"},
			// A mode that a client asks for can wedge an NVIDIA head until the host reboots.
			{"enable-client-resize", "false"},
			{"web-client-max-head-resolution", fmt.Sprintf("(%d, %d)", s.width, s.height)},
			{"console-session-default-layout", fmt.Sprintf("[{'w':<%d>, 'h':<%d>, 'x':<0>, 'y':<0>}]", s.width, s.height)},
		}},
		{"connectivity", [][2]string{
			{"web-listen-endpoints", "['" + address + "']"},
			{"web-port", fmt.Sprint(s.port)},
			// On by default, and then on every address of the host.
			{"enable-quic-frontend", "false"},
			{"web-url-path", text(urlPath)},
			// Our own page frames the client, and nobody else's.
			{"web-x-frame-options", text("SAMEORIGIN")},
			{"web-extra-http-headers", `[("Content-Security-Policy", "frame-ancestors 'self'")]`},
			// What a browser is told to remember of a host's name is not DCV's to say.
			{"web-use-hsts", "false"},
			{"idle-timeout", fmt.Sprint(minutes(s.idle))},
		}},
		{"security", [][2]string{
			{"authentication", text("system")},
			{"auth-token-verifier", text(s.verifier)},
			// As our proxy writes them, whatever the browser's address is.
			{"allowed-http-host-regex", text("^" + pattern(address) + "$")},
			{"allowed-ws-origin-regex", text("^https://" + pattern(address) + "$")},
			{"os-auto-lock", "false"},
		}},
		{"input", [][2]string{{"enable-relative-mouse", "true"}}},
		{"audio", [][2]string{{"source-channels", "2"}}},
	}
}

// text is a GVariant's text. No value has a quote or a backslash in it.
func text(s string) string { return `"` + s + `"` }

// pattern matches an address as it is, without the backslash that a GVariant
// would take for its own.
func pattern(address string) string { return strings.ReplaceAll(address, ".", "[.]") }

// minutes are whole ones, at least one unless d is 0: DCV knows no seconds.
func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

// permissions is /etc/dcv/default.perm, which is merged into every session. The
// one that comes with DCV gives the owner everything; this one gives a player
// what a game takes, and nothing by which files or the clipboard could leave or
// enter the session. "deny" is final.
const permissions = `[groups]

[aliases]

[permissions]
%owner% allow display keyboard mouse pointer audio-out gamepad touch
%any% deny clipboard-copy clipboard-paste file-upload file-download screenshot printer smartcard usb webcam audio-in extensions-client extensions-server webauthn-redirection unsupervised-access
`
