package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
  - users is 1; allowed: a list
  - image.game: game: it is not there
  - image.game: game.yaml: window is 3; allowed: a size
  - image.game: game.yaml: name is ""; allowed: a text
  - image.game: a link leads out`)
}

func TestOneFaultIsOneLine(t *testing.T) {
	var f faults.Faults
	assert.NoError(t, f.Err("nothing"))
	f.Between("zones", 9, 1, 6)
	assert.EqualError(t, f.Err("network"), "network: zones is 9; allowed: a whole number from 1 to 6")
}

func TestAValueIsShownAsJSONOrAsItWritesItself(t *testing.T) {
	var writes strings.Builder
	writes.WriteString("8443-8446")
	for want, value := range map[string]any{
		`"<a> & \"b\""`: `<a> & "b"`, "[]": []string(nil), `["a","b"]`: []string{"a", "b"}, `{"a":1}`: json.RawMessage(`{"a": 1}`),
		"8443-8446": &writes, "true": true,
	} {
		var f faults.Faults
		f.Add("key", value, "another")
		assert.Equal(t, []string{"key is " + want + "; allowed: another"}, f.List())
	}
}

func TestEachItemIsValidAndThereOnce(t *testing.T) {
	var f faults.Faults
	f.Each("list", []string{"a", "B", "a", "c"}, func(item string) bool { return item == strings.ToLower(item) }, "small letters")
	assert.Equal(t, []string{
		`list[1] is "B"; allowed: small letters, each once`,
		`list[2] is "a"; allowed: small letters, each once`,
	}, f.List())
}

func TestOneOfAFew(t *testing.T) {
	var f faults.Faults
	faults.OneOf(&f, "days", 2, 1, 3, 5)
	faults.OneOf(&f, "days", 3, 1, 3, 5)
	faults.OneOf(&f, "place", "moon", "builder", "local")
	faults.OneOf(&f, "place", "moon", "local")
	assert.Equal(t, []string{"days is 2; allowed: 1, 3 or 5", `place is "moon"; allowed: builder or local`, `place is "moon"; allowed: local`}, f.List())
}

func TestRequired(t *testing.T) {
	var f faults.Faults
	f.Required(true, "arn", "an ARN")
	f.Required(false, "role", "an ARN")
	assert.Equal(t, []string{"role is not set; allowed: an ARN"}, f.List())
}

// A comparison with a value that is wrong by itself would only repeat that fault.
func TestAComparisonWaitsUntilItsValuesAreRight(t *testing.T) {
	var f faults.Faults
	f.Compare(true, "min", 1, "at most max", "max")
	f.Compare(false, "min", 5, "at most max", "max")
	f.Compare(false, "min", 5, "at most spot", "spot")
	f.Between("max", 0, 1, 4)
	f.Compare(false, "min", 5, "at most max", "max")
	f.Compare(false, "max", 0, "at least 4")
	f.Required(false, "role", "an ARN")
	f.Compare(false, "min", 5, "like role", "role")
	assert.Equal(t, []string{"min is 5; allowed: at most max", "min is 5; allowed: at most spot", "max is 0; allowed: a whole number from 1 to 4",
		"role is not set; allowed: an ARN"}, f.List())
}

func TestARulesWordsAreKnownWhetherOrNotItIsKept(t *testing.T) {
	var f faults.Faults
	f.Between("zones", 2, 1, 6)
	f.Between("zones", 2, 2, 3)
	f.Each("subnets", nil, func(string) bool { return true }, "ids")
	f.Compare(false, "subnets", nil, "those of the VPC")
	assert.Equal(t, map[string]string{"zones": "a whole number from 1 to 6", "subnets": "ids, each once"}, f.Rules(),
		"the first rule of a path is that of the value itself")
}

func TestARuleWithoutAPathIsSkipped(t *testing.T) {
	var f faults.Faults
	f.Between("", 9, 1, 6)
	f.Required(false, "", "an ARN")
	f.Compare(false, "", 1, "more")
	f.Each(faults.Property(""), []string{"a"}, func(string) bool { return false }, "none")
	assert.NoError(t, f.Err("nothing"))
	assert.Empty(t, f.Rules())
}

func TestAMisspeltKeyIsNamedWithoutItsValue(t *testing.T) {
	var f faults.Faults
	f.Unknown("sesion.idleMinutes", []string{"session.graceSeconds", "session.idleMinutes", "tags"})
	f.Addf("%s is a group", "session")
	assert.Equal(t, []string{"sesion.idleMinutes is no known key; nearest: session.idleMinutes", "session is a group"}, f.List())
	assert.Empty(t, faults.Nearest("a", nil))
	assert.Equal(t, "Protect", faults.Nearest("protect", []string{"tags", "Protect"}))
}
