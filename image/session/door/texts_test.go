package door

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

func TestEveryStateWarningAndEndingHasAText(t *testing.T) {
	assert.Len(t, stateTexts, len(contract.States))
	for _, state := range contract.States {
		assert.NotEmpty(t, stateTexts[state].now, state)
	}
	for _, step := range contract.Steps {
		assert.NotEmpty(t, stateTexts[step].title, step)
	}
	assert.Len(t, warningTexts, len(status.Warnings))
	for _, warning := range status.Warnings {
		assert.NotEmpty(t, warningTexts[warning], warning)
	}
	assert.Len(t, causeTexts, len(status.Causes))
	for _, cause := range status.Causes {
		assert.NotEmpty(t, causeTexts[cause], cause)
	}
	assert.Len(t, exitTexts, len(contract.ExitCodes))
	for _, exit := range contract.ExitCodes {
		assert.NotEmpty(t, exitTexts[exit.Code].Title, exit.Name)
		assert.NotEmpty(t, exitTexts[exit.Code].Text, exit.Name)
		assert.Equal(t, exit.Retry, strings.Contains(exitTexts[exit.Code].Text, "another machine"), exit.Name)
	}
}
