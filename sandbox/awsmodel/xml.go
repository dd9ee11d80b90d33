package awsmodel

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"
)

// element is an XML element.
type element struct {
	XMLName    xml.Name
	Attributes []xml.Attr `xml:",any,attr"`
	Text       string     `xml:",chardata"`
	Children   []*element `xml:",any"`
}

func (r *reader) xml(ref *ref, in *element, at path) any {
	switch ref.shape.Type {
	case "structure":
		return r.xmlStructure(ref.shape, in, at)
	case "list":
		return r.xmlItems(ref.shape.Member, in.Children, at)
	case "map": // no request of a REST service in XML has one
		return opaque{}
	}
	return r.text(ref.shape, in.Text, at)
}

func (r *reader) xmlStructure(sh *shape, in *element, at path) any {
	out := object{}
	known := []string{}
	for _, name := range slices.Sorted(maps.Keys(sh.Members)) {
		ref := sh.Members[name]
		wire := wireName(name, ref)
		if ref.XMLAttribute {
			if text, there := in.attribute(wire); there {
				out[name] = r.text(ref.shape, text, at.to(name, wire))
			}
			continue
		}
		known = append(known, wire)
		children := in.named(wire)
		if len(children) == 0 {
			continue
		}
		if ref.shape.Type == "list" && ref.flattened() {
			out[name] = r.xmlItems(ref.shape.Member, children, at.to(name, wire))
		} else {
			out[name] = r.xml(ref, children[0], at.to(name, wire))
		}
	}
	for _, child := range in.Children {
		if !slices.Contains(known, child.XMLName.Local) {
			r.unknown(at.to(child.XMLName.Local, child.XMLName.Local))
		}
	}
	return out
}

func (r *reader) xmlItems(ref *ref, in []*element, at path) any {
	out := make([]any, len(in))
	for i, item := range in {
		out[i] = r.xml(ref, item, at.item(i+1))
	}
	return out
}

func (e *element) named(name string) []*element {
	var found []*element
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			found = append(found, child)
		}
	}
	return found
}

// attribute returns an attribute by its name with or without its prefix: the
// models write "xsi:type", which the decoder separates.
func (e *element) attribute(name string) (string, bool) {
	_, local, prefixed := strings.Cut(name, ":")
	for _, a := range e.Attributes {
		if a.Name.Local == name || prefixed && a.Name.Local == local {
			return a.Value, true
		}
	}
	return "", false
}
