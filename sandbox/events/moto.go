package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// moto has the clients of the rules and their targets, the topics and the queues.
type moto struct {
	events *eventbridge.Client
	topics *sns.Client
	queues *sqs.Client
}

func newMoto(at *url.URL) moto {
	config := gateway.MotoConfig(at)
	return moto{eventbridge.NewFromConfig(config), sns.NewFromConfig(config), sqs.NewFromConfig(config)}
}

// rules returns all rules of the default bus.
func (m moto) rules(ctx context.Context) (all []types.Rule, err error) {
	for in := (&eventbridge.ListRulesInput{}); ; {
		page, err := m.events.ListRules(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Rules...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}

func (m moto) targets(ctx context.Context, rule *string) (all []types.Target, err error) {
	for in := (&eventbridge.ListTargetsByRuleInput{Rule: rule}); ; {
		page, err := m.events.ListTargetsByRule(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Targets...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}

// enabled reports whether a rule matches events: it does in two of its three states.
func enabled(rule types.Rule) bool { return strings.HasPrefix(string(rule.State), "ENABLED") }

// queueURL returns the URL of a queue.
func queueURL(arn string) (*string, error) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[2] != "sqs" {
		return nil, fmt.Errorf("%q is no queue's ARN", arn)
	}
	return aws.String("http://sqs." + parts[3] + ".amazonaws.com/" + parts[4] + "/" + parts[5]), nil
}

// ofCall returns the failure of a call to an AWS service; nil if it succeeded.
func ofCall(err error) *failure {
	if err == nil {
		return nil
	}
	var refused smithy.APIError
	var answer *awshttp.ResponseError
	if !errors.As(err, &refused) || !errors.As(err, &answer) {
		return failed("SDK_CLIENT_ERROR", "%v", err).again()
	}
	text := refused.ErrorCode() + ": " + refused.ErrorMessage()
	switch status := answer.HTTPStatusCode(); {
	case strings.Contains(refused.ErrorCode(), "NotFound"):
		return failed("NO_RESOURCE", "%s", text)
	case status == http.StatusTooManyRequests:
		return failed("THROTTLING", "%s", text).again()
	case status < http.StatusInternalServerError:
		return failed("INVALID_PARAMETER", "%s", text)
	}
	return failed("SDK_CLIENT_ERROR", "%s", text).again()
}
