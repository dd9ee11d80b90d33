package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/host"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// brandingDir is the folder of the studio's branding in the image.
const brandingDir = "/usr/share/dcv-sessions/branding"

// front is the public side of a session: its port, pages and status.
type front struct {
	*door.Door
	board       *status.Board
	listener    net.Listener // the public one
	url         string
	fingerprint string
	hostType    string        // the host's instance type; "" if it does not say
	asked       <-chan string // receives the reasons of granted requests to end
	failed      chan error

	verifies string // the verifier's URL, on loopback, for DCV
}

// openFront takes the session's port and serves its pages on it.
func openFront(ctx context.Context, s settings, log *events.Writer) (*front, status.Ending) {
	at, err := host.Find(ctx, s.onBatchHost)
	if err != nil {
		return nil, status.Ending{Code: contract.ExitHost, Reason: err.Error()}
	}
	listener, err := host.Listen(at.Private, s.Ports)
	switch {
	case errors.Is(err, host.ErrNoPort):
		return nil, status.Ending{Code: contract.ExitNoPort, Reason: err.Error()}
	case err != nil:
		return nil, status.Ending{Code: contract.ExitHost, Reason: err.Error()}
	}
	f, code, err := newFront(s, at, listener)
	if err != nil {
		return nil, status.Ending{Code: code, Reason: errors.Join(err, listener.Close()).Error()}
	}
	go f.serve(log)
	return f, status.Ending{}
}

// newFront returns an exit code with its error.
func newFront(s settings, at host.Addresses, listener net.Listener) (*front, int, error) {
	look, err := branding.Load(brandingDir)
	if err != nil {
		return nil, contract.ExitImage, err
	}
	certificate, wildcard, err := s.tls(at)
	if err != nil {
		return nil, contract.ExitConfiguration, err
	}
	port, asked := listener.Addr().(*net.TCPAddr).Port, make(chan string, 1)
	f := &front{
		board: &status.Board{}, listener: listener, asked: asked, failed: make(chan error, 1),
		url: door.URL(at.Public, port, wildcard), fingerprint: door.Fingerprint(certificate), hostType: at.InstanceType,
	}
	f.Door, err = door.New(door.Config{
		Certificate: certificate, Session: s.session, Credentials: s.credentials, Branding: look, Board: f.board,
		DisplayServer: s.displayServer, NativeClients: s.NativeClients,
		Address: net.JoinHostPort(door.Host(at.Public, wildcard), strconv.Itoa(port)),
		End: door.NewEnder(door.EnderConfig{
			Session: s.session, Stack: s.Stack, Endpoint: s.BatchEndpoint, TaskMetadata: s.taskMetadata,
		}, asked),
	})
	if err != nil {
		return nil, contract.ExitInternal, err
	}
	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, contract.ExitHost, err
	}
	f.verifies = "http://" + loopback.Addr().String()
	go func() { _ = f.ServeVerifier(loopback) }() // it ends with the session
	return f, 0, nil
}

// tls returns the certificate, and its wildcard name or "".
func (s settings) tls(at host.Addresses) (tls.Certificate, string, error) {
	if s.certificate != nil {
		return door.FromSecret(*s.certificate)
	}
	made, err := door.SelfSigned(at.Public, at.Private)
	return made, "", err
}

func (f *front) serve(log *events.Writer) {
	if err := f.Serve(f.listener); !errors.Is(err, http.ErrServerClosed) {
		log.Part("door", err.Error())
		f.failed <- fault.New(contract.ExitInternal, err)
	}
}

func (f *front) close(ctx context.Context) {
	_ = f.Close(ctx) // open connections end with the process
}
