package launch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"github.com/intraverse/dcv-sessions/contract"
)

// answerLimit is the longest that a session may take to answer.
const answerLimit = 10 * time.Second

// requestEnd asks a session to end.
func (l *Launcher) requestEnd(ctx context.Context, ready contract.Event, j job, reason string) error {
	proof, err := l.signProof(ctx, j)
	if err != nil {
		return fmt.Errorf("the request can't be signed: %w", err)
	}
	body, err := json.Marshal(contract.EndRequest{Session: j.id(), Reason: reason, Proof: proof})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.answerLimit)
	defer cancel()
	address := strings.TrimSuffix(ready.URL, "/") + contract.EndPath
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := Session{Certificate: ready.Certificate}.Client().Do(req)
	if err != nil {
		return fmt.Errorf("it can't be reached: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusAccepted {
		return nil
	}
	var answer struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(res.Body, 4<<10)).Decode(&answer)
	return errors.New(joinNonEmpty(": ", fmt.Sprintf("it refuses (%s)", res.Status), answer.Error))
}

// signProof signs the call that a session sends to AWS to find out whether the caller
// may end it: see contract.Proof. The SDK's client would also sign headers of its own,
// which no session passes on, so the signer is called here.
func (l *Launcher) signProof(ctx context.Context, j job) (contract.Proof, error) {
	o := l.batch.Options()
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(ctx, batch.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return contract.Proof{}, err
	}
	at := strings.TrimSuffix(endpoint.URI.String(), "/")
	req, err := contract.ProofRequest(ctx, at, aws.ToString(j.JobArn), j.id(), l.stack.Stack)
	if err != nil {
		return contract.Proof{}, err
	}
	credentials, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return contract.Proof{}, err
	}
	hash := sha256.Sum256(contract.ProofBody(l.stack.Stack))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]), contract.ProofService, o.Region, time.Now()); err != nil {
		return contract.Proof{}, err
	}
	return contract.Proof{
		Endpoint: at, Authorization: req.Header.Get("Authorization"),
		Date: req.Header.Get("X-Amz-Date"), SecurityToken: req.Header.Get("X-Amz-Security-Token"),
	}, nil
}

// Client returns an HTTP client for this session only: it trusts the certificate that
// the session's log names, which no authority has signed, and follows no redirects.
func (s Session) Client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DisableKeepAlives: true, // a session that ends does not wait for this client
			TLSClientConfig: &tls.Config{
				MinVersion:         tls.VersionTLS12,
				InsecureSkipVerify: true, // no authority signed it: its hash is compared instead
				VerifyConnection: func(state tls.ConnectionState) error {
					hash := sha256.Sum256(state.PeerCertificates[0].Raw)
					if got := hex.EncodeToString(hash[:]); got != s.Certificate {
						return fmt.Errorf("its certificate is not the session's: %s instead of %q", got, s.Certificate)
					}
					return nil
				},
			},
		},
	}
}
