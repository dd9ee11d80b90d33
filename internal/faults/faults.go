// Package faults collects everything that is wrong with some input, so that a
// person mends it in one go.
package faults

import (
	"errors"
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

// Nest adds what is wrong with something that the value at a property path leads
// to, such as a file: each of its faults, where there are several.
func (f *Faults) Nest(path string, err error) {
	var joined interface{ Unwrap() []error }
	var several *Error
	switch {
	case err == nil:
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			f.Nest(path, one)
		}
	case errors.As(err, &several):
		for _, fault := range several.faults {
			f.list = append(f.list, fmt.Sprintf("%s: %s: %s", path, several.what, fault))
		}
	default:
		f.list = append(f.list, fmt.Sprintf("%s: %v", path, err))
	}
}

// List is every fault as one line.
func (f *Faults) List() []string { return f.list }

// Error is all that is wrong with some input.
type Error struct {
	what   string // the input
	faults []string
}

func (e *Error) Error() string {
	if len(e.faults) == 1 {
		return fmt.Sprintf("%s: %s", e.what, e.faults[0])
	}
	return fmt.Sprintf("%s has %d faults:\n  - %s", e.what, len(e.faults), strings.Join(e.faults, "\n  - "))
}

// Err is nil without faults, else an *Error that names all of them.
func (f *Faults) Err(what string) error {
	if len(f.list) == 0 {
		return nil
	}
	return &Error{what, f.list}
}
