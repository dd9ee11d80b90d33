package gateway

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/url"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// queryVersions are the API versions of the services that behaviours ask.
var queryVersions = map[string]string{"ec2": "2016-11-15", "iam": "2010-05-08", "sts": "2011-06-15"}

// ask calls moto as the administrator, in the query protocol. moto's refusal is a
// *Fault.
func ask(ctx context.Context, moto *url.URL, service, operation string, params ...string) (*element, error) {
	in := url.Values{"Action": {operation}, "Version": {queryVersions[service]}}
	for i := 0; i < len(params); i += 2 {
		in.Set(params[i], params[i+1])
	}
	target := url.URL{Scheme: moto.Scheme, Host: moto.Host, Path: "/"}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := local.Call(ctx, target.String(), service, local.Form, []byte(in.Encode()))
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
