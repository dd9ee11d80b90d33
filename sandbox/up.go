package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// up deploys and says what to try next.
func up(ctx context.Context, _ []string) error {
	if err := deploy(ctx, "up"); err != nil {
		return err
	}
	fmt.Print(`
Next:
  make up          again: no changes
  make preview     what a change of Pulumi.sandbox.yaml would do
  eval "$(.sandbox/bin/sandbox env)"; aws batch describe-job-queues
  make down        destroy everything and stop
`)
	return nil
}

func preview(ctx context.Context, _ []string) error { return deploy(ctx, "preview") }

// deploy prepares all that a deployment needs, then runs it.
func deploy(ctx context.Context, command string) error {
	started := time.Now()
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	cloud, err := prepare(ctx, tree, p)
	if err != nil {
		return err
	}
	config, err := configure(ctx, tree, cloud, p)
	if err != nil {
		return err
	}
	if err := runDeploy(ctx, tree, cloud, command, config); err != nil {
		return err
	}
	p.Say("%s in %s all told", command, time.Since(started).Round(100*time.Millisecond))
	return nil
}

// enter finds the work tree and lets one command at a time in.
func enter() (local.Tree, local.Progress, func(), error) {
	p := local.Progress{Out: os.Stdout}
	tree, err := local.FindTree()
	if err != nil {
		return tree, p, nil, err
	}
	lock, err := os.OpenFile(filepath.Join(tree.State, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return tree, p, nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return tree, p, nil, errors.New("another sandbox command runs in this work tree: wait until it has ended")
	}
	return tree, p, func() { lock.Close() }, nil
}

// prepare installs, builds and starts whatever is missing.
func prepare(ctx context.Context, tree local.Tree, p local.Progress) (*local.Cloud, error) {
	steps := []func() error{
		func() error { return local.Install(ctx, p) },
		func() error { return local.InstallMoto(ctx, tree, p) },
		func() error { return local.Pulumi(ctx, tree, p) },
		func() error { return local.InstallPlugins(ctx, tree, p) },
		func() error { return local.BuildDeploy(ctx, tree, p) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return local.Ensure(ctx, tree, p)
}

// configure writes the stack's configuration for this cloud: the committed
// Pulumi.sandbox.yaml and what only the running cloud can tell.
func configure(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress) (string, error) {
	image, err := ensureBase(ctx, tree, cloud, p)
	if err != nil {
		return "", err
	}
	return cloud.WriteConfig(ctx, filepath.Join(tree.Root, "Pulumi.sandbox.yaml"), image)
}

func ensureBase(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress) (string, error) {
	return baseimage.Ensure(ctx, "/usr/bin/docker", cloud.DockerHost, local.BaseImage, os.Stdout)
}

func runDeploy(ctx context.Context, tree local.Tree, cloud *local.Cloud, command, config string) error {
	if err := os.MkdirAll(cloud.StateDir(), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tree.Bin(), "deploy"), "-root", tree.Root, "-config-file", config, command)
	cmd.Env = cloud.Env()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Interrupted, it ends the engine's run in order; then it is waited for.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Minute
	return cmd.Run()
}
