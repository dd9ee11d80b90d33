package awsmodel

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// form reads calls of the query protocol and of EC2's variant of it:
// "Tags.member.1.Key=a" and "Tag.1.Key=a".
type form struct {
	*reader
	ec2 bool
}

// field is one part of a parameter's name, e.g. "Tag" of "Tag.1.Key".
type field struct {
	text  string
	set   bool
	parts map[string]*field
}

func (f *field) part(name string) *field {
	if f.parts == nil {
		f.parts = map[string]*field{}
	}
	if f.parts[name] == nil {
		f.parts[name] = &field{}
	}
	return f.parts[name]
}

// unsigned are parameters that are no members: the operation and its version, and the
// signature of a call with its parameters in the URL.
var unsigned = []string{
	"Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp", "SecurityToken",
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders",
}

func (f form) call(values url.Values, input *shape) any {
	root := &field{}
	for name, texts := range values {
		if slices.Contains(unsigned, name) || len(texts) == 0 {
			continue
		}
		at := root
		for _, part := range strings.Split(name, ".") {
			at = at.part(part)
		}
		at.text, at.set = texts[0], true
	}
	return f.structure(input, root, path{})
}

func (f form) read(ref *ref, in *field, at path) any {
	switch ref.shape.Type {
	case "structure":
		return f.structure(ref.shape, in, at)
	case "list":
		return f.list(ref, in, at)
	case "map":
		return f.entries(ref, in, at)
	}
	f.onlyParts(in, at)
	if !in.set {
		return nil
	}
	return f.text(ref.shape, in.text, at)
}

func (f form) structure(sh *shape, in *field, at path) any {
	members := map[string]string{}
	for name, ref := range sh.Members {
		members[f.name(name, ref)] = name
	}
	out := object{}
	for _, key := range slices.Sorted(maps.Keys(in.parts)) {
		name, known := members[key]
		if !known {
			f.unknown(path{dotted(at.member, key), dotted(at.wire, key)})
			continue
		}
		if value := f.read(sh.Members[name], in.parts[key], at.to(name, key)); value != nil {
			out[name] = value
		}
	}
	return out
}

// name is a member's name in a parameter.
// https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html#query-key-resolution
func (f form) name(member string, ref *ref) string {
	if f.ec2 {
		if ref.QueryName != "" {
			return ref.QueryName
		}
		return capital(wireName(member, ref))
	}
	if ref.shape.Type == "list" && ref.flattened() && ref.shape.Member.LocationName != "" {
		return ref.shape.Member.LocationName
	}
	return wireName(member, ref)
}

func (f form) list(ref *ref, in *field, at path) any {
	items := in
	if !f.ec2 && !ref.flattened() {
		items = f.only(in, wireName("member", ref.shape.Member), at)
	}
	out := []any{}
	for i, key := range numbers(items) {
		out = append(out, f.read(ref.shape.Member, items.parts[key], at.item(i+1)))
	}
	f.onlyParts(items, at, numbers(items)...)
	return out
}

func (f form) entries(ref *ref, in *field, at path) any {
	items := in
	if !ref.flattened() {
		items = f.only(in, "entry", at)
	}
	out := object{}
	keyName, valueName := wireName("key", ref.shape.Key), wireName("value", ref.shape.Value)
	for _, number := range numbers(items) {
		entry := items.parts[number]
		f.onlyParts(entry, at, keyName, valueName)
		key := entry.part(keyName).text
		out[key] = f.read(ref.shape.Value, entry.part(valueName), at.entry(key))
	}
	f.onlyParts(items, at, numbers(items)...)
	return out
}

// only returns the one part that a field may have.
func (f form) only(in *field, name string, at path) *field {
	f.onlyParts(in, at, name)
	return in.part(name)
}

// onlyParts notes parts of other names.
func (f form) onlyParts(in *field, at path, names ...string) {
	for _, key := range slices.Sorted(maps.Keys(in.parts)) {
		if !slices.Contains(names, key) {
			f.unknown(path{dotted(at.member, key), dotted(at.wire, key)})
		}
	}
}

// numbers returns a list's indexes in order.
func numbers(in *field) []string {
	var keys []string
	for key := range in.parts {
		if _, err := strconv.Atoi(key); err == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, _ := strconv.Atoi(a) // all are numbers
		y, _ := strconv.Atoi(b)
		return x - y
	})
	return keys
}

func capital(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}
