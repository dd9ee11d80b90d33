package iampolicy

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAListIsReadAsAWSWritesIt(t *testing.T) {
	for text, want := range map[string]List{`"a"`: {"a"}, `["a"]`: {"a"}, `["a","b"]`: {"a", "b"}, `[]`: {}} {
		var l List
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		assert.Equal(t, want, l, text)
	}
	for _, text := range []string{`1`, `{"a":"b"}`, `[1]`} {
		var l List
		assert.Error(t, json.Unmarshal([]byte(text), &l), text)
	}
}
