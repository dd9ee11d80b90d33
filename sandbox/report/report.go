// Package report is the result of a deployment, written by the sandbox's deploy
// command and read by its tests and benchmarks.
package report

import (
	"encoding/json"
	"os"
	"strings"
)

// Report is one run of the engine.
type Report struct {
	Changes     map[string]int `json:"changes"` // steps by operation
	Steps       []Step         `json:"steps"`
	Diagnostics []string       `json:"diagnostics,omitempty"` // errors
	Outputs     map[string]any `json:"outputs,omitempty"`     // the stack's, after an up

	PeakMemoryMiB int `json:"peakMemoryMib"` // of the program's process, 0 if unknown
}

// Step is one operation of the engine on a resource.
type Step struct {
	Op          string         `json:"op"` // create, update, same, delete, create-replacement, …
	URN         string         `json:"urn"`
	Type        string         `json:"type"`
	Diffs       []string       `json:"diffs,omitempty"`
	ReplaceKeys []string       `json:"replaceKeys,omitempty"`
	Inputs      map[string]any `json:"inputs,omitempty"`
}

// Read reads a report.
func Read(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	return r, json.Unmarshal(b, r)
}

// Name is the resource's logical name.
func (s Step) Name() string { return s.URN[strings.LastIndex(s.URN, "::")+2:] }

// Changed lists the steps that did something.
func (r *Report) Changed() []Step {
	var changed []Step
	for _, s := range r.Steps {
		if s.Op != "same" && s.Op != "read" && s.Op != "refresh" {
			changed = append(changed, s)
		}
	}
	return changed
}
