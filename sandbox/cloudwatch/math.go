package cloudwatch

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expression is a metric math expression (CloudWatch user guide, "Using metric math"):
// arithmetic, comparisons, AND and OR, and the functions of a table. Its value is a
// float64, a line or several of them ([]line).
type expression func(of scope) (any, error)

// line has a value for each period, NaN for a missing one.
type line []float64

// scope has the values to which an expression refers.
type scope struct {
	periods int
	seconds float64         // of a period
	lines   map[string]line // by id
	metrics []line          // those that are no expressions, for METRICS()
}

var mathLanguage = language{operators: []string{"==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ","}, quotes: `"'`}

// identifier is an id of a query (API reference, MetricDataQuery).
var identifier = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

// parseMath parses an expression, which may refer to these ids.
func parseMath(text string, ids []string) (expression, error) {
	fail := func(err error) (expression, error) { return nil, fmt.Errorf("expression %s: %w", text, err) }
	tokens, err := mathLanguage.lex(text)
	if err != nil {
		return fail(err)
	}
	p := &mathParser{parser: parser{tokens: tokens}, ids: ids}
	value, err := p.level(0)
	if err == nil {
		err = p.ended()
	}
	if err != nil {
		return fail(err)
	}
	return value, nil
}

type mathParser struct {
	parser
	ids     []string
	filling bool // in the parameters of FILL
}

var errSeveral = errors.New("the sandbox does not calculate with several metrics at once, except in SUM, AVG, MIN and MAX")

// levels are the operators by their precedence, the weakest first.
var levels = [][]string{{"||", "OR"}, {"&&", "AND"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}, {"*", "/"}, {"^"}}

func (p *mathParser) level(n int) (expression, error) {
	if n == len(levels) {
		return p.factor()
	}
	left, err := p.level(n + 1)
	for err == nil {
		name := p.accept(levels[n]...)
		if t := p.peek(); name == "" && t.kind == word && slices.Contains(levels[n], t.text) {
			name = p.take().text
		}
		if name == "" {
			break
		}
		var right expression
		first := left
		if right, err = p.level(n + 1); err == nil {
			left = binary(operations[name], first, right)
		}
	}
	return left, err
}

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
	"^":  math.Pow,
	"==": func(a, b float64) float64 { return truth(a == b) },
	"!=": func(a, b float64) float64 { return truth(a != b) },
	"<":  func(a, b float64) float64 { return truth(a < b) },
	"<=": func(a, b float64) float64 { return truth(a <= b) },
	">":  func(a, b float64) float64 { return truth(a > b) },
	">=": func(a, b float64) float64 { return truth(a >= b) },
	"&&": func(a, b float64) float64 { return truth(a != 0 && b != 0) },
	"||": func(a, b float64) float64 { return truth(a != 0 || b != 0) },
}

func init() { operations["AND"], operations["OR"] = operations["&&"], operations["||"] }

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// binary applies an operation period by period. A missing operand makes a missing
// result.
func binary(do func(a, b float64) float64, left, right expression) expression {
	present := func(a, b float64) float64 {
		if math.IsNaN(a) || math.IsNaN(b) {
			return math.NaN()
		}
		return do(a, b)
	}
	return func(of scope) (any, error) {
		a, err := left(of)
		if err != nil {
			return nil, err
		}
		b, err := right(of)
		if err != nil {
			return nil, err
		}
		return pairwise(present, a, b)
	}
}

func pairwise(do func(a, b float64) float64, a, b any) (any, error) {
	switch x := a.(type) {
	case float64:
		switch y := b.(type) {
		case float64:
			return do(x, y), nil
		case line:
			return y.each(func(v float64) float64 { return do(x, v) }), nil
		}
	case line:
		switch y := b.(type) {
		case float64:
			return x.each(func(v float64) float64 { return do(v, y) }), nil
		case line:
			result := make(line, len(x))
			for i := range x {
				result[i] = do(x[i], y[i])
			}
			return result, nil
		}
	}
	return nil, errSeveral
}

func (l line) each(do func(float64) float64) line {
	result := make(line, len(l))
	for i, v := range l {
		result[i] = do(v)
	}
	return result
}

func (p *mathParser) factor() (expression, error) {
	switch t := p.take(); {
	case t.kind == number:
		value, err := strconv.ParseFloat(t.text, 64)
		return func(scope) (any, error) { return value, nil }, err
	case t.text == "-" && t.kind == operator:
		value, err := p.level(len(levels) - 1)
		return binary(operations["*"], func(scope) (any, error) { return -1., nil }, value), err
	case t.text == "(" && t.kind == operator:
		value, err := p.level(0)
		if err == nil {
			err = p.expect(")")
		}
		return value, err
	case t.text == "[" && t.kind == operator:
		items, err := p.list("]")
		return several(items), err
	case t.kind == word && p.accept("(") != "":
		return p.call(t.text)
	case t.kind == word && slices.Contains(p.ids, t.text):
		return func(of scope) (any, error) {
			if found, has := of.lines[t.text]; has {
				return found, nil
			}
			return nil, fmt.Errorf("%s is not computed before it is used", t.text)
		}, nil
	case t.text == "REPEAT" && p.filling: // a missing value, which fill replaces by the one before
		return func(scope) (any, error) { return math.NaN(), nil }, nil
	case t.kind == word:
		return nil, fmt.Errorf("%s is no id of this call's metrics", t.text)
	default:
		return nil, fmt.Errorf("%v is not known here", t)
	}
}

func (p *mathParser) list(closing string) ([]expression, error) {
	var items []expression
	for p.accept(closing) == "" {
		if len(items) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		item, err := p.level(0)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func several(items []expression) expression {
	return func(of scope) (any, error) {
		var all []line
		for _, item := range items {
			value, err := item(of)
			if err != nil {
				return nil, err
			}
			if _, list := value.([]line); list {
				return nil, errSeveral
			}
			all = append(all, of.widen(value))
		}
		return all, nil
	}
}

// widen returns a number as a line.
func (of scope) widen(value any) line {
	if l, is := value.(line); is {
		return l
	}
	result := make(line, of.periods)
	for i := range result {
		result[i], _ = value.(float64)
	}
	return result
}

// function is a function of metric math.
type function struct {
	least, most int  // parameters
	lists       bool // whether they may be several metrics
	call        func(of scope, in []any) (any, error)
}

var functions = map[string]function{
	"ABS":         {1, 1, false, each(math.Abs)},
	"CEIL":        {1, 1, false, each(math.Ceil)},
	"FLOOR":       {1, 1, false, each(math.Floor)},
	"SUM":         {1, 1, true, across(sum)},
	"AVG":         {1, 1, true, across(func(v []float64) float64 { return sum(v) / float64(len(v)) })},
	"MIN":         {1, 1, true, across(slices.Min[[]float64])},
	"MAX":         {1, 1, true, across(slices.Max[[]float64])},
	"PERIOD":      {1, 1, false, func(of scope, _ []any) (any, error) { return of.seconds, nil }},
	"RUNNING_SUM": {1, 1, false, runningSum},
	"DIFF":        {1, 1, false, difference},
	"TIME_SERIES": {1, 1, false, func(of scope, in []any) (any, error) { return of.widen(in[0]), nil }},
	"METRICS":     {0, 0, false, func(of scope, _ []any) (any, error) { return of.metrics, nil }},
	"IF":          {2, 3, false, choose},
	"FILL":        {2, 2, false, fill},
}

func (p *mathParser) call(name string) (expression, error) {
	f, known := functions[name]
	if !known {
		return nil, fmt.Errorf("the sandbox does not know the function %s: it knows %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	}
	outer := p.filling
	p.filling = name == "FILL"
	parameters, err := p.list(")")
	p.filling = outer
	if err != nil {
		return nil, err
	}
	if len(parameters) < f.least || len(parameters) > f.most {
		return nil, fmt.Errorf("%s does not have %d parameters", name, len(parameters))
	}
	return func(of scope) (any, error) {
		var in []any
		for _, parameter := range parameters {
			value, err := parameter(of)
			if err != nil {
				return nil, err
			}
			if _, list := value.([]line); list && !f.lists {
				return nil, errSeveral
			}
			in = append(in, value)
		}
		return f.call(of, in)
	}, nil
}

func each(do func(float64) float64) func(scope, []any) (any, error) {
	return func(_ scope, in []any) (any, error) {
		if v, is := in[0].(float64); is {
			return do(v), nil
		}
		return in[0].(line).each(do), nil
	}
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// across reduces several lines to one, period by period, over the values that are
// there; and one line to a number.
func across(reduce func([]float64) float64) func(scope, []any) (any, error) {
	present := func(values []float64) float64 {
		values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
		if len(values) == 0 {
			return math.NaN()
		}
		return reduce(values)
	}
	return func(of scope, in []any) (any, error) {
		switch v := in[0].(type) {
		case float64:
			return v, nil
		case line:
			return present(v), nil
		}
		result := make(line, of.periods)
		for i := range result {
			var values []float64
			for _, l := range in[0].([]line) {
				values = append(values, l[i])
			}
			result[i] = present(values)
		}
		return result, nil
	}
}

func runningSum(of scope, in []any) (any, error) {
	total := 0.
	return of.widen(in[0]).each(func(v float64) float64 {
		if !math.IsNaN(v) {
			total += v
		}
		return total
	}), nil
}

// difference is DIFF: the difference to the preceding value, of all but the first.
func difference(of scope, in []any) (any, error) {
	before := math.NaN()
	return of.widen(in[0]).each(func(v float64) float64 {
		if math.IsNaN(v) {
			return v
		}
		by := v - before
		before = v
		return by
	}), nil
}

// choose is IF: the third parameter is missing values by default.
func choose(of scope, in []any) (any, error) {
	in = append(in, math.NaN())
	condition, then, otherwise := of.widen(in[0]), of.widen(in[1]), of.widen(in[2])
	result := make(line, of.periods)
	for i := range result {
		switch {
		case math.IsNaN(condition[i]) || condition[i] == 0:
			result[i] = otherwise[i]
		default:
			result[i] = then[i]
		}
	}
	return result, nil
}

// fill replaces missing values by a number, another metric's or the value before.
func fill(of scope, in []any) (any, error) {
	with, last := of.widen(in[1]), math.NaN()
	result := slices.Clone(of.widen(in[0]))
	for i, v := range result {
		if math.IsNaN(v) {
			result[i] = with[i]
		}
		if math.IsNaN(result[i]) {
			result[i] = last
		}
		last = result[i]
	}
	return result, nil
}
