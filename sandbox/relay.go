package main

import (
	"context"
	"errors"
	"os"

	"github.com/intraverse/dcv-sessions/sandbox/builder"
)

// relay is ssh's ProxyCommand for the sandbox's builder.
func relay(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: sandbox relay INSTANCE")
	}
	return builder.Relay(ctx, args[0], os.Stdin, os.Stdout)
}
