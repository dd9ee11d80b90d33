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
	over     chan struct{} // closed by end
	recorded chan struct{} // closed after the last event
	report   report.Report
}

func newRecorder() *recorder {
	r := &recorder{events: make(chan events.EngineEvent, 64), over: make(chan struct{}), recorded: make(chan struct{})}
	r.report.Changes = map[string]int{}
	go r.follow()
	return r
}

// follow records events until the engine closes their channel. A run that ends
// before it begins, because a value of the configuration has the wrong type, has no
// events, and its channel is never closed.
func (r *recorder) follow() {
	defer close(r.recorded)
	for {
		select {
		case event, open := <-r.events:
			if !open {
				return
			}
			r.record(event)
		case <-r.over:
			for len(r.events) > 0 {
				r.record(<-r.events)
			}
			return
		}
	}
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

// end returns the report. It is called once, after the run, when no more events are
// sent.
func (r *recorder) end() report.Report {
	close(r.over)
	<-r.recorded
	return r.report
}

// write writes a report as JSON, unless file is "".
func write(of report.Report, file string) error {
	if file == "" {
		return nil
	}
	of.PeakMemoryMiB = peakMemory()
	b, err := json.MarshalIndent(of, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}

// peakMemory returns the peak of this process, which is the program's: the engine and
// the providers are processes of their own.
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
