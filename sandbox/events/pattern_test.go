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
		{`{"k":[{"prefix":"eu-"}]}`, []string{`{"k":"eu-west-1"}`}, []string{`{"k":"us-eu-"}`, `{"k":1}`}},
		{`{"k":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, []string{`{"k":"eventBridge"}`}, []string{`{"k":"event"}`}},
		{`{"k":[{"suffix":".png"}]}`, []string{`{"k":"a.png"}`}, []string{`{"k":"a.PNG"}`}},
		{`{"k":[{"suffix":{"equals-ignore-case":".PNG"}}]}`, []string{`{"k":"a.png"}`}, []string{`{"k":"a.jpg"}`}},
		{`{"k":[{"equals-ignore-case":"alice"}]}`, []string{`{"k":"ALICE"}`}, []string{`{"k":"alicia"}`}},
		{`{"k":[{"wildcard":"builds/*.tar.zst"}]}`, []string{`{"k":"builds/1/a.tar.zst"}`, `{"k":"builds/.tar.zst"}`}, []string{`{"k":"builds/a.tar.gz"}`, `{"k":"x/builds/a.tar.zst"}`, `{"k":"builds/a-tar.zst"}`}},
		{`{"k":[{"wildcard":"a\\*b\\\\*"}]}`, []string{`{"k":"a*b\\c"}`}, []string{`{"k":"axb\\c"}`}},
		{`{"s":[{"anything-but":"initializing"}]}`, []string{`{"s":"running"}`, `{"s":1}`}, []string{`{"s":"initializing"}`, `{}`}},
		{`{"s":[{"anything-but":[100,200]}]}`, []string{`{"s":300}`}, []string{`{"s":100}`, `{"s":1e2}`}},
		{`{"s":[{"anything-but":{"prefix":"init"}}]}`, []string{`{"s":"running"}`}, []string{`{"s":"initializing"}`}},
		{`{"s":[{"anything-but":{"suffix":[".png",".jpg"]}}]}`, []string{`{"s":"a.gif"}`}, []string{`{"s":"a.png"}`, `{"s":"a.jpg"}`}},
		{`{"s":[{"anything-but":{"equals-ignore-case":"initializing"}}]}`, []string{`{"s":"x"}`}, []string{`{"s":"INITIALIZING"}`}},
		{`{"s":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, []string{`{"s":"/usr/bin/x"}`}, []string{`{"s":"/usr/lib/x"}`}},
		{`{"c":[{"numeric":[">",0,"<=",5]}],"x":[{"numeric":["=",3.018e2]}]}`, []string{`{"c":5,"x":301.8}`, `{"c":0.1,"x":301.80}`}, []string{`{"c":0,"x":301.8}`, `{"c":5.1,"x":301.8}`, `{"c":"5","x":301.8}`}},
		{`{"ip":[{"cidr":"10.0.0.0/24"}]}`, []string{`{"ip":"10.0.0.255"}`}, []string{`{"ip":"10.0.1.0"}`, `{"ip":"x"}`}},
		{`{"c-count":[{"exists":false}]}`, []string{`{"state":["a"]}`, `{"c-count":{"c1":100}}`}, []string{`{"c-count":1}`, `{"c-count":null}`}},
		{`{"a":{"b":[{"exists":true}]}}`, []string{`{"a":{"b":null}}`}, []string{`{"a":{}}`, `{}`, `{"a":1}`}},
		{`{"a":{"b":[{"exists":false}]}}`, []string{`{}`, `{"a":{"c":1}}`}, []string{`{"a":{"b":1}}`}},
		{`{"$or":[{"c":[{"numeric":[">",0]}]},{"d":["x"]}],"s":["on"]}`, []string{`{"c":1,"s":"on"}`, `{"d":"x","s":"on"}`}, []string{`{"s":"on"}`, `{"c":1}`}},
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
		`{"time":[{"prefix":"2015-11-11"}]}`:                                                                             true,
		`{"resources":[{"suffix":"i-abcd1111"}]}`:                                                                        true,
		`{"replay-name":[{"exists":false}]}`:                                                                             true,
	} {
		p, err := ParsePattern(pattern)
		require.NoError(t, err)
		require.Equal(t, matches, p.Matches(instanceEvent), pattern)
	}
}

func TestAPatternThatIsNotUnderstoodIsRefusedWithAllItsFaults(t *testing.T) {
	for pattern, faults := range map[string][]string{
		`[`:                      {"no JSON"},
		`{}`:                     {"at least one field"},
		`{"source":"aws.s3"}`:    {"source has to be an object or a list"},
		`{"source":[]}`:          {"source is an empty list"},
		`{"$or":[{"a":["b"]}]}`:  {"two alternatives"},
		`{"a":[{"wild":"x"}]}`:   {`a: the sandbox knows no operator "wild"`, "wildcard"},
		`{"a":[{"prefix":1}]}`:   {"a: prefix 1: has to be a string"},
		`{"a":[["x"]]}`:          {"a list in a list"},
		`{"a":[{"cidr":"ten"}]}`: {"10.0.0.0/24"},
		`{"a":[{"exists":"yes"}],"b":{"c":[{"numeric":["!",1]}]}}`: {"a: exists", "b.c: numeric"},
		`{"a":[{"anything-but":{"numeric":["=",1]}}]}`:             {"prefix, suffix"},
		`{"a":[{"wildcard":"a**"}]}`:                               {"must not follow"},
		`{"a":[{"wildcard":"a\\b"}]}`:                              {"backslash"},
		`{"a":[{"prefix":"a","suffix":"b"}]}`:                      {"stand alone"},
	} {
		_, err := ParsePattern(pattern)
		for _, fault := range faults {
			require.ErrorContains(t, err, fault, pattern)
		}
	}
}
