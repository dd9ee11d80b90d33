// Package program is another team's Pulumi program. It knows only the name and the
// outputs of the sessions' stack.
package program

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/outputs/pulumioutputs"
)

// Program exports the outputs that the team's website needs to start a user's session.
//
// Its configuration has two keys: stack, the sessions' stack
// ("organization/dcv-sessions/dev"), and user, the user of the session.
func Program(ctx *pulumi.Context) error {
	cfg := config.New(ctx, "")
	user := cfg.Require("user")
	ref, err := pulumi.NewStackReference(ctx, cfg.Require("stack"), nil)
	if err != nil {
		return err
	}
	sessions := pulumioutputs.FromStack(ref)
	ctx.Export("queueArn", sessions.ApplyT(func(o outputs.Outputs) string { return o.QueueARN }))
	ctx.Export("launcherPolicyArn", sessions.ApplyT(func(o outputs.Outputs) string { return o.LauncherPolicyARN }))
	ctx.Export("jobDefinition", sessions.ApplyT(func(o outputs.Outputs) (string, error) {
		name, known := o.JobDefinitions[user]
		if !known {
			return "", fmt.Errorf("the sessions' stack has no user %q", user)
		}
		return name, nil
	}))
	return nil
}
