package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Pattern is a rule's event pattern (EventBridge user guide, "Event patterns"): plain
// values and, of the comparison operators, those of operators.
type Pattern struct{ root fields }

// ParsePattern returns the faults of a pattern that AWS refuses or that the sandbox
// does not know, all at once.
func ParsePattern(text string) (Pattern, error) {
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return Pattern{}, fmt.Errorf("the pattern is no JSON: %w", err)
	}
	object, is := value.(map[string]any)
	if !is || len(object) == 0 {
		return Pattern{}, errors.New("the pattern has to be an object with at least one field")
	}
	root, err := parseFields("", object)
	return Pattern{root}, err
}

// Matches reports whether an event matches the pattern.
func (p Pattern) Matches(e Event) bool { return p.root.matches(e.tree()) }

// node is a part of a pattern: the fields of an object, or the values of a field.
type node interface{ matches(value any) bool }

// absent is the value of a field that an event does not have.
type absent struct{}

// elements returns the elements of a list. EventBridge takes a field that is an empty list
// for absent, since it compares the events' leaves (github.com/aws/event-ruler).
func elements(value any) (list []any, is bool) {
	if list, is = value.([]any); is && len(list) == 0 {
		list = []any{absent{}}
	}
	return list, is
}

// fields matches an object with all of these fields, or a list with such an object.
type fields map[string]node

func (f fields) matches(value any) bool {
	if list, is := elements(value); is {
		return slices.ContainsFunc(list, f.matches)
	}
	object, _ := value.(map[string]any)
	for name, wanted := range f {
		got, present := object[name]
		if !present {
			got = absent{}
		}
		if !wanted.matches(got) {
			return false
		}
	}
	return true
}

// test reports whether it holds for a string, a number, true, false, null, an object, or
// absent.
type test func(value any) bool

// leaf matches a value for which one of its tests holds, or a list with such a value.
type leaf []test

func (l leaf) matches(value any) bool {
	if list, is := elements(value); is {
		return slices.ContainsFunc(list, l.matches)
	}
	return slices.ContainsFunc(l, func(t test) bool { return t(value) })
}

func parseFields(path string, object map[string]any) (fields, error) {
	f := fields{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		var err error
		at := strings.TrimPrefix(path+"."+name, ".")
		switch value := object[name].(type) {
		case map[string]any:
			f[name], err = parseFields(at, value)
		case []any:
			if name == "$or" {
				err = unknownOperator(name)
			} else {
				f[name], err = parseLeaf(at, value)
			}
		default:
			err = fmt.Errorf("%s has to be an object or a list", at)
		}
		faults = append(faults, err)
	}
	return f, errors.Join(faults...)
}

func parseLeaf(at string, list []any) (leaf, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s is an empty list", at)
	}
	var l leaf
	var faults []error
	for _, item := range list {
		t, err := parseTest(item)
		if err != nil {
			err = fmt.Errorf("%s: %w", at, err)
		}
		l, faults = append(l, t), append(faults, err)
	}
	return l, errors.Join(faults...)
}

// parseTest parses a plain value or an operator. Numbers are compared as they are
// written: in AWS, 300 does not match 3.0e2 (EventBridge user guide, "Event patterns").
func parseTest(item any) (test, error) {
	switch item := item.(type) {
	case []any:
		return nil, errors.New("a list in a list")
	case map[string]any:
		if len(item) != 1 {
			return nil, fmt.Errorf("%s has to be an object with one operator", encode(item))
		}
		for name, operand := range item {
			if parse, known := operators[name]; known {
				return parse(operand)
			}
			return nil, unknownOperator(name)
		}
	}
	return func(value any) bool { return value == item }, nil
}

// operators are the comparison operators that the sandbox knows, by name.
var operators = map[string]func(operand any) (test, error){
	"anything-but": parseAnythingBut, "exists": parseExists, "prefix": parsePrefix, "wildcard": parseWildcard,
}

func unknownOperator(name string) error {
	return fmt.Errorf("the sandbox does not know the operator %q: it knows %s", name, strings.Join(slices.Sorted(maps.Keys(operators)), ", "))
}

// isLeaf reports whether a value is there and no object.
func isLeaf(value any) bool {
	switch value.(type) {
	case absent, map[string]any:
		return false
	}
	return true
}

// parseExists parses whether a field has to be there as a leaf.
func parseExists(operand any) (test, error) {
	want, is := operand.(bool)
	if !is {
		return nil, fmt.Errorf("exists %s has to be true or false", encode(operand))
	}
	return func(value any) bool { return isLeaf(value) == want }, nil
}

func parsePrefix(operand any) (test, error) {
	want, is := operand.(string)
	if !is {
		return nil, fmt.Errorf("prefix %s has to be a string: the sandbox knows no other", encode(operand))
	}
	return func(value any) bool {
		got, is := value.(string)
		return is && strings.HasPrefix(got, want)
	}, nil
}

// parseAnythingBut parses a string or a number, a list of the one or of the other, or a
// prefix. It matches every leaf but those.
func parseAnythingBut(operand any) (test, error) {
	excluded, err := parseExcluded(operand)
	return func(value any) bool { return isLeaf(value) && !excluded(value) }, err
}

func parseExcluded(operand any) (test, error) {
	var list []any
	switch operand := operand.(type) {
	case map[string]any:
		if prefix, is := operand["prefix"]; is && len(operand) == 1 {
			return parsePrefix(prefix)
		}
	case []any:
		list = operand
	default:
		list = []any{operand}
	}
	if !allOf[string](list) && !allOf[json.Number](list) || len(list) == 0 {
		return nil, fmt.Errorf(`anything-but %s has to be strings, numbers or a {"prefix": …}: the sandbox knows no other`, encode(operand))
	}
	return func(value any) bool { return slices.Contains(list, value) }, nil
}

// allOf reports whether all of a list are of a type.
func allOf[T any](list []any) bool {
	return !slices.ContainsFunc(list, func(item any) bool { _, is := item.(T); return !is })
}

// parseWildcard parses a text in which "*" matches any characters. AWS refuses two
// of them in a row, and takes a backslash for an escape, which the sandbox does not
// know.
func parseWildcard(operand any) (test, error) {
	want, is := operand.(string)
	if !is || strings.Contains(want, "**") || strings.Contains(want, `\`) {
		return nil, fmt.Errorf(`wildcard %s has to be a string without "**" and backslashes`, encode(operand))
	}
	whole, err := regexp.Compile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, ".*") + "$")
	if err != nil {
		return nil, err
	}
	return func(value any) bool {
		got, is := value.(string)
		return is && whole.MatchString(got)
	}, nil
}
