package gateway

import (
	"encoding/xml"
	"net/http"
	"slices"
)

// element is an XML element without attributes: EC2 uses none.
type element struct {
	XMLName  xml.Name
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

// all returns the elements of a name, at any depth.
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

// child returns the first child of that name; nil without one.
func (e *element) child(name string) *element {
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			return child
		}
	}
	return nil
}

// text returns the text of the first child of that name; "" without one.
func (e *element) text(name string) string {
	if child := e.child(name); child != nil {
		return child.Text
	}
	return ""
}

func (e *element) remove(unwanted func(*element) bool) {
	e.Children = slices.DeleteFunc(e.Children, unwanted)
}

// editXML changes a successful answer. Others stay as they are.
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

// dropNamespaces removes the namespaces with which encoding/xml would write each
// element.
func (e *element) dropNamespaces() {
	e.XMLName.Space = ""
	for _, child := range e.Children {
		child.dropNamespaces()
	}
}
