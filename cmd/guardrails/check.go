package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// rule is one row of the table.
type rule struct {
	name    string
	control string // of AWS Foundational Security Best Practices unless it says otherwise
	holds   string // the requirement on every resource
	fix     string
	on      func(componenttest.Resource) bool // the resources that it is held against
	find    func(*recorded.Graph, componenttest.Resource) []finding
}

// finding is a property of a resource that breaks a rule. In a policy the property
// is the statement's Sid, followed by the action if the rule is about resources, and
// the value is the part that is too wide.
type finding struct{ property, value string }

// exception is a violation that was reviewed and accepted.
type exception struct {
	rule     string
	resource string // TYPE NAME, with * for any text
	property string // as in the finding; "": any
	// actions is the end of the property, a statement's actions, with * for any
	// text; without any, the property is the whole.
	actions []string
	value   string // as in the finding, or how that ends if this begins with ":"; "": any
	in      string // the environment's name; "": any
	when    string // the configuration key that must be true; "": always
	reason  string
}

func (e exception) String() string {
	text := strings.Join(strings.Fields(e.rule+": "+e.resource+" "+e.property+" "+strings.Join(e.actions, ", ")+" "+e.value), " ")
	if e.when != "" {
		text += " (" + e.when + ")"
	}
	return text
}

// properties returns the patterns of the properties that an exception is made for.
func (e exception) properties() []string {
	if len(e.actions) == 0 {
		return []string{e.property}
	}
	var all []string
	for _, action := range e.actions {
		all = append(all, e.property+" "+action)
	}
	return all
}

// excepts reports whether an exception is made for a violation, and for which of
// its properties.
func (e exception) excepts(g *recorded.Graph, v violation) (property string, yes bool) {
	within := e.rule == v.rule.name && like(e.resource, v.resource) && e.accepts(v.value) &&
		(e.in == "" || e.in == g.Name) &&
		(e.when == "" || g.Set[contract.Product+":"+e.when] == "true")
	if !within {
		return "", false
	}
	for _, pattern := range e.properties() {
		if pattern == "" || like(pattern, v.property) {
			return pattern, true
		}
	}
	return "", false
}

func (e exception) accepts(value string) bool {
	return e.value == "" || e.value == value || e.value[0] == ':' && strings.HasSuffix(value, e.value)
}

// dormant reports whether no environment sets the key that an exception is for.
func (e exception) dormant(graphs []*recorded.Graph) bool {
	return e.when != "" && !slices.ContainsFunc(graphs, func(g *recorded.Graph) bool {
		return g.Set[contract.Product+":"+e.when] == "true"
	})
}

// like reports whether a text is of a pattern in which * is any text.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

// violation is a finding that no exception is made for.
type violation struct {
	environment string
	rule        rule
	resource    string // TYPE NAME
	finding
}

func (v violation) String() string {
	return fmt.Sprintf("%s: %s (%s): %s: %s is %s; allowed: %s\n    fix: %s",
		v.environment, v.rule.name, v.rule.control, v.resource, v.property, v.value, v.rule.holds, v.rule.fix)
}

// result is the result of a check.
type result struct {
	environments []string
	rules        []rule
	exceptions   []exception
	checked      map[string]map[string]int // by environment and rule
	used         []map[string]bool         // of each exception, the environments and properties
	violations   []violation
	stale        []string // exceptions, or properties of them, that match nothing any more
}

// check holds every environment against every rule.
func check(rules []rule, exceptions []exception, graphs []*recorded.Graph) result {
	r := result{rules: rules, exceptions: exceptions, checked: map[string]map[string]int{}}
	for range exceptions {
		r.used = append(r.used, map[string]bool{})
	}
	for _, g := range graphs {
		r.environments = append(r.environments, g.Name)
		r.checked[g.Name] = map[string]int{}
		for _, rule := range rules {
			for _, res := range g.Resources {
				if !rule.on(res) {
					continue
				}
				r.checked[g.Name][rule.name]++
				for _, found := range rule.find(g, res) {
					r.take(g, violation{g.Name, rule, res.Type + " " + res.Name, found})
				}
			}
		}
	}
	for i, e := range exceptions {
		for _, property := range e.properties() {
			if !r.used[i][property] && !e.dormant(graphs) {
				r.stale = append(r.stale, fmt.Sprintf("%s: for %q", e, property))
			}
		}
	}
	return r
}

// inEnvironment begins the names of environments among an exception's uses.
const inEnvironment = "in "

// take keeps a violation, unless there is an exception for it.
func (r *result) take(g *recorded.Graph, v violation) {
	excepted := false
	for i, e := range r.exceptions {
		if property, yes := e.excepts(g, v); yes {
			excepted = true
			r.used[i][property], r.used[i][inEnvironment+g.Name] = true, true
		}
	}
	if !excepted {
		r.violations = append(r.violations, v)
	}
}

// err returns all that is wrong, one a line.
func (r result) err() error {
	var lines []string
	for _, v := range r.violations {
		lines = append(lines, "  - "+v.String())
	}
	for _, e := range r.stale {
		lines = append(lines, fmt.Sprintf("  - an exception matches nothing any more: %s\n    fix: remove it from cmd/guardrails/exceptions.go", e))
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d violations, %d stale exceptions:\n%s", len(r.violations), len(r.stale), strings.Join(lines, "\n"))
}
