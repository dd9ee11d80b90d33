package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/workspace"
)

// up deploys and prints the commands to try next.
func up(ctx context.Context, args []string) error {
	if err := deploy(ctx, "up", args); err != nil {
		return err
	}
	fmt.Print(`
Next:
  make session PLAYER=player1   start a session; its host takes 2 seconds here, on AWS minutes
  make sessions                 the sessions that run and wait, and why
  make up                       again: no changes
  make preview                  the effect of a change of Pulumi.sandbox.yaml
  eval "$(.sandbox/bin/sandbox env)"; aws batch describe-job-queues
  make down                     destroy everything and stop
`)
	return nil
}

func preview(ctx context.Context, args []string) error { return deploy(ctx, "preview", args) }

func refresh(ctx context.Context, args []string) error { return deploy(ctx, "refresh", args) }

func destroy(ctx context.Context, args []string) error { return deploy(ctx, "destroy", args) }

func deploy(ctx context.Context, command string, args []string) error {
	d := workspace.Deployment{Command: command}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.StringVar(&d.Config, "config", "", "the stack's configuration (default: Pulumi.sandbox.yaml at the root)")
	flags.StringVar(&d.Report, "report", "", "write a report of the run, resource by resource, as JSON to this file")
	flags.StringVar(&d.JSON, "json", "", "let preview write the output of `pulumi preview --json` to this file")
	flags.StringVar(&d.Playing, "playing", "", playingUsage)
	flags.StringVar(&d.Program, "program", "infra", "infra, or consumer: the example of another team's program")
	flags.StringVar(&d.Stack, "stack", local.Stack, "the stack's name: several can be in the local AWS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return workspace.Locked(func(w *workspace.Workspace) error { return w.Deploy(ctx, d) })
}

const playingUsage = "end: destroy also while people play or wait, which ends their sessions"

// down destroys the stack and stops the local AWS.
func down(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	playing := flags.String("playing", "", playingUsage)
	if err := flags.Parse(args); err != nil {
		return err
	}
	return workspace.Locked(func(w *workspace.Workspace) error { return w.Down(ctx, *playing) })
}

// install installs and builds the missing parts, and starts nothing.
func install(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	tests := flags.Bool("tests", false, "with the parts that only the tests need")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return workspace.Locked(func(w *workspace.Workspace) error { return w.Install(ctx, *tests) })
}

// base makes the base image, for builds by hand, and prints its name.
func base(ctx context.Context, _ []string) error {
	return workspace.Locked(func(w *workspace.Workspace) error {
		if err := w.Start(ctx); err != nil {
			return err
		}
		image, err := w.BaseImage(ctx)
		if err == nil {
			fmt.Println(image)
		}
		return err
	})
}

// set sets keys of the stack's configuration until the local AWS ends.
func set(_ context.Context, args []string) error {
	chosen := workspace.Settings{}
	for _, arg := range args {
		key, value, is := strings.Cut(arg, "=")
		if !is || !strings.Contains(key, ":") {
			return fmt.Errorf("%q is not NAMESPACE:KEY=VALUE", arg)
		}
		chosen[key] = value
	}
	return workspace.Locked(func(w *workspace.Workspace) error { return w.Set(chosen) })
}
