package outputs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// testdata/v1.json is docs/outputs.schema.json as it was when version 1 of the contract
// was released.
func TestNoReleasedOutputIsRenamedRemovedOrRetyped(t *testing.T) {
	text, err := os.ReadFile(fmt.Sprintf("testdata/v%d.json", contract.Version))
	require.NoError(t, err, "a new contract version needs its released schema")
	var released Schema
	require.NoError(t, json.Unmarshal(text, &released))
	assert.NoError(t, keeps(released.Properties, NewSchema().Properties), "rename nothing: a changed output takes a new contract.Version")
}

// keeps returns an error that names the released properties that are gone or have
// another type.
func keeps(released, now map[string]Property) error {
	var broken []error
	for name, was := range released {
		is, there := now[name]
		switch {
		case !there:
			broken = append(broken, fmt.Errorf("%s is gone", name))
		case !sameType(was, is):
			broken = append(broken, fmt.Errorf("%s has another type", name))
		default:
			broken = append(broken, keeps(was.Properties, is.Properties))
		}
	}
	return errors.Join(broken...)
}

func sameType(a, b Property) bool {
	if a.AdditionalProperties != nil && b.AdditionalProperties != nil {
		return sameType(*a.AdditionalProperties, *b.AdditionalProperties)
	}
	if a.Items != nil && b.Items != nil {
		return sameType(*a.Items, *b.Items) && keeps(a.Items.Properties, b.Items.Properties) == nil
	}
	return a.Type == b.Type && (a.AdditionalProperties == nil) == (b.AdditionalProperties == nil)
}

func TestTheCheckOfReleasedOutputsFindsEachKindOfBreach(t *testing.T) {
	for name, breach := range map[string]func(map[string]Property){
		"removed":        func(p map[string]Property) { delete(p, "queueArn") },
		"renamed":        func(p map[string]Property) { p["queueARN"] = p["queueArn"]; delete(p, "queueArn") },
		"retyped":        func(p map[string]Property) { p["queueArn"] = Property{Type: "integer"} },
		"map's values":   func(p map[string]Property) { p["topicArns"] = propertyOf(reflect.TypeFor[map[string]int]()) },
		"inside a list":  func(p map[string]Property) { delete(p["capacity"].Items.Properties, "limits") },
		"inside another": func(p map[string]Property) { delete(p["ports"].Properties, "last") },
	} {
		now := NewSchema().Properties
		breach(now)
		assert.Error(t, keeps(NewSchema().Properties, now), name)
	}
	more := NewSchema().Properties
	more["further"] = Property{Type: "string"}
	assert.NoError(t, keeps(NewSchema().Properties, more), "a further output breaks nobody")
}

func TestWhatIsGeneratedIsUpToDate(t *testing.T) {
	for file, want := range map[string][]byte{"../docs/outputs.schema.json": SchemaFile(), "../docs/outputs.md": Reference()} {
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s: run make generate", file)
	}
}

func TestOutputsOfAnotherContractAreRefused(t *testing.T) {
	for _, text := range []string{`{}`, `{"contractVersion": 2}`, `[]`, `not JSON`} {
		_, err := Parse([]byte(text))
		assert.ErrorContains(t, err, "stack outputs", text)
		assert.Equal(t, text == `{}`, errors.Is(err, ErrNone), text)
	}
}

func TestAFailureOfPulumiIsNoOutputs(t *testing.T) {
	pulumi := exec.Command("sh", "-c", "exit 3", "pulumi")
	_, err := Read(pulumi, "dev")
	assert.ErrorContains(t, err, "stack output --json --stack dev: exit status 3")
}
