package local

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"slices"
	"strings"
)

// socketDomain ends the host of a SocketURL. No name under "invalid" exists (RFC 2606).
const socketDomain = "socket.invalid"

// SocketURL returns the URL by which Transport reaches a server that listens on a
// Unix socket. Its host is the path in hexadecimal digits, in labels that are no
// longer than 63 characters (RFC 1035, section 2.3.4), which servers check.
func SocketURL(path string) string {
	var host strings.Builder
	for part := range slices.Chunk([]byte(path), 31) {
		host.WriteString(hex.EncodeToString(part) + ".")
	}
	return "http://" + host.String() + socketDomain
}

// Transport returns a transport for servers of this machine, on loopback or on a Unix
// socket. It uses no proxy.
func Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		if encoded, is := strings.CutSuffix(host, socketDomain); is {
			path, err := hex.DecodeString(strings.ReplaceAll(encoded, ".", ""))
			if err != nil {
				return nil, err
			}
			network, address = "unix", string(path)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return t
}

// client makes the calls of the sandbox itself.
var client = &http.Client{Transport: Transport()}
