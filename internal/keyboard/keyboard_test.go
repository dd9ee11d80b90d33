package keyboard_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

func TestAKeyIsFoundByItsCode(t *testing.T) {
	for _, want := range []keyboard.Key{
		{"KeyA", "a", 65}, {"KeyZ", "z", 90}, {"Digit0", "0", 48}, {"Digit9", "9", 57}, {"F1", "F1", 112}, {"F12", "F12", 123},
		{"Enter", "Enter", 13}, {"Space", " ", 32}, {"ArrowUp", "ArrowUp", 38}, {"ShiftLeft", "Shift", 16},
	} {
		key, found := keyboard.Find(want.Code)
		assert.True(t, found, want.Code)
		assert.Equal(t, want, key)
	}
	for _, code := range []string{"", "a", "enter", "MetaLeft", "F13"} {
		_, found := keyboard.Find(code)
		assert.False(t, found, code)
	}
	assert.Len(t, keyboard.Codes(), 26+10+12+18)
	assert.IsIncreasing(t, keyboard.Codes())
}
