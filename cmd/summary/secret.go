package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// sealed replaces a secret value. Equal secrets have equal numbers, so a change is seen
// without the value.
type sealed int

// unknown replaces a value that is known only after the deployment.
type unknown struct{}

// lines is a text of several lines.
type lines []string

// hidden replaces a secret within a text.
const hidden = "[hidden]"

// signature marks a value that is not a JSON value: a secret, a file, an archive
// (resource.SigKey of Pulumi's SDK).
const signature = "4dabf18193072939515e22adb298388d"

// unknowns lists the forms of unknown values in JSON (sdk/go/common/resource/plugin/rpc.go).
var unknowns = map[string]bool{
	"1c4a061d-8072-4f0a-a4cb-0ff528b18fe7": true, // bool
	"3eeb2bf0-c639-47a8-9e75-3b44932eb421": true, // number
	"04da6b54-80e4-46f7-96ec-b56ff0331ba9": true, // string
	"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2": true, // array
	"030794c1-ac77-496b-92df-f27374a8bd58": true, // asset
	"e48ece36-62e2-4504-bad9-02848725956a": true, // archive
	"dd056dcd-154b-4c76-9bd3-c8f88648b5ff": true, // object
}

// secretKey matches the names of values that are never printed.
var secretKey = regexp.MustCompile(`(?i)passw|passphrase|token|secret_?(access_?)?(key|string|binary|value)|private_?key|access_?key|api_?key|authorization|ciphertext`)

// plainKeys lists names that match secretKey and hold no secret.
var plainKeys = map[string]bool{"httpTokens": true}

func isSecretKey(key string) bool { return secretKey.MatchString(key) && !plainKeys[key] }

// seal removes the secrets from every value of a preview: secrets are sealed, and values
// under a secret key are removed from all other text too. Texts that are JSON or base64
// are decoded.
func (p *preview) seal() {
	s := sealer{numbers: map[string]sealed{}}
	p.eachState(func(of *state) {
		of.Inputs, of.Outputs = s.object(of.Inputs, false), s.object(of.Outputs, false)
	})
	s.longestFirst()
	p.eachState(func(of *state) { s.clean(of.Inputs); s.clean(of.Outputs) })
	for i := range p.Diagnostics {
		p.Diagnostics[i].Message = s.plain(p.Diagnostics[i].Message)
	}
	p.sealer = s
}

func (p *preview) eachState(do func(*state)) {
	for _, step := range p.Steps {
		for _, of := range []*state{step.OldState, step.NewState} {
			if of != nil {
				do(of)
			}
		}
	}
}

type sealer struct {
	numbers map[string]sealed
	secrets []string // what is taken out of other text
}

func (s *sealer) seal(text string) sealed {
	if _, there := s.numbers[text]; !there {
		s.numbers[text] = sealed(len(s.numbers))
	}
	return s.numbers[text]
}

func (s *sealer) object(of map[string]any, secret bool) map[string]any {
	made := map[string]any{}
	name, _ := of["name"].(string) // a container's environment is a list of {name, value}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		if !strings.HasPrefix(key, "__") { // the bridge's notes
			made[key] = s.value(of[key], secret || isSecretKey(key) || key == "value" && isSecretKey(name))
		}
	}
	return made
}

func (s *sealer) value(value any, secret bool) any {
	switch v := value.(type) {
	case map[string]any:
		if _, marked := v[signature]; marked {
			return s.seal(asJSON(v))
		}
		return s.object(v, secret)
	case []any:
		made := make([]any, len(v))
		for i, item := range v {
			made[i] = s.value(item, secret)
		}
		return made
	case string:
		return s.text(v, secret)
	case nil:
		return nil
	}
	if secret {
		return s.seal(asJSON(value))
	}
	return value
}

func (s *sealer) text(text string, secret bool) any {
	switch {
	case unknowns[text]:
		return unknown{}
	case text == "[secret]":
		return s.seal(text)
	case secret:
		// A short one would hide words, and an ARN only names a secret.
		if len(text) >= 8 && !strings.HasPrefix(text, "arn:") {
			s.secrets = append(s.secrets, text)
		}
		return s.seal(text)
	}
	if inner, ok := decoded(text); ok {
		return s.value(inner, false)
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) > 32 && utf8.Valid(raw) && slices.Contains(raw, '\n') {
		text = string(raw) // user data
	}
	if strings.Contains(text, "\n") {
		return lines(strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n"))
	}
	return text
}

// decoded returns the JSON object or list in a text.
func decoded(text string) (any, bool) {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var inner any
	if decoder.Decode(&inner) != nil || decoder.More() {
		return nil, false
	}
	return inner, true
}

// longestFirst orders the secrets so that one inside another leaves no rest.
func (s *sealer) longestFirst() {
	slices.SortFunc(s.secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	s.secrets = slices.Compact(s.secrets)
}

// clean removes secrets from all text within a value, in place.
func (s *sealer) clean(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = s.clean(item)
		}
	case []any:
		for i, item := range v {
			v[i] = s.clean(item)
		}
	case lines:
		return lines(strings.Split(s.plain(strings.Join(v, "\n")), "\n"))
	case string:
		return s.plain(v)
	}
	return value
}

// unmarked finds secrets in text that are not marked: an error message may quote one.
var unmarked = []*regexp.Regexp{
	regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`),
	regexp.MustCompile(`\{[^{}]*` + signature + `[^{}]*\}`),
	regexp.MustCompile(`v1:[A-Za-z0-9+/=]{12,}:[A-Za-z0-9+/=]{16,}`),                // Pulumi's ciphertext
	regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b`),                               // an AWS access key
	regexp.MustCompile(`\b(gh[a-z]|github_pat)_[A-Za-z0-9_]{20,}`),                  // a GitHub token
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), // a JSON web token
}

var (
	assigned = regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:passw|passphrase|token|secret_?(?:access_?)?key|private_?key|api_?key|authorization)[a-z0-9_.-]*\\?["']?\s*[:=]\s*)(?:(?:bearer|basic)\s+\S+|\\?"[^"]*"|'[^']*'|[^\s"',;}]+)`)
	userinfo = regexp.MustCompile(`(://)[^/\s@]+@`)
)

// plain returns a text without secrets and without parts that look like one.
func (s *sealer) plain(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	for _, pattern := range unmarked {
		text = pattern.ReplaceAllString(text, hidden)
	}
	text = assigned.ReplaceAllString(text, "${1}"+hidden)
	return userinfo.ReplaceAllString(text, "${1}"+hidden+"@")
}
