package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// MotoConfig returns the configuration of AWS clients that call moto directly. Their
// calls are not retried, and their bodies are sent from memory: see distance.
func MotoConfig(moto *url.URL) aws.Config {
	transport := local.Transport()
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(moto.Scheme + "://" + moto.Host), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(local.MotoKey, local.SecretKey, ""),
		HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			return transport.RoundTrip(r)
		})},
	}
}

// queryVersions are the API versions of the services that behaviours ask.
var queryVersions = map[string]string{"ec2": "2016-11-15", "iam": "2010-05-08", "sns": "2010-03-31", "sqs": "2012-11-05", "sts": "2011-06-15"}

// ask calls moto directly, in the query protocol. moto's refusal is a *Fault.
func ask(ctx context.Context, moto *url.URL, service, operation string, params ...string) (*element, error) {
	in := url.Values{"Action": {operation}, "Version": {queryVersions[service]}}
	for i := 0; i < len(params); i += 2 {
		in.Set(params[i], params[i+1])
	}
	target := url.URL{Scheme: moto.Scheme, Host: moto.Host, Path: "/"}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := local.Call(ctx, local.MotoKey, target.String(), service, http.Header{"Content-Type": {local.Form}}, []byte(in.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%s at moto: %w", operation, err)
	}
	defer res.Body.Close()
	answer := &element{}
	if err := xml.NewDecoder(res.Body).Decode(answer); err != nil {
		return nil, fmt.Errorf("%s at moto: %s: %w", operation, res.Status, err)
	}
	if !succeeded(res) {
		return nil, &Fault{res.StatusCode, answer.one("Code"), answer.one("Message")}
	}
	return answer, nil
}

// AskJSON calls moto directly, in the JSON protocol. target is AWS's, as in
// "TrentService.DescribeKey". out is nil if the operation has no answer.
func AskJSON(ctx context.Context, moto *url.URL, service, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	to := url.URL{Scheme: moto.Scheme, Host: moto.Host, Path: "/"}
	header := http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}
	res, err := local.Call(ctx, local.MotoKey, to.String(), service, header, body)
	if err != nil {
		return fmt.Errorf("%s at moto: %w", target, err)
	}
	defer res.Body.Close()
	if succeeded(res) && out == nil {
		return nil
	}
	if succeeded(res) {
		return json.NewDecoder(res.Body).Decode(out)
	}
	var refused struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(res.Body).Decode(&refused); err != nil {
		return fmt.Errorf("%s at moto: %s: %w", target, res.Status, err)
	}
	return &Fault{res.StatusCode, refused.Type, refused.Message}
}
