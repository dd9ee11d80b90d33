package gateway

import (
	"encoding/xml"
	"net/http"
	"slices"
)

// element is any XML element without attributes: EC2 uses none.
type element struct {
	XMLName  xml.Name
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

// all finds the elements of a name, however deep.
func (e *element) all(name string) []*element {
	var found []*element
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			found = append(found, child)
		}
		found = append(found, child.all(name)...)
	}
	return found
}

// child is the first child of that name; nil without one.
func (e *element) child(name string) *element {
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			return child
		}
	}
	return nil
}

// text is what a child of that name holds; "" without one.
func (e *element) text(name string) string {
	if child := e.child(name); child != nil {
		return child.Text
	}
	return ""
}

func (e *element) remove(unwanted func(*element) bool) {
	e.Children = slices.DeleteFunc(e.Children, unwanted)
}

// editXML changes the answer to a call that succeeded, and leaves a refusal as
// it is.
func editXML(res *http.Response, edit func(*element) error) (*http.Response, error) {
	if !succeeded(res) {
		return res, nil
	}
	body, err := readBody(res)
	if err != nil {
		return nil, err
	}
	root := &element{}
	if err := xml.Unmarshal(body, root); err != nil {
		return nil, err
	}
	if err := edit(root); err != nil {
		return nil, err
	}
	space := root.XMLName.Space
	root.dropNamespaces()
	root.XMLName.Space = space // the others are in it too
	if body, err = xml.Marshal(root); err != nil {
		return nil, err
	}
	setBody(res, append([]byte(xml.Header), body...))
	return res, nil
}

// dropNamespaces spares every element the namespace that it would be written with.
func (e *element) dropNamespaces() {
	e.XMLName.Space = ""
	for _, child := range e.Children {
		child.dropNamespaces()
	}
}
