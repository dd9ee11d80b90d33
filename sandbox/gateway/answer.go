package gateway

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Fault is an error of AWS's own. A handler returns it, and the caller gets it in the
// protocol of the service.
type Fault struct {
	Status  int    // HTTP status, e.g. 400
	Code    string // e.g. "ImageNotFoundException"
	Message string
}

func badRequest(code, format string, args ...any) *Fault {
	return &Fault{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// Unsupported returns the fault of a call that the sandbox does not know how to
// answer. SDKs do not retry a 501.
func Unsupported(format string, args ...any) *Fault {
	return &Fault{http.StatusNotImplemented, "NotImplemented", fmt.Sprintf(format, args...)}
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// isFault reports whether an error is a Fault of that code.
func isFault(err error, code string) bool {
	var fault *Fault
	return errors.As(err, &fault) && fault.Code == code
}

// response returns the fault as the service writes it: XML for S3 and in the query
// protocol, else JSON with the code in both places in which SDKs look for it.
func (f *Fault) response(c *Call) *http.Response {
	fault := faultXML{Code: f.Code, Message: f.Message}
	switch {
	case c.Service == "s3":
		return answerXML(c, f.Status, fault)
	case speaksQuery(c) && c.Service == "ec2":
		return answerXML(c, f.Status, struct {
			XMLName xml.Name `xml:"Response"`
			Error   faultXML `xml:"Errors>Error"`
		}{Error: fault})
	case speaksQuery(c):
		return answerXML(c, f.Status, struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Error   faultXML
		}{Error: fault})
	}
	res := answerJSON(c, f.Status, map[string]string{"__type": f.Code, "message": f.Message})
	res.Header.Set("X-Amzn-Errortype", f.Code)
	return res
}

type faultXML struct {
	XMLName       xml.Name `xml:"Error"`
	Code, Message string
}

// speaksQuery reports whether a call came in the query protocol.
func speaksQuery(c *Call) bool {
	if c.Request == nil || c.Request.Header.Get("X-Amz-Target") != "" {
		return false
	}
	return strings.HasPrefix(c.Request.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || c.Request.URL.Query().Has("Action")
}

// refusal is moto's refusal of a call that the gateway made for the caller.
type refusal struct{ res *http.Response }

func (r *refusal) Error() string { return "moto refuses: " + r.res.Status }

func succeeded(res *http.Response) bool { return res.StatusCode/100 == 2 }

// answer returns a response to a call.
func answer(c *Call, status int, contentType string, body []byte) *http.Response {
	res := &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Request: c.Request,
	}
	if contentType != "" {
		res.Header.Set("Content-Type", contentType)
	}
	setBody(res, body)
	return res
}

func answerJSON(c *Call, status int, value any) *http.Response {
	body, err := json.Marshal(value)
	if err != nil { // only a type that JSON does not know can do this
		panic(err)
	}
	return answer(c, status, "application/x-amz-json-1.1", body)
}

func answerXML(c *Call, status int, value any) *http.Response {
	body, err := xml.Marshal(value)
	if err != nil {
		panic(err)
	}
	return answer(c, status, "application/xml", append([]byte(xml.Header), body...))
}

func setBody(res *http.Response, body []byte) {
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.TransferEncoding = nil
	res.Header.Set("Content-Length", fmt.Sprint(len(body)))
}

// readBody reads the whole body of an answer and leaves the answer readable.
func readBody(res *http.Response) ([]byte, error) {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	setBody(res, body)
	return body, nil
}

func readJSON(res *http.Response, into any) error {
	body, err := readBody(res)
	if err != nil {
		return err
	}
	return unmarshal(body, into)
}

// EditJSON changes a successful answer. Others stay as they are.
func EditJSON(res *http.Response, edit func(map[string]any)) (*http.Response, error) {
	if !succeeded(res) {
		return res, nil
	}
	value := map[string]any{}
	if err := readJSON(res, &value); err != nil {
		return nil, err
	}
	edit(value)
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	setBody(res, body)
	return res, nil
}

// unmarshal keeps numbers as they are written: a float would change times and sizes.
func unmarshal(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return d.Decode(into)
}

// Objects returns the objects of a list in a decoded JSON value.
func Objects(list any) []map[string]any {
	var found []map[string]any
	items, _ := list.([]any)
	for _, item := range items {
		if o, ok := item.(map[string]any); ok {
			found = append(found, o)
		}
	}
	return found
}
