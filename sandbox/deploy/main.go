// Command deploy runs the program of infra/ against the sandbox by the Automation API:
// with the real engine and without a language host. The sandbox command calls it in the
// environment of the local AWS.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"

	consumer "github.com/intraverse/dcv-sessions/examples/consumer/program"
	"github.com/intraverse/dcv-sessions/infra/stack"
)

// program is a program that this command can run. dir is the project's folder, and main
// its working directory, as Pulumi.yaml names it.
type program struct {
	dir, main string
	run       pulumi.RunFunc
}

// options are the command line.
type options struct {
	root, program, stack, configFile, report, flat, json string
}

func (o options) programs() map[string]program {
	return map[string]program{
		"infra":    {".", "infra", stack.Deploy},
		"consumer": {"examples/consumer", ".", consumer.Program},
		"flat":     {".", "infra", flat(o.flat)},
	}
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the repository's root")
	flag.StringVar(&o.program, "program", "infra", "infra, consumer, or flat: the resources of a report, without components")
	flag.StringVar(&o.flat, "flat", "", "the report of which the program flat registers the resources")
	flag.StringVar(&o.stack, "stack", "sandbox", "the stack's name")
	flag.StringVar(&o.configFile, "config-file", "", "the stack's configuration")
	flag.StringVar(&o.report, "report", "", "write a report of the run, resource by resource, as JSON to this file")
	flag.StringVar(&o.json, "json", "", "let preview write what `pulumi preview --json` prints to this file")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: deploy [flags] up | preview | refresh | destroy")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // for life
	if err := run(ctx, o, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, command string) error {
	previewed, err := o.previewOutput() // before the working directory changes
	if err != nil {
		return err
	}
	if o.program == "infra" {
		if err := listKeys(o.configFile); err != nil {
			return err
		}
	}
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	r := newRecorder()
	var outputs map[string]any
	switch command {
	case "up":
		var result auto.UpResult
		result, err = s.Up(ctx, optup.ProgressStreams(os.Stdout), optup.ErrorProgressStreams(os.Stderr),
			optup.ConfigFile(o.configFile), optup.SuppressOutputs(), optup.EventStreams(r.events))
		if err == nil {
			outputs = plainOutputs(result.Outputs)
			printOutputs(os.Stdout, result.Outputs)
		}
	case "preview":
		_, err = s.Preview(ctx, optpreview.ProgressStreams(previewed), optpreview.ErrorProgressStreams(os.Stderr),
			optpreview.ConfigFile(o.configFile), optpreview.EventStreams(r.events))
	case "refresh":
		_, err = s.Refresh(ctx, optrefresh.ProgressStreams(os.Stdout), optrefresh.ErrorProgressStreams(os.Stderr),
			optrefresh.ConfigFile(o.configFile), optrefresh.EventStreams(r.events))
	case "destroy":
		_, err = s.Destroy(ctx, optdestroy.ProgressStreams(os.Stdout), optdestroy.ErrorProgressStreams(os.Stderr),
			optdestroy.ConfigFile(o.configFile), optdestroy.EventStreams(r.events), optdestroy.Remove())
	default:
		flag.Usage()
		return fmt.Errorf("unknown command %q", command)
	}
	done := r.end()
	done.Outputs = outputs
	if err != nil && len(done.Diagnostics) > 0 {
		err = errors.New("failed: see " + cmp.Or(o.json, "above")) // the engine has printed the reasons
	}
	return errors.Join(err, write(done, o.report))
}

// open selects the stack, or makes it. A lock that still exists when this run is the
// only one belongs to a killed run.
func open(ctx context.Context, o options) (auto.Stack, error) {
	program, ok := o.programs()[o.program]
	if !ok {
		return auto.Stack{}, fmt.Errorf("unknown program %q: infra, consumer or flat", o.program)
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return auto.Stack{}, err
	}
	dir := filepath.Join(root, program.dir)
	main := filepath.Join(dir, program.main)
	// As under `pulumi up`: Pulumi.yaml's `main` is the working directory of the
	// program and of its providers, so that relative paths agree.
	if err := os.Chdir(main); err != nil {
		return auto.Stack{}, err
	}
	project, name, err := copyProject(dir, main, filepath.Join(stateDir(), "projects", o.program))
	if err != nil {
		return auto.Stack{}, err
	}
	locks, err := takeOver(stateDir(), o.stack)
	if err != nil {
		return auto.Stack{}, err
	}
	_, missing := os.Stat(filepath.Join(stateDir(), ".pulumi", "stacks", name, o.stack+".json"))
	ws, err := o.workspace(ctx, missing == nil, auto.WorkDir(project), auto.Program(program.run), auto.PulumiHome(os.Getenv("PULUMI_HOME")))
	if err != nil {
		return auto.Stack{}, err
	}
	s, err := auto.SelectStack(ctx, o.stack, ws)
	if auto.IsSelectStack404Error(err) {
		s, err = auto.NewStack(ctx, o.stack, ws)
	}
	if err != nil {
		return s, err
	}
	if len(locks) > 0 {
		fmt.Println("    an earlier run was killed: taking its lock away; this run completes it")
		err = s.Cancel(ctx)
	}
	return s, err
}

// copyProject copies the project's file into the folder of the state, since the engine
// writes a file for each stack next to it, which must not be in the repository. `main`
// becomes absolute. It returns the folder and the project's name.
func copyProject(dir, main, to string) (folder, name string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "Pulumi.yaml"))
	if err != nil {
		return "", "", err
	}
	var project map[string]any
	if err := yaml.Unmarshal(text, &project); err != nil {
		return "", "", err
	}
	project["main"] = main
	if text, err = yaml.Marshal(project); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", "", err
	}
	name, _ = project["name"].(string)
	return to, name, os.WriteFile(filepath.Join(to, "Pulumi.yaml"), text, 0o644)
}

// stateDir returns the folder of the file backend.
func stateDir() string { return strings.TrimPrefix(os.Getenv("PULUMI_BACKEND_URL"), "file://") }
