package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// difference is the change of one property: its old and new value in Markdown, or the
// added and removed parts of a longer text or list.
type difference struct {
	path     string
	old, new string
	lines    []string
}

// differences compares the old and the new inputs. The preview names the properties that
// differ, without their values.
func (s step) differences() []difference {
	if s.OldState == nil || s.NewState == nil || s.Op == "same" {
		return nil
	}
	found := compare("", s.OldState.Inputs, s.NewState.Inputs)
	// Further differences that the provider sees: secrets, which look alike here, or
	// changes by hand.
	for _, path := range slices.Concat(slices.Sorted(maps.Keys(s.DetailedDiff)), s.DiffReasons, s.ReplaceReasons) {
		name := path[:len(path)-len(strings.TrimLeft(path, letters))]
		if name == "" || name == "id" || slices.ContainsFunc(found, func(d difference) bool { return within(d.path, name) }) {
			continue
		}
		d := difference{path: name, old: "what is there", new: "another value"}
		if _, secret := s.NewState.Inputs[name].(sealed); secret {
			d.old, d.new = notShown, "another"
		}
		found = append(found, d)
	}
	for i, d := range found {
		if d.new == whenDeployed {
			found[i].new += s.follows(d.path)
		}
	}
	slices.SortStableFunc(found, func(a, b difference) int { return strings.Compare(a.path, b.path) })
	return found
}

const (
	letters      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	notShown     = "a value that is not shown"
	whenDeployed = "known only when deployed"
)

// within reports whether a path is a property or inside it.
func within(path, property string) bool {
	rest, ok := strings.CutPrefix(path, property)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// follows returns the changed resources that a property depends on.
func (s step) follows(path string) string {
	var names []string
	for property, urns := range s.NewState.PropertyDependencies {
		for _, urn := range urns {
			if within(path, property) && s.changing[urn] {
				names = append(names, nameOf(urn))
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", from " + listed(names)
}

// compare compares two sealed values.
func compare(path string, before, after any) []difference {
	switch old := before.(type) {
	case map[string]any:
		if now, ok := after.(map[string]any); ok {
			return compareMaps(path, ".%s", old, now)
		}
	case []any:
		if now, ok := after.([]any); ok {
			return compareLists(path, old, now)
		}
	case lines:
		if now, ok := after.(lines); ok && !same(old, now) {
			return []difference{{path: path, lines: changedLines(old, now)}}
		}
	}
	if same(before, after) {
		return nil
	}
	d := difference{path: path, old: shown(before), new: shown(after)}
	if _, ok := before.(string); !ok && d.new == whenDeployed {
		d.old = "" // it says nothing without the new one
	}
	return []difference{d}
}

func compareMaps(path, format string, before, after map[string]any) []difference {
	var found []difference
	for _, key := range union(before, after) {
		inner := path + fmt.Sprintf(format, key)
		if path == "" {
			inner = key
		}
		found = append(found, compare(inner, before[key], after[key])...)
	}
	return found
}

func union(a, b map[string]any) []string {
	keys := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// compareLists compares entries that have names by name, others by place.
func compareLists(path string, before, after []any) []difference {
	for _, key := range []string{"name", "Sid", "sid", "type", "key"} {
		old, ok1 := byName(before, key)
		now, ok2 := byName(after, key)
		if ok1 && ok2 {
			return compareMaps(path, "[%s]", old, now)
		}
	}
	if len(before) != len(after) || flat(before) && flat(after) {
		return compareWhole(path, before, after)
	}
	var found []difference
	for i := range before {
		found = append(found, compare(fmt.Sprintf("%s[%d]", path, i), before[i], after[i])...)
	}
	return found
}

// byName returns a list of objects as a map by one of their properties. Of a pair, such
// as an environment variable's name and value, only the value is kept.
func byName(list []any, key string) (map[string]any, bool) {
	named := map[string]any{}
	for _, item := range list {
		object, _ := item.(map[string]any)
		name, ok := object[key].(string)
		if _, twice := named[name]; !ok || twice {
			return nil, false
		}
		rest := maps.Clone(object)
		delete(rest, key)
		named[name] = rest
		for _, only := range []string{"value", "valueFrom"} {
			if value, ok := rest[only]; ok && len(rest) == 1 {
				named[name] = value
			}
		}
	}
	return named, true
}

func flat(list []any) bool {
	return !slices.ContainsFunc(list, func(item any) bool {
		switch item.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

// compareWhole shows short lists whole, and the added and removed entries of long ones.
func compareWhole(path string, before, after []any) []difference {
	switch {
	case same(before, after):
		return nil
	case max(len(asJSON(before)), len(asJSON(after))) <= longest:
		return []difference{{path: path, old: shown(before), new: shown(after)}}
	}
	return []difference{{path: path, lines: changedLines(eachAsJSON(before), eachAsJSON(after))}}
}

func eachAsJSON(list []any) lines {
	var texts lines
	for _, item := range list {
		texts = append(texts, asJSON(item))
	}
	return texts
}

// changedLines returns the lines that only one of two texts has.
func changedLines(before, after lines) []string {
	var changed []string
	only := func(mark string, list, other lines) {
		for _, line := range list {
			if !slices.Contains(other, line) {
				changed = append(changed, mark+shortened(line))
			}
		}
	}
	only("- ", before, after)
	only("+ ", after, before)
	if changed == nil {
		return []string{"  the same, in another order or number"}
	}
	return changed
}

func same(a, b any) bool { return asJSON(a) == asJSON(b) }

// asJSON returns a value as JSON with sorted keys.
func asJSON(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // it came from JSON
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// shown returns a value in Markdown, shortened.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case sealed:
		return notShown
	case unknown:
		return whenDeployed
	case string:
		return code(shortened(v))
	case lines:
		return code(shortened(strings.Join(v, " ")))
	}
	return code(shortened(asJSON(value)))
}

// longest is the greatest length of a shown value, in characters.
const longest = 90

var digest = regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`)

// shortened returns the beginning and the end of a longer text, in one line.
func shortened(text string) string {
	runes := []rune(digest.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1…"))
	if len(runes) <= longest {
		return string(runes)
	}
	return string(runes[:longest*2/3]) + "…" + string(runes[len(runes)-longest/4:])
}

// MarshalJSON writes a sealed value that is inside another.
func (s sealed) MarshalJSON() ([]byte, error) {
	return json.Marshal(fmt.Sprintf("[hidden %d]", int(s)))
}

// MarshalJSON writes an unknown value that is inside another.
func (unknown) MarshalJSON() ([]byte, error) { return json.Marshal("[" + whenDeployed + "]") }
