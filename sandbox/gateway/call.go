package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// Call is one call of an AWS operation.
type Call struct {
	Service   string        // as in a credential scope: "ecr", "batch", "s3"; "" if unknown
	Operation string        // AWS's name, in lower case if it comes from a REST path; "" if unknown
	Region    string        // "" if unknown
	Request   *http.Request // as it goes to moto

	body []byte
	read bool
	cbor bool      // it came in cborProtocol
	rest []Handler // the behaviours that the call has not reached yet
	moto http.RoundTripper
}

// Forward calls the next behaviour, or moto after the last. It may be called again:
// the body is sent again if Body has been called.
func (c *Call) Forward() (*http.Response, error) {
	if len(c.rest) == 0 {
		c.rewind()
		return c.moto.RoundTrip(c.Request)
	}
	next := *c
	next.rest = c.rest[1:]
	res, err := c.rest[0](&next)
	c.body, c.read = next.body, next.read
	return res, err
}

// Body returns the call's body. It is kept in memory: do not call it for S3 objects.
func (c *Call) Body() ([]byte, error) {
	if c.read || c.Request.Body == nil {
		return c.body, nil
	}
	b, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return nil, err
	}
	c.SetBody(b)
	return b, nil
}

// SetBody replaces the body that moto gets.
func (c *Call) SetBody(b []byte) {
	c.body, c.read = b, true
	c.Request.ContentLength = int64(len(b))
	c.Request.TransferEncoding = nil
	if c.Request.Header.Get("Content-Length") != "" {
		c.Request.Header.Set("Content-Length", fmt.Sprint(len(b)))
	}
	c.rewind()
}

// Answer returns a successful answer in JSON, for behaviours of other packages.
func (c *Call) Answer(value any) *http.Response { return answerJSON(c, http.StatusOK, value) }

func (c *Call) rewind() {
	if c.read {
		c.Request.Body = io.NopCloser(bytes.NewReader(c.body))
	}
}

// JSON decodes the call's body. Without a body, into stays as it is.
func (c *Call) JSON(into any) error {
	b, err := c.Body()
	if err != nil || len(b) == 0 {
		return err
	}
	if err := unmarshal(b, into); err != nil {
		return badRequest("SerializationException", "%v", err)
	}
	return nil
}

// Ask calls another operation of the same service at moto for the caller, in AWS's
// JSON protocol. If moto refuses it, the caller gets that refusal. out is nil if the
// operation has no answer.
func (c *Call) Ask(operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	prefix, _, _ := strings.Cut(c.Request.Header.Get("X-Amz-Target"), ".")
	header := http.Header{"X-Amz-Target": {prefix + "." + operation}, "Content-Type": {"application/x-amz-json-1.1"}}
	res, err := c.send(http.MethodPost, "/", header, body)
	if err != nil {
		return err
	}
	if out == nil {
		return res.Body.Close()
	}
	return readJSON(res, out)
}

// send calls moto for the caller; an unsuccessful answer is a *refusal. path may have
// a query.
func (c *Call) send(method, path string, header http.Header, body []byte) (*http.Response, error) {
	target := c.Request.URL.Scheme + "://" + c.Request.URL.Host + path
	r, err := http.NewRequestWithContext(c.Request.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Host = c.Request.Host
	maps.Copy(r.Header, header)
	r.Header["Authorization"] = c.Request.Header["Authorization"] // moto reads service, account and Region from it
	res, err := c.moto.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if !succeeded(res) {
		return nil, &refusal{res}
	}
	return res, nil
}

// identify returns a request's service and operation. The signature's scope names the
// service; the place of the operation's name depends on the protocol.
func identify(r *http.Request) (*Call, error) {
	c := &Call{Request: r}
	c.Region, c.Service = scope(r)
	if speaksCBOR(r) {
		if err := fromCBOR(c); err != nil {
			return nil, err
		}
	}
	_, operation, targeted := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case targeted:
		c.Operation = operation
	case c.Service != "s3" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		body, err := c.Body()
		if err != nil {
			return nil, err
		}
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.Operation = form.Get("Action")
		}
	case r.URL.Query().Get("Action") != "":
		c.Operation = r.URL.Query().Get("Action")
	default:
		restOperation(c)
	}
	return c, nil
}

// scope returns Region and service of a signature, in the header or a presigned URL:
// "Credential=KEY/20260101/us-east-1/ecr/aws4_request".
func scope(r *http.Request) (region, service string) {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, found := strings.Cut(r.Header.Get("Authorization"), "Credential="); found {
		credential, _, _ = strings.Cut(after, ",")
	}
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) < 4 || parts[len(parts)-1] != "aws4_request" {
		return "", ""
	}
	if len(parts) > 4 { // a signature for several Regions has none in its scope
		region = parts[len(parts)-3]
	}
	return region, parts[len(parts)-2]
}

// restOperation sets the operation of REST protocols, by method and path.
func restOperation(c *Call) {
	switch c.Service {
	case "s3":
		c.Operation = s3Operation(c.Request)
	case "batch":
		c.Operation = strings.TrimPrefix(c.Request.URL.Path, "/v1/")
		if strings.HasPrefix(c.Operation, "tags/") {
			c.Operation = map[string]string{http.MethodGet: "listtagsforresource", http.MethodPost: "tagresource", http.MethodDelete: "untagresource"}[c.Request.Method]
		}
	default:
		c.Operation = c.Request.Method
	}
}
