package cloudwatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// compute is an expression of an Insights query. group has the rows of a result of stats
// and is nil elsewhere.
type compute func(r row, group []row) any

// sum parses arithmetic: + and - bind weaker than * / and %.
func (p *insightsParser) sum() (compute, error) {
	return p.chain(p.product, "+", "-")
}

func (p *insightsParser) product() (compute, error) {
	return p.chain(p.atom, "*", "/", "%")
}

func (p *insightsParser) chain(next func() (compute, error), operators ...string) (compute, error) {
	left, err := next()
	for err == nil {
		name := p.accept(operators...)
		if name == "" {
			break
		}
		var right compute
		first := left
		right, err = next()
		left = func(r row, g []row) any {
			a, hasA := numeric(first(r, g))
			b, hasB := numeric(right(r, g))
			if !hasA || !hasB {
				return nil
			}
			return whole(arithmetic(name, a, b))
		}
	}
	return left, err
}

func arithmetic(name string, a, b float64) float64 {
	if name == "%" {
		return math.Mod(a, b)
	}
	return operations[name](a, b)
}

// whole returns a number as a value; nil if it is infinite or none.
func whole(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}

func (p *insightsParser) atom() (compute, error) {
	switch t := p.take(); {
	case t.kind == number:
		value, err := strconv.ParseFloat(t.text, 64)
		return func(row, []row) any { return value }, err
	case t.kind == quoted:
		return func(row, []row) any { return t.text }, nil
	case t.text == "-" && t.kind == operator:
		value, err := p.atom()
		return func(r row, g []row) any {
			v, has := numeric(value(r, g))
			if !has {
				return nil
			}
			return -v
		}, err
	case t.text == "(" && t.kind == operator:
		value, err := p.sum()
		if err == nil {
			err = p.expect(")")
		}
		return value, err
	case t.kind == word && p.accept("(") != "":
		return p.function(strings.ToLower(t.text))
	case t.kind == word:
		return func(r row, _ []row) any { return r[t.text] }, nil
	default:
		return nil, fmt.Errorf("%v is not known here", t)
	}
}

// insightsFunctions are those of single rows.
var insightsFunctions = map[string]func(in []any) any{
	"ispresent": func(in []any) any { return in[0] != nil },
	"isblank":   func(in []any) any { return strings.TrimSpace(shownValue(in[0])) == "" },
	"coalesce": func(in []any) any {
		for _, v := range in {
			if v != nil {
				return v
			}
		}
		return nil
	},
	"abs": rounded(math.Abs), "ceil": rounded(math.Ceil), "floor": rounded(math.Floor),
}

func rounded(do func(float64) float64) func([]any) any {
	return func(in []any) any {
		v, has := numeric(in[0])
		if !has {
			return nil
		}
		return do(v)
	}
}

// aggregates are the functions of stats.
var aggregates = map[string]func(values []any, more []any) any{
	"count":          func(values, _ []any) any { return float64(len(values)) },
	"count_distinct": func(values, _ []any) any { return float64(len(distinct(values))) },
	"sum":            overNumbers(func(v []float64, _ []any) float64 { return sum(v) }),
	"avg":            overNumbers(func(v []float64, _ []any) float64 { return sum(v) / float64(len(v)) }),
	"min":            overNumbers(func(v []float64, _ []any) float64 { return slices.Min(v) }),
	"max":            overNumbers(func(v []float64, _ []any) float64 { return slices.Max(v) }),
	"pct": overNumbers(func(v []float64, more []any) float64 {
		percent, _ := numeric(more[0])
		return quantile(v, percent/100)
	}),
	"median":   overNumbers(func(v []float64, _ []any) float64 { return quantile(v, 0.5) }),
	"earliest": edge(func(values []any) any { return values[len(values)-1] }), // rows are the newest first
	"latest":   edge(func(values []any) any { return values[0] }),
}

func edge(pick func([]any) any) func(values, more []any) any {
	return func(values, _ []any) any {
		if len(values) == 0 {
			return nil
		}
		return pick(values)
	}
}

func distinct(values []any) map[string]bool {
	seen := map[string]bool{}
	for _, v := range values {
		seen[shownValue(v)] = true
	}
	return seen
}

// overNumbers leaves out values that are no numbers.
func overNumbers(reduce func([]float64, []any) float64) func(values, more []any) any {
	return func(values, more []any) any {
		var numbers []float64
		for _, v := range values {
			if n, is := numeric(v); is {
				numbers = append(numbers, n)
			}
		}
		if len(numbers) == 0 {
			return nil
		}
		return whole(reduce(numbers, more))
	}
}

func (p *insightsParser) function(name string) (compute, error) {
	if name == "bin" {
		return p.bin()
	}
	if p.accept("*") != "" { // count(*)
		if name != "count" {
			return nil, fmt.Errorf("%s(*) is not known: count(*) is", name)
		}
		return func(_ row, group []row) any { return float64(len(group)) }, p.expect(")")
	}
	parameters, err := p.list(")")
	if err != nil {
		return nil, err
	}
	aggregate, single := aggregates[name], insightsFunctions[name]
	switch needed := map[bool]int{true: 2, false: 1}[name == "pct"]; {
	case aggregate == nil && single == nil:
		known := slices.Concat(slices.Sorted(maps.Keys(aggregates)), slices.Sorted(maps.Keys(insightsFunctions)))
		return nil, fmt.Errorf("the sandbox does not know the function %s: it knows bin, %s", name, strings.Join(known, ", "))
	case len(parameters) < needed || len(parameters) > needed && name != "coalesce":
		return nil, fmt.Errorf("%s has %d parameters: %d are needed", name, len(parameters), needed)
	}
	return func(r row, group []row) any {
		if aggregate != nil {
			return aggregated(aggregate, parameters, r, group)
		}
		var in []any
		for _, parameter := range parameters {
			in = append(in, parameter(r, group))
		}
		return single(in)
	}, nil
}

func aggregated(aggregate func(values, more []any) any, parameters []compute, r row, group []row) any {
	var values, more []any
	for _, member := range group {
		if v := parameters[0](member, nil); v != nil {
			values = append(values, v)
		}
	}
	for _, parameter := range parameters[1:] {
		more = append(more, parameter(r, group))
	}
	return aggregate(values, more)
}

var binUnits = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// bin parses the rest of bin(5m): @timestamp, down to a multiple of that time.
func (p *insightsParser) bin() (compute, error) {
	count, err := strconv.Atoi(p.take().text)
	if err != nil {
		return nil, fmt.Errorf("bin: a number with ms, s, m, h or d is needed")
	}
	unit, known := binUnits[p.take().text]
	if !known || count < 1 {
		return nil, fmt.Errorf("bin: a number with ms, s, m, h or d is needed")
	}
	width := int64(count) * unit.Milliseconds()
	return func(r row, _ []row) any {
		at, has := r["@timestamp"].(moment)
		if !has {
			return nil
		}
		return at - at%moment(width)
	}, p.expect(")")
}

// numeric returns a value as a number, which a text may be too.
func numeric(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case moment:
		return float64(v), true
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil
	}
	return 0, false
}

// shownValue returns a value as results have it.
func shownValue(value any) string {
	switch v := value.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}

// flat adds the fields of decoded JSON to a row: "usage.cpuCores", "list.0".
func (r row) flat(value any, path string) {
	switch v := value.(type) {
	case map[string]any:
		for name, part := range v {
			r.flat(part, strings.TrimPrefix(path+"."+name, "."))
		}
	case []any:
		for i, part := range v {
			r.flat(part, path+"."+strconv.Itoa(i))
		}
	case nil:
	default:
		r[path] = v
	}
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}
