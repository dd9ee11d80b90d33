package config

import (
	"reflect"
	"time"
)

// Unit returns the unit of a setting that is a duration.
func (k Key) Unit() time.Duration { return k.unit }

// Range returns the bounds of a number; both are 0 if it has none.
func (k Key) Range() (low, high int) {
	if k.min == nil {
		return 0, 0
	}
	return *k.min, *k.max
}

// Values returns the only values of the key, or nil.
func (k Key) Values() []string { return k.values }

// Of returns the key's field.
func (k Key) Of(c *Config) any { return reflect.ValueOf(c).Elem().FieldByIndex(k.index).Interface() }
