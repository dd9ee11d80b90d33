package gateway

import (
	"cmp"
	"log"
	"net/http"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
)

// ModelsName is the name under which the health page counts checked calls.
const ModelsName = "AWS's API models"

// modelChecked refuses calls that AWS's model of the service forbids: moto accepts
// nearly anything. The check follows that of the caller's rights, as in AWS, and
// precedes all other behaviours. The gateway's own calls to moto are not checked.
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
