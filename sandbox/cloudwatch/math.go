package cloudwatch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// expression is a metric math expression of the program's dashboard: numbers, ids,
// + - * /, parentheses, and the functions of a table (CloudWatch user guide,
// "Using math expressions with CloudWatch metrics").
type expression func(of scope) line

// line has a value for each period, NaN for a missing one.
type line []float64

// scope has the values to which an expression refers.
type scope struct {
	periods int
	seconds float64         // of a period
	lines   map[string]line // by id
}

// constant returns a line of one value.
func (of scope) constant(value float64) line { return slices.Repeat(line{value}, of.periods) }

var mathLanguage = language{operators: strings.Split("+-*/(),", ""), quotes: `"'`}

// parseMath parses an expression, which may refer to these ids.
func parseMath(text string, ids []string) (expression, error) {
	tokens, err := mathLanguage.lex(text)
	var value expression
	if err == nil {
		p := &mathParser{parser: parser{tokens: tokens}, ids: ids}
		if value, err = p.level(0); err == nil {
			err = p.ended()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("expression %s: %w", text, err)
	}
	return value, nil
}

type mathParser struct {
	parser
	ids []string
}

// levels are the operators by their precedence, the weakest first.
var levels = [][]string{{"+", "-"}, {"*", "/"}}

// operations calculate with NaN, a missing value, as AWS does: the result is missing too.
var operations = map[string]func(a, b float64) float64{
	"+": func(a, b float64) float64 { return a + b },
	"-": func(a, b float64) float64 { return a - b },
	"*": func(a, b float64) float64 { return a * b },
	"/": func(a, b float64) float64 {
		if b == 0 { // a missing value
			return math.NaN()
		}
		return a / b
	},
}

func (p *mathParser) level(n int) (expression, error) {
	if n == len(levels) {
		return p.factor()
	}
	left, err := p.level(n + 1)
	for err == nil {
		name := p.accept(levels[n]...)
		if name == "" {
			break
		}
		first := left
		var second expression
		if second, err = p.level(n + 1); err == nil {
			left = func(of scope) line { return pairwise(operations[name], first(of), second(of)) }
		}
	}
	return left, err
}

func pairwise(do func(a, b float64) float64, a, b line) line {
	result := make(line, len(a))
	for i := range a {
		result[i] = do(a[i], b[i])
	}
	return result
}

func (p *mathParser) factor() (expression, error) {
	switch t := p.take(); {
	case t.kind == number:
		value, err := strconv.ParseFloat(t.text, 64)
		return func(of scope) line { return of.constant(value) }, err
	case t.text == "(" && t.kind == operator:
		value, err := p.level(0)
		if err == nil {
			err = p.expect(")")
		}
		return value, err
	case t.kind == word && p.accept("(") != "":
		return p.call(t.text)
	case t.kind == word && slices.Contains(p.ids, t.text):
		return func(of scope) line { return of.lines[t.text] }, nil
	case t.kind == word:
		return nil, fmt.Errorf("%s is no id of a metric, or of an expression before", t.text)
	default:
		return nil, fmt.Errorf("%v is not known here", t)
	}
}

var functions = map[string]struct {
	parameters int
	call       func(of scope, in []line) line
}{
	"CEIL":   {1, func(_ scope, in []line) line { return in[0].each(math.Ceil) }},
	"DIFF":   {1, func(_ scope, in []line) line { return difference(in[0]) }},
	"FILL":   {2, func(_ scope, in []line) line { return pairwise(filled, in[0], in[1]) }},
	"PERIOD": {1, func(of scope, _ []line) line { return of.constant(of.seconds) }},
}

func (l line) each(do func(float64) float64) line {
	result := make(line, len(l))
	for i, v := range l {
		result[i] = do(v)
	}
	return result
}

// difference returns the difference of each value but the first to the one before.
func difference(of line) line {
	before := math.NaN()
	return of.each(func(v float64) float64 {
		if math.IsNaN(v) {
			return v
		}
		by := v - before
		before = v
		return by
	})
}

// filled replaces a missing value.
func filled(value, with float64) float64 {
	if math.IsNaN(value) {
		return with
	}
	return value
}

func (p *mathParser) call(name string) (expression, error) {
	f, known := functions[name]
	if !known {
		return nil, fmt.Errorf("the sandbox does not know the function %s: it knows %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	}
	var parameters []expression
	for p.accept(")") == "" {
		if len(parameters) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		parameter, err := p.level(0)
		if err != nil {
			return nil, err
		}
		parameters = append(parameters, parameter)
	}
	if len(parameters) != f.parameters {
		return nil, fmt.Errorf("%s does not have %d parameters", name, len(parameters))
	}
	return func(of scope) line {
		var in []line
		for _, parameter := range parameters {
			in = append(in, parameter(of))
		}
		return f.call(of, in)
	}, nil
}
