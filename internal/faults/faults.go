// Package faults collects everything that is wrong with some input, so that it can
// be corrected in one go.
package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Faults is a list of faults; the zero value is empty. Paths name properties of the
// input: "users[0].name", or a configuration key. A rule with the path "" is skipped:
// a component's Check asks its caller for the path of each property.
type Faults struct {
	list    []string
	wrong   map[string]bool   // the paths of values that are wrong by themselves
	allowed map[string]string // by path, the rules so far
}

// Add adds the fault of a value that is wrong by itself.
func (f *Faults) Add(path string, value any, allowed string) {
	if path == "" {
		return
	}
	f.mark(path)
	f.Addf("%s is %s; allowed: %s", path, format(value), allowed)
}

// Check is the rule that ok decides: unless ok, it adds a fault.
func (f *Faults) Check(ok bool, path string, value any, allowed string) {
	f.rule(path, allowed)
	if !ok {
		f.Add(path, value, allowed)
	}
}

// Between is the rule of a whole number within a range, ends included.
func (f *Faults) Between(path string, value, low, high int) {
	f.Check(value >= low && value <= high, path, value, fmt.Sprintf("a whole number from %d to %d", low, high))
}

// OneOf is the rule of a value that is one of a few.
func OneOf[T comparable](f *Faults, path string, value T, values ...T) {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	f.Check(slices.Contains(values, value), path, value, alternatives(words))
}

// alternatives returns "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Each is the rule of a list with valid items, each of them once. The path of an
// item is that of the list with its index.
func (f *Faults) Each(path string, list []string, valid func(string) bool, allowed string) {
	allowed += ", each once"
	f.rule(path, allowed)
	for i, item := range list {
		f.Check(valid(item) && !slices.Contains(list[:i], item), Item(path, i), item, allowed)
	}
}

// Item returns the path of an item of the list at a path.
func Item(path string, i int) string {
	if path == "" {
		return ""
	}
	return fmt.Sprintf("%s[%d]", path, i)
}

// Property returns a property's own name: the path of a component that is checked by
// itself.
func Property(name string) string { return name }

// Required adds a fault unless the property at a path is set.
func (f *Faults) Required(set bool, path, allowed string) {
	if !set && path != "" {
		f.mark(path)
		f.Addf("%s is not set; allowed: %s", path, allowed)
	}
}

// Compare adds a fault unless ok, which compares the value at a path with those at
// other paths. It adds none if one of them is wrong by itself or skipped: whether the
// values go together is known only once that one is corrected.
func (f *Faults) Compare(ok bool, path string, value any, allowed string, others ...string) {
	unknown := func(path string) bool { return path == "" || f.wrong[path] }
	if ok || unknown(path) || slices.ContainsFunc(others, unknown) {
		return
	}
	f.Addf("%s is %s; allowed: %s", path, format(value), allowed)
}

// Addf adds a fault in words of its own.
func (f *Faults) Addf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// Unknown adds the fault that a key is none of the known ones. Its value, which may
// be a secret, is left out.
func (f *Faults) Unknown(key string, known []string) {
	f.Addf("%s is no known key; nearest: %s", key, Nearest(key, known))
}

// Nest adds the faults of something that the value at a path leads to, such as a
// file.
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
			f.Addf("%s: %s: %s", path, several.input, fault)
		}
	default:
		f.Addf("%s: %v", path, err)
	}
}

// Wrong reports whether the value at a path is wrong by itself.
func (f *Faults) Wrong(path string) bool { return f.wrong[path] }

// Rules returns the first rule of each path, in words, whether or not the value there
// keeps it.
func (f *Faults) Rules() map[string]string { return f.allowed }

// List returns the faults, one line each.
func (f *Faults) List() []string { return f.list }

// Err returns nil if there are no faults, else an *Error with all of them.
func (f *Faults) Err(input string) error {
	if len(f.list) == 0 {
		return nil
	}
	return &Error{input, f.list}
}

func (f *Faults) mark(path string) {
	if f.wrong == nil {
		f.wrong = map[string]bool{}
	}
	f.wrong[path] = true
}

func (f *Faults) rule(path, allowed string) {
	if path == "" {
		return
	}
	if f.allowed == nil {
		f.allowed = map[string]string{}
	}
	if _, ok := f.allowed[path]; !ok {
		f.allowed[path] = allowed
	}
}

// format returns a value as JSON, or as it writes itself.
func format(value any) string {
	if text, ok := value.(fmt.Stringer); ok {
		return text.String()
	}
	if list, ok := value.([]string); ok && list == nil {
		value = []string{}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(out.String())
}

// Error is all that is wrong with an input.
type Error struct {
	input  string
	faults []string
}

func (e *Error) Error() string {
	if len(e.faults) == 1 {
		return fmt.Sprintf("%s: %s", e.input, e.faults[0])
	}
	return fmt.Sprintf("%s has %d faults:\n  - %s", e.input, len(e.faults), strings.Join(e.faults, "\n  - "))
}
