package events

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// moto is where buses, rules, topics, queues and log groups are. It is asked
// itself, not through the gateway: there connections are shown without secrets.
type moto struct{ address string }

// Rule is a bus's rule, as far as matching goes.
type Rule struct {
	Name         string
	ARN          string `json:"Arn"`
	State        string
	EventPattern string
}

// enabled knows AWS's three states.
func (r Rule) enabled() bool { return strings.HasPrefix(r.State, "ENABLED") }

// Target is a rule's target. What AWS knows and this does not is for kinds of
// targets that the sandbox does not deliver to.
type Target struct {
	ID               string `json:"Id"`
	ARN              string `json:"Arn"`
	RoleARN          string `json:"RoleArn"`
	Input, InputPath string
	InputTransformer *Transformer
	SqsParameters    struct{ MessageGroupId string } //nolint:revive // AWS's spelling
	HTTPParameters   HTTPParameters                  `json:"HttpParameters"`
	DeadLetterConfig struct {
		ARN string `json:"Arn"`
	}
	RetryPolicy struct {
		MaximumRetryAttempts     *int
		MaximumEventAgeInSeconds *int
	}
}

// HTTPParameters are what a target adds to an API destination's call. Values
// may be JSON paths into the event.
type HTTPParameters struct {
	PathParameterValues   []string
	HeaderParameters      map[string]string
	QueryStringParameters map[string]string
}

// rules are all of a bus; a bus is named or given by its ARN.
func (m moto) rules(ctx context.Context, bus string) ([]Rule, error) {
	var all []Rule
	for token := ""; ; {
		var page struct {
			Rules     []Rule
			NextToken string
		}
		if err := m.json(ctx, "events", "AWSEvents.ListRules", listing("EventBusName", bus, token), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Rules...)
		if token = page.NextToken; token == "" {
			return all, nil
		}
	}
}

func (m moto) targets(ctx context.Context, bus, rule string) ([]Target, error) {
	var all []Target
	for token := ""; ; {
		var page struct {
			Targets   []Target
			NextToken string
		}
		in := listing("EventBusName", bus, token)
		in["Rule"] = rule
		if err := m.json(ctx, "events", "AWSEvents.ListTargetsByRule", in, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Targets...)
		if token = page.NextToken; token == "" {
			return all, nil
		}
	}
}

func listing(key, value, token string) map[string]string {
	in := map[string]string{key: value}
	if token != "" {
		in["NextToken"] = token
	}
	return in
}

// refused is AWS's refusal of a call.
type refused struct {
	status        int
	code, message string
}

func (r *refused) Error() string { return fmt.Sprintf("%s: %s", r.code, r.message) }

// json makes a call in AWS's JSON protocol.
func (m moto) json(ctx context.Context, service, target string, in, out any) error {
	header := http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}
	answer, err := m.call(ctx, service, header, encode(in))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// form makes a call in the query protocol.
func (m moto) form(ctx context.Context, service string, in url.Values) error {
	_, err := m.call(ctx, service, http.Header{"Content-Type": {local.Form}}, []byte(in.Encode()))
	return err
}

// call goes to moto itself, which decides nothing.
func (m moto) call(ctx context.Context, service string, header http.Header, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := local.Post(ctx, local.MotoKey, m.address, service, header, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res.StatusCode, answer)
	}
	return answer, nil
}

// refusal reads an error of either protocol.
func refusal(status int, body []byte) error {
	r := &refused{status: status}
	var inJSON struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	var inXML struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	switch {
	case json.Unmarshal(body, &inJSON) == nil:
		r.code, r.message = inJSON.Type, inJSON.Message
	case xml.Unmarshal(body, &inXML) == nil:
		r.code, r.message = inXML.Code, inXML.Message
	default:
		r.code, r.message = http.StatusText(status), "moto tells no more"
	}
	return r
}

// missing tells whether AWS refused because something is not there.
func missing(err error) bool {
	var r *refused
	return errors.As(err, &r) && (strings.Contains(r.code, "NotFound") || strings.Contains(r.code, "NonExistent"))
}
