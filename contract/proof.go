package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Proof is a signature of ProofRequest: AWS Batch's TagResource on the session's
// own job, with the stack's tag that the job has already, so that the call changes
// nothing. Whoever asks a session to end signs the call, and the session sends it:
// AWS answers it with success only to principals that may tag this very job, which
// the launcher policy allows for jobs of its own stack. So IAM decides who may end
// a session, and nobody keeps a secret for it.
//
// The job's ARN in the call names partition, Region, account and job, and the
// signature covers HeaderSession, which no other caller of TagResource sends. A
// proof is good for one session, and for as long as AWS accepts its signature.
//
// A Proof holds what a session can't know. Everything else that it sends it makes
// itself.
type Proof struct {
	// Endpoint is where AWS Batch is, in the session's Region, as the call is signed:
	// "https://batch.us-east-1.amazonaws.com".
	Endpoint      string `json:"endpoint"`
	Authorization string `json:"authorization"`
	Date          string `json:"date"` // X-Amz-Date
	SecurityToken string `json:"securityToken,omitempty"`
}

// HeaderSession carries the session's id in a ProofRequest.
const HeaderSession = "X-Dcv-Session"

// ProofService is the name of AWS Batch in a signature's scope.
const ProofService = "batch"

// ProofBody returns the body of a ProofRequest.
func ProofBody(stack string) []byte {
	body, _ := json.Marshal(struct { // strings always have a JSON form
		Tags map[string]string `json:"tags"`
	}{map[string]string{TagStack: stack}})
	return body
}

// ProofRequest returns the call that a Proof signs, without a signature (AWS Batch
// API reference, TagResource).
func ProofRequest(ctx context.Context, endpoint, jobARN, session, stack string) (*http.Request, error) {
	address := endpoint + "/v1/tags/" + url.QueryEscape(jobARN) // ":" and "/" are escaped, as AWS's SDKs do
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(ProofBody(stack)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(HeaderSession, session)
	return req, nil
}
