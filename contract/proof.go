package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Proof is a signature of ProofRequest: a call of AWS Batch's TagResource for the
// session's own job, with the stack's tag, which the job has already: so the call
// changes nothing. A launcher that asks a session to end signs the call, and the
// session sends it. AWS accepts it only if the signer may tag this very job, which
// the launcher policy allows for jobs of its own stack. So IAM grants the right to
// end a session, and no secret is needed for it.
//
// The job's ARN in the call names partition, Region, account and job, and the
// signature covers HeaderSession, which no other caller of TagResource sends. A
// proof is valid for one session, and for as long as AWS accepts its signature.
//
// A Proof holds the parts of the call that the session can't know; the session makes
// the rest itself.
type Proof struct {
	// Endpoint is the endpoint of AWS Batch that the call is signed for, in the
	// session's Region: "https://batch.us-east-1.amazonaws.com".
	Endpoint      string `json:"endpoint"`
	Authorization string `json:"authorization"`
	Date          string `json:"date"` // X-Amz-Date
	SecurityToken string `json:"securityToken,omitempty"`
}

// HeaderSession is the header with the session's id in a ProofRequest.
const HeaderSession = "X-Dcv-Session"

// ProofService is the name of AWS Batch in a signature's scope.
const ProofService = "batch"

// ProofBody returns the body of a ProofRequest.
func ProofBody(stack string) []byte {
	body, _ := json.Marshal(struct { // strings can always be marshaled
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
