package main

import (
	"context"
	"io"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// command is the pulumi command with flags for which the Automation API has no option.
type command struct {
	auto.PulumiCommand
	options
}

func (c command) Run(ctx context.Context, dir string, in io.Reader, out, errs []io.Writer, env []string, args ...string) (string, string, int, error) {
	return c.PulumiCommand.Run(ctx, dir, in, out, errs, env, append(args, c.flags(args[0])...)...)
}

// flags returns further flags of a subcommand.
func (o options) flags(subcommand string) []string {
	var flags []string
	if o.json != "" && subcommand == "preview" {
		// A preview is summarized for reviewers from the very text that the command
		// prints on AWS.
		flags = append(flags, "--json")
	}
	if o.program == "infra" && (subcommand == "preview" || subcommand == "up") {
		// The engine stops at the first value of a wrong type. The program checks types
		// too, and names every fault (infra/config).
		flags = append(flags, "--skip-config-validation")
	}
	return flags
}

func (o options) workspace(ctx context.Context, opts ...auto.LocalWorkspaceOption) (auto.Workspace, error) {
	pulumi, err := auto.NewPulumiCommand(nil)
	if err != nil {
		return nil, err
	}
	return auto.NewLocalWorkspace(ctx, append(opts, auto.Pulumi(command{pulumi, o}))...)
}

// previewOutput opens the file for a preview's text. The text of an earlier preview is
// removed at once, so that it can't be mistaken for this one's.
func (o options) previewOutput() (*os.File, error) {
	if o.json == "" {
		return os.Stdout, nil
	}
	return os.OpenFile(o.json, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // closed at the command's end
}
