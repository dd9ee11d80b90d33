package batch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unsupported returns the paths of a decoded JSON value that a type does not have:
// this Batch would silently ignore them. Empty values are ignored.
func unsupported(value any, t reflect.Type, path string) []string {
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
				list = append(list, unsupported(part, field, path+"."+key)...)
			}
		}
	case []any:
		for i, part := range value {
			list = append(list, unsupported(part, t.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	slices.Sort(list)
	return list
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name == key {
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
