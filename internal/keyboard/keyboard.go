// Package keyboard lists the keys that a script may press, by the names that browsers
// give to them.
package keyboard

import (
	"fmt"
	"maps"
	"slices"
)

// Key is a key of a keyboard with the American layout.
type Key struct {
	// Code is its KeyboardEvent.code, which names its place: "KeyW"
	// (https://www.w3.org/TR/uievents-code/).
	Code string
	// Value is its KeyboardEvent.key, which names its meaning: "w"
	// (https://www.w3.org/TR/uievents-key/).
	Value string
	// Number is its KeyboardEvent.keyCode, a virtual-key code of Windows
	// (https://www.w3.org/TR/uievents/#legacy-key-models).
	Number int64
}

// Find returns the key with a code.
func Find(code string) (Key, bool) {
	key, found := keys[code]
	return key, found
}

// Codes returns the codes of all keys, sorted.
func Codes() []string { return slices.Sorted(maps.Keys(keys)) }

// special are the keys that are neither letters, digits nor function keys. The key of the
// operating system and the locks are left out: a browser or its system keeps them.
var special = []Key{
	{"AltLeft", "Alt", 18}, {"ControlLeft", "Control", 17}, {"ShiftLeft", "Shift", 16},
	{"ArrowDown", "ArrowDown", 40}, {"ArrowLeft", "ArrowLeft", 37}, {"ArrowRight", "ArrowRight", 39}, {"ArrowUp", "ArrowUp", 38},
	{"Backspace", "Backspace", 8}, {"Enter", "Enter", 13}, {"Escape", "Escape", 27}, {"Space", " ", 32}, {"Tab", "Tab", 9},
	{"Delete", "Delete", 46}, {"End", "End", 35}, {"Home", "Home", 36}, {"Insert", "Insert", 45}, {"PageDown", "PageDown", 34}, {"PageUp", "PageUp", 33},
}

var keys = func() map[string]Key {
	all := map[string]Key{}
	add := func(k Key) { all[k.Code] = k }
	for _, k := range special {
		add(k)
	}
	for letter := 'A'; letter <= 'Z'; letter++ {
		add(Key{"Key" + string(letter), string(letter + 'a' - 'A'), int64(letter)})
	}
	for digit := '0'; digit <= '9'; digit++ {
		add(Key{"Digit" + string(digit), string(digit), int64(digit)})
	}
	for n := int64(1); n <= 12; n++ {
		name := fmt.Sprintf("F%d", n)
		add(Key{name, name, 111 + n})
	}
	return all
}()
