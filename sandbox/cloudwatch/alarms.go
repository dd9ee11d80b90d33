package cloudwatch

import (
	"context"
	"fmt"
	"net/http"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// putMetricAlarm forwards an alarm that the sandbox can evaluate. A new one has
// insufficient data, and a changed one keeps its state (API reference, PutMetricAlarm);
// in moto both are OK.
func (s *Service) putMetricAlarm(c *gateway.Call) (*http.Response, error) {
	var in settings
	if err := known(c, &in); err != nil {
		return nil, err
	}
	a, err := newAlarm(in)
	if err != nil {
		return nil, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	res, err := c.Forward()
	if err != nil || res.StatusCode/100 != 2 {
		return res, err
	}
	s.mu.Lock()
	a.configured, a.changed = s.config.Now(), s.config.Now()
	if before := s.alarms[a.AlarmName]; before != nil {
		a.state, a.reason, a.changed = before.state, before.reason, before.changed
	}
	s.alarms[a.AlarmName] = a
	state, reason := a.state, a.reason
	s.mu.Unlock()
	s.arrived()
	return res, s.show(c.Request.Context(), a.AlarmName, state, reason)
}

// show has moto show an alarm's state in DescribeAlarms.
func (s *Service) show(ctx context.Context, name string, state State, reason string) error {
	in := map[string]any{"AlarmName": name, "StateValue": state, "StateReason": reason}
	return gateway.AskJSON(ctx, s.config.Moto, "monitoring", "GraniteServiceVersion20100801.SetAlarmState", in, nil)
}

func (s *Service) deleteAlarms(c *gateway.Call) (*http.Response, error) {
	var in struct{ AlarmNames []string }
	if err := known(c, &in); err != nil {
		return nil, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range in.AlarmNames {
		if s.alarms[name] == nil {
			return nil, &gateway.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: fmt.Sprintf("Alarm %s not found", name)}
		}
	}
	for _, name := range in.AlarmNames {
		delete(s.alarms, name)
	}
	return c.Forward()
}

// setAlarmState changes a state until the next evaluation, and carries out the actions.
func (s *Service) setAlarmState(c *gateway.Call) (*http.Response, error) {
	var in struct {
		AlarmName, StateReason, StateReasonData string
		StateValue                              State
	}
	if err := known(c, &in); err != nil {
		return nil, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	res, err := c.Forward()
	if err != nil || res.StatusCode/100 != 2 {
		return res, err
	}
	s.mu.Lock()
	a := s.alarms[in.AlarmName]
	if a == nil || a.state == in.StateValue {
		s.mu.Unlock()
		return res, nil
	}
	changed := s.change(a, evaluated{in.StateValue, in.StateReason})
	s.mu.Unlock()
	if err := s.announce(c.Request.Context(), changed); err != nil {
		s.config.Logf("alarm %s: %v", in.AlarmName, err)
	}
	return res, nil
}
