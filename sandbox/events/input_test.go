package events

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	exampleRule = Rule{Name: "example", ARN: "arn:aws:events:us-east-2:123456789012:rule/example"}
	received    = time.Date(2015, 11, 11, 21, 29, 55, 0, time.UTC)
)

func TestTransformersDoWhatTheUserGuideShows(t *testing.T) {
	paths := map[string]string{
		"timestamp": "$.time", "instance": "$.detail.instance-id", "state": "$.detail.state", "resource": "$.resources[0]",
		"detail": "$.detail", "resources": "$.resources", "whole": "$",
	}
	for template, want := range map[string]string{
		`"instance <instance> is in <state>"`:                         `"instance i-0123456789 is in RUNNING"`,
		`"instance \"<instance>\" is in <state>"`:                     `"instance \"i-0123456789\" is in RUNNING"`,
		"{\n  \"instance\" : <instance>,\n  \"state\": <state>\n}":    `{"instance":"i-0123456789","state":"RUNNING"}`,
		`{"state": "<state>", "status": "\"<instance>\" <state>"}`:    `{"state":"RUNNING","status":"\"i-0123456789\" RUNNING"}`,
		`{"state": [ 9, <state>, true ], "Transformed" : "Yes"}`:      `{"state":[9,"RUNNING",true],"Transformed":"Yes"}`,
		`{"arn": <aws.events.rule-arn>, "n": <aws.events.rule-name>}`: `{"arn":"arn:aws:events:us-east-2:123456789012:rule/example","n":"example"}`,
		`"<aws.events.rule-name> triggered"`:                          `"example triggered"`,
		`{"at": <aws.events.event.ingestion-time>}`:                   `{"at":"2015-11-11T21:29:55Z"}`,
		`{"event": <aws.events.event.json>}`:                          `{"event":` + string(instanceEvent.text()) + `}`,
		`<whole>`:                                                     string(encode(instanceEvent.tree())),
		`<aws.events.event>`: `{"account":"123456789012","detail-type":"EC2 Instance State-change Notification","id":"7bf73129-1428-4cd3-a780-95db273d1602",` +
			`"region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],"source":"aws.ec2","time":"2015-11-11T21:29:54Z","version":"0"}`,
		`{"first": <resource>, "all": <resources>}`: `{"first":"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111","all":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"]}`,
		`"Detail is <detail>"`:                      `"Detail is {instance-id:i-0123456789,state:RUNNING}"`,
		"\"line <state>\"\n\"line two\"":            "\"line RUNNING\"\n\"line two\"",
		`{"a": "1 < 2 & 3 > 2"}`:                    `{"a":"1 < 2 & 3 > 2"}`,
	} {
		got, err := (&Transformer{paths, template}).apply(instanceEvent, exampleRule, received)
		require.NoError(t, err, template)
		require.Equal(t, want, string(got), template)
	}
}

func TestAVariableThatTheEventDoesNotHaveIsLeftOut(t *testing.T) {
	got, err := (&Transformer{map[string]string{"none": "$.detail.none"}, `{"a": "v<none>"}`}).apply(instanceEvent, exampleRule, received)
	require.NoError(t, err)
	require.Equal(t, `{"a":"v"}`, string(got))
	_, err = (&Transformer{map[string]string{"none": "$.detail.none"}, `{"a": <none>}`}).apply(instanceEvent, exampleRule, received)
	require.ErrorIs(t, err, errNoJSON)
}

func TestATemplateThatMakesNoJSONIsNotDelivered(t *testing.T) {
	for template, detail := range map[string]string{
		`<v> is loose text`: `{"v":"x"}`,
		`{"a": "<v>"}`:      `{"v":"say \"x\""}`, // AWS escapes nothing
	} {
		_, err := (&Transformer{map[string]string{"v": "$.detail.v"}, template}).apply(withDetail(detail), exampleRule, received)
		require.ErrorIs(t, err, errNoJSON, template)
	}
}

func TestWhatATransformerNamesWronglyIsToldByName(t *testing.T) {
	for _, c := range []struct {
		paths           map[string]string
		template, fault string
	}{
		{nil, `{"a": <nobody>}`, "<nobody>"},
		{map[string]string{"v": "$.detail..state"}, `<v>`, `"$.detail..state"`},
		{map[string]string{"v": "$.resources[*]"}, `<v>`, `"$.resources[*]"`},
		{map[string]string{"v": "detail"}, `<v>`, `"detail"`},
		{map[string]string{"aws.x": "$.id"}, `"x"`, `"aws.x"`},
	} {
		_, err := (&Transformer{c.paths, c.template}).apply(instanceEvent, exampleRule, received)
		require.ErrorContains(t, err, c.fault)
	}
}

func TestATargetGetsTheEventAPartOfItOrAConstant(t *testing.T) {
	for want, target := range map[string]Target{
		string(instanceEvent.text()):                       {},
		`{"instance-id":"i-0123456789","state":"RUNNING"}`: {InputPath: "$.detail"},
		`{"hello": "there"}`:                               {Input: `{"hello": "there"}`},
	} {
		got, err := target.input(instanceEvent, exampleRule, received)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := Target{InputPath: "$.detail.none"}.input(instanceEvent, exampleRule, received)
	require.ErrorContains(t, err, "$.detail.none finds nothing")
}
