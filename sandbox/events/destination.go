package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// destination is an API destination.
type destination struct {
	ARN                string `json:"ApiDestinationArn"`
	ConnectionARN      string `json:"ConnectionArn"`
	HTTPMethod         string `json:"HttpMethod"`
	InvocationEndpoint string
}

// connection is what moto keeps of one, secrets with it: they go nowhere but into
// the call's headers and query.
type connection struct {
	ARN               string `json:"ConnectionArn"`
	AuthorizationType string
	AuthParameters    struct {
		APIKey struct {
			Name  string `json:"ApiKeyName"`
			Value string `json:"ApiKeyValue"`
		} `json:"ApiKeyAuthParameters"`
		Basic struct {
			Username, Password string
		} `json:"BasicAuthParameters"`
		Invocation struct {
			HeaderParameters, QueryStringParameters, BodyParameters []struct{ Key, Value string }
		} `json:"InvocationHttpParameters"`
	}
}

// answerLimit is how long EventBridge waits for an API destination's answer.
const answerLimit = 5 * time.Second

// toDestination calls an API destination's endpoint. Both it and its connection
// are read anew for each attempt: a token that was corrected counts at once.
func (s *Service) toDestination(ctx context.Context, d *delivery, body []byte) *failure {
	var to destination
	if f := s.read(ctx, "ApiDestination", d.target.ARN, ":api-destination/", &to); f != nil {
		return f
	}
	var with connection
	if f := s.read(ctx, "Connection", to.ConnectionARN, ":connection/", &with); f != nil {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	r, f := s.request(ctx, d, to, with, body)
	if f != nil {
		return f
	}
	res, err := s.http.Do(r)
	if err != nil {
		return ofTransport(to, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // AWS asks for no more, and tells nothing of it
	return ofStatus(to, res)
}

// read describes what an ARN names, by its name; a namesake that was made anew
// is another one.
func (s *Service) read(ctx context.Context, what, arn, mark string, into any) *failure {
	_, path, _ := strings.Cut(arn, mark)
	name, _, _ := strings.Cut(path, "/")
	var found json.RawMessage
	if err := s.moto.json(ctx, "events", "AWSEvents.Describe"+what, map[string]string{"Name": name}, &found); err != nil {
		return ofCall(err)
	}
	var has map[string]any
	if json.Unmarshal(found, &has) != nil || json.Unmarshal(found, into) != nil {
		return failed("INTERNAL_ERROR", "moto describes %s otherwise than AWS does", arn)
	}
	if has[what+"Arn"] != arn {
		return failed("NO_RESOURCE", "%s does not exist", arn)
	}
	return nil
}

// request is the call of an endpoint: EventBridge's own headers, the target's
// parameters, over them the connection's, over those the authorization.
func (s *Service) request(ctx context.Context, d *delivery, to destination, with connection, body []byte) (*http.Request, *failure) {
	if len(with.AuthParameters.Invocation.BodyParameters) > 0 {
		return nil, failed("INVALID_PARAMETER", "the sandbox does not know a connection's BodyParameters")
	}
	at, f := s.endpoint(d, to)
	if f != nil {
		return nil, f
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	query := at.Query()
	tree := d.event.tree()
	for name, value := range d.target.HTTPParameters.HeaderParameters {
		if value, f = dynamic(tree, value); f != nil {
			return nil, f
		}
		header.Set(name, value)
	}
	for name, value := range d.target.HTTPParameters.QueryStringParameters {
		if value, f = dynamic(tree, value); f != nil {
			return nil, f
		}
		query.Set(name, value)
	}
	for _, p := range with.AuthParameters.Invocation.HeaderParameters {
		header.Set(p.Key, p.Value)
	}
	for _, p := range with.AuthParameters.Invocation.QueryStringParameters {
		query.Set(p.Key, p.Value)
	}
	maps.Copy(header, http.Header{
		"User-Agent": {"Amazon/EventBridge/ApiDestinations"}, "Range": {"bytes=0-1048575"}, "Accept-Encoding": {"gzip,deflate"},
	})
	host := at.Host
	if at, f = s.mapped(at); f != nil {
		return nil, f
	}
	at.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, to.HTTPMethod, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, failed("INVALID_PARAMETER", "the HttpMethod %q makes no request", to.HTTPMethod)
	}
	r.Header, r.Host, r.Close = header, host, true
	return r, with.authorize(r)
}

// authorize puts the connection's authorization into a call.
func (c connection) authorize(r *http.Request) *failure {
	switch c.AuthorizationType {
	case "API_KEY":
		r.Header.Set(c.AuthParameters.APIKey.Name, c.AuthParameters.APIKey.Value)
	case "BASIC":
		r.SetBasicAuth(c.AuthParameters.Basic.Username, c.AuthParameters.Basic.Password)
	default:
		return failed("INVALID_PARAMETER", "the sandbox does not know a connection's AuthorizationType %s: API_KEY and BASIC are known", c.AuthorizationType)
	}
	return nil
}

// endpoint is the address with the target's values in the places of its "*".
func (s *Service) endpoint(d *delivery, to destination) (*url.URL, *failure) {
	values, written := d.target.HTTPParameters.PathParameterValues, to.InvocationEndpoint
	if strings.Count(written, "*") != len(values) {
		return nil, failed("INVALID_PARAMETER", `the endpoint %s has %d "*", and the target %d PathParameterValues`, written, strings.Count(written, "*"), len(values))
	}
	tree := d.event.tree()
	for _, value := range values {
		value, f := dynamic(tree, value)
		if f != nil {
			return nil, f
		}
		written = strings.Replace(written, "*", strings.ReplaceAll(url.PathEscape(value), "*", "%2A"), 1)
	}
	at, err := url.Parse(written)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return nil, failed("INVALID_PARAMETER", "the endpoint of %s is no https address", to.ARN)
	}
	return at, nil
}

// mapped is an address on this machine in the place of the endpoint's.
func (s *Service) mapped(at *url.URL) (*url.URL, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here, known := s.hosts[strings.ToLower(at.Host)]
	if !known {
		return nil, failed("CONNECTION_FAILURE", "the sandbox reaches nothing outside this machine: POST %s?host=%s&to=http://127.0.0.1:PORT names who answers for this host", Path, at.Host)
	}
	local := *at
	local.Scheme, local.Host = here.Scheme, here.Host
	return &local, nil
}

// dynamic is a parameter's value, of the event where it is a JSON path.
func dynamic(tree map[string]any, value string) (string, *failure) {
	if !strings.HasPrefix(value, "$.") {
		return value, nil
	}
	found, there, err := find(tree, value)
	if err != nil {
		return "", failed("INVALID_PARAMETER", "%v", err)
	}
	if !there {
		return "", failed("INVALID_PARAMETER", "%s finds nothing in the event", value)
	}
	return plain(found), nil
}

// ofTransport tells nothing of the address: its query may hold a secret.
func ofTransport(to destination, err error) *failure {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return failed("TIMEOUT", "%s does not answer within %s", to.ARN, answerLimit).again()
	}
	return failed("CONNECTION_FAILURE", "%s can't be reached: %v", to.ARN, err).again()
}

// retried are the statuses below 500 that are tried again: somebody may put the
// authorization right meanwhile (user guide, "API destination error codes").
var retried = map[int]string{
	http.StatusUnauthorized: "SDK_CLIENT_ERROR", http.StatusProxyAuthRequired: "SDK_CLIENT_ERROR",
	http.StatusConflict: "SDK_CLIENT_ERROR", http.StatusTooManyRequests: "THROTTLING",
}

// ofStatus tells nothing of the answer but its status: what else it holds may be
// what it was called with.
func ofStatus(to destination, res *http.Response) *failure {
	if res.StatusCode/100 == 2 {
		return nil
	}
	f := failed("SDK_CLIENT_ERROR", "%s answers with the status %d %s", to.ARN, res.StatusCode, http.StatusText(res.StatusCode))
	if code, again := retried[res.StatusCode]; again {
		f.code, f.retry = code, true
	}
	if res.StatusCode >= http.StatusInternalServerError {
		f.code, f.retry = "ERROR_FROM_TARGET", true
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		f.after, f.retry = time.Duration(seconds)*time.Second, f.retry && seconds >= 0
	}
	return f
}
