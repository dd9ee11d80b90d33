package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// input returns the body that a target gets of an event.
func input(target types.Target, e Event) ([]byte, error) {
	if target.InputTransformer == nil {
		return e.text(), nil
	}
	return transform(*target.InputTransformer, e)
}

var (
	// placeholder is a variable in a template; anything else between "<" and ">" is
	// text.
	placeholder = regexp.MustCompile(`<([A-Za-z0-9_.\-]+)>`)
	// jsonPath is the form of JSON paths that the sandbox knows: $.name.name
	jsonPath = regexp.MustCompile(`^\$(\.[^.\[\]*\s]+)+$`)
)

// checkTransformer returns an error for a transformer that the sandbox does not know.
func checkTransformer(t types.InputTransformer) error {
	for name, path := range t.InputPathsMap {
		if !jsonPath.MatchString(path) {
			return fmt.Errorf("InputPathsMap %q: the sandbox does not know the JSON path %q: it knows $.name.name", name, path)
		}
	}
	for _, m := range placeholder.FindAllStringSubmatch(aws.ToString(t.InputTemplate), -1) {
		if _, named := t.InputPathsMap[m[1]]; !named {
			return fmt.Errorf("InputTemplate has the placeholder %s, which InputPathsMap does not name: the sandbox knows no other variables", m[0])
		}
	}
	return nil
}

// transform replaces a template's placeholders. One outside of quotes becomes a JSON
// value, or nothing if the event does not have it. One between quotes becomes plain
// text, which AWS does not escape. If the result is not one JSON value, the event is
// not delivered.
func transform(t types.InputTransformer, e Event) ([]byte, error) {
	if err := checkTransformer(t); err != nil {
		return nil, err
	}
	tree := e.tree()
	template := *t.InputTemplate
	var filled bytes.Buffer
	from := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(template, -1) {
		filled.WriteString(template[from:at[0]])
		value, found := find(tree, t.InputPathsMap[template[at[2]:at[3]]])
		switch {
		case !found:
		case quoted(template[:at[0]]):
			filled.WriteString(plain(value))
		default:
			filled.Write(encode(value))
		}
		from = at[1]
	}
	filled.WriteString(template[from:])
	var body bytes.Buffer
	if json.Compact(&body, filled.Bytes()) != nil {
		return nil, errNoJSON
	}
	return body.Bytes(), nil
}

var errNoJSON = errors.New("the filled InputTemplate is not one JSON value: a variable that the event does not have, or one between quotes that holds a quote itself")

// escaped is an escape sequence of a JSON string.
var escaped = regexp.MustCompile(`\\.`)

// quoted reports whether the text after a part of a template is between quotes.
func quoted(before string) bool {
	return strings.Count(escaped.ReplaceAllString(before, ""), `"`)%2 == 1
}

// plain returns a value's text between quotes: that of an object or a list is without
// its quotes (EventBridge user guide, "Common issues with transforming input").
func plain(value any) string {
	if text, is := value.(string); is {
		return text
	}
	return strings.ReplaceAll(string(encode(value)), `"`, "")
}

// find follows a JSON path.
func find(value any, path string) (found any, present bool) {
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "$."), ".") {
		object, _ := value.(map[string]any)
		if value, present = object[name]; !present {
			return nil, false
		}
	}
	return value, true
}
