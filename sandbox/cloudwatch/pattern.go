package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Pattern is a filter pattern for events in JSON (CloudWatch Logs user guide, "Filter
// pattern syntax"): comparisons of selectors, with && and ||. The sandbox knows no
// others.
type Pattern struct{ matches func(event any) bool }

var patternLanguage = language{operators: []string{"&&", "||", "!=", "<=", ">=", "=", "<", ">", "(", ")", "{", "}"}, letters: "$.*-", quotes: `"`}

// ParsePattern parses a pattern. An empty one matches every event.
func ParsePattern(text string) (Pattern, error) {
	if text == "" {
		return Pattern{func(any) bool { return true }}, nil
	}
	tokens, err := patternLanguage.lex(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("filter pattern: %w", err)
	}
	p := &patternParser{parser{tokens: tokens}}
	matches, err := p.braced()
	if err != nil {
		return Pattern{}, fmt.Errorf("filter pattern: %w", err)
	}
	return Pattern{matches}, nil
}

// Matches reports whether the pattern matches an event, which is decoded JSON with
// json.Number, or nil if the event is no JSON object.
func (p Pattern) Matches(event any) bool { return p.matches(event) }

type patternParser struct{ parser }

func (p *patternParser) braced() (func(any) bool, error) {
	if p.accept("{") == "" {
		return nil, errors.New(`the sandbox knows patterns for JSON only, { $.key = "value" }`)
	}
	matches, err := p.any()
	if err == nil {
		err = p.expect("}")
	}
	if err == nil {
		err = p.ended()
	}
	return matches, err
}

func (p *patternParser) any() (func(any) bool, error) {
	left, err := p.all()
	for err == nil && p.accept("||") != "" {
		var right func(any) bool
		either := left
		right, err = p.all()
		left = func(event any) bool { return either(event) || right(event) }
	}
	return left, err
}

func (p *patternParser) all() (func(any) bool, error) {
	left, err := p.one()
	for err == nil && p.accept("&&") != "" {
		var right func(any) bool
		both := left
		right, err = p.one()
		left = func(event any) bool { return both(event) && right(event) }
	}
	return left, err
}

func (p *patternParser) one() (func(any) bool, error) {
	if p.accept("(") != "" {
		matches, err := p.any()
		if err == nil {
			err = p.expect(")")
		}
		return matches, err
	}
	selector := p.take()
	if selector.kind != word || !strings.HasPrefix(selector.text, "$.") {
		return nil, fmt.Errorf("%v is no selector, as $.key is", selector)
	}
	comparison := p.accept("=", "!=", "<", "<=", ">", ">=")
	if comparison == "" {
		return nil, fmt.Errorf("%v is not known after %s: =, !=, <, <=, > and >= are", p.peek(), selector.text)
	}
	compares, err := literal(comparison, p.take())
	if err != nil {
		return nil, err
	}
	// A property that an event lacks fulfils no comparison.
	return func(event any) bool {
		value, has := Select(event, selector.text)
		return has && compares(value)
	}, nil
}

// literal returns the comparison of a property's value with a literal.
func literal(comparison string, with token) (func(value any) bool, error) {
	switch {
	case with.kind == number:
		wanted, err := strconv.ParseFloat(with.text, 64)
		return func(value any) bool {
			number, is := value.(json.Number)
			got, err := number.Float64()
			if !is || err != nil {
				return comparison == "!="
			}
			return compared(comparison, got, wanted)
		}, err
	case comparison != "=" && comparison != "!=":
		return nil, fmt.Errorf("%v is no number, as %s needs", with, comparison)
	case with.kind == quoted || with.kind == word && !strings.HasPrefix(with.text, "$"):
		return func(value any) bool {
			return wildcard(with.text, textOf(value)) == (comparison == "=")
		}, nil
	}
	return nil, fmt.Errorf("%v is no value", with)
}

func compared(comparison string, a, b float64) bool {
	switch comparison {
	case "=", "==":
		return a == b
	case "!=", "<>":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}

// wildcard reports whether a text has the form of one with "*" for any characters.
func wildcard(form, text string) bool {
	parts := strings.Split(form, "*")
	if len(parts) == 1 {
		return form == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// Select returns the property of an event that a selector such as "$.usage.cpuCores"
// names.
func Select(event any, selector string) (value any, has bool) {
	value = event
	for _, key := range strings.Split(strings.TrimPrefix(selector, "$."), ".") {
		object, is := value.(map[string]any)
		if !is {
			return nil, false
		}
		if value, has = object[key]; !has {
			return nil, false
		}
	}
	return value, true
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case nil:
		return ""
	case map[string]any, []any:
		text, _ := json.Marshal(v) // decoded JSON can be encoded
		return string(text)
	}
	return fmt.Sprint(value)
}
