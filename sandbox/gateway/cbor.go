package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// cborProtocol is the protocol in which AWS's SDKs for Go call CloudWatch
// (https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html). moto does not
// speak it, so such a call goes on as the same call in the JSON protocol, and its
// answer is translated back.
const cborProtocol = "rpc-v2-cbor"

func speaksCBOR(r *http.Request) bool { return r.Header.Get("Smithy-Protocol") == cborProtocol }

// fromCBOR makes a call in the JSON protocol of one to
// /service/SERVICE/operation/OPERATION.
func fromCBOR(c *Call) error {
	parts := strings.Split(strings.Trim(c.Request.URL.Path, "/"), "/")
	if len(parts) != 4 || parts[0] != "service" || parts[2] != "operation" {
		return fmt.Errorf("%s is no path of the protocol %s", c.Request.URL.Path, cborProtocol)
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	if c.Request.Header.Get("Content-Encoding") == "gzip" { // the SDKs compress PutMetricData
		if body, err = unzipped(body); err != nil {
			return err
		}
		c.Request.Header.Del("Content-Encoding")
	}
	var input any = map[string]any{}
	if len(body) > 0 {
		value, err := cbor.Decode(body)
		if err != nil {
			return err
		}
		input = plain(value)
	}
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	c.SetBody(text)
	c.cbor = true
	c.Request.URL.Path, c.Request.URL.RawPath = "/", ""
	c.Request.Header.Del("Smithy-Protocol")
	c.Request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	c.Request.Header.Set("X-Amz-Target", parts[1]+"."+parts[3])
	return nil
}

func unzipped(body []byte) ([]byte, error) {
	in, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(in, 1<<20)) // AWS takes as much (API reference, PutMetricData)
}

// plain returns a value as encoding/json writes it: a time in seconds, bytes in base64.
func plain(value cbor.Value) any {
	switch v := value.(type) {
	case cbor.Map:
		members := map[string]any{}
		for name, member := range v {
			members[name] = plain(member)
		}
		return members
	case cbor.List:
		items := []any{}
		for _, item := range v {
			items = append(items, plain(item))
		}
		return items
	case *cbor.Tag:
		return plain(v.Value)
	case cbor.Uint:
		return uint64(v)
	case cbor.NegInt:
		return -int64(v)
	case cbor.Float32:
		return float64(v)
	case cbor.Float64:
		return float64(v)
	case cbor.String:
		return string(v)
	case cbor.Slice:
		return []byte(v)
	case cbor.Bool:
		return bool(v)
	}
	return nil // null and undefined
}

// toCBOR translates an answer in the JSON protocol.
func toCBOR(res *http.Response) (*http.Response, error) {
	body, err := readBody(res)
	if err != nil {
		return nil, err
	}
	var value any = map[string]any{}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := unmarshal(body, &value); err != nil {
			return nil, fmt.Errorf("the answer is no JSON: %w", err)
		}
	}
	res.Header.Set("Smithy-Protocol", cborProtocol)
	res.Header.Set("Content-Type", "application/cbor")
	setBody(res, cbor.Encode(encoded(value, "")))
	return res, nil
}

// encoded returns a JSON value in CBOR. The name of its member says whether it is a
// time or bytes, which JSON writes as a number and a string.
func encoded(value any, member string) cbor.Value {
	switch v := value.(type) {
	case map[string]any:
		members := cbor.Map{}
		for name, part := range v {
			if part != nil {
				members[name] = encoded(part, name)
			}
		}
		return members
	case []any:
		items := cbor.List{}
		for _, item := range v {
			items = append(items, encoded(item, member))
		}
		return items
	case json.Number:
		if isTime(member) {
			seconds, _ := v.Float64() // JSON's numbers can be parsed
			return &cbor.Tag{ID: 1, Value: cbor.Float64(seconds)}
		}
		switch whole, err := v.Int64(); {
		case err == nil && whole >= 0:
			return cbor.Uint(whole)
		case err == nil:
			return cbor.NegInt(-whole)
		}
		number, _ := v.Float64()
		return cbor.Float64(number)
	case string:
		if member == "MetricWidgetImage" {
			if bytes, err := base64.StdEncoding.DecodeString(v); err == nil {
				return cbor.Slice(bytes)
			}
		}
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	}
	return &cbor.Nil{}
}

// isTime reports whether a member of CloudWatch's answers is a time.
func isTime(member string) bool {
	return strings.HasSuffix(member, "Timestamp") || member == "LastModified"
}
