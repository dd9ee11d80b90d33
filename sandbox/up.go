package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage"
	"github.com/intraverse/dcv-sessions/sandbox/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
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

// deployment is one run of the engine, as the flags of up, preview, refresh and
// destroy name it.
type deployment struct{ command, config, report, json, playing, program, stack string }

// deploy prepares the machine and the local AWS, then runs the engine.
func deploy(ctx context.Context, command string, args []string) error {
	d, err := parseDeployment(command, args)
	if err != nil {
		return err
	}
	started := time.Now()
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	all, install := installation(tree, p, false)
	var cloud *local.Cloud
	start := &step{name: "local AWS", usual: 10 * time.Second, done: local.Runs(ctx, tree), work: func(ctx context.Context) (err error) {
		cloud, err = local.Ensure(ctx, tree, p)
		return err
	}}
	engine := &step{name: "pulumi " + command, usual: time.Minute, work: func(ctx context.Context) error { return d.run(ctx, tree, cloud, p) }}
	all = append(all, start, engine)
	all.announce(p)
	if err := sequence(install, start.run, engine.run)(ctx); err != nil {
		return err
	}
	all.report(p)
	p.Say("%s in %s", command, time.Since(started).Round(100*time.Millisecond))
	return nil
}

func parseDeployment(command string, args []string) (deployment, error) {
	d := deployment{command: command}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.StringVar(&d.config, "config", "", "the stack's configuration (default: Pulumi.sandbox.yaml at the root)")
	flags.StringVar(&d.report, "report", "", "write a report of the run, resource by resource, as JSON to this file")
	flags.StringVar(&d.json, "json", "", "let preview write the output of `pulumi preview --json` to this file")
	playing := playingFlag(flags)
	flags.StringVar(&d.program, "program", "infra", "infra, or consumer: the example of another team's program")
	flags.StringVar(&d.stack, "stack", local.Stack, "the stack's name: several can be in the local AWS")
	err := flags.Parse(args)
	d.playing = *playing
	return d, err
}

// run writes the stack's configuration and runs the engine.
func (d deployment) run(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress) error {
	if d.command == "destroy" && d.program == "infra" {
		if err := checkVacant(ctx, tree, cloud, d.stack, d.playing, d.command); err != nil {
			return err
		}
	}
	config, err := d.config, error(nil)
	if config == "" {
		if config, err = settled(tree, cloud); err != nil {
			return err
		}
	}
	file, err := configure(ctx, tree, cloud, p, d.program, d.stack, config)
	if err != nil {
		return err
	}
	engine := func(ctx context.Context) error {
		return runDeploy(ctx, tree, cloud, d.command, "-config-file", file, "-report", d.report, "-json", d.json, "-program", d.program, "-stack", d.stack)
	}
	if d.command != "up" {
		return engine(ctx)
	}
	return together(engine, func(ctx context.Context) error { return pullBase(ctx, tree, cloud, p) })(ctx)
}

// pullBase pulls the base image into a Docker that lacks it. The image's build would do
// it, too, but begins some seconds after the first resources.
func pullBase(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress) error {
	image, err := ensureBase(ctx, tree, cloud, p)
	if err != nil {
		return err
	}
	return baseimage.Pull(ctx, cloud.DockerHost, image)
}

// enter finds the work tree and locks it: one command runs at a time.
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

// install installs and builds the missing parts, and starts nothing.
func install(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	tests := flags.Bool("tests", false, "with the parts that only the tests need")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	all, run := installation(tree, p, *tests)
	all.announce(p)
	if err := run(ctx); err != nil {
		return err
	}
	all.report(p)
	return nil
}

// prepare installs, builds and starts the missing parts.
func prepare(ctx context.Context, tree local.Tree, p local.Progress) (*local.Cloud, error) {
	_, install := installation(tree, p, false)
	if err := install(ctx); err != nil {
		return nil, err
	}
	return local.Ensure(ctx, tree, p)
}

// configure writes the stack's configuration for this cloud and returns its file: the
// committed one with the values that only the running cloud knows.
func configure(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress, program, stack, committed string) (string, error) {
	image, err := ensureBase(ctx, tree, cloud, p)
	if err != nil {
		return "", err
	}
	folder, err := game.Ensure(ctx, p, tree.Cache)
	if err != nil {
		return "", err
	}
	return cloud.WriteConfig(ctx, program, stack, committed, local.Made{BaseImage: image, Game: folder})
}

func ensureBase(ctx context.Context, tree local.Tree, cloud *local.Cloud, p local.Progress) (string, error) {
	return baseOf(tree).Ensure(ctx, p, cloud.Registry(), local.BaseImage)
}

func runDeploy(ctx context.Context, tree local.Tree, cloud *local.Cloud, command string, flags ...string) error {
	cmd := deployCommand(ctx, tree, cloud, command, flags...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// deployCommand returns the deploy command, which runs in the environment of a cloud.
func deployCommand(ctx context.Context, tree local.Tree, cloud *local.Cloud, command string, flags ...string) *exec.Cmd {
	args := append(append([]string{"-root", tree.Root}, flags...), command)
	cmd := exec.CommandContext(ctx, filepath.Join(tree.Bin(), "deploy"), args...)
	cmd.Env = cloud.Env()
	// An interrupt ends the engine's run in order; the command waits for that.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Minute
	return cmd
}
