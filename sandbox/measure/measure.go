// Package measure takes figures of the deployed sandbox and prints them, each with its
// conditions. Machines differ, so only the ratios of one run count.
package measure

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
	"github.com/intraverse/dcv-sessions/sandbox/workspace"
)

// Measurement is a workspace with the figures that were taken in it.
type Measurement struct {
	*workspace.Workspace
	Config string // the stack's configuration for this start of the local AWS

	machine string // before the measurements
	figures []figure
}

// figure is one row of the result.
type figure struct{ name, value, conditions string }

// Take starts the local AWS, takes figures one after the other and prints them.
func Take(ctx context.Context, figures ...func(context.Context, *Measurement) error) error {
	return workspace.Locked(func(w *workspace.Workspace) (err error) {
		if err := w.Prepare(ctx); err != nil {
			return err
		}
		m := &Measurement{Workspace: w, machine: machine()}
		if m.Config, err = w.Configure(ctx, "infra", local.Stack, filepath.Join(w.Tree.Root, "Pulumi.sandbox.yaml")); err != nil {
			return err
		}
		for _, take := range figures {
			if err := take(ctx, m); err != nil {
				return err
			}
		}
		return m.print(os.Stdout)
	})
}

// Add adds a figure to the result.
func (m *Measurement) Add(name, conditions, format string, args ...any) {
	m.figures = append(m.figures, figure{name, fmt.Sprintf(format, args...), conditions})
}

func (m *Measurement) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nMeasured on this machine: %s. Other work on it makes times longer; the ratios are of one run.\n\n", m.machine)
	fmt.Fprintln(table, "FIGURE\tVALUE\tCONDITIONS")
	for _, f := range m.figures {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.name, f.value, f.conditions)
	}
	return table.Flush()
}

// machine returns the conditions that every time depends on: the processors, and the load
// of the last minute (proc_loadavg(5)).
func machine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(load)); err == nil && len(fields) > 0 {
		return fmt.Sprintf("%d processors, load average %s before", runtime.NumCPU(), fields[0])
	}
	return fmt.Sprintf("%d processors", runtime.NumCPU())
}

// File returns the path of a file of the measurements.
func (m *Measurement) File(name string) string { return filepath.Join(m.Cloud.Dir(), "bench-"+name) }

// StackOutputs returns the outputs of the deployed stack.
func (m *Measurement) StackOutputs(ctx context.Context) (outputs.Outputs, error) {
	return m.Outputs(ctx, local.Stack)
}

// Run is one run of the engine.
type Run struct {
	*report.Report
	Took  time.Duration
	Calls int // of AWS, at the gateway
}

// PerResource returns how long a resource took on average.
func (r Run) PerResource() time.Duration { return r.Took / time.Duration(len(r.Steps)) }

// Run runs the engine quietly.
func (m *Measurement) Run(ctx context.Context, name, command string, flags ...string) (Run, error) {
	var r Run
	before, err := m.calls(ctx)
	if err != nil {
		return r, err
	}
	file := m.File(name + ".report.json")
	started := time.Now()
	err = m.Progress.Step(name, "measured", func() error {
		return m.Progress.Command(ctx, m.Engine(ctx, command, append(flags, "-report", file)...))
	})
	if err != nil {
		return r, err
	}
	r.Took = time.Since(started)
	if r.Report, err = report.Read(file); err != nil {
		return r, err
	}
	after, err := m.calls(ctx)
	r.Calls = after - before
	return r, err
}

// Up is Run for an `up` of the stack with a configuration.
func (m *Measurement) Up(ctx context.Context, name, config string) (Run, error) {
	return m.Run(ctx, name, "up", "-config-file", config)
}

// calls returns the number of AWS calls since the local AWS started.
func (m *Measurement) calls(ctx context.Context) (int, error) {
	var health gateway.Health
	if err := m.Cloud.GetJSON(ctx, gateway.HealthPath, &health); err != nil {
		return 0, err
	}
	sum := 0
	for _, count := range health.Calls {
		sum += count
	}
	return sum, nil
}
