// Command launch starts, finds and ends the sessions of a stack: see
// `launch help`, and docs/launching.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/intraverse/dcv-sessions/launch"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // for life
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are the standard streams. Results go to out, as text or as one JSON document;
// progress and errors go to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func run(ctx context.Context, args []string, s streams) int {
	err := dispatch(ctx, args, s)
	if err != nil {
		fmt.Fprintln(s.err, "launch:", err)
	}
	return exitCode(err)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: launch --stack NAME | --outputs FILE [--json] [--poll 1s] COMMAND")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-62s %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	fmt.Fprintln(w, "exit codes:")
	for _, e := range launch.Codes {
		fmt.Fprintf(w, "  %-4d %s\n", e.Code, e.Meaning)
	}
}
