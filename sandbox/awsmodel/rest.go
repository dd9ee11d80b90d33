package awsmodel

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// readREST reads a call with an operation that follows from method, path and query.
func (r *reader) readREST(call *http.Request, body func() ([]byte, error)) (*operation, any, error) {
	o, labels := r.route(call)
	if o == nil {
		if r.name == "s3" {
			return nil, nil, invalid{"MethodNotAllowed", "The specified method is not allowed against this resource."}
		}
		return nil, nil, invalid{"UnknownOperationException", "No operation is at " + call.Method + " " + call.URL.Path}
	}
	if o.Input == nil {
		return o, object{}, nil
	}
	out := r.outside(o, call, labels)
	return o, out, r.inside(o.Input.shape, call, body, out)
}

// route returns the operation of a method, path and query, and the values of the
// path's labels. Of several, e.g. PutObject and CopyObject, it is the one with most
// of its own query parameters and required headers in the call.
func (r *reader) route(call *http.Request) (*operation, map[string]string) {
	var best *operation
	var bestLabels map[string]string
	bestScore := -1
	for _, name := range slices.Sorted(maps.Keys(r.Operations)) {
		o := r.Operations[name]
		if o.HTTP.Method != call.Method {
			continue
		}
		uri, query, _ := strings.Cut(o.HTTP.RequestURI, "?")
		labels, fits := match(uri, call.URL.EscapedPath())
		if !fits {
			continue
		}
		score, fits := r.score(o, query, call)
		if fits && score > bestScore {
			best, bestLabels, bestScore = o, labels, score
		}
	}
	return best, bestLabels
}

// score returns how specific an operation is to a call, and whether the call has its
// query: by its own query parameters, its fixed path and its required members.
func (r *reader) score(o *operation, query string, call *http.Request) (score int, fits bool) {
	sent := call.URL.Query()
	if query != "" {
		for _, pair := range strings.Split(query, "&") {
			name, value, exact := strings.Cut(pair, "=")
			if !sent.Has(name) || exact && sent.Get(name) != value {
				return 0, false
			}
			score += 100
		}
	}
	score += 50 - 10*strings.Count(o.HTTP.RequestURI, "{") // a fixed part is more specific than a label
	if !o.Deprecated {
		score++
	}
	if o.Input == nil {
		return score, true
	}
	for _, name := range o.Input.shape.Required {
		ref := o.Input.shape.Members[name]
		switch {
		case ref.Location != "querystring" && ref.Location != "header":
		case ref.Location == "querystring" && sent.Has(wireName(name, ref)), ref.Location == "header" && call.Header.Get(wireName(name, ref)) != "":
			score += 4
		default:
			score -= 4
		}
	}
	return max(score, 0), true
}

// match holds a path against an operation's, e.g. "/{Bucket}/{Key+}".
func match(pattern, escaped string) (labels map[string]string, fits bool) {
	labels = map[string]string{}
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	have := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	if last := len(have) - 1; last > 0 && have[last] == "" && !strings.HasSuffix(pattern, "+}") {
		have = have[:last] // "/bucket/" is "/bucket"
	}
	for i, part := range want {
		if i >= len(have) {
			return nil, false
		}
		name, label := strings.CutPrefix(part, "{")
		name = strings.TrimSuffix(name, "}")
		value := have[i]
		if greedy := strings.HasSuffix(name, "+"); greedy {
			name, value = strings.TrimSuffix(name, "+"), strings.Join(have[i:], "/")
			have = have[:i+1]
		}
		text, err := url.PathUnescape(value)
		if err != nil || !label && text != part || label && text == "" {
			return nil, false
		}
		if label {
			labels[name] = text
		}
	}
	return labels, len(have) == len(want)
}

// notMember reports whether a query parameter is one that any call may have: the
// operation's name, which some SDKs add for S3, or a part of a presigned URL's
// signature.
func notMember(name string) bool { return name == "x-id" || strings.HasPrefix(name, "X-Amz-") }

// outside reads the members in path, query and headers.
func (r *reader) outside(o *operation, call *http.Request, labels map[string]string) object {
	out := object{}
	sent := call.URL.Query()
	known := map[string]bool{}
	open := false // a map takes every further query parameter
	_, query, _ := strings.Cut(o.HTTP.RequestURI, "?")
	for _, pair := range strings.Split(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		known[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(o.Input.shape.Members)) {
		ref := o.Input.shape.Members[name]
		wire := wireName(name, ref)
		at := path{}.to(name, wire)
		var texts []string
		switch ref.Location {
		case "uri":
			texts = []string{labels[wire]}
		case "querystring":
			known[wire] = true
			texts = sent[wire]
			if ref.shape.Type == "map" {
				open = true
				continue
			}
		case "header":
			texts = call.Header.Values(wire)
			if ref.shape.Type == "list" {
				texts = commas(texts)
			}
		default: // headers with a prefix: a map without rules of its own
			continue
		}
		if len(texts) > 0 {
			out[name] = r.texts(ref.shape, texts, at)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !known[name] && !open && !notMember(name) {
			r.unknown(path{name, name})
		}
	}
	return out
}

func (r *reader) texts(sh *shape, texts []string, at path) any {
	if sh.Type != "list" {
		return r.text(sh, texts[0], at)
	}
	items := make([]any, len(texts))
	for i, text := range texts {
		items[i] = r.text(sh.Member.shape, text, at.item(i+1))
	}
	return items
}

func commas(lines []string) []string {
	var items []string
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

// inside reads the members in the body. A file is not read.
func (r *reader) inside(input *shape, call *http.Request, body func() ([]byte, error), out object) error {
	if input.Payload != "" {
		ref := input.Members[input.Payload]
		if ref.shape.Type != "structure" {
			if call.ContentLength != 0 && call.Body != nil {
				out[input.Payload] = opaque{}
			}
			return nil
		}
		value, err := r.payload(ref, body, path{}.to(input.Payload, wireName(input.Payload, ref)))
		if value != nil {
			out[input.Payload] = value
		}
		return err
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(input.Members)), func(ref *ref) bool { return ref.Location == "" }) {
		return nil
	}
	inBody := &ref{Shape: input.name, shape: input}
	value, err := r.payload(inBody, body, path{})
	if members, read := value.(object); read {
		maps.Copy(out, members)
	}
	return err
}

func (r *reader) payload(ref *ref, body func() ([]byte, error), at path) (any, error) {
	if r.Metadata.Protocol == "rest-xml" {
		root, err := readXML(body)
		if root == nil {
			return nil, err
		}
		return r.xml(ref, root, at), nil
	}
	raw, err := readObject(body)
	if err != nil {
		return nil, err
	}
	return r.json(ref.shape, raw, at), nil
}
