package events

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/require"
)

func transformed(paths map[string]string, template string, e Event) (string, error) {
	got, err := input(types.Target{InputTransformer: &types.InputTransformer{InputPathsMap: paths, InputTemplate: &template}}, e)
	return string(got), err
}

func TestTransformersDoWhatTheUserGuideShows(t *testing.T) {
	paths := map[string]string{"timestamp": "$.time", "instance": "$.detail.instance-id", "state": "$.detail.state", "detail": "$.detail", "resources": "$.resources"}
	for template, want := range map[string]string{
		`"instance <instance> is in <state>"`:                      `"instance i-0123456789 is in RUNNING"`,
		`"instance \"<instance>\" is in <state>"`:                  `"instance \"i-0123456789\" is in RUNNING"`,
		"{\n  \"instance\" : <instance>,\n  \"state\": <state>\n}": `{"instance":"i-0123456789","state":"RUNNING"}`,
		`{"state": "<state>", "status": "\"<instance>\" <state>"}`: `{"state":"RUNNING","status":"\"i-0123456789\" RUNNING"}`,
		`{"state": [ 9, <state>, true ], "Transformed" : "Yes"}`:   `{"state":[9,"RUNNING",true],"Transformed":"Yes"}`,
		`{"all": <resources>}`:                                     `{"all":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"]}`,
		`"Detail is <detail>"`:                                     `"Detail is {instance-id:i-0123456789,state:RUNNING}"`,
		`{"a": "1 < 2 & 3 > 2"}`:                                   `{"a":"1 < 2 & 3 > 2"}`,
		`{"a\\": <state>}`:                                         `{"a\\":"RUNNING"}`,
	} {
		got, err := transformed(paths, template, instanceEvent)
		require.NoError(t, err, template)
		require.Equal(t, want, got, template)
	}
	got, err := input(types.Target{}, instanceEvent)
	require.NoError(t, err)
	require.Equal(t, string(instanceEvent.text()), string(got), "without a transformer it is the event")
}

func TestAVariableThatTheEventDoesNotHaveIsLeftOut(t *testing.T) {
	none := map[string]string{"none": "$.detail.none.none"}
	got, err := transformed(none, `{"a": "v<none>"}`, instanceEvent)
	require.NoError(t, err)
	require.Equal(t, `{"a":"v"}`, got)
	_, err = transformed(none, `{"a": <none>}`, instanceEvent)
	require.ErrorIs(t, err, errNoJSON)
}

func TestATemplateThatMakesNoJSONIsNotDelivered(t *testing.T) {
	for template, detail := range map[string]string{
		`<v> is loose text`: `{"v":"x"}`,
		`{"a": "<v>"}`:      `{"v":"say \"x\""}`, // AWS escapes nothing
		"\"one\"\n\"two\"":  `{}`,                // several values, which AWS delivers on lines of their own
	} {
		_, err := transformed(map[string]string{"v": "$.detail.v"}, template, withDetail(detail))
		require.ErrorIs(t, err, errNoJSON, template)
	}
}

func TestWhatATransformerNamesWronglyIsToldByName(t *testing.T) {
	for _, c := range []struct {
		paths           map[string]string
		template, fault string
	}{
		{nil, `{"a": <nobody>}`, "<nobody>"},
		{nil, `<aws.events.event>`, "<aws.events.event>"},
		{map[string]string{"v": "$.detail..state"}, `<v>`, `"$.detail..state"`},
		{map[string]string{"v": "$.resources[0]"}, `<v>`, `"$.resources[0]"`},
		{map[string]string{"v": "$"}, `<v>`, `"$"`},
		{map[string]string{"v": "detail"}, `<v>`, `"detail"`},
	} {
		_, err := transformed(c.paths, c.template, instanceEvent)
		require.ErrorContains(t, err, c.fault)
	}
}
