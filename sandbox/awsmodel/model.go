// Package awsmodel checks calls against AWS's own API models: the files that AWS
// publishes with its Python SDK (botocore's service-2.json), from which its SDKs and
// the reference pages are made. They have an operation's members, which of them are
// required, and the values that each may have.
//
// moto accepts nearly anything, so without this check a call that AWS refuses would
// fail only there.
package awsmodel

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Models are the models of all services. Each is read when its service is first
// called: together they are some 500 MB of JSON. Safe for concurrent use.
type Models struct {
	dir string

	mu     sync.Mutex
	loaded map[string]*service // by signing name
}

// Open returns the models in botocore's data folder (see Find).
func Open(dir string) (*Models, error) {
	m := &Models{dir: dir, loaded: map[string]*service{}}
	if _, err := m.service("sts"); err != nil { // a small one that every client calls
		return nil, fmt.Errorf("AWS's API models: %w", err)
	}
	return m, nil
}

// directories are botocore's names of services that sign their calls with another.
var directories = map[string]string{"monitoring": "cloudwatch"}

// errUnknownService is returned for a service that has no model.
var errUnknownService = errors.New("no such service in AWS's API models")

func (m *Models) service(name string) (*service, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.loaded[name]; s != nil {
		return s, nil
	}
	s, err := load(m.dir, name)
	if err != nil {
		return nil, err
	}
	m.loaded[name] = s
	return s, nil
}

// service is one service's model.
type service struct {
	name string // signing name

	Metadata struct {
		Protocol string // the first of those that the service speaks
	}
	Operations map[string]*operation
	Shapes     map[string]*shape

	patterns sync.Map // *pattern by its source
}

type operation struct {
	HTTP struct {
		Method     string
		RequestURI string
	}
	Input      *ref
	Deprecated bool

	name string
}

// shape is a type. Which fields are set depends on Type: "structure", "list",
// "map", "string", "integer", "long", "float", "double", "boolean", "blob" or
// "timestamp".
type shape struct {
	Type string

	Members  map[string]*ref // of a structure
	Required []string
	Payload  string // the member that is the whole body of a REST call

	Member     *ref // of a list
	Key, Value *ref // of a map
	Flattened  bool

	Min, Max    *json.Number // of a number, or of a length
	Pattern     string
	Enum        []string
	Sensitive   bool
	Document    bool // any JSON
	EventStream bool

	name  string
	rules []rule // the rules for values
}

// ref is the use of a shape as a member, element, key or value.
type ref struct {
	Shape        string
	LocationName string
	QueryName    string
	Location     string // of a REST call's member: uri, querystring, header or headers; "" in the body
	Flattened    bool
	XMLAttribute bool

	shape   *shape
	anyCase bool // enumeration values are accepted in lower and upper case
}

func load(dir, name string) (*service, error) {
	folder := name
	if other, differs := directories[name]; differs {
		folder = other
	}
	versions, err := os.ReadDir(filepath.Join(dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s in %s: %w", folder, dir, errUnknownService)
	}
	if err != nil {
		return nil, err
	}
	for _, version := range slices.Backward(versions) { // the names are dates, in order
		s := &service{name: name}
		err := readModel(filepath.Join(dir, folder, version.Name(), "service-2.json"), s)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s, s.link()
	}
	return nil, fmt.Errorf("%s in %s: %w", folder, dir, errUnknownService)
}

// readModel reads a file, compressed as botocore's packages have it or not.
func readModel(path string, into *service) error {
	file, err := os.Open(path + ".gz")
	if errors.Is(err, fs.ErrNotExist) {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// link gives every use its shape, and marks the exceptions.
func (s *service) link() error {
	var lost []string
	resolve := func(r *ref, where string) {
		if r == nil {
			return
		}
		if r.shape = s.Shapes[r.Shape]; r.shape == nil {
			lost = append(lost, where+" is a "+r.Shape)
		}
		r.anyCase = anyCase[s.name+" "+where] != ""
	}
	for name, operation := range s.Operations {
		operation.name = name
		resolve(operation.Input, name)
	}
	for name, shape := range s.Shapes {
		shape.name, shape.rules = name, rulesOf(shape)
		for member, r := range shape.Members {
			resolve(r, name+"."+member)
		}
		resolve(shape.Member, name+".member")
		resolve(shape.Key, name+".key")
		resolve(shape.Value, name+".value")
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		return fmt.Errorf("the model of %s lacks shapes: %s", s.name, strings.Join(lost, ", "))
	}
	return nil
}

// scalar reports whether values of the shape are written as one text.
func (s *shape) scalar() bool { return s.Type != "structure" && s.Type != "list" && s.Type != "map" }

// secret reports whether a message must not show values of the shape: secrets,
// and lists and maps of them or of structures, which may hold some.
func (s *shape) secret() bool {
	switch {
	case s.Sensitive, s.Type == "structure":
		return true
	case s.Type == "list":
		return s.Member.shape.secret()
	case s.Type == "map":
		return s.Key.shape.secret() || s.Value.shape.secret()
	}
	return false
}

func (r *ref) flattened() bool { return r.Flattened || r.shape.Flattened }
