package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Known decodes the call's body and refuses, by name, members for which into has no
// field: the sandbox does not know them.
func (c *Call) Known(into any) error {
	sent := map[string]any{}
	if err := c.JSON(&sent); err != nil {
		return err
	}
	if list := Unknown(sent, reflect.TypeOf(into)); len(list) > 0 {
		return Unsupported("the sandbox does not know %s of %s", strings.Join(list, ", "), c.Operation)
	}
	return c.JSON(into)
}

// Unknown returns the paths of a decoded JSON value that a type does not have, by
// its json tags or else the names of its fields, in any case as encoding/json takes
// them. Empty values are ignored.
func Unknown(value any, t reflect.Type) []string { return unknown(value, t, "") }

func unknown(value any, t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var list []string
	switch value := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil // free keys, as tags have
		}
		for key, part := range value {
			field, known := fieldOf(t, key)
			switch {
			case empty(part):
			case !known:
				list = append(list, strings.TrimPrefix(path+"."+key, "."))
			default:
				list = append(list, unknown(part, field, path+"."+key)...)
			}
		}
	case []any:
		for i, part := range value {
			list = append(list, unknown(part, t.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	slices.Sort(list)
	return list
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); strings.EqualFold(cmp.Or(name, field.Name), key) {
			return field.Type, true
		}
	}
	return nil, false
}

func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case float64:
		return value == 0
	case json.Number:
		return value == "0"
	case []any:
		return len(value) == 0
	case map[string]any:
		for _, part := range value {
			if !empty(part) {
				return false
			}
		}
		return true
	}
	return false
}
