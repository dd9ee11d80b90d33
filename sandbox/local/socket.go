package local

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
)

// socketDomain ends the host of a SocketURL. No name under "invalid" is ever
// anybody's (RFC 2606).
const socketDomain = ".socket.invalid"

// SocketURL returns the URL by which Transport reaches a server that listens on a
// Unix socket.
func SocketURL(path string) string {
	return "http://" + hex.EncodeToString([]byte(path)) + socketDomain
}

// Transport returns a transport for servers of this machine, on loopback or on a
// Unix socket; no proxy stands between.
func Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		if encoded, is := strings.CutSuffix(host, socketDomain); is {
			path, err := hex.DecodeString(encoded)
			if err != nil {
				return nil, err
			}
			network, address = "unix", string(path)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return t
}

// client makes the sandbox's own calls.
var client = &http.Client{Transport: Transport()}
