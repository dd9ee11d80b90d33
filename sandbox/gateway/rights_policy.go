package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// policy is a policy document: a role's rights, its trust policy, or a resource's
// policy. Parts of it that the sandbox does not know are an error, when they are
// parsed or when they would decide: they never let a call pass.
type policy struct {
	name       string
	statements []statement
	variables  bool // whether "${KEY}" is replaced by a condition key's value: since the Version 2012-10-17
}

type statement struct {
	name               string // its Sid, else its number
	effect             string
	principals         map[string][]string // by kind: "AWS", "Service"
	actions, resources []string
	conditions         map[string]map[string]json.RawMessage // by operator and key
}

// grammar has the elements that a statement may have, with their parsers.
type grammar map[string]func(*statement, json.RawMessage) error

// The elements of statements. An identity policy must not have a Principal, and a
// trust policy must not have a Resource.
var (
	rightsGrammar   = grammar{"Sid": takeSid, "Effect": takeEffect, "Action": takeAction, "Resource": takeResource, "Condition": takeCondition}
	trustGrammar    = grammar{"Sid": takeSid, "Effect": takeEffect, "Action": takeAction, "Principal": takePrincipal, "Condition": takeCondition}
	resourceGrammar = grammar{"Sid": takeSid, "Effect": takeEffect, "Action": takeAction, "Principal": takePrincipal, "Resource": takeResource, "Condition": takeCondition}
	optional        = []string{"Sid", "Condition"}
	versions        = []string{withVariables, "2008-10-17"} // they differ in policy variables only
)

const withVariables = "2012-10-17"

func takeSid(s *statement, raw json.RawMessage) error { return json.Unmarshal(raw, &s.name) }

func takeEffect(s *statement, raw json.RawMessage) error {
	if err := json.Unmarshal(raw, &s.effect); err != nil {
		return err
	}
	if s.effect != "Allow" && s.effect != "Deny" {
		return notKnown("Effect %q", s.effect)
	}
	return nil
}

func takeAction(s *statement, raw json.RawMessage) (err error) {
	s.actions, err = stringList(raw)
	return err
}

func takeResource(s *statement, raw json.RawMessage) (err error) {
	s.resources, err = stringList(raw)
	return err
}

func takeCondition(s *statement, raw json.RawMessage) error {
	return json.Unmarshal(raw, &s.conditions)
}

func takePrincipal(s *statement, raw json.RawMessage) error {
	if string(raw) == `"*"` {
		s.principals = map[string][]string{"AWS": {"*"}}
		return nil
	}
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(raw, &kinds); err != nil {
		return err
	}
	s.principals = map[string][]string{}
	for kind, names := range kinds {
		if kind != "AWS" && kind != "Service" {
			return notKnown("Principal %q", kind)
		}
		list, err := stringList(names)
		if err != nil {
			return err
		}
		s.principals[kind] = list
	}
	return nil
}

func notKnown(format string, args ...any) error {
	return fmt.Errorf("the sandbox does not know "+format, args...)
}

// stringList parses a string or a list of strings.
func stringList(raw json.RawMessage) ([]string, error) {
	if !bytes.HasPrefix(raw, []byte("[")) {
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	var list []string
	return list, json.Unmarshal(raw, &list)
}

func parsePolicy(name, text string, known grammar) (policy, error) {
	p := policy{name: name}
	var document map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return p, fmt.Errorf("policy %q: %w", name, err)
	}
	for element, raw := range document {
		var err error
		switch element {
		case "Version":
			p.variables, err = checkVersion(raw)
		case "Id":
		case "Statement":
			p.statements, err = parseStatements(raw, known)
		default:
			err = notKnown("%s", element)
		}
		if err != nil {
			return p, fmt.Errorf("policy %q: %w", name, err)
		}
	}
	return p, nil
}

func checkVersion(raw json.RawMessage) (variables bool, err error) {
	list, err := stringList(raw)
	if err != nil || len(list) != 1 || !slices.Contains(versions, list[0]) {
		return false, notKnown("Version %s", raw)
	}
	return list[0] == withVariables, nil
}

func parseStatements(raw json.RawMessage, known grammar) ([]statement, error) {
	if !bytes.HasPrefix(raw, []byte("[")) {
		raw = slices.Concat([]byte("["), raw, []byte("]"))
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	var statements []statement
	for i, said := range list {
		s := statement{name: fmt.Sprint(i + 1)}
		if err := s.take(said, known); err != nil {
			return nil, fmt.Errorf("statement %q: %w", s.name, err)
		}
		statements = append(statements, s)
	}
	return statements, nil
}

func (s *statement) take(said map[string]json.RawMessage, known grammar) error {
	for _, element := range slices.Sorted(maps.Keys(said)) {
		take, ok := known[element]
		if !ok {
			return notKnown("%s", element)
		}
		if err := take(s, said[element]); err != nil {
			return fmt.Errorf("%s: %w", element, err)
		}
	}
	for element := range known {
		if _, there := said[element]; !there && !slices.Contains(optional, element) {
			return fmt.Errorf("%s is missing", element)
		}
	}
	return nil
}

// need is a right that a call needs.
type need struct {
	action   string // "service:Operation" as IAM spells it
	nameless bool   // the operation in action is not AWS's name
	resource string // an ARN; "*" if the action has no resource; "" if the sandbox does not know

	requestTags, resourceTags map[string]string // nil if the sandbox does not know

	// keys are the values of the other condition keys that the sandbox knows, in
	// lower case. A key with "" is one that the call does not have.
	keys map[string]string

	variables bool // whether the policy has policy variables
}

// verdict is the verdict of policies on a need.
type verdict int

const (
	unsaid verdict = iota // a refusal too
	allowed
	denied
)

// decide returns the verdict of identity policies, as IAM does: a Deny overrides
// every Allow.
func decide(policies []policy, n need) (verdict, error) {
	so := unsaid
	for _, p := range policies {
		n.variables = p.variables
		for _, s := range p.statements {
			covers, err := s.covers(n)
			if err != nil {
				return unsaid, fmt.Errorf("policy %q, statement %q: %w", p.name, s.name, err)
			}
			if covers {
				so = max(so, s.verdict())
			}
		}
	}
	return so, nil
}

func (s statement) verdict() verdict {
	if s.effect == "Deny" {
		return denied
	}
	return allowed
}

// covers checks the conditions last: an unknown one matters only if all else matches.
func (s statement) covers(n need) (bool, error) {
	for _, fits := range []func(need) (bool, error){s.acts, s.reaches, s.holds} {
		if ok, err := fits(n); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (s statement) acts(n need) (bool, error) {
	if !n.nameless {
		return slices.ContainsFunc(s.actions, func(pattern string) bool {
			return wildcard(strings.ToLower(pattern), strings.ToLower(n.action))
		}), nil
	}
	service, _, _ := strings.Cut(n.action, ":")
	var perhaps error
	for _, pattern := range s.actions {
		of, operation, _ := strings.Cut(strings.ToLower(pattern), ":")
		switch {
		case pattern == "*" || operation == "*" && wildcard(of, service):
			return true, nil // it matches every name
		case wildcard(of, service):
			perhaps = notKnown("whether the Action %q is this call (%s)", pattern, n.action)
		}
	}
	return false, perhaps
}

func (s statement) reaches(n need) (bool, error) {
	if slices.Contains(s.resources, "*") {
		return true, nil
	}
	if n.resource == "" {
		return false, notKnown("the resource of a call of %s, and the Resource is not \"*\"", n.action)
	}
	for _, pattern := range s.resources {
		filled, resolved, err := n.fill(pattern)
		if err != nil {
			return false, err
		}
		if !resolved {
			continue
		}
		if matches, err := matchARN(filled, n.resource); err != nil || matches {
			return matches, err
		}
	}
	return false, nil
}

var policyVariable = regexp.MustCompile(`\$\{([^}]*)\}`)

// fill replaces policy variables by their values. A text with a variable that the
// call has no value for is not resolved, and matches nothing (IAM user guide, "IAM
// policy elements: Variables and tags").
func (n need) fill(text string) (filled string, resolved bool, err error) {
	resolved = true
	filled = policyVariable.ReplaceAllStringFunc(text, func(variable string) string {
		value, there, unknown := n.value(policyVariable.FindStringSubmatch(variable)[1])
		if unknown != nil || !n.variables || strings.ContainsAny(value, "*?") {
			err = notKnown("the policy variable %s of %s", variable, n.action)
		}
		resolved = resolved && there
		return value
	})
	return filled, resolved, err
}

// arnParts is the number of parts of an ARN; the last may have colons.
const arnParts = 6

// matchARN compares part by part: a wildcard matches within a part.
func matchARN(pattern, arn string) (bool, error) {
	if strings.Count(pattern, ":") < arnParts-1 {
		return false, notKnown("the Resource %q: it has to be a whole ARN", pattern)
	}
	return likeARN(pattern, arn), nil
}

func likeARN(pattern, arn string) bool {
	return slices.EqualFunc(strings.SplitN(pattern, ":", arnParts), strings.SplitN(arn, ":", arnParts), wildcard)
}

// wildcard reports whether a text matches a pattern, in which "*" is any text and "?"
// one character.
func wildcard(pattern, text string) bool {
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`(?s)^` + expression + `$`).MatchString(text)
}

// operators compare a key's value with those of a condition.
var operators = map[string]func(value string, there bool, want []string) bool{
	"StringEquals": func(value string, there bool, want []string) bool { return there && slices.Contains(want, value) },
	"StringEqualsIfExists": func(value string, there bool, want []string) bool {
		return !there || slices.Contains(want, value)
	},
	"ArnEquals": arnLike, // the two are the same (IAM user guide, "IAM JSON policy elements: Condition operators")
	"ArnLike":   arnLike,
	"Bool": func(value string, there bool, want []string) bool {
		return there && slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, value) })
	},
}

func arnLike(value string, there bool, want []string) bool {
	return there && slices.ContainsFunc(want, func(pattern string) bool { return likeARN(pattern, value) })
}

// holds evaluates every condition, so that an unknown one is found even if another
// one fails.
func (s statement) holds(n need) (bool, error) {
	all := true
	for _, operator := range slices.Sorted(maps.Keys(s.conditions)) {
		compare, known := operators[operator]
		if !known && operator != forAllValues {
			return false, notKnown("the Condition operator %q", operator)
		}
		for _, key := range slices.Sorted(maps.Keys(s.conditions[operator])) {
			if operator == forAllValues {
				fits, err := n.allOf(key, s.conditions[operator][key])
				if err != nil {
					return false, err
				}
				all = all && fits
				continue
			}
			value, there, err := n.value(key)
			if err != nil {
				return false, err
			}
			want, err := n.wanted(s.conditions[operator][key])
			if err != nil {
				return false, err
			}
			all = all && compare(value, there, want)
		}
	}
	return all, nil
}

// forAllValues compares every value of a key with several (IAM user guide, "Set
// operators for multivalued context keys"). It holds for a key without a value.
const forAllValues = "ForAllValues:StringEquals"

// allOf reports whether a condition allows all values of a key. Of keys with several
// values the sandbox knows the tags that a call sets.
func (n need) allOf(key string, raw json.RawMessage) (bool, error) {
	_, operation, _ := strings.Cut(n.action, ":")
	if !strings.EqualFold(key, "aws:TagKeys") || n.requestTags == nil || strings.HasPrefix(operation, "Untag") {
		return false, notKnown("the Condition key %q of %s", key, n.action)
	}
	want, err := n.wanted(raw)
	if err != nil {
		return false, err
	}
	for tag := range n.requestTags {
		if !slices.Contains(want, tag) {
			return false, nil
		}
	}
	return true, nil
}

// wanted returns the values that a condition allows.
func (n need) wanted(raw json.RawMessage) ([]string, error) {
	list, err := stringList(raw)
	if err != nil {
		return nil, notKnown("the Condition's value %s", raw)
	}
	var want []string
	for _, text := range list {
		filled, resolved, err := n.fill(text)
		if err != nil {
			return nil, err
		}
		if resolved {
			want = append(want, filled)
		}
	}
	return want, nil
}

// value returns a condition key's value. The names of keys and tags ignore case
// there.
func (n need) value(key string) (value string, there bool, err error) {
	if value, known := n.keys[strings.ToLower(key)]; known {
		return value, value != "", nil
	}
	kind, tag, _ := strings.Cut(key, "/")
	tags := map[string]map[string]string{
		"aws:requesttag": n.requestTags, "aws:resourcetag": n.resourceTags, "ec2:resourcetag": n.resourceTags, "ssm:resourcetag": n.resourceTags,
	}[strings.ToLower(kind)]
	if tags == nil {
		return "", false, notKnown("the Condition key %q of %s", key, n.action)
	}
	for name, v := range tags {
		if !strings.EqualFold(name, tag) {
			continue
		}
		if there {
			return "", false, notKnown("which of the tags is meant by the Condition key %q", key)
		}
		value, there = v, true
	}
	return value, there, nil
}

// principal is the caller that a trust policy is about: an AWS service, or a member
// of an account.
type principal struct {
	service string // e.g. "ec2.amazonaws.com"
	account string
	roleARN string // "" for the account's administrator
}

// trust is the extent of a role's trust policy.
type trust int

const (
	distrusted trust = iota
	byAccount        // the policy admits the account; a role of it needs the right in its own policies
	byName           // the policy names the caller
	forbidden
)

const assumeRole = "sts:AssumeRole"

// trusts returns the extent to which a trust policy admits a caller.
func (p policy) trusts(who principal) (trust, error) {
	so := distrusted
	for _, s := range p.statements {
		how, err := s.trusts(who)
		if err != nil {
			return distrusted, fmt.Errorf("policy %q, statement %q: %w", p.name, s.name, err)
		}
		so = max(so, how)
	}
	return so, nil
}

func (s statement) trusts(who principal) (trust, error) {
	how := distrusted
	n := need{action: assumeRole}
	if acts, err := s.acts(n); err != nil || !acts {
		return distrusted, err
	}
	if slices.Contains(s.principals["Service"], who.service) {
		how = byName
	}
	for _, name := range s.principals["AWS"] {
		by, err := who.is(name)
		if err != nil {
			return distrusted, err
		}
		how = max(how, by)
	}
	if how == distrusted {
		return distrusted, nil
	}
	if holds, err := s.holds(n); err != nil || !holds {
		return distrusted, err
	}
	if s.effect == "Deny" {
		return forbidden, nil
	}
	return how, nil
}

var (
	accountName = regexp.MustCompile(`^(?:arn:aws:iam::)?(\d{12})(?::root)?$`)
	roleName    = regexp.MustCompile(`^arn:aws:iam::\d{12}:role/[^*?]+$`)
)

// is compares a caller with a name of the kind "AWS".
func (who principal) is(name string) (trust, error) {
	account := accountName.FindStringSubmatch(name)
	switch {
	case name == "*" && who.service != "":
		return distrusted, notKnown("whether the Principal \"*\" is %s too", who.service)
	case name == "*", account != nil && account[1] == who.account:
		return byAccount, nil
	case account != nil:
		return distrusted, nil
	case !roleName.MatchString(name):
		return distrusted, notKnown("the Principal %q", name)
	case name == who.roleARN:
		return byName, nil
	}
	return distrusted, nil
}
