package events

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// Behaviours returns the gateway's behaviours of EventBridge. moto keeps rules,
// targets, connections and API destinations; a call with an effect that the sandbox
// does not know is refused.
func (s *Service) Behaviours() []gateway.Behaviour {
	answers := map[string]gateway.Handler{
		"PutRule": putRule, "PutTargets": putTargets,
		"CreateApiDestination": putDestination, "UpdateApiDestination": putDestination,
		"CreateConnection": s.putConnection, "UpdateConnection": s.putConnection, "DeleteConnection": s.deleteConnection,
	}
	for _, operation := range unsupported {
		answers[operation] = func(*gateway.Call) (*http.Response, error) {
			return nil, gateway.Unsupported("the sandbox does not know EventBridge's %s", operation)
		}
	}
	return []gateway.Behaviour{{Name: "events", Service: "events", Answers: answers}}
}

// unsupported are operations that moto answers and that would have no effect here.
var unsupported = []string{"CreateArchive", "CreateEventBus", "PutEvents", "StartReplay"}

// putRule refuses a rule that the sandbox cannot match.
func putRule(c *gateway.Call) (*http.Response, error) {
	var in struct{ EventPattern, ScheduleExpression string }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if in.ScheduleExpression != "" {
		return nil, gateway.Unsupported("the sandbox does not know PutRule's ScheduleExpression")
	}
	if _, err := ParsePattern(in.EventPattern); err != nil {
		return nil, &gateway.Fault{Status: http.StatusBadRequest, Code: "InvalidEventPatternException", Message: "Event pattern is not valid. Reason: " + err.Error()}
	}
	return c.Forward()
}

// target has the members of a target that the sandbox knows.
type target struct {
	ID                            string `json:"Id"`
	ARN                           string `json:"Arn"`
	RoleARN                       string `json:"RoleArn"`
	InputTransformer              types.InputTransformer
	HTTPParameters                struct{ HeaderParameters map[string]string } `json:"HttpParameters"`
	DeadLetterConfig, RetryPolicy json.RawMessage
}

// putTargets refuses a target that the sandbox would deliver otherwise than AWS.
func putTargets(c *gateway.Call) (*http.Response, error) {
	var in struct {
		Rule, EventBusName string
		Targets            []target
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if kindOf(t.ARN) == nil {
			return nil, gateway.Unsupported("the sandbox does not deliver to %s: it knows SNS topics and API destinations", t.ARN)
		}
		if err := checkTransformer(t.InputTransformer); err != nil {
			return nil, gateway.Unsupported("%v", err)
		}
		for name, value := range t.HTTPParameters.HeaderParameters {
			if strings.HasPrefix(value, "$.") {
				return nil, gateway.Unsupported("the sandbox does not know the JSON path %q of the header %s", value, name)
			}
		}
	}
	return c.Forward()
}

// putDestination refuses an endpoint with a place for a target's PathParameterValues.
func putDestination(c *gateway.Call) (*http.Response, error) {
	var in struct{ InvocationEndpoint string }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if strings.Contains(in.InvocationEndpoint, "*") {
		return nil, gateway.Unsupported(`the sandbox does not know the "*" of the InvocationEndpoint %s`, in.InvocationEndpoint)
	}
	return c.Forward()
}

// apiKey is the header with which a connection authorizes its calls.
type apiKey struct {
	Name  string `json:"ApiKeyName"`
	Value string `json:"ApiKeyValue,omitempty"`
}

// connection has the members of CreateConnection and UpdateConnection that the
// sandbox knows.
type connection struct {
	Name, Description, AuthorizationType string `json:",omitempty"`
	AuthParameters                       struct {
		APIKey apiKey `json:"ApiKeyAuthParameters"`
	}
}

// putConnection stores a connection's key and does not forward its value: moto would
// return it in DescribeConnection.
func (s *Service) putConnection(c *gateway.Call) (*http.Response, error) {
	var in connection
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	key := in.AuthParameters.APIKey
	if in.AuthorizationType != string(types.ConnectionAuthorizationTypeApiKey) || key.Name == "" || key.Value == "" {
		return nil, gateway.Unsupported("the sandbox knows connections with an AuthorizationType, which is API_KEY, an ApiKeyName and an ApiKeyValue")
	}
	in.AuthParameters.APIKey.Value = ""
	c.SetBody(encode(in))
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return gateway.EditJSON(res, func(answer map[string]any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys[answer["ConnectionArn"].(string)] = key
	})
}

func (s *Service) deleteConnection(c *gateway.Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return gateway.EditJSON(res, func(answer map[string]any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.keys, answer["ConnectionArn"].(string))
	})
}
