package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/resource/provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// serve serves the provider to the engine until the engine is gone. It is Pulumi's
// provider.Main without the tracing, which would link three clients of tracers.
func serve(ctx context.Context, newProvider func(*provider.HostClient) (pulumirpc.ResourceProviderServer, error)) error {
	flag.String("tracing", "", "ignored; the engine gives it when it is traced itself")
	flag.Parse()
	if flag.NArg() != 1 {
		return errors.New("the one argument is the address of Pulumi's engine")
	}
	logging.InitLogging(false, 0, false)
	engine := flag.Arg(0)
	host, err := provider.NewHostClient(engine)
	if err != nil {
		return fmt.Errorf("engine at %s: %w", engine, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan bool)
	context.AfterFunc(ctx, func() { close(gone) })
	if err := rpcutil.Healthcheck(ctx, engine, 5*time.Minute, cancel); err != nil {
		return fmt.Errorf("engine at %s: %w", engine, err)
	}
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: gone,
		Init: func(server *grpc.Server) error {
			made, err := newProvider(host)
			if err != nil {
				return err
			}
			pulumirpc.RegisterResourceProviderServer(server, made)
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(handle.Port) // the engine reads it
	return <-handle.Done
}
