package events

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
)

// answerLimit is the time that EventBridge waits for an API destination's answer.
const answerLimit = 5 * time.Second

// toDestination calls an API destination's endpoint. Each attempt reads the
// destination and its connection's key again, so that a corrected token has an
// effect.
func (s *Service) toDestination(ctx context.Context, d *delivery, body []byte) *failure {
	_, path, _ := strings.Cut(*d.target.Arn, ":api-destination/")
	name, _, _ := strings.Cut(path, "/")
	to, err := s.moto.events.DescribeApiDestination(ctx, &eventbridge.DescribeApiDestinationInput{Name: &name})
	if err != nil {
		return ofCall(err)
	}
	if *to.ApiDestinationArn != *d.target.Arn {
		return failed("NO_RESOURCE", "%s does not exist", *d.target.Arn)
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	r, f := s.request(ctx, d, to, body)
	if f != nil {
		return f
	}
	res, err := s.http.Do(r)
	if err != nil {
		return ofTransport(*d.target.Arn, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // AWS reads no more
	return ofStatus(*d.target.Arn, res)
}

// request returns the call of an endpoint. EventBridge's own headers replace the
// target's, and the connection's key replaces both.
func (s *Service) request(ctx context.Context, d *delivery, to *eventbridge.DescribeApiDestinationOutput, body []byte) (*http.Request, *failure) {
	s.mu.Lock()
	key, known := s.keys[*to.ConnectionArn]
	s.mu.Unlock()
	if !known {
		return nil, failed("NO_RESOURCE", "%s does not exist", *to.ConnectionArn)
	}
	at, err := url.Parse(*to.InvocationEndpoint)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return nil, failed("INVALID_PARAMETER", "the endpoint of %s is no https address", *d.target.Arn)
	}
	here, f := s.mapped(at)
	if f != nil {
		return nil, f
	}
	r, err := http.NewRequestWithContext(ctx, string(to.HttpMethod), here.String(), bytes.NewReader(body))
	if err != nil {
		return nil, failed("INVALID_PARAMETER", "the HttpMethod %q makes no request", to.HttpMethod)
	}
	r.Host, r.Close = at.Host, true
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if d.target.HttpParameters != nil {
		for name, value := range d.target.HttpParameters.HeaderParameters {
			r.Header.Set(name, value)
		}
	}
	maps.Copy(r.Header, http.Header{
		"User-Agent": {"Amazon/EventBridge/ApiDestinations"}, "Range": {"bytes=0-1048575"}, "Accept-Encoding": {"gzip,deflate"},
	})
	r.Header.Set(key.Name, key.Value)
	return r, nil
}

// mapped returns an endpoint's address on this machine.
func (s *Service) mapped(at *url.URL) (*url.URL, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here, known := s.hosts[strings.ToLower(at.Host)]
	if !known {
		return nil, failed("CONNECTION_FAILURE", "the sandbox reaches nothing outside this machine: POST %s?host=%s&to=http://127.0.0.1:PORT sets its address on this machine", Path, at.Host)
	}
	local := *at
	local.Scheme, local.Host = here.Scheme, here.Host
	return &local, nil
}

// ofTransport returns the failure of a call without an answer. It leaves the address
// out.
func ofTransport(arn string, err error) *failure {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return failed("TIMEOUT", "%s does not answer within %s", arn, answerLimit).again()
	}
	return failed("CONNECTION_FAILURE", "%s can't be reached: %v", arn, err).again()
}

// retried are the statuses below 500 that are retried: the authorization may be
// corrected meanwhile (user guide, "API destination error codes").
var retried = map[int]string{
	http.StatusUnauthorized: "SDK_CLIENT_ERROR", http.StatusProxyAuthRequired: "SDK_CLIENT_ERROR",
	http.StatusConflict: "SDK_CLIENT_ERROR", http.StatusTooManyRequests: "THROTTLING",
}

// ofStatus returns the failure of an answer, with nothing but its status: the rest
// may repeat secrets of the call.
func ofStatus(arn string, res *http.Response) *failure {
	if res.StatusCode/100 == 2 {
		return nil
	}
	f := failed("SDK_CLIENT_ERROR", "%s answers with the status %d %s", arn, res.StatusCode, http.StatusText(res.StatusCode))
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
