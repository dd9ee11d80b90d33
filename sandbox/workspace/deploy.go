package workspace

import (
	"context"
	"os"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Deployment is one run of the engine, with everything that it needs.
type Deployment struct {
	Command string // up, preview, refresh or destroy
	Program string // infra, or consumer
	Stack   string
	Config  string // the committed configuration; "": Pulumi.sandbox.yaml with the settings of this start
	Report  string // the file for a report of the run as JSON; "": none
	JSON    string // the file for the output of `pulumi preview --json`; "": none
	Playing string // end: destroy ends sessions
}

// Deploy prepares the machine and the local AWS, then runs the engine. It lists the
// steps before and after.
func (w *Workspace) Deploy(ctx context.Context, d Deployment) error {
	started := time.Now()
	all, install := w.installation(false)
	start := &step{name: "local AWS", usual: 5 * time.Second, done: local.Runs(ctx, w.Tree), work: w.Start}
	engine := &step{name: "pulumi " + d.Command, usual: 30 * time.Second, work: func(ctx context.Context) error { return w.run(ctx, d) }}
	all = append(all, start, engine)
	if err := all.do(ctx, w.Progress, sequence(install, start.run, engine.run)); err != nil {
		return err
	}
	w.Progress.Say("%s in %s", d.Command, time.Since(started).Round(100*time.Millisecond))
	return nil
}

// run writes the stack's configuration and runs the engine.
func (w *Workspace) run(ctx context.Context, d Deployment) error {
	if d.Command == "destroy" && d.Program == "infra" {
		if err := w.CheckVacant(ctx, d.Stack, d.Playing, d.Command); err != nil {
			return err
		}
	}
	config, err := d.Config, error(nil)
	if config == "" {
		if config, err = w.Settled(); err != nil {
			return err
		}
	}
	file, err := w.Configure(ctx, d.Program, d.Stack, config)
	if err != nil {
		return err
	}
	engine := func(ctx context.Context) error {
		return w.engine(ctx, d.Command, "-config-file", file, "-report", d.Report, "-json", d.JSON, "-program", d.Program, "-stack", d.Stack)
	}
	if d.Command != "up" {
		return engine(ctx)
	}
	return together(engine, w.pullBase)(ctx)
}

// pullBase pulls the base image into a Docker that lacks it. The image's build would do
// it, too, but begins some seconds after the first resources.
func (w *Workspace) pullBase(ctx context.Context) error {
	image, err := w.BaseImage(ctx)
	if err != nil {
		return err
	}
	return baseimage.Pull(ctx, w.Cloud.DockerHost, image)
}

func (w *Workspace) engine(ctx context.Context, command string, flags ...string) error {
	cmd := w.Engine(ctx, command, flags...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// Down destroys the stack if its cloud still runs, stops the cloud's processes and
// removes its files. After a crash it does the part that remains.
func (w *Workspace) Down(ctx context.Context, playing string) error {
	if w.Cloud == nil {
		w.Progress.Say("nothing runs")
		return nil
	}
	if w.Cloud.Deployed(local.Stack) && w.Cloud.Running(ctx) {
		if err := w.CheckVacant(ctx, local.Stack, playing, "down"); err != nil {
			return err
		}
		if err := w.engine(ctx, "destroy", "-config-file", w.Cloud.ConfigFile("infra", local.Stack)); err != nil {
			w.Progress.Say("the stack could not be destroyed (%v); its resources exist in memory only and are removed with the local AWS", err)
		}
	}
	return w.Progress.Step("stopping the local AWS "+w.Cloud.ID, "processes, containers, images and state", func() error { return w.Cloud.Remove(ctx) })
}
