package events

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// kind is a kind of target.
type kind struct {
	mark   string // the part of an ARN that identifies it
	action string // the action that EventBridge takes on it
	role   bool   // whether the target has to name a role; else the resource's policy decides
	send   func(*Service, context.Context, *delivery, []byte) *failure
}

// kinds are those to which the sandbox delivers.
var kinds = []kind{
	{mark: ":sns:", action: "sns:Publish", send: (*Service).toTopic},
	{mark: ":api-destination/", action: "events:InvokeApiDestination", role: true, send: (*Service).toDestination},
}

// kindOf returns the kind of a target; nil if the sandbox does not know it.
func kindOf(arn string) *kind {
	for i := range kinds {
		if strings.Contains(arn, kinds[i].mark) {
			return &kinds[i]
		}
	}
	return nil
}

const (
	principal   = "events.amazonaws.com" // EventBridge, in policies
	sendMessage = "sqs:SendMessage"
)

// sendOnce attempts a delivery once.
func (s *Service) sendOnce(ctx context.Context, d *delivery) *failure {
	k := kindOf(*d.target.Arn)
	if k == nil { // PutTargets refuses it
		return failed("INVALID_PARAMETER", "the sandbox does not deliver to %s", *d.target.Arn)
	}
	body, err := input(d.target, d.event)
	switch {
	case errors.Is(err, errNoJSON):
		return failed("INVALID_JSON", "%v", err)
	case err != nil:
		return failed("INVALID_PARAMETER", "%v", err)
	}
	if f := s.mayInvoke(ctx, d, k); f != nil {
		return f
	}
	return k.send(s, ctx, d, body)
}

// mayInvoke checks the policies of the role that a target names or, without one, the
// target's own policy.
func (s *Service) mayInvoke(ctx context.Context, d *delivery, k *kind) *failure {
	var err error
	switch {
	case d.target.RoleArn != nil:
		err = s.config.Grants(ctx, *d.target.RoleArn, principal, k.action, *d.target.Arn)
	case k.role:
		return failed("NO_PERMISSIONS", "the target names no role, and %s needs one", k.action)
	default:
		err = s.config.Admits(ctx, principal, *d.rule.Arn, k.action, *d.target.Arn)
	}
	if err != nil {
		return failed("NO_PERMISSIONS", "%v", err)
	}
	return nil
}

func (s *Service) toTopic(ctx context.Context, d *delivery, body []byte) *failure {
	_, err := s.moto.topics.Publish(ctx, &sns.PublishInput{TopicArn: d.target.Arn, Message: aws.String(string(body))})
	return ofCall(err)
}
