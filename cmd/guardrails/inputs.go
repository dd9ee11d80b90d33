package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// notSet is the value of a property that a resource does not have.
const notSet = "not set"

// text returns a value as findings show it.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return notSet
	case componenttest.Secret:
		return "[secret]"
	case string, float64, bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}

// at returns the values at a path such as "blockDeviceMappings[].ebs.encrypted",
// one for each element of a list. A missing property is one value, nil.
func at(value any, path string) []any {
	if path == "" {
		return []any{value}
	}
	step, rest, _ := strings.Cut(path, ".")
	name, list := strings.CutSuffix(step, "[]")
	object, _ := value.(map[string]any)
	inner := object[name]
	if !list {
		return at(inner, rest)
	}
	elements, _ := inner.([]any)
	var all []any
	for _, element := range elements {
		all = append(all, at(element, rest)...)
	}
	if len(all) == 0 {
		return []any{nil}
	}
	return all
}

// inputs returns a resource's inputs, with those that hold JSON decoded.
func inputs(r componenttest.Resource) map[string]any {
	all := map[string]any{}
	for name, value := range r.Inputs {
		all[name] = value
		if text, ok := value.(string); ok && strings.HasPrefix(text, "{") {
			var decoded any
			if json.Unmarshal([]byte(text), &decoded) == nil {
				all[name] = decoded
			}
		}
	}
	return all
}

// The functions below are the parts of rules: those that select resources, and those
// that return findings.

// types selects resources by their types.
func types(tokens ...string) func(componenttest.Resource) bool {
	return func(r componenttest.Resource) bool {
		for _, token := range tokens {
			if r.Type == token {
				return true
			}
		}
		return false
	}
}

type find = func(*recorded.Graph, componenttest.Resource) []finding

// each finds values of a property that are not as they have to be; one that is not
// set is nil.
func each(path string, good func(value any) bool) find {
	return func(_ *recorded.Graph, r componenttest.Resource) []finding {
		var found []finding
		for _, value := range at(inputs(r), path) {
			if !good(value) {
				found = append(found, finding{path, text(value)})
			}
		}
		return found
	}
}

// all returns the findings of all of several.
func all(finds ...find) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		var found []finding
		for _, f := range finds {
			found = append(found, f(g, r)...)
		}
		return found
	}
}

// of is a find for resources of one type only.
func of(token string, f find) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		if r.Type != token {
			return nil
		}
		return f(g, r)
	}
}

// is finds a property that has none of some values.
func is(path string, values ...any) find {
	return each(path, func(got any) bool { return among(got, values) })
}

// isNot finds a property that has one of some values; it need not be set.
func isNot(path string, values ...any) find {
	return each(path, func(got any) bool { return !among(got, values) })
}

func among(got any, values []any) bool {
	for _, value := range values {
		if text(got) == text(value) {
			return true
		}
	}
	return false
}

// present finds a property that is not set.
func present(path string) find {
	return each(path, func(got any) bool { return got != nil && got != "" })
}

// atLeast finds a number that is lower, or not set.
func atLeast(path string, least float64) find {
	return each(path, func(got any) bool {
		number, ok := got.(float64)
		return ok && number >= least
	})
}

// partOf finds that a part of a resource, which Pulumi declares as a resource of its
// own, is missing or not as it has to be. The part's property names the resource by
// one of its outputs.
func partOf(token, property, output string, f find) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		for _, part := range g.Resources {
			if part.Type != token || part.Inputs[property] != r.Outputs[output] {
				continue
			}
			found := f(g, part)
			for i := range found {
				found[i].property = part.Type + " " + part.Name + ": " + found[i].property
			}
			return found
		}
		return []finding{{token, notSet}}
	}
}

// ifSet checks only resources that have the property set.
func ifSet(path string, f find) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		if at(inputs(r), path)[0] == nil {
			return nil
		}
		return f(g, r)
	}
}

// anyOf returns the findings of the first one, if every one has findings.
func anyOf(finds ...find) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		var first []finding
		for _, f := range finds {
			found := f(g, r)
			if len(found) == 0 {
				return nil
			}
			if first == nil {
				first = found
			}
		}
		return first
	}
}
