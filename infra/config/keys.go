package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Key is one key of the configuration, as the struct's tags declare it.
type Key struct {
	Name     string // without the namespace: "session.firstPort"
	Type     string // in Pulumi.yaml: string, integer, boolean, array (of strings) or object
	Default  string // as in a stack's file: text as it is, else JSON
	Required bool   // the default is not enough
	Allowed  string // the rule, in words
	Doc      string

	index    []int         // of the struct's field
	setting  string        // the field of contract.Settings that the key sets, or ""
	min, max *int          // of a setting that is a number
	values   []string      // the only ones of a setting
	unit     time.Duration // of a setting that is a duration
}

// Keys returns the keys in the struct's order.
func Keys() []Key { return keys }

var keys = withRules(collect(reflect.TypeFor[Config](), nil))

func collect(t reflect.Type, prefix []int) []Key {
	var found []Key
	for i := range t.NumField() {
		field, index := t.Field(i), append(slices.Clone(prefix), i)
		if name, ok := field.Tag.Lookup("key"); ok {
			found = append(found, newKey(name, field, index))
		} else if field.Type.Kind() == reflect.Struct {
			found = append(found, collect(field.Type, index)...)
		}
	}
	return found
}

func newKey(name string, field reflect.StructField, index []int) Key {
	tag := field.Tag.Get
	k := Key{
		Name: name, Type: typeOf(field.Type), Default: tag("default"), Required: tag("required") == "true",
		Allowed: tag("allowed"), Doc: tag("doc"), index: index,
	}
	if k.setting = tag("setting"); k.setting != "" {
		k.bySetting(tag("unit"))
	}
	if k.Allowed == "" {
		k.Allowed = k.inWords()
	}
	return k
}

// units are those of keys that set a duration.
var units = map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute}

// bySetting sets default and rule to those of the key's setting in the contract, in the
// key's own unit.
func (k *Key) bySetting(unit string) {
	s, divisor := contract.SettingOf(k.setting), 1
	if k.unit = units[unit]; k.unit > 0 {
		divisor = int(k.unit / time.Second)
	}
	k.Default, k.values = s.Default, s.Values
	if s.Max > 0 {
		low, high := (s.Min+divisor-1)/divisor, s.Max/divisor
		k.min, k.max = &low, &high
	}
	if n, err := strconv.Atoi(s.Default); err == nil {
		k.Default = strconv.Itoa(n / divisor)
	}
}

// keyNamed returns the key of a name.
func keyNamed(name string) Key {
	return keys[slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })]
}

// Setting returns the field of contract.Settings that the key sets, or "".
func (k Key) Setting() string { return k.setting }

// settingKeys returns the keys of contract.Settings by property.
func settingKeys() map[string]string {
	all := map[string]string{}
	for _, k := range keys {
		if k.setting != "" {
			all[contract.SettingOf(k.setting).Property()] = k.Name
		}
	}
	return all
}

// typeOf returns a field's type in Pulumi.yaml.
func typeOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[[]User](), t.Kind() == reflect.Map:
		return "object"
	case t.Kind() == reflect.Slice:
		return "array"
	}
	return map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Bool: "boolean"}[t.Kind()]
}

func (k Key) inWords() string {
	switch {
	case k.min != nil:
		return fmt.Sprintf("a whole number from %d to %d", *k.min, *k.max)
	case k.values != nil:
		return strings.Join(k.values[:len(k.values)-1], ", ") + " or " + k.values[len(k.values)-1]
	}
	if k.Type == "boolean" {
		return "true or false"
	}
	return "" // a component's rule says it
}

// parse sets each key's field.
func (v *validator) parse(from Source) {
	for _, k := range keys {
		k.parse(from, v)
	}
}

// parse sets the key's field to its value or, if there is none or it is not valid, to
// its default.
func (k Key) parse(from Source, v *validator) {
	text, set := from.GetConfig(path(k.Name))
	if set && !k.assign(text, v) {
		v.faults.Add(path(k.Name), shown(text), k.Allowed)
		set = false
	}
	if !set && !k.assign(k.Default, v) {
		panic("config: the default of " + k.Name + " is not valid by its own tags")
	}
}

// shown returns a value as the stack's file has it: text in quotes, everything else
// as JSON.
func shown(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// assign sets the key's field to a value, and reports whether that is valid.
func (k Key) assign(text string, v *validator) bool {
	ok := true
	switch field := reflect.ValueOf(v.Config).Elem().FieldByIndex(k.index).Addr().Interface().(type) {
	case *string:
		*field = text
	case *int:
		n, err := strconv.Atoi(text)
		ok = err == nil && (k.min == nil || n >= *k.min && n <= *k.max)
		*field = n
	case *bool:
		*field, ok = text == "true", text == "true" || text == "false"
	case *[]User:
		*field, ok = parseUsers(text, v)
	default: // a list or a map
		reflect.ValueOf(field).Elem().SetZero() // Unmarshal would add to a map
		ok = json.Unmarshal([]byte(text), field) == nil
	}
	return ok && (k.values == nil || slices.Contains(k.values, text))
}

// parseUsers reads users, sorted by name. A malformed entry is a fault of its
// own, so that the others are looked at too.
func parseUsers(text string, v *validator) ([]User, bool) {
	var entries map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &entries) != nil {
		return nil, false
	}
	users := make([]User, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		user, entry := User{Name: name}, entries[name]
		decoder := json.NewDecoder(strings.NewReader(string(entry)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&user); err != nil { // `name:` alone is null, and fine
			v.faults.Add(path("users."+name), entry, "{notify: e-mail address}, or no value")
		}
		users = append(users, user)
	}
	return users, true
}

// unknownKeys adds a fault for each misspelt key, which would have no effect.
//
// A source has no list of its configuration. `pulumi up` hands it to the program in
// pulumi.EnvConfig too. Without that variable only the commonest mistake is found: a
// group written as an object, which is the effect of `pulumi config set --path
// session.firstPort`.
func unknownKeys(from Source, f *faults.Faults) {
	known := map[string]bool{}
	unknown, groups := map[string]bool{}, map[string]bool{}
	for _, k := range Keys() {
		known[path(k.Name)] = true
		group, _, dotted := strings.Cut(k.Name, ".")
		if _, set := from.GetConfig(path(group)); dotted && set {
			groups[path(group)] = true
		}
	}
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(os.Getenv(pulumi.EnvConfig)), &all) == nil {
		for name := range all {
			if strings.HasPrefix(name, contract.Product+":") && !known[name] && !groups[name] {
				unknown[name] = true
			}
		}
	}
	for _, name := range sorted(groups) {
		f.Addf("%s is no key but a group of keys; set each of them by itself: `pulumi config set` without --path", name)
	}
	for _, name := range sorted(unknown) {
		f.Unknown(name, sorted(known))
	}
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for name := range set {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
