package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// ending is why a session ends, and the contract's code for it.
type ending struct {
	code   int
	reason string
}

// run is a session's whole life; it returns the process's exit code.
func run(ctx context.Context, environ []string, stdout io.Writer) int {
	s, err := readSettings(environ)
	log := newEvents(stdout, s)
	log.write(contract.Event{Event: contract.EventStarting})
	end := ending{contract.ExitConfiguration, ""}
	if err != nil {
		end.reason = err.Error()
	} else {
		end = live(ctx, s, log)
	}
	log.write(contract.Event{Event: contract.EventEnded, Reason: end.reason, ExitCode: &end.code})
	return end.code
}

// live serves the session's port until somebody or something ends the session.
func live(ctx context.Context, s settings, log *events) ending {
	at, err := findAddresses(ctx, s.onBatchHost)
	if err != nil {
		return ending{contract.ExitHost, err.Error()}
	}
	listener, err := listen(at.private, s.ports)
	if errors.Is(err, errNoPort) {
		return ending{contract.ExitNoPort, err.Error()}
	}
	if err != nil {
		return ending{contract.ExitHost, err.Error()}
	}
	certificate, err := selfSigned(at)
	if err != nil {
		return ending{contract.ExitInternal, errors.Join(err, listener.Close()).Error()}
	}
	asked, failed := make(chan string, 1), make(chan error, 1)
	server := newServer(certificate, newEnder(s, asked))
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	log.write(contract.Event{Event: contract.EventReady, URL: publicURL(at.public, listener), Certificate: fingerprint(certificate)})
	end := wait(ctx, s.max, asked, failed)
	return leave(server, s.stop, end)
}

// wait returns when the session is to end, and why.
func wait(ctx context.Context, longest time.Duration, asked <-chan string, failed <-chan error) ending {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ending{contract.ExitOK, "the session was asked to end"}
	case reason := <-asked:
		return ending{contract.ExitOK, "the session was asked to end: " + reason}
	case <-timer.C:
		return ending{contract.ExitOK, fmt.Sprintf("the longest session, %s, is over", longest)}
	case err := <-failed:
		return ending{contract.ExitInternal, err.Error()}
	}
}

// leave lets requests under way finish, within half of the host's patience.
func leave(server *http.Server, patience time.Duration, end ending) ending {
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
	}
	return end
}

func publicURL(at netip.Addr, listener net.Listener) string {
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	return "https://" + netip.AddrPortFrom(at, port).String() + "/"
}
