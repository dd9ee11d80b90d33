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
		{`{"s":[{"prefix":"run"}]}`, []string{`{"s":"running"}`, `{"s":["x","run"]}`}, []string{`{"s":"Running"}`, `{"s":1}`, `{}`}},
		{`{"s":[{"anything-but":"a"}]}`, []string{`{"s":"b"}`, `{"s":1}`, `{"s":null}`, `{"s":["a","b"]}`}, []string{`{"s":"a"}`, `{}`, `{"s":{"a":1}}`, `{"s":[]}`}},
		{`{"s":[{"anything-but":["a","b"]}]}`, []string{`{"s":"c"}`}, []string{`{"s":"a"}`, `{"s":"b"}`}},
		{`{"n":[{"anything-but":[64,70]}]}`, []string{`{"n":137}`, `{"n":"64"}`}, []string{`{"n":64}`, `{}`}},
		{`{"n":[{"anything-but":64}]}`, []string{`{"n":6}`}, []string{`{"n":64}`}},
		{`{"s":[{"anything-but":{"prefix":"in"}}]}`, []string{`{"s":"out"}`}, []string{`{"s":"inside"}`, `{}`}},
		{`{"c":{"n":[{"exists":false}]}}`, []string{`{}`, `{"c":{}}`, `{"c":{"n":{"x":1}}}`, `{"c":{"n":[]}}`}, []string{`{"c":{"n":0}}`, `{"c":{"n":null}}`}},
		{`{"n":[{"exists":true}]}`, []string{`{"n":0}`, `{"n":null}`, `{"n":[1]}`}, []string{`{}`, `{"n":{"x":1}}`}},
		{`{"b":[false,{"exists":false}]}`, []string{`{"b":false}`, `{}`}, []string{`{"b":true}`}},
		{`{"s":[{"anything-but":{"prefix":"in"}},{"exists":false}],"t":["x"]}`, []string{`{"s":"out","t":"x"}`, `{"t":"x"}`}, []string{`{"s":"inside","t":"x"}`, `{}`}},
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
		`{"a":[{"suffix":"x"}],"b":{"c":[{"numeric":["=",1]}]}}`: {`a: the sandbox does not know the operator "suffix": it knows anything-but, exists, prefix, wildcard`, `b.c: the sandbox does not know the operator "numeric"`},
		`{"a":[{"exists":"no"}]}`:                                {`exists "no" has to be true or false`},
		`{"a":[{"prefix":{"equals-ignore-case":"x"}}]}`:          {"prefix {\"equals-ignore-case\":\"x\"} has to be a string"},
		`{"a":[{"anything-but":{"suffix":"x"}}]}`:                {`anything-but {"suffix":"x"} has to be`},
		`{"a":[{"anything-but":[1,"x"]}]}`:                       {`anything-but [1,"x"] has to be`},
		`{"a":[{"anything-but":[]}]}`:                            {`anything-but [] has to be`},
		`{"a":[{"anything-but":true}]}`:                          {`anything-but true has to be`},
		`{"a":[{"exists":true,"prefix":"x"}]}`:                   {"an object with one operator"},
		`{"a":[{}]}`:                                             {"{} has to be an object with one operator"},
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
		"suffix": `"a"`, "equals-ignore-case": `"a"`, "numeric": `["=",1]`, "cidr": `"10.0.0.0/24"`,
	} {
		_, err := ParsePattern(`{"detail":{"a":[{"` + name + `":` + operand + `}]}}`)
		require.ErrorContains(t, err, `detail.a: the sandbox does not know the operator "`+name+`"`)
	}
	_, err := ParsePattern(`{"detail":{"$or":[{"a":["x"]},{"b":["y"]}]}}`)
	require.ErrorContains(t, err, `the sandbox does not know the operator "$or"`)
}
