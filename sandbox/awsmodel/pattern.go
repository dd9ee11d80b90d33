package awsmodel

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// pattern is a model's regular expression. The models are written for Java,
// which matches the whole text. Go's regexp differs in three points:
//
//   - \uXXXX is written \x{XXXX};
//   - a repetition of more than 1000 is refused: it counts here as unlimited, and
//     the member's maximum length is checked all the same;
//   - there is no lookahead. One at the beginning, (?!X)Y or (?=X)Y, is checked as
//     an expression of its own. Any other, and every lookbehind, cannot be
//     expressed: such a pattern accepts everything.
type pattern struct {
	whole          *regexp.Regexp   // the text matches it from beginning to end; nil if Go cannot express it
	begins, denies []*regexp.Regexp // lookaheads at the beginning
}

var (
	codeUnit = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
	repeated = regexp.MustCompile(`\{(\d+),(\d+)\}`)
)

func (s *service) pattern(source string) *pattern {
	if p, known := s.patterns.Load(source); known {
		return p.(*pattern)
	}
	p := compile(source)
	s.patterns.Store(source, p)
	return p
}

func compile(source string) *pattern {
	p := &pattern{}
	text := repeated.ReplaceAllStringFunc(codeUnit.ReplaceAllString(source, `\x{$1}`), unlimited)
	rest := strings.TrimPrefix(text, "^")
	for strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?=") {
		end := closing(rest)
		if end < 0 {
			return p
		}
		ahead, err := regexp.Compile(`\A(?:` + rest[len("(?!"):end] + `)`)
		if err != nil {
			return p
		}
		if rest[2] == '!' {
			p.denies = append(p.denies, ahead)
		} else {
			p.begins = append(p.begins, ahead)
		}
		rest = rest[end+1:]
		text = rest
	}
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	if err != nil {
		return p
	}
	p.whole = whole
	return p
}

func (p *pattern) matches(text string) bool {
	if p.whole == nil {
		return true
	}
	for _, ahead := range p.begins {
		if !ahead.MatchString(text) {
			return false
		}
	}
	for _, ahead := range p.denies {
		if ahead.MatchString(text) {
			return false
		}
	}
	return p.whole.MatchString(text)
}

// unlimited writes a repetition that is too large for Go's regexp without its
// upper limit.
func unlimited(repetition string) string {
	const most = 1000
	limits := repeated.FindStringSubmatch(repetition)
	least, err := strconv.Atoi(limits[1])
	if highest, err2 := strconv.Atoi(limits[2]); err == nil && err2 == nil && highest <= most {
		return repetition
	}
	return fmt.Sprintf("{%d,}", min(least, most))
}

// closing returns the index at which the group that text begins with ends; -1 if it
// does not.
func closing(text string) int {
	depth, class := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
