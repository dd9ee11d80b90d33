package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// AWS Batch's service-linked role, which moto would call AWSServiceRoleForbatch.
const (
	batchService     = "batch.amazonaws.com"
	batchRoleName    = "AWSServiceRoleForBatch"
	batchRolePath    = "/aws-service-role/" + batchService + "/"
	batchRoleARN     = "arn:aws:iam::" + local.Account + ":role" + batchRolePath + batchRoleName
	batchRoleTrusted = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + batchService + `"},"Action":"sts:AssumeRole"}]}`
)

// batchServiceRole gives a compute environment that names no role the account's
// service-linked role, and creates that if it is missing (AWS Batch API reference,
// CreateComputeEnvironment). moto wants a role to be named.
func batchServiceRole(moto *url.URL) Behaviour {
	return Behaviour{Name: "batch service role", Service: "batch", Answers: map[string]Handler{
		"CreateComputeEnvironment": func(c *Call) (*http.Response, error) {
			sent := map[string]any{}
			if err := c.JSON(&sent); err != nil {
				return nil, err
			}
			if role, _ := sent["serviceRole"].(string); role != "" || sent["type"] != "MANAGED" {
				return c.Forward()
			}
			if err := createBatchRole(c.Request.Context(), moto); err != nil {
				return nil, err
			}
			sent["serviceRole"] = batchRoleARN
			body, err := json.Marshal(sent)
			if err != nil {
				return nil, err
			}
			c.SetBody(body)
			return c.Forward()
		},
	}}
}

func createBatchRole(ctx context.Context, moto *url.URL) error {
	_, err := ask(ctx, moto, "iam", "CreateRole", "RoleName", batchRoleName, "Path", batchRolePath, "AssumeRolePolicyDocument", batchRoleTrusted)
	if isFault(err, "EntityAlreadyExists") {
		return nil
	}
	return err
}
