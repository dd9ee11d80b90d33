package cloudwatch

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Insights is a CloudWatch Logs Insights query (CloudWatch Logs user guide, "CloudWatch
// Logs Insights language query syntax"): fields, display, filter, stats, sort, limit and
// dedup. Any other command or function is refused by name.
type Insights struct{ commands []command }

// command changes the table of results.
type command func(table) (table, error)

// table are rows, with the columns that are shown.
type table struct {
	rows       []row
	columns    []string
	aggregated bool // by stats: rows are no log events any more
}

// row has the fields of an event, or a result of stats. A value is a string, a
// json.Number, a float64, a bool or a moment; a field that is missing has none.
type row map[string]any

// moment is @timestamp, in milliseconds since 1970.
type moment int64

func (m moment) String() string {
	return time.UnixMilli(int64(m)).UTC().Format("2006-01-02 15:04:05.000")
}

// defaultLimit is the most rows of a query without limit (API reference, StartQuery).
const defaultLimit = 10_000

var insightsLanguage = language{
	operators: []string{"=~", "!=", "<=", ">=", "<>", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", "|"},
	letters:   "@.", quotes: "\"'`", regexps: true,
}

// ParseInsights parses a query.
func ParseInsights(text string) (Insights, error) {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines = append(lines, line)
		}
	}
	tokens, err := insightsLanguage.lex(strings.Join(lines, ""))
	if err != nil {
		return Insights{}, fmt.Errorf("query: %w", err)
	}
	p := &insightsParser{parser{tokens: tokens}}
	var q Insights
	for p.peek().kind != end {
		c, err := p.command()
		if err != nil {
			return Insights{}, fmt.Errorf("query: %w", err)
		}
		q.commands = append(q.commands, c)
		if p.accept("|") == "" {
			break
		}
	}
	if err := p.ended(); err != nil {
		return Insights{}, fmt.Errorf("query: %w", err)
	}
	return q, nil
}

// Run returns the columns and the rows for events, the newest first.
func (q Insights) Run(events []row) (columns []string, rows []row, err error) {
	t := table{rows: events}
	for _, c := range q.commands {
		if t, err = c(t); err != nil {
			return nil, nil, err
		}
	}
	if len(t.columns) == 0 {
		t.columns = []string{"@timestamp", "@message"}
	}
	if !t.aggregated {
		t.columns = append(slices.Clone(t.columns), "@ptr")
	}
	return t.columns, t.rows[:min(len(t.rows), defaultLimit)], nil
}

type insightsParser struct{ parser }

// insightsCommands are those that the sandbox knows.
var insightsCommands = map[string]func(*insightsParser) (command, error){
	"fields": (*insightsParser).fields, "display": (*insightsParser).display, "filter": (*insightsParser).filter,
	"stats": (*insightsParser).stats, "sort": (*insightsParser).sort, "limit": (*insightsParser).limit, "dedup": (*insightsParser).dedup,
}

func (p *insightsParser) command() (command, error) {
	t := p.take()
	parse, known := insightsCommands[strings.ToLower(t.text)]
	if t.kind != word || !known {
		return nil, fmt.Errorf("the sandbox does not know the command %v", t)
	}
	return parse(p)
}

// column is an expression with its name.
type column struct {
	name  string
	value compute
}

// columnList parses "a, b + 1 as c".
func (p *insightsParser) columnList() ([]column, error) {
	var list []column
	for {
		from := p.next
		value, err := p.sum()
		if err != nil {
			return nil, err
		}
		name := p.textSince(from)
		if p.keyword("as") != "" {
			name = p.take().text
		}
		list = append(list, column{name, value})
		if p.accept(",") == "" {
			return list, nil
		}
	}
}

func (p *insightsParser) textSince(from int) string {
	var text strings.Builder
	for _, t := range p.tokens[from:p.next] {
		text.WriteString(t.text)
	}
	return text.String()
}

func (p *insightsParser) fields() (command, error) { return p.shown(true) }

func (p *insightsParser) display() (command, error) { return p.shown(false) }

// shown adds columns, or replaces them.
func (p *insightsParser) shown(more bool) (command, error) {
	list, err := p.columnList()
	return func(t table) (table, error) {
		if !more {
			t.columns = nil
		}
		for _, c := range list {
			t.columns = append(slices.Clip(t.columns), c.name)
			for _, r := range t.rows {
				if v := c.value(r, nil); v != nil {
					r[c.name] = v
				}
			}
		}
		return t, nil
	}, err
}

func (p *insightsParser) filter() (command, error) {
	keeps, err := p.or()
	return func(t table) (table, error) {
		t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return !isTrue(keeps(r, nil)) })
		return t, nil
	}, err
}

func (p *insightsParser) limit() (command, error) {
	t := p.take()
	most, err := strconv.Atoi(t.text)
	if t.kind != number || err != nil {
		return nil, fmt.Errorf("limit %v: a number is needed", t)
	}
	return func(t table) (table, error) {
		t.rows = t.rows[:min(len(t.rows), most)]
		return t, nil
	}, nil
}

// sort orders rows. Rows without the field come last.
func (p *insightsParser) sort() (command, error) {
	type order struct {
		by   compute
		down bool
	}
	var orders []order
	for {
		by, err := p.sum()
		if err != nil {
			return nil, err
		}
		orders = append(orders, order{by, p.keyword("asc", "desc") == "desc"})
		if p.accept(",") == "" {
			break
		}
	}
	return func(t table) (table, error) {
		slices.SortStableFunc(t.rows, func(a, b row) int {
			for _, o := range orders {
				x, y := o.by(a, nil), o.by(b, nil)
				switch {
				case x == nil && y == nil:
				case x == nil:
					return 1
				case y == nil:
					return -1
				default:
					if c := ordered(x, y); c != 0 && o.down {
						return -c
					} else if c != 0 {
						return c
					}
				}
			}
			return 0
		})
		return t, nil
	}, nil
}

// dedup keeps the first row of each combination of values.
func (p *insightsParser) dedup() (command, error) {
	list, err := p.columnList()
	return func(t table) (table, error) {
		seen := map[string]bool{}
		t.rows = slices.DeleteFunc(t.rows, func(r row) bool {
			key := keyOf(list, r)
			before := seen[key]
			seen[key] = true
			return before
		})
		return t, nil
	}, err
}

func keyOf(list []column, r row) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, strconv.Quote(shownValue(c.value(r, nil))))
	}
	return strings.Join(parts, " ")
}

// stats replaces rows by one for each combination of values, in the order of their first
// row.
func (p *insightsParser) stats() (command, error) {
	results, err := p.columnList()
	var by []column
	if err == nil && p.keyword("by") != "" {
		by, err = p.columnList()
	}
	if err != nil {
		return nil, err
	}
	return func(t table) (table, error) {
		groups, order := map[string][]row{}, []string{}
		if len(by) == 0 {
			groups[""], order = t.rows, []string{""}
		} else {
			for _, r := range t.rows {
				key := keyOf(by, r)
				if groups[key] == nil {
					order = append(order, key)
				}
				groups[key] = append(groups[key], r)
			}
		}
		out := table{aggregated: true}
		for _, c := range slices.Concat(by, results) {
			out.columns = append(out.columns, c.name)
		}
		for _, key := range order {
			group, made := groups[key], row{}
			if group == nil {
				group = []row{}
			}
			for _, c := range slices.Concat(by, results) {
				first := row{}
				if len(group) > 0 {
					first = group[0]
				}
				if v := c.value(first, group); v != nil {
					made[c.name] = v
				}
			}
			out.rows = append(out.rows, made)
		}
		return out, nil
	}, nil
}

// or parses a condition: or, and, not, comparisons, in, like, functions.
func (p *insightsParser) or() (compute, error) {
	left, err := p.and()
	for err == nil && p.keyword("or") != "" {
		var right compute
		first := left
		right, err = p.and()
		left = func(r row, g []row) any { return isTrue(first(r, g)) || isTrue(right(r, g)) }
	}
	return left, err
}

func (p *insightsParser) and() (compute, error) {
	left, err := p.not()
	for err == nil && p.keyword("and") != "" {
		var right compute
		first := left
		right, err = p.not()
		left = func(r row, g []row) any { return isTrue(first(r, g)) && isTrue(right(r, g)) }
	}
	return left, err
}

func (p *insightsParser) not() (compute, error) {
	if p.keyword("not") != "" {
		value, err := p.not()
		return func(r row, g []row) any { return !isTrue(value(r, g)) }, err
	}
	if p.accept("(") != "" {
		value, err := p.or()
		if err == nil {
			err = p.expect(")")
		}
		return value, err
	}
	return p.comparison()
}

func (p *insightsParser) comparison() (compute, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	inverse := p.keyword("not") != ""
	var holds compute
	switch {
	case p.keyword("in") != "":
		holds, err = p.oneOf(left)
	case p.keyword("like") != "", !inverse && p.accept("=~") != "":
		holds, err = p.like(left)
	case inverse:
		return nil, fmt.Errorf("%v is not known after not: in and like are", p.peek())
	default:
		name := p.accept("=", "!=", "<>", "<", "<=", ">", ">=")
		if name == "" { // a function
			return left, nil
		}
		var right compute
		right, err = p.sum()
		holds = func(r row, g []row) any { return holdsBetween(name, left(r, g), right(r, g)) }
	}
	return func(r row, g []row) any { return isTrue(holds(r, g)) != inverse }, err
}

// holdsBetween compares numbers as numbers and all else as text. A missing value fulfils
// no comparison.
func holdsBetween(name string, a, b any) bool {
	if a == nil || b == nil {
		return false
	}
	return compared(name, float64(ordered(a, b)), 0)
}

// list reads values up to the token that ends them.
func (p *insightsParser) list(end string) (list []compute, err error) {
	for p.accept(end) == "" {
		if len(list) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		item, err := p.sum()
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func (p *insightsParser) oneOf(value compute) (compute, error) {
	if err := p.expect("["); err != nil {
		return nil, err
	}
	list, err := p.list("]")
	if err != nil {
		return nil, err
	}
	return func(r row, g []row) any {
		return slices.ContainsFunc(list, func(item compute) bool { return holdsBetween("=", value(r, g), item(r, g)) })
	}, nil
}

func (p *insightsParser) like(value compute) (compute, error) {
	t := p.take()
	switch t.kind {
	case quoted:
		return func(r row, g []row) any { return strings.Contains(shownValue(value(r, g)), t.text) }, nil
	case regex:
		form, err := regexp.Compile(t.text)
		return func(r row, g []row) any { return form.MatchString(shownValue(value(r, g))) }, err
	}
	return nil, fmt.Errorf("like %v: a text in quotes or a regular expression is needed", t)
}

// ordered compares two values.
func ordered(a, b any) int {
	x, isNumber := numeric(a)
	y, both := numeric(b)
	if isNumber && both {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(shownValue(a), shownValue(b))
}

func isTrue(value any) bool {
	is, _ := value.(bool)
	return is
}
