package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// Behaviours are what the gateway answers by this service.
func (s *Service) Behaviours() []gateway.Behaviour {
	return []gateway.Behaviour{
		{Name: "events", Service: "events", Answers: map[string]gateway.Handler{"PutEvents": s.putEvents, "PutRule": s.putRule}},
		{Name: "events connections", Service: "events", Answers: map[string]gateway.Handler{"UpdateConnection": updateConnection, "DescribeConnection": describeConnection}},
	}
}

// entry is what PutEvents brings.
type entry struct {
	Source, DetailType, Detail, EventBusName string
	Resources                                []string
	Time                                     json.Number // seconds since 1970
}

// result is what becomes of it: an id, or an error.
type result struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

// putEvents never reaches moto, which would deliver in its own way.
func (s *Service) putEvents(c *gateway.Call) (*http.Response, error) {
	var in struct{ Entries []entry }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if len(in.Entries) < 1 || len(in.Entries) > 10 {
		return nil, &gateway.Fault{Status: http.StatusBadRequest, Code: "ValidationException", Message: fmt.Sprintf("Entries has %d events: 1 to 10 are allowed", len(in.Entries))}
	}
	var out struct {
		FailedEntryCount int
		Entries          []result
	}
	for _, e := range in.Entries {
		id, refused := s.put(e)
		if refused != nil {
			out.FailedEntryCount++
			out.Entries = append(out.Entries, result{ErrorCode: refused.Code, ErrorMessage: refused.Message})
			continue
		}
		out.Entries = append(out.Entries, result{EventID: id})
	}
	return c.Answer(out), nil
}

func (s *Service) put(e entry) (id string, refused *gateway.Fault) {
	for _, argument := range []struct{ name, value string }{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail}} {
		if argument.value == "" {
			return "", &gateway.Fault{Code: "InvalidArgument", Message: fmt.Sprintf("Parameter %s is not valid. Reason: %[1]s is a required argument.", argument.name)}
		}
	}
	if strings.HasPrefix(e.Source, "aws.") {
		return "", &gateway.Fault{Code: "NotAuthorizedForSourceException", Message: "Not authorized for the source."}
	}
	var detail map[string]json.RawMessage
	if json.Unmarshal([]byte(e.Detail), &detail) != nil || detail == nil {
		return "", &gateway.Fault{Code: "MalformedDetail", Message: "Detail is malformed."}
	}
	event := s.event(e.Source, e.DetailType, append([]string{}, e.Resources...), json.RawMessage(e.Detail))
	if seconds, err := e.Time.Float64(); err == nil {
		event.Time = timestamp(time.UnixMilli(int64(seconds * 1000)))
	}
	bus := e.EventBusName
	if bus == "" {
		bus = defaultBus
	}
	s.Publish(bus, event)
	return event.ID, nil
}

// putRule refuses a pattern that the sandbox would not understand later.
func (s *Service) putRule(c *gateway.Call) (*http.Response, error) {
	var in struct{ EventPattern string }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if in.EventPattern != "" {
		if _, err := ParsePattern(in.EventPattern); err != nil {
			return nil, &gateway.Fault{Status: http.StatusBadRequest, Code: "InvalidEventPatternException", Message: "Event pattern is not valid. Reason: " + err.Error()}
		}
	}
	return c.Forward()
}

// updateConnection puts what changes over what there is. moto would forget the
// parameters that a call does not name.
func updateConnection(c *gateway.Call) (*http.Response, error) {
	var in map[string]any
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	sent, _ := in["AuthParameters"].(map[string]any)
	if sent == nil {
		return c.Forward()
	}
	var there struct{ AuthParameters map[string]any }
	if err := c.Ask("DescribeConnection", map[string]any{"Name": in["Name"]}, &there); err != nil {
		return nil, err
	}
	whole := map[string]any{}
	maps.Copy(whole, there.AuthParameters)
	for name, part := range sent {
		before, has := whole[name].(map[string]any)
		after, is := part.(map[string]any)
		if has && is {
			maps.Copy(before, after)
			continue
		}
		whole[name] = part
	}
	in["AuthParameters"] = whole
	c.SetBody(encode(in))
	return c.Forward()
}

// secrets are a connection's values that AWS takes and never shows.
var secrets = []string{"ApiKeyValue", "Password", "ClientSecret"}

// describeConnection leaves the secrets out, which moto shows.
func describeConnection(c *gateway.Call) (*http.Response, error) {
	var in struct{ Name string }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	var shown map[string]any
	if err := c.Ask("DescribeConnection", in, &shown); err != nil {
		return nil, err
	}
	hide(shown)
	return c.Answer(shown), nil
}

// hide goes through a description. A parameter's value is secret where it says so.
func hide(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range secrets {
			delete(value, name)
		}
		if value["IsValueSecret"] == true {
			delete(value, "Value")
		}
		for _, part := range value {
			hide(part)
		}
	case []any:
		for _, part := range value {
			hide(part)
		}
	}
}

// UUID makes an event's id of 32 hexadecimal digits.
func UUID(hex string) string {
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:32]}, "-")
}
