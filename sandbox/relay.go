package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/intraverse/dcv-sessions/sandbox/builder"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// relay is ssh's ProxyCommand for the sandbox's builder, as the AWS CLI's session is on
// AWS. It connects its input and output to the ssh daemon.
func relay(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: sandbox relay INSTANCE")
	}
	address, err := sshAddress(ctx, args[0])
	if err != nil {
		return err
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, os.Stdin)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, connection)
	return err
}

func sshAddress(ctx context.Context, instance string) (string, error) {
	page := os.Getenv("AWS_ENDPOINT_URL") + builder.RelayPath + "?instance=" + url.QueryEscape(instance)
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
