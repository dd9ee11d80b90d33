// Package faults collects everything that is wrong with some input, so that a
// person mends it in one go.
package faults

import (
	"fmt"
	"strings"
)

// Faults is a list of faults; the zero value is empty.
type Faults struct{ list []string }

// Add notes that the value at a property path is not what is allowed.
func (f *Faults) Add(path string, value any, allowed string) {
	if text, ok := value.(string); ok {
		value = fmt.Sprintf("%q", text)
	}
	f.list = append(f.list, fmt.Sprintf("%s: %v is not allowed: %s", path, value, allowed))
}

// Check adds a fault unless ok.
func (f *Faults) Check(ok bool, path string, value any, allowed string) {
	if !ok {
		f.Add(path, value, allowed)
	}
}

// Between checks a whole number against a range, ends included.
func (f *Faults) Between(path string, value, low, high int) {
	f.Check(value >= low && value <= high, path, value, fmt.Sprintf("a whole number from %d to %d", low, high))
}

// List is every fault as one line.
func (f *Faults) List() []string { return f.list }

// Err is nil without faults, else one error that names all of them.
func (f *Faults) Err(what string) error {
	switch len(f.list) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %s", what, f.list[0])
	}
	return fmt.Errorf("%s has %d faults:\n  - %s", what, len(f.list), strings.Join(f.list, "\n  - "))
}
