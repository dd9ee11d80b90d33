package events

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// kind is a kind of target.
type kind struct {
	mark   string // what an ARN of it has
	action string // what a role that the target names has to allow
	role   bool   // whether it has to name one
	policy bool   // whether its own policy has to let EventBridge in where no role is named
	send   func(*Service, context.Context, *delivery, []byte) *failure
}

// kinds are those that the sandbox delivers to.
var kinds = []kind{
	{mark: ":sns:", action: "sns:Publish", policy: true, send: (*Service).toTopic},
	{mark: ":sqs:", action: sendMessage, policy: true, send: (*Service).toQueue},
	{mark: ":log-group:", action: "logs:PutLogEvents", send: (*Service).toLogGroup},
	{mark: ":api-destination/", action: "events:InvokeApiDestination", role: true, send: (*Service).toDestination},
}

const (
	principal   = "events.amazonaws.com" // EventBridge, in policies
	sendMessage = "sqs:SendMessage"
)

// sendOnce tries a delivery once.
func (s *Service) sendOnce(ctx context.Context, d *delivery) *failure {
	for _, k := range kinds {
		if !strings.Contains(d.target.ARN, k.mark) {
			continue
		}
		body, err := d.target.input(d.event, d.rule, d.received)
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
	return failed("INVALID_PARAMETER", "the sandbox does not deliver to %s: SNS topics, SQS queues, log groups and API destinations are known", d.target.ARN)
}

// mayInvoke asks the rights of the role that a target names or, without one, the
// target's own policy.
func (s *Service) mayInvoke(ctx context.Context, d *delivery, k kind) *failure {
	var err error
	switch {
	case d.target.RoleARN != "":
		err = s.config.Grants(ctx, d.target.RoleARN, principal, k.action, d.target.ARN)
	case k.role:
		return failed("NO_PERMISSIONS", "the target names no role, and %s needs one", k.action)
	case k.policy:
		err = s.config.Admits(ctx, principal, d.rule.ARN, k.action, d.target.ARN)
	}
	if err != nil {
		return failed("NO_PERMISSIONS", "%v", err)
	}
	return nil
}

// ofCall is the failure of a call of an AWS service's.
func ofCall(err error) *failure {
	var r *refused
	switch {
	case err == nil:
		return nil
	case missing(err):
		return failed("NO_RESOURCE", "%v", err)
	case errors.As(err, &r) && r.status == http.StatusTooManyRequests:
		return failed("THROTTLING", "%v", err).again()
	case errors.As(err, &r) && r.status < http.StatusInternalServerError:
		return failed("INVALID_PARAMETER", "%v", err)
	}
	return failed("SDK_CLIENT_ERROR", "%v", err).again()
}

func (s *Service) toTopic(ctx context.Context, d *delivery, body []byte) *failure {
	return ofCall(s.moto.form(ctx, "sns", url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {d.target.ARN}, "Message": {string(body)},
	}))
}

func (s *Service) toQueue(ctx context.Context, d *delivery, body []byte) *failure {
	in, err := message(d.target.ARN, body)
	if err != nil {
		return failed("INVALID_PARAMETER", "%v", err)
	}
	if group := d.target.SqsParameters.MessageGroupId; group != "" {
		in.Set("MessageGroupId", group)
	}
	return ofCall(s.moto.form(ctx, "sqs", in))
}

// toLogGroup writes the event into a stream of its own. A transformer has to make
// an object with the message and, if it likes, its time.
func (s *Service) toLogGroup(ctx context.Context, d *delivery, body []byte) *failure {
	_, name, _ := strings.Cut(d.target.ARN, ":log-group:")
	group, stream := strings.TrimSuffix(name, ":*"), s.config.NewID()
	said := struct {
		Timestamp time.Time `json:"timestamp"`
		Message   string    `json:"message"`
	}{Message: string(body)}
	if d.target.InputTransformer != nil {
		said.Message = ""
		if err := json.Unmarshal(body, &said); err != nil || said.Message == "" {
			return failed("INVALID_PARAMETER", `the InputTemplate for a log group has to make {"timestamp": TIME, "message": STRING}`)
		}
	}
	if said.Timestamp.IsZero() {
		said.Timestamp = d.received
	}
	if err := s.moto.json(ctx, "logs", "Logs_20140328.CreateLogStream", map[string]string{"logGroupName": group, "logStreamName": stream}, nil); err != nil {
		return ofCall(err)
	}
	return ofCall(s.moto.json(ctx, "logs", "Logs_20140328.PutLogEvents", map[string]any{
		"logGroupName": group, "logStreamName": stream,
		"logEvents": []map[string]any{{"timestamp": said.Timestamp.UnixMilli(), "message": said.Message}},
	}, nil))
}
