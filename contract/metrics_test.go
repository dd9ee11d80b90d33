package contract

import (
	"reflect"
	"strings"
	"testing"
)

func TestEveryMetricIsMadeOfAFieldOfItsEvent(t *testing.T) {
	names := map[string]bool{}
	for _, m := range Metrics {
		if names[m.Name] {
			t.Errorf("two metrics are called %s", m.Name)
		}
		names[m.Name] = true
		for _, path := range []string{m.Field, m.DimensionField} {
			if path != "" && !hasField(reflect.TypeFor[Event](), strings.Split(path, ".")) {
				t.Errorf("%s: an event has no field %s", m.Name, path)
			}
		}
		if (m.Dimension == "") != (m.DimensionField == "") || (m.Dimension == "") != (len(m.Values) == 0) {
			t.Errorf("%s: a dimension has a field and a list of values", m.Name)
		}
	}
}

// hasField reports whether a struct has a field with this path of JSON names.
func hasField(t reflect.Type, path []string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(path) == 0 {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == path[0] {
			return hasField(t.Field(i).Type, path[1:])
		}
	}
	return false
}

func TestNoMetricHasADimensionWithManyValues(t *testing.T) {
	paid := 0
	for _, m := range Metrics {
		switch m.Dimension {
		case "", DimensionState, DimensionExit:
		default:
			t.Errorf("%s has the dimension %s: each value is a metric that is paid for", m.Name, m.Dimension)
		}
		paid += max(1, len(m.Values))
	}
	if paid > 30 {
		t.Errorf("the table makes up to %d metrics, which cost about $0.30 a month each", paid)
	}
}
