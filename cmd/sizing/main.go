// Command sizing measures how many sessions of a stack's game a host carries: it starts
// one session, then two at once, and so on, on one host; plays each in a browser; and
// recommends an instance type and the number of sessions on it. It works alike on AWS
// and in the sandbox: docs/sizing.md, "Measure your own game".
//
// It needs a right to read the users' passwords, and those of the launcher's operators.
// Its exit codes are those of the command launch.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // for life
	o, err := parse(os.Args[1:])
	code := launch.CodeUsage
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
		code = launch.ExitCode(err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sizing:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	stack, err := outputs.ReadStackOrFile(ctx, o.stack, o.file, progress)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(stack.Region))
	if err != nil {
		return err
	}
	launcher, err := launch.New(cfg, stack, launch.WithPoll(o.poll))
	if err != nil {
		return err
	}
	s := &study{options: o, stack: stack, launcher: launcher, play: inBrowser, progress: progress, began: time.Now(), patience: 2 * time.Minute}
	return s.runAndWrite(ctx, out)
}
