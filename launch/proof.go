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

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/intraverse/dcv-sessions/contract"
)

// requestLimit is how long a session may take to answer.
const requestLimit = 10 * time.Second

// request asks a session to end.
func (l *Launcher) request(ctx context.Context, ready contract.Event, id, reason string) error {
	proof, err := l.prove(ctx, id)
	if err != nil {
		return fmt.Errorf("the request can't be signed: %w", err)
	}
	body, err := json.Marshal(contract.EndRequest{Session: id, Reason: reason, Proof: proof})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
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
	return errors.New(join(": ", fmt.Sprintf("it refuses (%s)", res.Status), answer.Error))
}

// prove signs the request that a session sends to AWS to see whether the caller
// may end it: see contract.Proof. It is signed by hand, since the SDK's client
// signs headers of its own too, which no session passes on.
func (l *Launcher) prove(ctx context.Context, id string) (contract.Proof, error) {
	o := l.logs.Options()
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(ctx, cloudwatchlogs.EndpointParameters{
		Region: &o.Region, Endpoint: o.BaseEndpoint,
	}.WithDefaults())
	if err != nil {
		return contract.Proof{}, err
	}
	body, err := json.Marshal(struct {
		LogGroupName string `json:"logGroupName"`
		Limit        int    `json:"limit"`
	}{l.stack.LogGroup, 1})
	if err != nil {
		return contract.Proof{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(endpoint.URI.String(), "/")+"/", bytes.NewReader(body))
	if err != nil {
		return contract.Proof{}, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", contract.ProofTarget)
	req.Header.Set(contract.HeaderSession, id)
	credentials, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return contract.Proof{}, err
	}
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]), "logs", o.Region, time.Now()); err != nil {
		return contract.Proof{}, err
	}
	proof := contract.Proof{URL: req.URL.String(), Headers: map[string]string{}, Body: string(body)}
	for name := range req.Header {
		proof.Headers[name] = req.Header.Get(name)
	}
	return proof, nil
}

// Client is an HTTP client that talks to this session only: it trusts the one
// certificate that the session's log names, and follows no redirects. A session's
// certificate is vouched for by nobody else.
func (s Session) Client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DisableKeepAlives: true, // a session that leaves need not wait for us
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
