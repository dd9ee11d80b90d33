package main

import (
	"context"
	"io"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// previewAsJSON is the pulumi command, whose previews answer with `--json`: the
// Automation API has no option for it, and a preview for a reviewer is to be
// summarized from the very text that the command prints on AWS.
type previewAsJSON struct{ auto.PulumiCommand }

func (c previewAsJSON) Run(ctx context.Context, dir string, in io.Reader, out, errs []io.Writer, env []string, args ...string) (string, string, int, error) {
	if args[0] == "preview" {
		args = append(args, "--json")
	}
	return c.PulumiCommand.Run(ctx, dir, in, out, errs, env, args...)
}

func (o options) workspace(ctx context.Context, opts ...auto.LocalWorkspaceOption) (auto.Workspace, error) {
	if o.json != "" {
		command, err := auto.NewPulumiCommand(nil)
		if err != nil {
			return nil, err
		}
		opts = append(opts, auto.Pulumi(previewAsJSON{command}))
	}
	return auto.NewLocalWorkspace(ctx, opts...)
}

// previewOutput is where a preview's own text goes. What an earlier one wrote is
// gone at once: nobody takes it for this one's.
func (o options) previewOutput() (*os.File, error) {
	if o.json == "" {
		return os.Stdout, nil
	}
	return os.OpenFile(o.json, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // closed at the command's end
}
