package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"

	"github.com/intraverse/dcv-sessions/sandbox/report"
)

// recorder makes a report of the engine's events.
type recorder struct {
	events   chan events.EngineEvent
	finished chan struct{}
	report   report.Report
}

func newRecorder() *recorder {
	r := &recorder{events: make(chan events.EngineEvent, 64), finished: make(chan struct{})}
	r.report.Changes = map[string]int{}
	go func() {
		defer close(r.finished)
		for event := range r.events { // the engine's run closes the channel at its end
			r.record(event)
		}
	}()
	return r
}

func (r *recorder) record(event events.EngineEvent) {
	switch {
	case event.ResourcePreEvent != nil:
		m := event.ResourcePreEvent.Metadata
		step := report.Step{Op: string(m.Op), URN: m.URN, Type: m.Type, Diffs: m.Diffs, ReplaceKeys: m.Keys}
		if m.New != nil {
			step.Inputs = m.New.Inputs
		}
		sort.Strings(step.Diffs)
		r.report.Steps = append(r.report.Steps, step)
		r.report.Changes[step.Op]++
	case event.DiagnosticEvent != nil && event.DiagnosticEvent.Severity == "error":
		r.report.Diagnostics = append(r.report.Diagnostics, event.DiagnosticEvent.Message)
	}
}

// done waits for the last event; only a run that was started has one.
func (r *recorder) done() *report.Report {
	<-r.finished
	return &r.report
}

func (r *recorder) write(file string) error {
	if file == "" {
		return nil
	}
	r.done().PeakMemoryMiB = peakMemory()
	b, err := json.MarshalIndent(r.done(), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}

// peakMemory is this process's, which is the program's: the engine and the
// providers are processes of their own.
func peakMemory() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib int
	if _, peak, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(peak, &kib)
	}
	return kib / 1024
}

func plainOutputs(outputs auto.OutputMap) map[string]any {
	plain := map[string]any{}
	for name, output := range outputs {
		plain[name] = output.Value
	}
	return plain
}
