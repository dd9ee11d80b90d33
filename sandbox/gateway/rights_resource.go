package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// guardedResource is a kind of resource with a policy of its own, and with a KMS key
// if it is encrypted.
type guardedResource struct {
	service, operation string
	params             func(arn string) []string
	name, value        string // the elements of an attribute in the answer

	// unconditional is whether only statements without a Condition admit
	// EventBridge.
	unconditional bool
}

// guardedResources are those that the sandbox's services call.
var guardedResources = []guardedResource{
	// "You can't use Condition blocks in Amazon SNS topic policies for EventBridge"
	// (EventBridge user guide, "Using resource-based policies", "Amazon SNS
	// permissions"). As to the topic's key, "adding the aws:SourceAccount,
	// aws:SourceArn, and aws:SourceOrgID to a KMS policy is not supported for
	// EventBridge-to-encrypted topics" (SNS developer guide, "Key management"); here
	// no other condition of the key's policy allows anything either.
	{service: "sns", operation: "GetTopicAttributes", params: topicParams, name: "key", value: "value", unconditional: true},
	{service: "sqs", operation: "GetQueueAttributes", params: queueParams, name: "Name", value: "Value"},
}

// missing are parts of the codes with which moto refuses a topic or a queue that does
// not exist.
var missing = []string{"NotFound", "NonExistentQueue"}

const eventBridge = "events.amazonaws.com"

func topicParams(arn string) []string { return []string{"TopicArn", arn} }

func queueParams(arn string) []string {
	parts := append(strings.SplitN(arn, ":", arnParts), make([]string, arnParts)...)
	return []string{"AttributeName.1", "All", "QueueUrl", "http://sqs." + parts[3] + ".amazonaws.com/" + parts[4] + "/" + parts[5]}
}

// attributes returns a resource's attributes by name.
func (g guardedResource) attributes(ctx context.Context, r *Rights, arn string) (map[string]string, error) {
	answer, err := r.ask(ctx, g.service, g.operation, g.params(arn)...)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, entry := range slices.Concat(answer.all("entry"), answer.all("Attribute")) {
		found[entry.text(g.name)] = entry.text(g.value)
	}
	return found, nil
}

// Admits returns an error unless an AWS service, e.g. "events.amazonaws.com", may
// take an action on a topic or a queue for a source, e.g. a rule's ARN: the
// resource's policy has to allow it, and the policy of the KMS key that encrypts the
// resource has to allow the use of the key. A resource that does not exist admits
// every service: the call itself fails.
func (r *Rights) Admits(ctx context.Context, service, source, action, resource string) error {
	i := slices.IndexFunc(guardedResources, func(g guardedResource) bool { return strings.HasPrefix(resource, "arn:aws:"+g.service+":") })
	if i < 0 {
		return undecided(resource, notKnown("the policies of such a resource"))
	}
	kind := guardedResources[i]
	found, err := kind.attributes(ctx, r, resource)
	var refused *Fault
	if errors.As(err, &refused) && slices.ContainsFunc(missing, func(part string) bool { return strings.Contains(refused.Code, part) }) {
		return nil
	}
	if err != nil {
		return err
	}
	keys := map[string]string{"aws:securetransport": "true", "aws:sourcearn": source, "aws:sourceaccount": accountOf(source)}
	if err := kind.admits(found["Policy"], service, need{action: action, resource: resource, keys: keys}); err != nil {
		return err
	}
	return r.keyAdmits(ctx, kind, found["KmsMasterKeyId"], service, keys)
}

// keyAdmits checks the policy of the key that encrypts a resource; "" is no key.
func (r *Rights) keyAdmits(ctx context.Context, kind guardedResource, id, service string, keys map[string]string) error {
	if id == "" {
		return nil
	}
	if strings.Contains(id, "alias/aws/") { // nobody can change its policy (KMS developer guide, "AWS managed keys")
		return accessDenied("%s is not authorized to use the key %s: it is AWS's own", service, id)
	}
	var key struct {
		KeyMetadata struct {
			ARN string `json:"Arn"`
		}
	}
	if err := AskJSON(ctx, r.moto, "kms", "TrentService.DescribeKey", map[string]string{"KeyId": id}, &key); err != nil {
		return err
	}
	var found struct{ Policy string }
	if err := AskJSON(ctx, r.moto, "kms", "TrentService.GetKeyPolicy", map[string]string{"KeyId": key.KeyMetadata.ARN, "PolicyName": "default"}, &found); err != nil {
		return err
	}
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
		if err := kind.admits(found.Policy, service, need{action: action, resource: key.KeyMetadata.ARN, keys: keys}); err != nil {
			return err
		}
	}
	return nil
}

// admits returns an error unless a resource's policy allows a service's need.
func (g guardedResource) admits(text, service string, n need) error {
	if text == "" {
		return serviceDenied(service, n, "it has no policy")
	}
	p, err := parsePolicy("resource policy", text, resourceGrammar)
	if err != nil {
		return undecided(n.resource, err)
	}
	unconditional := g.unconditional && service == eventBridge
	p.statements = slices.DeleteFunc(p.statements, func(s statement) bool {
		return !s.names(service) || unconditional && s.effect == "Allow" && len(s.conditions) > 0
	})
	so, err := decide([]policy{p}, n)
	switch {
	case err != nil:
		return undecided(n.resource, err)
	case so == denied:
		return serviceDenied(service, n, "its policy denies it")
	case so == unsaid && unconditional:
		return serviceDenied(service, n, "its policy has no statement without a Condition that allows it")
	case so == unsaid:
		return serviceDenied(service, n, "its policy does not allow it")
	}
	return nil
}

// names reports whether a statement is about an AWS service. "*" includes services
// (IAM user guide, aws:PrincipalIsAWSService).
func (s statement) names(service string) bool {
	return slices.Contains(s.principals["Service"], service) || slices.Contains(s.principals["AWS"], "*")
}

func serviceDenied(service string, n need, why string) *Fault {
	return accessDenied("%s is not authorized to perform: %s on resource: %s because %s", service, n.action, n.resource, why)
}

// accountOf returns the account in an ARN; "" without one.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", arnParts)
	if len(parts) != arnParts {
		return ""
	}
	return parts[4]
}
