package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// endPlaying is the value of the flag -playing that allows a command to end sessions.
const endPlaying = "end"

// playingFlag defines the flag.
func playingFlag(flags *flag.FlagSet) *string {
	return flags.String("playing", "", "end: destroy also while people play or wait, which ends their sessions")
}

// checkVacant returns an error if anybody plays or waits on the stack, unless the flag
// allows to end their sessions: deleting the queue does that.
func checkVacant(ctx context.Context, tree local.Tree, cloud *local.Cloud, stack, playing, command string) error {
	switch playing {
	case endPlaying:
		return nil
	case "":
	default:
		return fmt.Errorf("-playing is %q; allowed: %s", playing, endPlaying)
	}
	out, err := stackOutputs(ctx, tree, cloud, stack)
	if errors.Is(err, outputs.ErrNone) { // it does not exist, or has no queue yet
		return nil
	}
	if err == nil {
		var launcher *launch.Launcher
		if launcher, err = launch.New(awsOf(cloud), out); err == nil {
			err = launcher.Vacant(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("nothing was destroyed: %w\nwait until nobody plays or waits, or end the sessions: make %s PLAYING=%s", err, command, endPlaying)
	}
	return nil
}

// stackOutputs returns the outputs of a stack, or outputs.ErrNone if it does not exist.
func stackOutputs(ctx context.Context, tree local.Tree, cloud *local.Cloud, stack string) (outputs.Outputs, error) {
	if !cloud.Deployed(stack) {
		return outputs.Outputs{}, outputs.ErrNone
	}
	pulumi := exec.CommandContext(ctx, filepath.Join(tree.Bin(), "pulumi"))
	pulumi.Env, pulumi.Dir = cloud.Env(), tree.Root
	return outputs.Read(pulumi, stack)
}

// awsOf returns the configuration for calls of a cloud's administrator.
func awsOf(cloud *local.Cloud) aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(cloud.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(cloud.AccessKey, local.SecretKey, ""),
	}
}
