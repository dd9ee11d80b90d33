package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Pattern is a rule's event pattern (EventBridge user guide, "Comparison
// operators for use in event patterns").
type Pattern struct{ root fields }

// ParsePattern refuses what AWS refuses and what the sandbox does not know, all
// faults at once: what is not understood never matches nor fails to in silence.
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

// Matches tells whether an event has what the pattern asks for.
func (p Pattern) Matches(e Event) bool { return p.root.matches(e.tree()) }

// node is what a pattern asks of a field.
type node interface{ matches(value any) bool }

// absent is the value of a field that is not there; JSON's null is nil.
type absent struct{}

// fields asks something of each of an object's fields, and of each list of
// alternatives that one of them holds.
type fields struct {
	named        map[string]node
	alternatives [][]node
}

func (f fields) matches(value any) bool {
	if list, is := value.([]any); is { // one of its objects has to have all of it
		return slices.ContainsFunc(list, f.matches)
	}
	object, _ := value.(map[string]any) // of anything else every field is absent
	for name, wanted := range f.named {
		got, there := object[name]
		if !there {
			got = absent{}
		}
		if !wanted.matches(got) {
			return false
		}
	}
	for _, some := range f.alternatives {
		if !slices.ContainsFunc(some, func(n node) bool { return n.matches(value) }) {
			return false
		}
	}
	return true
}

// test looks at one value: a string, a number, true, false, null, or absent.
type test func(value any) bool

// leaf holds where one of its tests does, of a list for one of its items.
type leaf []test

func (l leaf) matches(value any) bool {
	for _, item := range scalars(value) {
		if slices.ContainsFunc(l, func(t test) bool { return t(item) }) {
			return true
		}
	}
	return false
}

// scalars are a value's leaves. An object has none of its own, so it counts as
// absent, as AWS says of "exists"; so does an empty list.
func scalars(value any) []any {
	switch value := value.(type) {
	case map[string]any:
		return []any{absent{}}
	case []any:
		var all []any
		for _, item := range value {
			all = append(all, scalars(item)...)
		}
		if len(all) == 0 {
			return []any{absent{}}
		}
		return all
	}
	return []any{value}
}

func parseFields(path string, object map[string]any) (fields, error) {
	f := fields{named: map[string]node{}}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		var err error
		at := strings.TrimPrefix(path+"."+name, ".")
		switch value := object[name].(type) {
		case map[string]any:
			f.named[name], err = parseFields(at, value)
		case []any:
			if name == "$or" {
				var some []node
				some, err = parseAlternatives(at, path, value)
				f.alternatives = append(f.alternatives, some)
			} else {
				f.named[name], err = parseLeaf(at, value)
			}
		default:
			err = fmt.Errorf("%s has to be an object or a list", at)
		}
		faults = append(faults, err)
	}
	return f, errors.Join(faults...)
}

func parseAlternatives(at, path string, list []any) ([]node, error) {
	if len(list) < 2 {
		return nil, fmt.Errorf("%s has to have at least two alternatives", at)
	}
	var some []node
	var faults []error
	for _, item := range list {
		object, is := item.(map[string]any)
		if !is {
			faults = append(faults, fmt.Errorf("%s has to be a list of objects", at))
			continue
		}
		n, err := parseFields(path, object)
		some, faults = append(some, n), append(faults, err)
	}
	return some, errors.Join(faults...)
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

// parseTest reads a plain value or an operator. Numbers are equal as they are
// written: on AWS, 300 is not 3.0e2 (user guide, "Event patterns").
func parseTest(item any) (test, error) {
	object, is := item.(map[string]any)
	if !is {
		if _, list := item.([]any); list {
			return nil, errors.New("a list in a list")
		}
		return func(value any) bool { return value == item }, nil
	}
	if len(object) != 1 {
		return nil, fmt.Errorf("an operator has to stand alone, not %d together", len(object))
	}
	for name, operand := range object {
		parse, known := operators[name]
		if !known {
			return nil, fmt.Errorf("the sandbox knows no operator %q: %s", name, strings.Join(slices.Sorted(maps.Keys(operators)), ", "))
		}
		t, err := parse(operand)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", name, encode(operand), err)
		}
		return t, nil
	}
	panic("it has one key")
}

// operators are EventBridge's by name.
var operators map[string]func(operand any) (test, error)

func init() { // anything-but takes some of them itself
	operators = map[string]func(any) (test, error){
		"prefix": affix(strings.HasPrefix), "suffix": affix(strings.HasSuffix),
		"equals-ignore-case": text(strings.EqualFold), "wildcard": parseWildcard,
		"anything-but": parseAnythingBut, "numeric": parseNumeric, "cidr": parseCIDR, "exists": parseExists,
	}
}

var errNoText = errors.New("has to be a string")

func text(holds func(value, operand string) bool) func(any) (test, error) {
	return func(operand any) (test, error) {
		want, is := operand.(string)
		if !is {
			return nil, errNoText
		}
		return func(value any) bool {
			got, is := value.(string)
			return is && holds(got, want)
		}, nil
	}
}

// affix takes a string, or one whose case is to be ignored.
func affix(holds func(value, operand string) bool) func(any) (test, error) {
	return func(operand any) (test, error) {
		object, is := operand.(map[string]any)
		if !is {
			return text(holds)(operand)
		}
		folded, has := object["equals-ignore-case"]
		if !has || len(object) != 1 {
			return nil, errors.New(`has to be a string or {"equals-ignore-case": STRING}`)
		}
		return text(func(value, want string) bool { return holds(strings.ToLower(value), strings.ToLower(want)) })(folded)
	}
}

// parseWildcard takes "*" for any number of characters; `\*` and `\\` are those
// characters.
func parseWildcard(operand any) (test, error) {
	want, is := operand.(string)
	if !is {
		return nil, errNoText
	}
	var expression strings.Builder
	for i := 0; i < len(want); i++ {
		switch {
		case want[i] == '\\' && (i+1 == len(want) || !strings.ContainsRune(`*\`, rune(want[i+1]))):
			return nil, errors.New(`a backslash has to stand before "*" or another one`)
		case want[i] == '\\':
			i++
			expression.WriteString(regexp.QuoteMeta(want[i : i+1]))
		case want[i] == '*' && strings.HasPrefix(want[i+1:], "*"):
			return nil, errors.New(`"*" must not follow "*"`)
		case want[i] == '*':
			expression.WriteString(".*")
		default:
			expression.WriteString(regexp.QuoteMeta(want[i : i+1]))
		}
	}
	whole, err := regexp.Compile(`(?s)^` + expression.String() + `$`)
	if err != nil {
		return nil, err
	}
	return func(value any) bool {
		got, is := value.(string)
		return is && whole.MatchString(got)
	}, nil
}

// butOperators are those that anything-but turns round.
var butOperators = []string{"prefix", "suffix", "equals-ignore-case", "wildcard"}

// parseAnythingBut takes a string, a number, a list of either, or an operator
// with one operand or several. An absent field is nothing at all.
func parseAnythingBut(operand any) (test, error) {
	unwanted, err := unwantedTests(operand)
	if err != nil {
		return nil, err
	}
	return func(value any) bool {
		return value != absent{} && !slices.ContainsFunc(unwanted, func(t test) bool { return t(value) })
	}, nil
}

func unwantedTests(operand any) ([]test, error) {
	parse := parsePlain
	if object, is := operand.(map[string]any); is {
		name := ""
		for key := range object {
			name = key
		}
		if len(object) != 1 || !slices.Contains(butOperators, name) {
			return nil, fmt.Errorf("takes one of %s", strings.Join(butOperators, ", "))
		}
		parse, operand = operators[name], object[name]
	}
	list, is := operand.([]any)
	if !is {
		list = []any{operand}
	}
	if len(list) == 0 {
		return nil, errors.New("an empty list")
	}
	var tests []test
	for _, item := range list {
		t, err := parse(item)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func parsePlain(operand any) (test, error) {
	switch want := operand.(type) {
	case string:
		return func(value any) bool { return value == want }, nil
	case json.Number:
		return parseNumeric([]any{"=", want})
	}
	return nil, errors.New("has to be strings or numbers")
}

// comparisons are numeric's, by the sign of the difference.
var comparisons = map[string]func(sign int) bool{
	"=": func(s int) bool { return s == 0 },
	"<": func(s int) bool { return s < 0 }, "<=": func(s int) bool { return s <= 0 },
	">": func(s int) bool { return s > 0 }, ">=": func(s int) bool { return s >= 0 },
}

// parseNumeric takes one comparison or two, all of which have to hold.
func parseNumeric(operand any) (test, error) {
	list, _ := operand.([]any)
	if len(list) != 2 && len(list) != 4 {
		return nil, errors.New("has to be a list of one comparison or two, each with its number")
	}
	var all []func(float64) bool
	for i := 0; i < len(list); i += 2 {
		sign, _ := list[i].(string)
		holds, known := comparisons[sign]
		limit, is := number(list[i+1])
		if !known || !is {
			return nil, fmt.Errorf("%s is no comparison: one of = < <= > >= and a number from -1e9 to 1e9", encode(list[i:i+2]))
		}
		all = append(all, func(got float64) bool {
			switch {
			case got < limit:
				return holds(-1)
			case got > limit:
				return holds(1)
			}
			return holds(0)
		})
	}
	return func(value any) bool {
		got, is := number(value)
		return is && !slices.ContainsFunc(all, func(holds func(float64) bool) bool { return !holds(got) })
	}, nil
}

// number is a JSON number in the range that AWS compares.
func number(value any) (float64, bool) {
	written, is := value.(json.Number)
	if !is {
		return 0, false
	}
	n, err := written.Float64()
	return n, err == nil && n >= -1e9 && n <= 1e9
}

func parseCIDR(operand any) (test, error) {
	want, _ := operand.(string)
	network, err := netip.ParsePrefix(want)
	if err != nil {
		return nil, errors.New("has to be an address range, e.g. 10.0.0.0/24")
	}
	return func(value any) bool {
		got, _ := value.(string)
		address, err := netip.ParseAddr(got)
		return err == nil && network.Contains(address)
	}, nil
}

func parseExists(operand any) (test, error) {
	want, is := operand.(bool)
	if !is {
		return nil, errors.New("has to be true or false")
	}
	return func(value any) bool { return (value != absent{}) == want }, nil
}
