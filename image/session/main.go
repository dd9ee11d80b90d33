// Command session is the supervisor of one player's session: PID 1 of its
// container. It serves the session's port from the first second to the last,
// tells its life as JSON events on stdout, and ends with an exit code of the
// contract, which the job definition's retry rules follow.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt) // for life
	os.Exit(run(ctx, os.Environ(), os.Stdout))
}
