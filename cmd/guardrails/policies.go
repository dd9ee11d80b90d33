package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// document is a policy document as IAM reads it.
type document struct{ Statement []statement }

type statement struct {
	Sid, Effect                              string
	Principal                                principals
	NotPrincipal                             json.RawMessage
	Action, NotAction, Resource, NotResource iampolicy.List
	Condition                                map[string]map[string]iampolicy.List
}

// principals are by kind: AWS, Service, Federated. Everybody is AWS's "*".
type principals map[string]iampolicy.List

func (p *principals) UnmarshalJSON(b []byte) error {
	if string(b) == `"*"` {
		*p = principals{"AWS": {"*"}}
		return nil
	}
	return json.Unmarshal(b, (*map[string]iampolicy.List)(p))
}

// name returns how findings call a statement.
func (s statement) name(property string, index int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return fmt.Sprintf("%s.Statement[%d]", property, index)
}

// policyOf is one policy document of a resource.
type policyOf struct {
	input string // that holds it
	document
}

// documents returns a resource's policy documents.
func documents(r componenttest.Resource) []policyOf {
	held := map[string]any{}
	for _, input := range []string{"assumeRolePolicy", "policy"} {
		held[input] = r.Inputs[input]
	}
	for i, inline := range at(r.Inputs, "inlinePolicies[].policy") {
		held[fmt.Sprintf("inlinePolicies[%d].policy", i)] = inline
	}
	var all []policyOf
	for _, input := range slices.Sorted(maps.Keys(held)) {
		var d document
		if text, ok := held[input].(string); ok && json.Unmarshal([]byte(text), &d) == nil && len(d.Statement) > 0 {
			all = append(all, policyOf{input, d})
		}
	}
	return all
}

// hasPolicy selects the resources with a policy document.
func hasPolicy(r componenttest.Resource) bool { return len(documents(r)) > 0 }

// resourcePolicy selects the resources with a resource policy, which names principals.
func resourcePolicy(r componenttest.Resource) bool {
	return hasPolicy(r) && !strings.HasPrefix(r.Type, "aws:iam/")
}

// allowed returns the findings in each statement that allows something.
func allowed(look func(statement) []finding) find {
	return func(g *recorded.Graph, r componenttest.Resource) []finding {
		if isBoundary(g, r) {
			return nil
		}
		var found []finding
		for _, held := range documents(r) {
			for i, s := range held.Statement {
				if s.Effect != "Allow" {
					continue
				}
				for _, seen := range look(s) {
					seen.property = strings.TrimSpace(s.name(held.input, i) + " " + seen.property)
					found = append(found, seen)
				}
			}
		}
		return found
	}
}

// isBoundary reports whether a policy is a permissions boundary and nothing else:
// by itself that grants nothing.
func isBoundary(g *recorded.Graph, r componenttest.Resource) bool {
	arn, bounds := r.Outputs["arn"], false
	for _, other := range g.Resources {
		if other.Type == attachment && other.Inputs["policyArn"] == arn {
			return false
		}
		bounds = bounds || other.Type == role && arn != nil && other.Inputs["permissionsBoundary"] == arn
	}
	return bounds
}

// wildcardActions finds actions with a wildcard, and all but some.
var wildcardActions = allowed(func(s statement) []finding {
	return values(slices.DeleteFunc(s.actions(), func(action string) bool { return !strings.ContainsAny(action, "*?") }))
})

// values returns a finding for each text.
func values(list iampolicy.List) []finding {
	var found []finding
	for _, value := range list {
		found = append(found, finding{value: value})
	}
	return found
}

// actions returns the actions of a statement; all but some begin with "*".
func (s statement) actions() iampolicy.List { return orAllBut(s.Action, s.NotAction) }

func (s statement) resources() iampolicy.List { return orAllBut(s.Resource, s.NotResource) }

func orAllBut(these, notThese iampolicy.List) iampolicy.List {
	all := slices.Clone(these)
	if len(notThese) > 0 {
		all = append(all, "* but "+strings.Join(notThese, ", "))
	}
	return all
}

// conditions returns a statement's conditions in words, in a fixed order.
func (s statement) conditions() string {
	var all []string
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			all = append(all, operator+" "+key+" "+strings.Join(s.Condition[operator][key], ", "))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " if " + strings.Join(all, " and ")
}

// wildcardResources finds resources of which the policy names neither a name nor
// the beginning of one, unless the stack's tag parts them. In the policy of a
// resource "*" is that resource.
func wildcardResources(g *recorded.Graph, r componenttest.Resource) []finding {
	if resourcePolicy(r) {
		return nil
	}
	return allowed(func(s statement) []finding {
		var found []finding
		for _, resource := range s.resources() {
			if named(resource) || s.ofStack(g.Name) {
				continue
			}
			for _, action := range s.actions() {
				found = append(found, finding{action, resource + s.conditions()})
			}
		}
		return found
	})(g, r)
}

// ofStack reports whether a statement holds only for resources that have, or get, the
// stack's tag.
func (s statement) ofStack(stack string) bool {
	equals := s.Condition["StringEquals"]
	for _, tag := range []string{"aws:ResourceTag/", "aws:RequestTag/"} {
		if slices.Equal(equals[tag+contract.TagStack], iampolicy.List{stack}) {
			return true
		}
	}
	return false
}

// named reports whether a resource in a policy is named, or the beginning of its
// name: arn:PARTITION:SERVICE:REGION:ACCOUNT: has no wildcard, and behind it and a
// type, if the service has types, comes none at once.
func named(resource string) bool {
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) < 6 || strings.ContainsAny(strings.Join(parts[:5], ":"), "*?") {
		return false
	}
	name := parts[5]
	if i := strings.IndexAny(name, ":/"); i >= 0 && parts[2] != "s3" {
		name = strings.TrimPrefix(name[i+1:], "/") // log-group:/NAME
	}
	return name != "" && !strings.ContainsAny(name[:1], "*?")
}

// publicPrincipals finds statements that allow everybody.
var publicPrincipals = allowed(func(s statement) []finding {
	if slices.Contains(s.Principal["AWS"], "*") {
		return []finding{{"Principal", "*"}}
	}
	if len(s.NotPrincipal) > 0 {
		return []finding{{"NotPrincipal", string(s.NotPrincipal)}}
	}
	return nil
})

// unboundServices finds services of AWS that are allowed on behalf of any account.
var unboundServices = allowed(func(s statement) []finding {
	for _, keys := range s.Condition {
		if len(keys["aws:SourceArn"]) > 0 || len(keys["aws:SourceAccount"]) > 0 {
			return nil
		}
	}
	return values(s.Principal["Service"])
})

// looseTrust finds principals that may assume a role without being named: another account, or
// any user of an identity provider.
var looseTrust = allowed(func(s statement) []finding {
	loose := slices.Clone(s.Principal["AWS"])
	for _, provider := range s.Principal["Federated"] {
		_, issuer, _ := strings.Cut(provider, ":oidc-provider/")
		for _, claim := range []string{":aud", ":sub"} {
			values := s.Condition["StringEquals"][issuer+claim]
			if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "*?") }) {
				loose = append(loose, fmt.Sprintf("%s with %s %s", provider, claim, text([]string(values))))
			}
		}
	}
	return values(loose)
})

// refusesPlaintext finds a policy without a statement that denies everybody requests
// without TLS.
func refusesPlaintext(_ *recorded.Graph, r componenttest.Resource) []finding {
	for _, held := range documents(r) {
		for _, s := range held.Statement {
			if s.Effect == "Deny" && slices.Contains(s.Principal["AWS"], "*") && slices.Equal(s.Condition["Bool"]["aws:SecureTransport"], iampolicy.List{"false"}) {
				return nil
			}
		}
	}
	return []finding{{"policy", "without such a statement"}}
}
