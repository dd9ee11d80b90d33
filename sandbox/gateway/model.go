package gateway

import (
	"cmp"
	"log"
	"net/http"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
)

// ModelsName is the name under which the health page counts the calls that were
// checked.
const ModelsName = "AWS's API models"

// modelChecked refuses what AWS's own model of a service does not allow: moto
// accepts nearly anything. It comes after the caller's rights, as on AWS, and
// before everything else. Only callers' calls come here, not those that the
// gateway itself makes at moto.
func modelChecked(models *awsmodel.Models, refused *counter, log *log.Logger) Behaviour {
	check := func(c *Call) (*http.Response, error) {
		if c.Service == "" { // nothing names it, e.g. a browser's unsigned request
			return c.Forward()
		}
		refusal, err := models.Check(c.Service, c.Request, c.Body)
		if err != nil {
			log.Printf("model: %s.%s cannot be checked: %v", c.Service, c.Operation, err)
			return nil, Unsupported("%v", err)
		}
		if refusal == nil {
			return c.Forward()
		}
		fault := badRequest(refusal.Code, "%s", refusal.Message)
		name := c.Service + "." + cmp.Or(refusal.Operation, c.Operation)
		log.Printf("model refuses %s: %v", name, fault)
		refused.add(name + ": " + fault.Error())
		return nil, fault
	}
	return Behaviour{Name: ModelsName, Service: "*", Answers: map[string]Handler{"*": check}}
}
