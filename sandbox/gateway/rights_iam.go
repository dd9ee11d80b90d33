package gateway

import (
	"cmp"
	"slices"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// boundaryKey and policyKey are IAM's condition keys. Actions that set or remove a
// role's boundary, or change its policies, have the first; actions that attach and
// detach policies have the second (Service Authorization Reference, "Actions defined
// by AWS Identity and Access Management"). For other actions a condition on them
// never holds.
const (
	boundaryKey = "iam:permissionsboundary"
	policyKey   = "iam:policyarn"
)

// boundaryActions are those that have the boundary of an existing role as a key.
var boundaryActions = []string{"AttachRolePolicy", "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy"}

// boundedRole returns the needs of calls that set a role's boundary.
func boundedRole(r *Rights, c *Call) ([]need, error) {
	needs, err := existingRole(r, c)
	if err != nil {
		return nil, err
	}
	in, err := form(c)
	needs[0].keys[boundaryKey] = in.Get("PermissionsBoundary")
	if tags := needs[0].requestTags; len(tags) > 0 {
		needs = append(needs, need{action: "iam:TagRole", resource: needs[0].resource, requestTags: tags, resourceTags: map[string]string{}, keys: noKeys()})
	}
	return needs, err
}

// existingRole returns the needs of calls about a role by its name. One that does not
// exist has no tags and no boundary.
func existingRole(r *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	name := in.Get("RoleName")
	n := need{resource: iamARN("role", in.Get("Path"), name), requestTags: pairs(in, "Tags.member."), resourceTags: map[string]string{}, keys: noKeys()}
	n.keys[policyKey] = in.Get("PolicyArn")
	found, err := r.ask(c.Request.Context(), "iam", "GetRole", "RoleName", name)
	switch {
	case isFault(err, "NoSuchEntity"):
		return []need{n}, nil
	case err != nil:
		return nil, err
	}
	n.resource, n.resourceTags = found.one("Arn"), iamTags(found)
	if slices.Contains(boundaryActions, c.Operation) {
		n.keys[boundaryKey] = found.one("PermissionsBoundaryArn")
	}
	return []need{n}, nil
}

// managedPolicy returns the needs of calls about a managed policy, by its ARN or its
// new name.
func managedPolicy(r *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	n := need{resource: in.Get("PolicyArn"), requestTags: pairs(in, "Tags.member."), resourceTags: map[string]string{}, keys: noKeys()}
	if n.resource == "" {
		n.resource = iamARN("policy", in.Get("Path"), in.Get("PolicyName"))
		return []need{n}, nil
	}
	found, err := r.ask(c.Request.Context(), "iam", "GetPolicy", "PolicyArn", n.resource)
	switch {
	case isFault(err, "NoSuchEntity"):
		return []need{n}, nil
	case err != nil:
		return nil, err
	}
	n.resourceTags = iamTags(found)
	return []need{n}, nil
}

func noKeys() map[string]string { return map[string]string{boundaryKey: "", policyKey: ""} }

// iamARN returns the ARN of a role or policy, which has no Region.
func iamARN(kind, path, name string) string {
	return "arn:aws:iam::" + local.Account + ":" + kind + cmp.Or(path, "/") + name
}

// iamTags returns the tags in IAM's description of a role or policy.
func iamTags(description *element) map[string]string {
	tags := map[string]string{}
	for _, list := range description.all("Tags") {
		for _, member := range list.Children {
			tags[member.text("Key")] = member.text("Value")
		}
	}
	return tags
}
