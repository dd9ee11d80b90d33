package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
)

// preview is the part of the output of `pulumi preview --json` that is read:
// display.PreviewDigest of the engine's source.
type preview struct {
	Config        config.Values  `json:"config"` // of the stack, with secrets hidden
	Steps         []step         `json:"steps"`
	Diagnostics   []diagnostic   `json:"diagnostics"`
	ChangeSummary map[string]int `json:"changeSummary"`

	sealer sealer
}

type step struct {
	Op             string              `json:"op"`
	URN            string              `json:"urn"`
	OldState       *state              `json:"oldState"`
	NewState       *state              `json:"newState"`
	DiffReasons    []string            `json:"diffReasons"`
	ReplaceReasons []string            `json:"replaceReasons"`
	DetailedDiff   map[string]struct{} `json:"detailedDiff"`

	changing map[string]bool // the URNs of all that the preview would change
}

type state struct {
	Delete               bool                `json:"delete"` // left over from an earlier replacement
	Parent               string              `json:"parent"`
	Protect              bool                `json:"protect"`
	Inputs               map[string]any      `json:"inputs"`
	Outputs              map[string]any      `json:"outputs"`
	PropertyDependencies map[string][]string `json:"propertyDependencies"`
}

type diagnostic struct {
	URN      string `json:"urn"`
	Prefix   string `json:"prefix"`
	Message  string `json:"message"`
	Severity string `json:"severity"`
}

// read reads the JSON. Other output may come before it.
func read(text []byte) (preview, error) {
	var p preview
	start := bytes.IndexByte(text, '{')
	if start < 0 {
		return p, errors.New("it printed no JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text[start:]))
	decoder.UseNumber() // numbers stay as they were written
	if err := decoder.Decode(&p); err != nil {
		return preview{}, fmt.Errorf("its JSON can't be read: %w", err)
	}
	p.seal()
	if p.ChangeSummary == nil {
		return p, errors.New("its JSON has no changeSummary: it did not come to its end")
	}
	return p, nil
}

// operation is the operation on a resource, in the order of the summary.
type operation int

const (
	replaces operation = iota
	deletes
	changes
	creates
	protects // nothing changes but the protection against deletion
)

var verbs = [...]string{"replaces", "deletes", "changes", "creates", "changes the protection of"}

// operations lists the engine's operations; those that aren't here change nothing. A
// replacement may come as up to three steps.
var operations = map[string]operation{
	"create": creates, "import": creates,
	"update":  changes,
	"replace": replaces, "create-replacement": replaces, "delete-replaced": replaces, "import-replacement": replaces,
	"delete": deletes,
}

// change is a resource that the preview would change.
type change struct {
	step
	operation   operation
	kind        kind
	name        string
	differences []difference
	isLeftover  bool // a deletion of what an earlier deployment could not delete
}

const rootType = "pulumi:pulumi:Stack"

// typeOf returns the last type of a URN's chain: urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME.
func typeOf(urn string) string {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) < 4 {
		return ""
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:]
}

func nameOf(urn string) string {
	if parts := strings.SplitN(urn, "::", 4); len(parts) == 4 {
		return parts[3]
	}
	return urn
}

// state returns the best known state of the resource.
func (s step) state() *state {
	if s.NewState != nil {
		return s.NewState
	}
	if s.OldState != nil {
		return s.OldState
	}
	return &state{}
}

// component returns the name and type of the component that the resource belongs to.
func (c change) component() (name, typ string) {
	parent := c.state().Parent
	if typeOf(parent) == rootType || parent == "" {
		return "", ""
	}
	return nameOf(parent), typeOf(parent)
}

// user returns the user that the resource belongs to, or "".
func (c change) user() string {
	for _, s := range []*state{c.NewState, c.OldState} {
		if s == nil {
			continue
		}
		if tags, ok := s.Inputs["tags"].(map[string]any); ok {
			if user, ok := tags[contract.TagUser].(string); ok {
				return user
			}
		}
	}
	return ""
}

// changes returns the changes in the order of the summary. Components are left out: they
// change with their resources.
func (p preview) changes() []change {
	byURN, changing := map[string]change{}, map[string]bool{}
	for _, s := range p.Steps {
		if _, ok := operations[s.Op]; ok {
			changing[s.URN] = true
		}
	}
	for _, s := range p.Steps {
		s.changing = changing
		typ := typeOf(s.URN)
		kind, known := kinds[typ]
		if typ == rootType || (!known && strings.HasPrefix(typ, "dcv:")) {
			continue
		}
		if !known {
			kind = unknownKind(typ)
		}
		op, ok := operations[s.Op]
		if s.Op == "same" && s.OldState != nil && s.NewState != nil && s.OldState.Protect != s.NewState.Protect {
			op, ok = protects, true
		}
		if !ok {
			continue
		}
		key := s.URN
		leftover := op == deletes && s.OldState != nil && s.OldState.Delete
		if leftover {
			key += " left over" // the resource itself may have a step of its own
		}
		if earlier, there := byURN[key]; there && op == replaces { // one replacement, several steps
			s = completed(s, earlier.step)
		}
		byURN[key] = change{step: s, operation: op, kind: kind, name: nameOf(s.URN), differences: s.differences(), isLeftover: leftover}
	}
	return slices.SortedFunc(maps.Values(byURN), func(a, b change) int {
		return cmp.Or(cmp.Compare(a.operation, b.operation), cmp.Compare(a.kind.words, b.kind.words), cmp.Compare(a.URN, b.URN), cmp.Compare(a.Op, b.Op))
	})
}

func completed(s, other step) step {
	if s.OldState == nil {
		s.OldState = other.OldState
	}
	if s.NewState == nil {
		s.NewState = other.NewState
	}
	if s.ReplaceReasons == nil {
		s.ReplaceReasons = other.ReplaceReasons
	}
	return s
}

// root returns the stack's own state before the change, which has its outputs.
func (p preview) root() *state {
	for _, s := range p.Steps {
		if typeOf(s.URN) == rootType && s.OldState != nil {
			return s.OldState
		}
	}
	return nil
}

func (p preview) of(severity string) []diagnostic {
	var list []diagnostic
	for _, d := range p.Diagnostics {
		if d.Severity == severity {
			list = append(list, d)
		}
	}
	return list
}
