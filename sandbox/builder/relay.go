package builder

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// RelayPath is the gateway's page with the address of a machine's ssh daemon:
// RelayPath?instance=ID.
const RelayPath = "/_sandbox/relay"

// RelayPage serves it.
func (m *Machines) RelayPage(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("instance")
	of := m.machine(id)
	if of == nil || !m.Online(id) {
		http.Error(w, fmt.Sprintf("%q is not connected", id), http.StatusBadRequest) // Session Manager's TargetNotConnected
		return
	}
	_, _, port := m.look(of)
	fmt.Fprintf(w, "127.0.0.1:%d", port)
}

// Relay connects an input and an output to a machine's ssh daemon, as the AWS CLI's
// session does on AWS. It finds the local AWS by the environment's variables.
func Relay(ctx context.Context, instance string, in io.Reader, out io.Writer) error {
	address, err := sshAddress(ctx, instance)
	if err != nil {
		return err
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, in)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(out, connection)
	return err
}

func sshAddress(ctx context.Context, instance string) (string, error) {
	page := os.Getenv("AWS_ENDPOINT_URL") + RelayPath + "?instance=" + url.QueryEscape(instance)
	res, err := local.Request(ctx, os.Getenv("AWS_ACCESS_KEY_ID"), http.MethodGet, page)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, text)
	}
	return string(text), nil
}
