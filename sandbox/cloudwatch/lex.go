package cloudwatch

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind int

const (
	end kind = iota
	number
	word   // a name, a keyword or a selector
	quoted // text without its quotes
	regex  // a regular expression without its slashes
	operator
)

type token struct {
	kind kind
	text string
}

func (t token) String() string {
	if t.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// language is the lexical part of one of CloudWatch's languages.
type language struct {
	operators []string // a longer one before its beginning
	letters   string   // of words, beside letters, digits and "_"
	quotes    string
	regexps   bool // "/x/" after "like" and "=~" is a regular expression
}

// lex returns a text's tokens.
func (l language) lex(text string) ([]token, error) {
	var tokens []token
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t, length, err := l.first(rest, tokens)
		if err != nil {
			return nil, err
		}
		tokens, rest = append(tokens, t), rest[length:]
	}
	return tokens, nil
}

func (l language) first(rest string, before []token) (token, int, error) {
	c, _ := utf8.DecodeRuneInString(rest)
	if l.regexps && c == '/' && len(before) > 0 && slices.Contains([]string{"like", "=~"}, strings.ToLower(before[len(before)-1].text)) {
		return delimited(rest, '/', regex)
	}
	if strings.ContainsRune(l.quotes, c) {
		return delimited(rest, byte(c), quoted)
	}
	if n := numberLength(rest); n > 0 && !l.isLetter(rest[n:]) {
		return token{number, rest[:n]}, n, nil
	}
	n := 0
	for l.isLetter(rest[n:]) {
		_, size := utf8.DecodeRuneInString(rest[n:])
		n += size
	}
	if n > 0 {
		if digits := numberLength(rest); digits > 0 && l.regexps { // a duration, "5m"
			n = digits
			return token{number, rest[:n]}, n, nil
		}
		return token{word, rest[:n]}, n, nil
	}
	for _, o := range l.operators {
		if strings.HasPrefix(rest, o) {
			return token{operator, o}, len(o), nil
		}
	}
	return token{}, 0, fmt.Errorf("%q is not known", c)
}

func (l language) isLetter(rest string) bool {
	c, size := utf8.DecodeRuneInString(rest)
	return size > 0 && (unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_' || strings.ContainsRune(l.letters, c))
}

// delimited returns the token that begins with a quote and ends with the same; a
// backslash makes the next character a part of it.
func delimited(rest string, quote byte, k kind) (token, int, error) {
	var text strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && i+1 < len(rest):
			if k == regex && rest[i+1] != quote {
				text.WriteByte('\\')
			}
			i++
			text.WriteByte(rest[i])
		case rest[i] == quote:
			return token{k, text.String()}, i + 1, nil
		default:
			text.WriteByte(rest[i])
		}
	}
	return token{}, 0, fmt.Errorf("the closing %c is missing", quote)
}

// numberLength returns how many bytes of a text are a decimal number.
func numberLength(rest string) int {
	digits := func(from int) int {
		for from < len(rest) && rest[from] >= '0' && rest[from] <= '9' {
			from++
		}
		return from
	}
	n := digits(0)
	if n == 0 {
		return 0
	}
	if n < len(rest) && rest[n] == '.' && digits(n+1) > n+1 {
		n = digits(n + 1)
	}
	return n
}

// parser goes through tokens.
type parser struct {
	tokens []token
	next   int
}

func (p *parser) peek() token {
	if p.next == len(p.tokens) {
		return token{}
	}
	return p.tokens[p.next]
}

func (p *parser) take() token {
	t := p.peek()
	if t.kind != end {
		p.next++
	}
	return t
}

// accept takes the next token if it is one of these operators, and returns it; "" if
// it is not.
func (p *parser) accept(operators ...string) string {
	if t := p.peek(); t.kind == operator && slices.Contains(operators, t.text) {
		p.next++
		return t.text
	}
	return ""
}

// keyword takes the next token if it is one of these words, in any case, and returns
// it in lower case; "" if it is not.
func (p *parser) keyword(words ...string) string {
	t := p.peek()
	if lower := strings.ToLower(t.text); t.kind == word && slices.Contains(words, lower) {
		p.next++
		return lower
	}
	return ""
}

func (p *parser) expect(operator string) error {
	if p.accept(operator) == "" {
		return fmt.Errorf("%v is not known here: %q is", p.peek(), operator)
	}
	return nil
}

func (p *parser) ended() error {
	if t := p.peek(); t.kind != end {
		return fmt.Errorf("%v is not known here", t)
	}
	return nil
}
