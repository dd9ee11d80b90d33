package awsmodel

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Check returns AWS's refusal of a call, nil if its model allows it. service is the
// signature's, e.g. "monitoring" for CloudWatch; body returns the call's body and is
// not called if it is a file, e.g. an S3 object.
//
// An error means that the call cannot be checked: its service has no model, or its
// protocol is not known here.
func (m *Models) Check(service string, call *http.Request, body func() ([]byte, error)) (*Refusal, error) {
	s, err := m.service(service)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{s.name + " " + call.Method, s.name + " " + call.Method + " " + mediaType(call)} {
		if beside[key] != "" {
			return nil, nil
		}
	}
	r := &reader{service: s}
	operation, value, err := r.read(call, body)
	if err != nil {
		return refusal(err, operation)
	}
	if len(r.found) == 0 && operation.Input != nil {
		r.check(operation.Input, value, path{})
	}
	if len(r.found) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(r.found, func(a, b violation) int { return cmp.Compare(a.kind.order(), b.kind.order()) })
	return s.refuse(operation.name, r.found), nil
}

// order sorts wrong types first, since AWS parses a call before it checks it, then
// unknown members, then all others as they were found.
func (k kind) order() kind { return min(k, missing) }

// invalid is a call that is refused as a whole.
type invalid struct{ code, message string }

func (i invalid) Error() string { return i.code + ": " + i.message }

func refusal(err error, operation *operation) (*Refusal, error) {
	var whole invalid
	if !errors.As(err, &whole) {
		return nil, err
	}
	r := &Refusal{Code: whole.code, Message: whole.message}
	if operation != nil {
		r.Operation = operation.name
	}
	return r, nil
}

func mediaType(call *http.Request) string {
	kind, _, _ := strings.Cut(call.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind)
}

// read finds a call's operation and reads its members.
func (r *reader) read(call *http.Request, body func() ([]byte, error)) (*operation, any, error) {
	_, target, targeted := strings.Cut(call.Header.Get("X-Amz-Target"), ".")
	switch {
	case call.Header.Get("Smithy-Protocol") != "":
		return nil, nil, fmt.Errorf("protocol %s: not known to the sandbox", call.Header.Get("Smithy-Protocol"))
	case targeted:
		return r.readJSON(target, body)
	case strings.HasPrefix(r.Metadata.Protocol, "rest-"):
		return r.readREST(call, body)
	}
	return r.readForm(call, body)
}

// operation returns an operation by its name, and its input, which may be empty.
func (r *reader) operation(name string) (*operation, *shape, error) {
	o := r.Operations[name]
	switch {
	case o == nil && r.Metadata.Protocol == "json":
		return nil, nil, invalid{"UnknownOperationException", "Operation " + name + " is not known"}
	case o == nil:
		return nil, nil, invalid{"InvalidAction", "The action " + name + " is not valid for this web service."}
	case o.Input == nil:
		return o, &shape{Type: "structure"}, nil
	}
	return o, o.Input.shape, nil
}

func (r *reader) readJSON(name string, body func() ([]byte, error)) (*operation, any, error) {
	o, input, err := r.operation(name)
	if err != nil {
		return o, nil, err
	}
	raw, err := readObject(body)
	if err != nil {
		return o, nil, err
	}
	return o, r.json(input, raw, path{}), nil
}

// readObject reads a JSON body; an empty one is an empty object.
func readObject(body func() ([]byte, error)) (any, error) {
	text, err := body()
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	var raw any
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	if err := in.Decode(&raw); err != nil {
		return nil, invalid{"SerializationException", err.Error()}
	}
	if raw == nil {
		raw = map[string]any{}
	}
	return raw, nil
}

func (r *reader) readForm(call *http.Request, body func() ([]byte, error)) (*operation, any, error) {
	values := call.URL.Query()
	if call.Method == http.MethodPost {
		text, err := body()
		if err != nil {
			return nil, nil, err
		}
		posted, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, nil, invalid{"MalformedQueryString", err.Error()}
		}
		for name, texts := range posted {
			values[name] = texts
		}
	}
	o, input, err := r.operation(values.Get("Action"))
	if err != nil {
		return o, nil, err
	}
	return o, form{r, r.Metadata.Protocol == "ec2"}.call(values, input), nil
}

// readXML parses an XML body; nil if it is empty.
func readXML(body func() ([]byte, error)) (*element, error) {
	text, err := body()
	if err != nil || len(text) == 0 {
		return nil, err
	}
	root := &element{}
	if err := xml.Unmarshal(text, root); err != nil && !errors.Is(err, io.EOF) {
		return nil, invalid{"MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: " + err.Error()}
	}
	return root, nil
}
