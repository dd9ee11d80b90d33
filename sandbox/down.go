package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// down destroys the stack if its cloud still runs, stops the cloud's processes and
// removes its files. After a crash it does the part that remains.
func down(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	playing := playingFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	cloud, err := local.Open(tree)
	if err != nil {
		return err
	}
	if cloud == nil {
		p.Say("nothing runs")
		return nil
	}
	if cloud.Deployed(local.Stack) && cloud.Running(ctx) {
		if err := checkVacant(ctx, tree, cloud, local.Stack, *playing, "down"); err != nil {
			return err
		}
		if err := runDeploy(ctx, tree, cloud, "destroy", "-config-file", cloud.ConfigFile("infra", local.Stack)); err != nil {
			p.Say("the stack could not be destroyed (%v); its resources exist in memory only and are removed with the local AWS", err)
		}
	}
	return p.Step("stopping the local AWS "+cloud.ID, "processes, containers, images and state", func() error { return cloud.Remove(ctx) })
}

func status(_ context.Context, _ []string) error {
	cloud, err := lastCloud()
	if err != nil {
		return err
	}
	if cloud == nil {
		fmt.Println("nothing runs; make up starts it")
		return nil
	}
	fmt.Printf("local AWS %s at %s, Docker at %s\n", cloud.ID, cloud.Endpoint(), cloud.DockerHost)
	for _, process := range cloud.Processes {
		state := "runs"
		if !process.Alive() {
			state = "has ended"
		}
		fmt.Printf("  %-9s pid %-8d %s, log %s\n", process.Name, process.PID, state, process.Log)
	}
	return nil
}

// env prints the variables as export commands for a shell.
func env(_ context.Context, _ []string) error {
	cloud, err := runningCloud()
	if err != nil {
		return err
	}
	for _, pair := range cloud.Variables() {
		fmt.Fprintf(os.Stdout, "export %s\n", pair)
	}
	return nil
}

// lastCloud returns the work tree's local AWS, running or not, or nil if there is none.
func lastCloud() (*local.Cloud, error) {
	tree, err := local.FindTree()
	if err != nil {
		return nil, err
	}
	return local.Open(tree)
}

// base makes the base image, for builds by hand, and prints its name.
func base(ctx context.Context, _ []string) error {
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	cloud, err := local.Ensure(ctx, tree, p)
	if err != nil {
		return err
	}
	image, err := ensureBase(ctx, tree, cloud, p)
	if err != nil {
		return err
	}
	fmt.Println(image)
	return nil
}
