package awsmodel

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A value is a call's value for a shape, in any protocol:
//
//	structure        object, by member
//	list             []any
//	map              object, by key
//	string           string
//	number           json.Number
//	boolean          bool
//	blob             []byte
//	timestamp        moment
//	anything else    opaque
type (
	object map[string]any
	moment string
	opaque struct{}
)

// path is a member's place in a call.
type path struct {
	member string // as AWS writes it in messages: "tags.1.member.key"
	wire   string // as the call itself names it: "Tag.1.Key"
}

func (p path) to(member, wire string) path {
	first, size := utf8.DecodeRuneInString(member)
	return path{dotted(p.member, string(unicode.ToLower(first))+member[size:]), dotted(p.wire, wire)}
}

func (p path) item(i int) path {
	return path{dotted(p.member, strconv.Itoa(i)+".member"), dotted(p.wire, strconv.Itoa(i))}
}

func (p path) entry(key string) path {
	return path{dotted(p.member, key+".member"), dotted(p.wire, key)}
}

func dotted(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// reader parses a call into a value and records members that do not fit the model.
type reader struct {
	*service
	found []violation
}

func (r *reader) note(kind kind, at path, rule string) {
	r.found = append(r.found, violation{kind: kind, at: at, rule: rule})
}

// unknown records a member that the model does not have.
func (r *reader) unknown(at path) {
	r.note(unknownMember, at, "Member is not one of the request's")
}

// text reads a scalar that came as text: in a form, XML, a header or a URL.
func (r *reader) text(sh *shape, text string, at path) any {
	var value any
	var err error
	switch sh.Type {
	case "integer", "long":
		_, err = strconv.ParseInt(text, 10, bits(sh))
		value = json.Number(text)
	case "float", "double":
		_, err = strconv.ParseFloat(text, 64)
		value = json.Number(text)
	case "boolean":
		switch text {
		case "true", "false":
			value = text == "true"
		default:
			err = fmt.Errorf("%q is no boolean", text)
		}
	case "blob":
		value, err = base64.StdEncoding.DecodeString(text)
	case "timestamp":
		value = moment(text)
	default:
		return text
	}
	if err != nil {
		r.found = append(r.found, violation{kind: wrongType, at: at, value: text, hidden: sh.Sensitive, rule: "Member must be " + article(sh.Type)})
		return nil
	}
	return value
}

// json reads a value of a JSON body.
func (r *reader) json(sh *shape, raw any, at path) any {
	if sh.Document || sh.EventStream {
		return opaque{}
	}
	switch in := raw.(type) {
	case map[string]any:
		switch sh.Type {
		case "structure":
			return r.jsonStructure(sh, in, at)
		case "map":
			out := object{}
			for _, key := range slices.Sorted(maps.Keys(in)) {
				out[key] = r.jsonOrNil(sh.Value.shape, in[key], at.entry(key))
			}
			return out
		}
	case []any:
		if sh.Type == "list" {
			out := make([]any, len(in))
			for i, item := range in {
				out[i] = r.jsonOrNil(sh.Member.shape, item, at.item(i+1))
			}
			return out
		}
	default:
		if value := jsonScalar(sh, raw); value != nil {
			return value
		}
	}
	r.note(wrongType, at, conversion(raw, sh))
	return nil
}

func (r *reader) jsonOrNil(sh *shape, raw any, at path) any {
	if raw == nil {
		return nil
	}
	return r.json(sh, raw, at)
}

func (r *reader) jsonStructure(sh *shape, in map[string]any, at path) any {
	members := map[string]string{}
	for name, ref := range sh.Members {
		if ref.Location == "" {
			members[wireName(name, ref)] = name
		}
	}
	out := object{}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		name, known := members[key]
		switch {
		case known && in[key] != nil: // null is the same as absent
			out[name] = r.json(sh.Members[name].shape, in[key], at.to(name, key))
		case !known && key != "__type":
			r.unknown(at.to(key, key))
		}
	}
	return out
}

// jsonScalar returns nil if the value is not one of the shape.
func jsonScalar(sh *shape, raw any) any {
	switch in := raw.(type) {
	case string:
		switch sh.Type {
		case "string":
			return in
		case "blob":
			if decoded, err := base64.StdEncoding.DecodeString(in); err == nil {
				return decoded
			}
		case "timestamp":
			if _, err := time.Parse(time.RFC3339, in); err == nil {
				return moment(in)
			}
		case "float", "double":
			if in == "NaN" || in == "Infinity" || in == "-Infinity" {
				return opaque{}
			}
		}
	case json.Number:
		switch sh.Type {
		case "integer", "long":
			if _, err := strconv.ParseInt(in.String(), 10, bits(sh)); err == nil {
				return in
			}
		case "float", "double":
			return in
		case "timestamp":
			return moment(in)
		}
	case bool:
		if sh.Type == "boolean" {
			return in
		}
	}
	return nil
}

// bits is the size of a whole number.
func bits(sh *shape) int {
	if sh.Type == "integer" {
		return 32
	}
	return 64
}

// conversion returns the text with which AWS's JSON services refuse a value of
// another type.
func conversion(raw any, sh *shape) string {
	var is string
	switch in := raw.(type) {
	case map[string]any:
		return "Start of structure or map found where not expected"
	case []any:
		return "Start of list found where not expected"
	case string:
		is = "STRING_VALUE"
	case json.Number:
		is = "NUMBER_VALUE"
		if strings.ContainsAny(in.String(), ".eE") {
			is = "DECIMAL_VALUE"
		}
	case bool:
		is = strings.ToUpper(strconv.FormatBool(in)) + "_VALUE"
	}
	wanted := article(strings.ToUpper(sh.Type[:1]) + sh.Type[1:])
	return is + " can not be converted to " + wanted
}

func article(noun string) string {
	if strings.ContainsRune("aeiouAEIOU", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// wireName is a member's name in JSON, XML and queries.
func wireName(member string, ref *ref) string {
	if ref.LocationName != "" {
		return ref.LocationName
	}
	return member
}

// shown returns a value as in AWS's messages: lists in brackets, the rest as text.
func shown(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case moment:
		return string(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = shown(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case object:
		entries := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			entries = append(entries, key+"="+shown(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	}
	return fmt.Sprint(value)
}
