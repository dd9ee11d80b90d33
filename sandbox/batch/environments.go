package batch

import (
	"net/http"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// updateEnvironment returns when the scheduler knows of the update, so that the
// environment is UPDATING as soon as the caller looks.
func (s *Service) updateEnvironment(c *gateway.Call) (*http.Response, error) {
	if err := s.settled(c, "update"); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	s.mu.Lock()
	s.stale = true
	s.mu.Unlock()
	s.reread()
	return res, err
}

func (s *Service) deleteEnvironment(c *gateway.Call) (*http.Response, error) {
	if err := s.settled(c, "delete"); err != nil {
		return nil, err
	}
	return s.changed(c)
}

// settled refuses a call on an environment that is UPDATING, as AWS does.
func (s *Service) settled(c *gateway.Call, verb string) error {
	var in struct {
		Environment string `json:"computeEnvironment"`
	}
	if err := c.JSON(&in); err != nil {
		return err
	}
	if s.scheduler.Updating(s.scheduler.environment(in.Environment)) {
		return clientFault("Error executing request, Exception : Cannot %s, resource is being modified.", verb)
	}
	return nil
}

// describeEnvironments adds the state of environments and the vCPUs of their hosts;
// moto's are always VALID, with the vCPUs that they were created with.
func (s *Service) describeEnvironments(c *gateway.Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return gateway.EditJSON(res, func(answer map[string]any) {
		for _, e := range gateway.Objects(answer["computeEnvironments"]) {
			arn, _ := e["computeEnvironmentArn"].(string)
			if s.scheduler.Updating(arn) {
				e["status"] = "UPDATING"
			}
			if resources, managed := e["computeResources"].(map[string]any); managed {
				resources["desiredvCpus"] = s.scheduler.DesiredVCPUs(arn)
			}
		}
	})
}
