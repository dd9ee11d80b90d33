package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// invocation is a command with its arguments.
type invocation struct {
	streams
	options
	json     bool
	launcher *launch.Launcher
	stack    outputs.Outputs
}

// global are the flags before the command.
type global struct {
	stack, file string
	json        bool
	poll        time.Duration
}

// dispatch runs the command that the arguments name.
func dispatch(ctx context.Context, args []string, s streams) error {
	var g global
	flags := flagSet()
	flags.StringVar(&g.stack, "stack", "", "")
	flags.StringVar(&g.file, "outputs", "", "")
	flags.BoolVar(&g.json, "json", false, "")
	flags.DurationVar(&g.poll, "poll", launch.DefaultPoll, "")
	if err := flags.Parse(args); err != nil {
		return misuse("%w", err)
	}
	if g.poll <= 0 {
		return misuse("--poll is %s; allowed: more than 0", g.poll)
	}
	if flags.NArg() == 0 {
		usage(s.err)
		return misuse("name a command")
	}
	name := flags.Arg(0)
	if name == "help" {
		usage(s.out)
		return nil
	}
	i := slices.IndexFunc(commands, func(c subcommand) bool { return c.name == name })
	if i < 0 {
		usage(s.err)
		return misuse("there is no command %q", name)
	}
	in := &invocation{streams: s, json: g.json}
	if err := in.parse(commands[i], flags.Args()[1:]); err != nil {
		return err
	}
	if err := in.connect(ctx, g); err != nil {
		return err
	}
	return commands[i].run(ctx, in)
}

func flagSet() *flag.FlagSet {
	flags := flag.NewFlagSet("launch", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is printed once, by run
	return flags
}

// parse reads a command's own arguments. Flags may stand before and after the user.
func (in *invocation) parse(c subcommand, args []string) error {
	flags := flagSet()
	flags.BoolVar(&in.json, "json", in.json, "")
	c.flags(flags, &in.options)
	var users []string
	for {
		if err := flags.Parse(args); err != nil {
			return misuse("%w", err)
		}
		if flags.NArg() == 0 {
			break
		}
		users, args = append(users, flags.Arg(0)), flags.Args()[1:]
	}
	if len(users) != c.users {
		return misuse("%d user(s) must be named, and nothing else: %q", c.users, users)
	}
	if len(users) == 1 {
		in.user = users[0]
	}
	return nil
}

// connect reads the stack's outputs and makes a launcher.
func (in *invocation) connect(ctx context.Context, g global) (err error) {
	if in.stack, err = in.outputs(ctx, g); err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(in.stack.Region))
	if err != nil {
		return err
	}
	in.launcher, err = launch.New(aws, in.stack, launch.WithPoll(g.poll))
	return err
}

// outputs reads the stack's outputs: from a file, or from Pulumi by the stack's name.
func (in *invocation) outputs(ctx context.Context, g global) (outputs.Outputs, error) {
	if (g.stack == "") == (g.file == "") {
		return outputs.Outputs{}, misuse("name the stack: --stack NAME, or --outputs FILE with the JSON of `pulumi stack output --json` (- for standard input)")
	}
	if g.file != "-" {
		return outputs.ReadStackOrFile(ctx, g.stack, g.file, in.err)
	}
	text, err := io.ReadAll(in.in)
	if err != nil {
		return outputs.Outputs{}, err
	}
	return outputs.Parse(text)
}

// usageError is a wrong use of the command.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return launch.CodeUsage
	}
	return launch.ExitCode(err)
}
