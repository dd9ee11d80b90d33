package events

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// instanceEvent is the user guide's example.
var instanceEvent = Event{
	Version: "0", ID: "7bf73129-1428-4cd3-a780-95db273d1602", DetailType: "EC2 Instance State-change Notification", Source: "aws.ec2",
	Account: "123456789012", Time: "2015-11-11T21:29:54Z", Region: "us-east-1",
	Resources: []string{"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"},
	Detail:    json.RawMessage(`{"instance-id":"i-0123456789","state":"RUNNING"}`),
}

func withDetail(detail string) Event {
	e := instanceEvent
	e.Detail = json.RawMessage(detail)
	return e
}

func TestPatternsMatchAsAWSDocuments(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string // details
	}{
		{`{"state":["running","stopped"]}`, []string{`{"state":"running"}`, `{"state":["x","stopped"]}`}, []string{`{"state":"Running"}`, `{}`, `{"state":null}`}},
		{`{"n":[300]}`, []string{`{"n":300}`}, []string{`{"n":3.0e2}`, `{"n":"300"}`}},
		{`{"b":[true],"z":[null]}`, []string{`{"b":true,"z":null}`}, []string{`{"b":true}`, `{"b":false,"z":null}`}},
		{`{"name":[""]}`, []string{`{"name":""}`}, []string{`{"name":null}`, `{}`}},
		{`{"k":[{"wildcard":"builds/*.tar.zst"}]}`, []string{`{"k":"builds/1/a.tar.zst"}`, `{"k":"builds/.tar.zst"}`}, []string{`{"k":"builds/a.tar.gz"}`, `{"k":"x/builds/a.tar.zst"}`, `{"k":"builds/a-tar.zst"}`}},
		{`{"a":{"b":["x"]}}`, []string{`{"a":{"b":"x","c":1}}`}, []string{`{"a":{}}`, `{}`, `{"a":"x"}`, `{"a":{"b":{"x":1}}}`}},
		{`{"list":{"a":["x"],"b":["y"]}}`, []string{`{"list":[{"a":"x","b":"y"}]}`}, []string{`{"list":[{"a":"x"},{"b":"y"}]}`}},
	} {
		p, err := ParsePattern(`{"detail":` + c.pattern + `}`)
		require.NoError(t, err, c.pattern)
		for _, detail := range c.yes {
			require.True(t, p.Matches(withDetail(detail)), "%s should match %s", c.pattern, detail)
		}
		for _, detail := range c.no {
			require.False(t, p.Matches(withDetail(detail)), "%s should not match %s", c.pattern, detail)
		}
	}
}

func TestAPatternLooksAtTheWholeEvent(t *testing.T) {
	for pattern, matches := range map[string]bool{
		`{"source":["aws.ec2"],"detail-type":["EC2 Instance State-change Notification"],"detail":{"state":["RUNNING"]}}`: true,
		`{"source":["aws.ec2"],"detail":{"state":["terminated"]}}`:                                                       false,
		`{"time":[{"wildcard":"2015-11-11*"}]}`:                                                                          true,
		`{"resources":[{"wildcard":"*i-abcd1111"}]}`:                                                                     true,
	} {
		p, err := ParsePattern(pattern)
		require.NoError(t, err)
		require.Equal(t, matches, p.Matches(instanceEvent), pattern)
	}
}

func TestAPatternThatIsNotUnderstoodIsRefusedWithAllItsFaults(t *testing.T) {
	for pattern, faults := range map[string][]string{
		`[`:                           {"no JSON"},
		`{}`:                          {"at least one field"},
		`{"source":"aws.s3"}`:         {"source has to be an object or a list"},
		`{"source":[]}`:               {"source is an empty list"},
		`{"a":[["x"]]}`:               {"a: a list in a list"},
		`{"a":[{"wildcard":1}]}`:      {"a: wildcard 1 has to be a string"},
		`{"a":[{"wildcard":"a**"}]}`:  {`without "**"`},
		`{"a":[{"wildcard":"a\\b"}]}`: {"backslashes"},
		`{"a":[{"exists":true}],"b":{"c":[{"numeric":["=",1]}]}}`: {`a: the sandbox does not know the operator "exists"`, `b.c: the sandbox does not know the operator "numeric"`},
	} {
		_, err := ParsePattern(pattern)
		for _, fault := range faults {
			require.ErrorContains(t, err, fault, pattern)
		}
	}
}

// These are all of EventBridge's operators that the sandbox does not know.
func TestAnOperatorThatTheSandboxDoesNotKnowIsRefusedByItsName(t *testing.T) {
	for name, operand := range map[string]string{
		"prefix": `"a"`, "suffix": `"a"`, "equals-ignore-case": `"a"`, "anything-but": `"a"`, "numeric": `["=",1]`, "cidr": `"10.0.0.0/24"`, "exists": `false`,
	} {
		_, err := ParsePattern(`{"detail":{"a":[{"` + name + `":` + operand + `}]}}`)
		require.ErrorContains(t, err, `detail.a: the sandbox does not know the operator "`+name+`"`)
	}
	_, err := ParsePattern(`{"detail":{"$or":[{"a":["x"]},{"b":["y"]}]}}`)
	require.ErrorContains(t, err, `the sandbox does not know the operator "$or"`)
}
