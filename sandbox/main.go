// Command sandbox is the local AWS and the deployment to it: see `sandbox help`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/intraverse/dcv-sessions/sandbox/bench"
	"github.com/intraverse/dcv-sessions/sandbox/endpoint"
	"github.com/intraverse/dcv-sessions/sandbox/release"
	"github.com/intraverse/dcv-sessions/sandbox/scaling/study"
)

// commands are the program's commands, in the order of its help.
var commands = []struct {
	name, does string
	run        func(ctx context.Context, args []string) error
}{
	{"install", "install and build the missing parts, and start nothing", install},
	{"up", "install the missing parts, start the local AWS, and deploy the stack `sandbox` to it", up},
	{"preview", "the same, but only show what a deployment would change", preview},
	{"refresh", "compare the stack's state with the local AWS", refresh},
	{"set", "set keys of the stack's configuration for this start of the local AWS: set dcv-sessions:image.use=TAG", set},
	{"release", "upload a game build and see it delivered: release [-build game.tar.zst]", release.Run},
	{"destroy", "destroy the stack, and let the local AWS run on; refused while anybody plays: destroy [-playing=end]", destroy},
	{"down", "destroy the stack and stop the local AWS; refused while anybody plays: down [-playing=end]", down},
	{"status", "list the processes and their logs", status},
	{"env", "print the environment in which tools talk to the local AWS: eval \"$(… env)\"", env},
	{"exec", "run a command in that environment: exec aws batch describe-job-queues", runIn},
	{"hosts", "the simulated hosts, and the jobs on them", hosts},
	{"take-host", "take a host away as a Spot reclaim does: take-host [HOST]", takeHost},
	{"bench", "measure, and print the figures as ratios", bench.All},
	{"bench-session", "measure how soon a session's page answers", bench.Session},
	{"bench-image", "measure how much a change of the game pushes", bench.Image},
	{"scaling", "simulate days of 10 to 1,000,000 sessions, and write docs/scaling.md: scaling [-real]", study.Run},
	{"base", "make the base image if it is missing, and print its name", base},
	{"relay", "connect to the builder's ssh daemon (ssh's ProxyCommand): relay INSTANCE", relay},
	{"gateway", "run the gateway (started by up)", endpoint.Serve},
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // for life
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usage()
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	return usage()
}

func usage() error {
	fmt.Fprintln(os.Stderr, "usage: sandbox COMMAND")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-13s %s\n", c.name, c.does)
	}
	return fmt.Errorf("name one of these commands")
}
