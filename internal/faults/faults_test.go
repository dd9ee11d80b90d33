package faults_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

func TestAFilesFaultsStandBesideThoseOfTheValueThatNamesIt(t *testing.T) {
	var file faults.Faults
	file.Add("window", 3, "a size")
	file.Add("name", "", "a text")
	var f faults.Faults
	f.Add("users", 1, "a list")
	f.Nest("image.game", nil)
	f.Nest("image.game", fmt.Errorf("game: %w", errors.New("it is not there")))
	f.Nest("image.game", errors.Join(file.Err("game.yaml"), errors.New("a link leads out")))
	assert.EqualError(t, f.Err("the configuration"), `the configuration has 5 faults:
  - users: 1 is not allowed: a list
  - image.game: game: it is not there
  - image.game: game.yaml: window: 3 is not allowed: a size
  - image.game: game.yaml: name: "" is not allowed: a text
  - image.game: a link leads out`)
}

func TestOneFaultIsOneLine(t *testing.T) {
	var f faults.Faults
	assert.NoError(t, f.Err("nothing"))
	f.Between("zones", 9, 1, 6)
	assert.EqualError(t, f.Err("network"), "network: zones: 9 is not allowed: a whole number from 1 to 6")
}
