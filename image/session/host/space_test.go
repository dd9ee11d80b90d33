package host

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAFolderThatIsNotThereHasNoSpaceAndIsNamed(t *testing.T) {
	assert.NoError(t, Space(t.TempDir()))
	assert.ErrorContains(t, Space(t.TempDir(), "/no/such/folder"), "/no/such/folder")
}
