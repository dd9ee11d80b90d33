package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// runGateway serves the one AWS endpoint until it is told to end.
func runGateway(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "the address to serve at, on loopback")
	moto := flags.String("moto", "", "the moto server's URL")
	registry := flags.String("registry", "", "the local registry, HOST:PORT")
	start := flags.String("start", "", "the id of this start of the local AWS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	upstream, err := url.Parse(*moto)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{Upstream: upstream, Registry: *registry, StartID: *start, Log: os.Stderr})
	if err != nil {
		return err
	}
	server := &http.Server{Addr: *listen, Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
