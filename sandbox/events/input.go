package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Transformer is a target's InputTransformer.
type Transformer struct {
	InputPathsMap map[string]string
	InputTemplate string
}

// input is what a target gets of an event.
func (t Target) input(e Event, rule Rule, received time.Time) ([]byte, error) {
	switch {
	case t.InputTransformer != nil:
		return t.InputTransformer.apply(e, rule, received)
	case t.InputPath != "":
		value, there, err := find(e.tree(), t.InputPath)
		if err == nil && !there {
			err = fmt.Errorf("InputPath %s finds nothing in the event", t.InputPath)
		}
		return encode(value), err
	case t.Input != "":
		return []byte(t.Input), nil
	}
	return e.text(), nil
}

// placeholder is a variable's place where it begins; what else stands between "<"
// and ">" is text.
var placeholder = regexp.MustCompile(`^<([A-Za-z0-9_.\-]+)>`)

// apply fills the template in. A placeholder outside of quotes becomes a JSON
// value, one between quotes plain text, which AWS does not escape: whatever is no
// JSON then is not delivered. So is a variable that the event does not have where
// nothing is no value.
func (t *Transformer) apply(e Event, rule Rule, received time.Time) ([]byte, error) {
	values, err := t.values(e, rule, received)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	quoted := false
	for rest := t.InputTemplate; rest != ""; {
		if m := placeholder.FindStringSubmatch(rest); m != nil {
			value, known := values[m[1]]
			if !known {
				return nil, fmt.Errorf("InputTemplate has the placeholder %s, which InputPathsMap does not name", m[0])
			}
			if quoted {
				out.WriteString(plain(value))
			} else if value != (absent{}) {
				out.Write(encode(value))
			}
			rest = rest[len(m[0]):]
			continue
		}
		n := 1
		switch {
		case quoted && rest[0] == '\\' && len(rest) > 1:
			n = 2
		case rest[0] == '"':
			quoted = !quoted
		}
		out.WriteString(rest[:n])
		rest = rest[n:]
	}
	return minify(out.Bytes())
}

// absent is the value of a variable that the event does not have; JSON's null is nil.
type absent struct{}

// values are a template's variables, AWS's own and the transformer's.
func (t *Transformer) values(e Event, rule Rule, received time.Time) (map[string]any, error) {
	tree, bare := e.tree(), e.tree()
	delete(bare, "detail")
	values := map[string]any{
		"aws.events.rule-arn": rule.ARN, "aws.events.rule-name": rule.Name,
		"aws.events.event.ingestion-time": timestamp(received),
		"aws.events.event":                bare, "aws.events.event.json": json.RawMessage(e.text()),
	}
	for name, path := range t.InputPathsMap {
		if strings.HasPrefix(strings.ToLower(name), "aws.") {
			return nil, fmt.Errorf("InputPathsMap names %q: a name must not begin with \"AWS.\"", name)
		}
		value, there, err := find(tree, path)
		if err != nil {
			return nil, fmt.Errorf("InputPathsMap %q: %w", name, err)
		}
		if !there {
			value = absent{}
		}
		values[name] = value
	}
	return values, nil
}

// plain is a value between quotes: of an object or a list without its quotes
// (EventBridge user guide, "Common issues with transforming input").
func plain(value any) string {
	switch value := value.(type) {
	case absent:
		return ""
	case string:
		return value
	}
	return strings.ReplaceAll(string(encode(value)), `"`, "")
}

// minify takes one JSON value, or several of them on lines of their own.
func minify(text []byte) ([]byte, error) {
	var lines [][]byte
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) && len(lines) > 0 {
			return bytes.Join(lines, []byte("\n")), nil
		}
		if err != nil {
			return nil, errNoJSON
		}
		var line bytes.Buffer
		if err := json.Compact(&line, value); err != nil {
			return nil, errNoJSON
		}
		lines = append(lines, line.Bytes())
	}
}

var errNoJSON = errors.New("the filled InputTemplate is no JSON: a variable that the event does not have, or one between quotes that holds a quote itself")

// step is a part of a JSON path: a field's name or a list's index.
type step struct {
	name  string
	index int // -1 for a name
}

var pathStep = regexp.MustCompile(`^(?:\.([^.\[\]*\s]+)|\[(\d+)\])`)

// parsePath reads a JSON path in dot notation with list indices. AWS knows
// wildcards too, and does not say what it does with what they find.
func parsePath(path string) ([]step, error) {
	rest, rooted := strings.CutPrefix(path, "$")
	var steps []step
	for rooted && rest != "" {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		s := step{name: m[1], index: -1}
		if m[2] != "" {
			s.index, _ = strconv.Atoi(m[2]) // digits; too many of them find nothing
		}
		steps, rest = append(steps, s), rest[len(m[0]):]
	}
	if !rooted || rest != "" {
		return nil, fmt.Errorf("the sandbox does not know the JSON path %q: $.name.name[0] is known", path)
	}
	return steps, nil
}

// find follows a JSON path.
func find(value any, path string) (found any, there bool, err error) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, false, err
	}
	for _, s := range steps {
		if s.index < 0 {
			object, _ := value.(map[string]any)
			value, there = object[s.name]
		} else {
			list, _ := value.([]any)
			if there = s.index < len(list); there {
				value = list[s.index]
			}
		}
		if !there {
			return nil, false, nil
		}
	}
	return value, true, nil
}
