// Package iampolicy has IAM's policy documents as typed values, which always give the
// same JSON.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
)

// Document is a policy document.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement allows or denies actions. Lists are sorted when marshalled.
type Statement struct {
	Sid       string     `json:",omitempty"`
	Effect    string     // Allow or Deny
	Principal *Principal `json:",omitempty"`
	Action    List
	Resource  List                       `json:",omitempty"`
	Condition map[string]map[string]List `json:",omitempty"`
}

// Principal is the principal of a statement; Everyone is "*".
type Principal struct {
	AWS       List `json:",omitempty"`
	Service   List `json:",omitempty"`
	Federated List `json:",omitempty"` // an identity provider's ARN
	Everyone  bool `json:"-"`
}

// MarshalJSON writes "*" for everyone.
func (p Principal) MarshalJSON() ([]byte, error) {
	if p.Everyone {
		return []byte(`"*"`), nil
	}
	type plain Principal
	return json.Marshal(plain(p))
}

// List is one or more strings; one is written as a string, as AWS returns it,
// so that a refresh shows no difference.
type List []string

// MarshalJSON writes the list in alphabetical order.
func (l List) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return marshal(l[0])
	}
	ordered := append([]string{}, l...)
	sort.Strings(ordered)
	return marshal(ordered)
}

// UnmarshalJSON takes a string for a list of one.
func (l *List) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		*l = make(List, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// marshal keeps "<", ">" and "&" as they are.
func marshal(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(out.Bytes()), err
}

// JSON renders a document of some statements, without white space.
func JSON(statements ...Statement) string {
	b, err := marshal(Document{Version: "2012-10-17", Statement: statements})
	if err != nil { // strings only: it can't happen
		panic(fmt.Sprintf("iampolicy: %v", err))
	}
	return string(b)
}

// Allow is a statement that allows actions on resources.
func Allow(sid string, actions, resources List) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

// When is the statement under a further condition.
func (s Statement) When(operator, key string, values ...string) Statement {
	conditions := map[string]map[string]List{}
	for o, keys := range s.Condition {
		conditions[o] = keys
	}
	keys := map[string]List{key: values}
	for k, v := range conditions[operator] {
		keys[k] = v
	}
	conditions[operator] = keys
	s.Condition = conditions
	return s
}

// Trust lets an AWS service assume a role.
func Trust(service string) Statement {
	return Statement{Effect: "Allow", Principal: &Principal{Service: List{service}}, Action: List{"sts:AssumeRole"}}
}

// TLSOnly denies everyone every call without TLS.
func TLSOnly(actions, resources List) Statement {
	return Statement{Sid: "TLSOnly", Effect: "Deny", Principal: &Principal{Everyone: true}, Action: actions, Resource: resources}.
		When("Bool", "aws:SecureTransport", "false")
}
