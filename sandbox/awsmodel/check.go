package awsmodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is the kind of rule that a member violates.
type kind int

const (
	wrongType     kind = iota // it is not of the member's type
	unknownMember             // the model does not have it
	missing                   // it is required
	outOfBounds               // its value or length is too small or too large
	wrongPattern
	wrongEnum
)

// violation is a rule of the model that a call violates.
type violation struct {
	kind   kind
	at     path
	value  any
	hidden bool   // the value is a secret, or may hold one
	rule   string // e.g. "Member must not be null"
	text   string // the pattern of the rule
}

// check records the rules that a value violates. Its type was checked when it was
// parsed.
func (r *reader) check(ref *ref, value any, at path) {
	switch v := value.(type) {
	case object:
		if ref.shape.Type == "structure" {
			r.checkStructure(ref.shape, v, at)
		} else {
			r.checkMap(ref, v, at)
		}
	case []any:
		r.checkScalar(ref, v, at)
		r.checkItems(ref.shape, v, at)
	case nil, opaque, moment:
	default:
		r.checkScalar(ref, value, at)
	}
}

func (r *reader) checkStructure(sh *shape, value object, at path) {
	for _, name := range slices.Sorted(slices.Values(sh.Required)) {
		if value[name] == nil {
			r.note(missing, at.to(name, r.wire(sh, name)), "Member must not be null")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		r.check(sh.Members[name], value[name], at.to(name, r.wire(sh, name)))
	}
}

// checkItems checks a list's elements. AWS names an element that violates a rule
// of its own by the list alone, with all rules of elements.
func (r *reader) checkItems(sh *shape, items []any, at path) {
	if !sh.Member.shape.scalar() {
		for i, item := range items {
			r.check(sh.Member, item, at.item(i+1))
		}
		return
	}
	r.checkAll(sh, sh.Member, items, items, at, "Member must satisfy constraint: ")
}

func (r *reader) checkMap(ref *ref, value object, at path) {
	r.checkScalar(ref, value, at)
	var keys, values []any
	for _, key := range slices.Sorted(maps.Keys(value)) {
		keys = append(keys, key)
		values = append(values, value[key])
	}
	r.checkAll(ref.shape, ref.shape.Key, keys, value, at, "Map keys must satisfy constraint: ")
	if ref.shape.Value.shape.scalar() {
		r.checkAll(ref.shape, ref.shape.Value, values, value, at, "Map value must satisfy constraint: ")
		return
	}
	for i, item := range values {
		r.check(ref.shape.Value, item, at.entry(keys[i].(string)))
	}
}

// checkAll records one violation of the whole if any of its parts violates a rule.
func (r *reader) checkAll(sh *shape, part *ref, parts []any, whole any, at path, words string) {
	for _, item := range parts {
		broken := r.broken(part, item)
		if len(broken) == 0 {
			continue
		}
		rules := make([]string, 0, 4)
		for _, rule := range part.shape.rules {
			rules = append(rules, rule.words())
		}
		r.found = append(r.found, violation{
			kind: broken[0].kind, at: at, value: whole, hidden: sh.secret(),
			rule: words + "[" + strings.Join(rules, ", ") + "]",
		})
		return
	}
}

// checkScalar records each rule that a value, or a list or map as a whole, violates.
func (r *reader) checkScalar(ref *ref, value any, at path) {
	for _, rule := range r.broken(ref, value) {
		r.found = append(r.found, violation{kind: rule.kind, at: at, value: value, hidden: ref.shape.secret() && !empty(value), rule: rule.text, text: rule.pattern})
	}
}

// wire is a member's name as the call names it.
func (r *reader) wire(sh *shape, name string) string {
	ref := sh.Members[name]
	if r.Metadata.Protocol == "ec2" {
		return form{ec2: true}.name(name, ref)
	}
	return wireName(name, ref)
}

// rule is one of a shape's.
type rule struct {
	kind    kind
	text    string  // "Member must have length …"
	pattern string  // of a wrongPattern
	limit   float64 // of an outOfBounds
	most    bool    // the limit is the largest that is allowed, else the smallest
}

func (r rule) words() string {
	if r.pattern != "" {
		return r.text + " pattern: " + r.pattern
	}
	return r.text
}

// rulesOf returns a shape's rules in the order of AWS's messages.
func rulesOf(sh *shape) []rule {
	var rules []rule
	if sh.Pattern != "" {
		rules = append(rules, rule{kind: wrongPattern, text: "Member must satisfy regular expression", pattern: sh.Pattern})
	}
	what := "length"
	switch sh.Type {
	case "integer", "long", "float", "double":
		what = "value"
	}
	if sh.Max != nil {
		rules = append(rules, rule{kind: outOfBounds, text: fmt.Sprintf("Member must have %s less than or equal to %s", what, sh.Max), limit: number(*sh.Max), most: true})
	}
	if sh.Min != nil {
		rules = append(rules, rule{kind: outOfBounds, text: fmt.Sprintf("Member must have %s greater than or equal to %s", what, sh.Min), limit: number(*sh.Min)})
	}
	if len(sh.Enum) > 0 {
		rules = append(rules, rule{kind: wrongEnum, text: "Member must satisfy enum value set: [" + strings.Join(sh.Enum, ", ") + "]"})
	}
	return rules
}

// broken returns the rules that a value violates.
func (r *reader) broken(ref *ref, value any) []rule {
	if value == nil {
		return nil
	}
	var broken []rule
	for _, rule := range ref.shape.rules {
		if !r.holds(ref, rule, value) {
			broken = append(broken, rule)
		}
	}
	return broken
}

func (r *reader) holds(ref *ref, rule rule, value any) bool {
	if rule.kind == outOfBounds {
		n, sized := size(value)
		return !sized || rule.most && n <= rule.limit || !rule.most && n >= rule.limit
	}
	text, isText := value.(string)
	switch {
	case !isText:
		return true
	case rule.kind == wrongPattern:
		return r.pattern(rule.pattern).matches(text)
	}
	return slices.ContainsFunc(ref.shape.Enum, func(allowed string) bool {
		return allowed == text || ref.anyCase && strings.EqualFold(allowed, text)
	})
}

// empty reports whether a value is a list or a map without elements.
func empty(value any) bool {
	switch v := value.(type) {
	case []any:
		return len(v) == 0
	case object:
		return len(v) == 0
	}
	return false
}

// size returns the number that minimum and maximum limit: a number itself, else the
// length.
func size(value any) (float64, bool) {
	switch v := value.(type) {
	case json.Number:
		return number(v), true
	case string:
		return float64(utf8.RuneCountInString(v)), true
	case []byte:
		return float64(len(v)), true
	case []any:
		return float64(len(v)), true
	case object:
		return float64(len(v)), true
	}
	return 0, false
}

func number(n json.Number) float64 {
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil { // the reader lets only numbers through
		panic(err)
	}
	return f
}
