package workspace

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/sandbox/builder"
	"github.com/intraverse/dcv-sessions/sandbox/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// task is a part of a command's work.
type task func(context.Context) error

// sequence returns the task that runs tasks one after the other.
func sequence(tasks ...task) task {
	return func(ctx context.Context) error {
		for _, run := range tasks {
			if err := run(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// together returns the task that runs tasks side by side. The first error ends the
// others.
func together(tasks ...task) task {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range tasks {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

// step is a task that the lists of a command's steps name.
type step struct {
	name  string
	usual time.Duration // on a fresh machine with two cores that can download no built program
	done  bool          // nothing remained to be done when the command began
	took  time.Duration
	work  task
}

func (s *step) run(ctx context.Context) error {
	start := time.Now()
	err := s.work(ctx)
	s.took = time.Since(start)
	return err
}

// steps are those of a command, in the order of its lists.
type steps []*step

// announce lists the steps and how long each usually takes.
func (all steps) announce(p local.Progress) {
	all.list(p, "steps, and how long each takes on a fresh machine with two cores", func(s *step) (time.Duration, bool) { return s.usual, s.done })
}

// report lists how long each step took. A step that had nothing to do only looked
// whether that is so.
func (all steps) report(p local.Progress) {
	all.list(p, "steps, and how long each took", func(s *step) (time.Duration, bool) { return s.took, s.took < time.Second })
}

func (all steps) list(p local.Progress, title string, row func(*step) (took time.Duration, done bool)) {
	fmt.Fprintf(p.Out, "==> %s\n", title)
	var done []string
	for _, s := range all {
		took, nothing := row(s)
		if nothing {
			done = append(done, s.name)
			continue
		}
		p.Say("%-16s %6s", s.name, took.Round(time.Second))
	}
	if len(done) > 0 {
		p.Say("nothing to do: %s", strings.Join(done, ", "))
	}
}

// do lists the steps, runs the task that has them all, and lists how long each took.
func (all steps) do(ctx context.Context, p local.Progress, run task) error {
	all.announce(p)
	if err := run(ctx); err != nil {
		return err
	}
	all.report(p)
	return nil
}

// Install installs and builds the missing parts, those that only the tests need if
// tests is true. It lists the steps before and after.
func (w *Workspace) Install(ctx context.Context, tests bool) error {
	all, run := w.installation(tests)
	return all.do(ctx, w.Progress, run)
}

// Prepare installs, builds and starts the missing parts.
func (w *Workspace) Prepare(ctx context.Context) error {
	_, install := w.installation(false)
	return sequence(install, w.Start)(ctx)
}

// installedVariable is set if an earlier command has installed and built everything and
// nothing has changed since. To find that out takes Go a second or two at each command,
// of which the engine tests run dozens.
const installedVariable = "DCV_SANDBOX_INSTALLED"

// installation returns the steps that install and build the missing parts.
func (w *Workspace) installation(tests bool) (steps, task) {
	if os.Getenv(installedVariable) != "" {
		return nil, sequence()
	}
	tree, p, base, root := w.Tree, w.Progress, Base(w.Tree), builder.Root{Cache: w.Tree.Cache}
	var (
		packages  = &step{name: "Debian packages", usual: time.Minute, done: local.Installed(tests), work: func(ctx context.Context) error { return local.Install(ctx, p, tests) }}
		moto      = &step{name: "moto", usual: time.Minute, done: local.MotoInstalled(tree), work: func(ctx context.Context) error { return local.InstallMoto(ctx, tree, p) }}
		baseImage = &step{name: "base image", usual: 2 * time.Minute, done: base.Made(), work: func(ctx context.Context) error { return base.Make(ctx, p) }}
		theGame   = &step{name: "game", usual: time.Minute, done: game.Made(tree.Cache), work: func(ctx context.Context) error {
			_, err := game.Ensure(ctx, p, tree.Cache)
			return err
		}}
		machine   = &step{name: "builder", usual: time.Minute, done: root.Made(), work: func(ctx context.Context) error { return root.Make(ctx, p) }}
		cli       = &step{name: "Pulumi CLI", usual: 2 * time.Minute, done: local.PulumiInstalled(tree), work: func(ctx context.Context) error { return local.Pulumi(ctx, tree, p) }}
		providers = &step{name: "providers", usual: 3 * time.Minute, done: local.PluginsInstalled(tree), work: func(ctx context.Context) error { return local.InstallPlugins(ctx, tree, p) }}
		program   = &step{name: "program", usual: 4 * time.Minute, done: local.DeployBuilt(tree), work: func(ctx context.Context) error { return local.BuildDeploy(ctx, tree, p) }}
	)
	all, images := steps{packages, moto, baseImage, theGame, cli, providers, program}, sequence(baseImage.run, theGame.run)
	if tests { // else it is made when a builder first starts
		all, images = append(all, machine), sequence(images, machine.run)
	}
	// The images and the game wait for downloads or use one core, so they are made beside
	// the compiling. The CLI comes first: it compiles the packages that the others share,
	// and downloads the providers if they can be reached.
	return all, sequence(packages.run, together(
		moto.run,
		images,
		sequence(cli.run, together(providers.run, program.run)),
	))
}
