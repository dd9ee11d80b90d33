// Package componenttest runs a component or a whole program against one
// recording mock of the engine, as an update and as a preview.
//
// The mock answers like AWS for the resource types in its table and fails the
// test for any other type or function: a component can't grow a resource that
// its tests have not heard of.
package componenttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The account, Region and partition that the mock's ARNs name.
const (
	Account = "123456789012"
	Region  = "us-east-1"
	Project = "dcv-sessions"
	Stack   = "test"
)

// Mode is the engine's kind of run.
type Mode bool

// The modes.
const (
	Update  Mode = false
	Preview Mode = true // nothing exists yet: ids and computed outputs are unknown
)

// Modes runs test once as an update and once as a preview.
func Modes(t *testing.T, test func(t *testing.T, mode Mode)) {
	t.Helper()
	t.Run("update", func(t *testing.T) { test(t, Update) })
	t.Run("preview", func(t *testing.T) { test(t, Preview) })
}

// Resource is one registration as the engine saw it.
type Resource struct {
	Type, Name string
	Parent     string // the parent's logical name, "" under the stack
	Inputs     map[string]any
	Outputs    map[string]any // the values that AWS computes, and "id"; of an update only
	DependsOn  []string       // logical names
	Protect    bool
	DeleteOld  bool     // deleteBeforeReplace
	Ignore     []string // ignoreChanges
	Hooks      []string // names of bound hooks
	Aliases    []string // logical names that it had before
	Provider   string
}

// JSON decodes a string input that holds JSON.
func (r Resource) JSON(t *testing.T, input string, into any) {
	t.Helper()
	text, ok := r.Inputs[input].(string)
	if !ok {
		t.Fatalf("%s %s: input %q is %T, not a string", r.Type, r.Name, input, r.Inputs[input])
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s %s: input %q is no JSON: %v\n%s", r.Type, r.Name, input, err, text)
	}
}

// Run holds the registrations and the calls of one run of a program.
type Run struct {
	Err       error
	Resources []Resource
	Calls     []string // function tokens, in order
}

// Option changes the mock's answers.
type Option func(*mock)

// WithConfig gives the program its stack configuration ("project:key").
func WithConfig(config map[string]string) Option {
	return func(m *mock) { m.config = config }
}

// WithStack runs the program as another stack than Stack.
func WithStack(stack string) Option { return func(m *mock) { m.stack = stack } }

// WithCall answers a function (an invoke) by its token.
func WithCall(token string, answer func(args map[string]any) (map[string]any, error)) Option {
	return func(m *mock) { m.calls[token] = answer }
}

// WithType allows a further resource type; computed gives its outputs beside
// its inputs in an update.
func WithType(token string, computed func(name string, inputs map[string]any) map[string]any) Option {
	return func(m *mock) { m.types[token] = computed }
}

// Execute runs the program against the mock. A registration that the mock does
// not know is in Run.Err.
func Execute(t *testing.T, mode Mode, program pulumi.RunFunc, options ...Option) *Run {
	t.Helper()
	return Record(mode, program, options...)
}

// Record is Execute for a caller other than a test.
func Record(mode Mode, program pulumi.RunFunc, options ...Option) *Run {
	m := newMock(bool(mode))
	for _, o := range options {
		o(m)
	}
	err := pulumi.RunErr(program, pulumi.WithMocks(Project, m.stack, m), func(info *pulumi.RunInfo) {
		info.DryRun = bool(mode)
		takeUnknownSecrets(info)
		if m.config != nil {
			info.Config = m.config
		}
	})
	sort.Slice(m.run.Resources, func(i, j int) bool {
		a, b := m.run.Resources[i], m.run.Resources[j]
		return a.Type+a.Name < b.Type+b.Name
	})
	m.run.Err = err
	return &m.run
}

// Must fails the test if the program failed.
func (r *Run) Must(t *testing.T) *Run {
	t.Helper()
	if r.Err != nil {
		t.Fatalf("the program failed: %v", r.Err)
	}
	return r
}

// OfType returns the resources of a type, ordered by name.
func (r *Run) OfType(token string) []Resource {
	var found []Resource
	for _, res := range r.Resources {
		if res.Type == token {
			found = append(found, res)
		}
	}
	return found
}

// One returns the only resource of a type. The test fails if there is none or another.
func (r *Run) One(t *testing.T, token string) Resource {
	t.Helper()
	found := r.OfType(token)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1 (have: %v)", len(found), token, r.Names())
	}
	return found[0]
}

// Named returns the resource of a type and name.
func (r *Run) Named(t *testing.T, token, name string) Resource {
	t.Helper()
	for _, res := range r.OfType(token) {
		if res.Name == name {
			return res
		}
	}
	t.Fatalf("no %s named %q (have: %v)", token, name, r.Names())
	return Resource{}
}

// Names returns "type name" of every resource, sorted.
func (r *Run) Names() []string {
	var names []string
	for _, res := range r.Resources {
		names = append(names, res.Type+" "+res.Name)
	}
	return names
}

// mock is the engine's stand-in.
type mock struct {
	preview bool
	stack   string
	config  map[string]string
	types   map[string]func(name string, inputs map[string]any) map[string]any
	calls   map[string]func(args map[string]any) (map[string]any, error)

	mu   sync.Mutex
	run  Run
	urns map[string]bool
}

func newMock(preview bool) *mock {
	m := &mock{
		preview: preview, stack: Stack, urns: map[string]bool{},
		types: map[string]func(string, map[string]any) map[string]any{},
		calls: map[string]func(map[string]any) (map[string]any, error){},
	}
	for token, computed := range awsTypes {
		m.types[token] = computed
	}
	for token, answer := range awsCalls {
		m.calls[token] = answer
	}
	return m
}

// Call answers a function or fails.
func (m *mock) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	m.mu.Lock()
	m.run.Calls = append(m.run.Calls, args.Token)
	answer := m.calls[args.Token]
	m.mu.Unlock()
	if answer == nil {
		return nil, fmt.Errorf("componenttest: the mock knows no function %s", args.Token)
	}
	out, err := answer(plain(args.Args))
	if err != nil {
		return nil, err
	}
	return resource.NewPropertyMapFromMap(out), nil
}

// NewResource records a registration and answers with the values that AWS would compute.
func (m *mock) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run.Resources = append(m.run.Resources, recorded(args))
	urn := string(resource.NewURN("", "", resource.URN(args.RegisterRPC.GetParent()).QualifiedType(), tokens.Type(args.TypeToken), args.Name))
	if m.urns[urn] {
		return "", nil, fmt.Errorf("componenttest: two resources %s: the engine refuses the second", urn)
	}
	m.urns[urn] = true
	computed, known := m.types[args.TypeToken]
	component := strings.HasPrefix(args.TypeToken, "dcv:") || args.TypeToken == "pulumi:pulumi:Stack"
	if !known && !component && !strings.HasPrefix(args.TypeToken, "pulumi:providers:") {
		return "", nil, fmt.Errorf("componenttest: the mock knows no resource type %s", args.TypeToken)
	}
	state := args.Inputs.Copy()
	if m.preview {
		return "", state, nil
	}
	outputs := map[string]any{"id": args.Name + "-id"}
	m.run.Resources[len(m.run.Resources)-1].Outputs = outputs
	if computed != nil {
		for key, value := range computed(args.Name, plain(args.Inputs)) {
			outputs[key] = value
			if _, set := state[resource.PropertyKey(key)]; !set {
				state[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
			}
		}
	}
	return args.Name + "-id", state, nil
}

func recorded(args pulumi.MockResourceArgs) Resource {
	r := Resource{Type: args.TypeToken, Name: args.Name, Inputs: plain(args.Inputs)}
	rpc := args.RegisterRPC
	if rpc == nil {
		return r
	}
	r.Parent = nameOf(rpc.GetParent())
	r.Protect, r.DeleteOld, r.Ignore, r.Provider = rpc.GetProtect(), rpc.GetDeleteBeforeReplace(), rpc.GetIgnoreChanges(), rpc.GetProvider()
	for _, urn := range rpc.GetDependencies() {
		r.DependsOn = append(r.DependsOn, nameOf(urn))
	}
	for _, urn := range rpc.GetAliasURNs() {
		r.Aliases = append(r.Aliases, nameOf(urn))
	}
	for _, alias := range rpc.GetAliases() {
		r.Aliases = append(r.Aliases, alias.GetSpec().GetName())
	}
	if h := rpc.GetHooks(); h != nil {
		r.Hooks = slices.Concat(h.GetBeforeCreate(), h.GetBeforeUpdate(), h.GetAfterCreate(), h.GetAfterUpdate(), h.GetOnError())
	}
	sort.Strings(r.DependsOn)
	return r
}

func nameOf(urn string) string {
	if urn == "" || strings.Contains(urn, "::pulumi:pulumi:Stack::") {
		return ""
	}
	return resource.URN(urn).Name()
}

// Unknown stands in recorded inputs for a value that a preview does not know yet.
const Unknown = "<unknown>"

// Secret wraps recorded inputs that are marked as secret.
type Secret struct{ Value any }

func plain(properties resource.PropertyMap) map[string]any {
	out := map[string]any{}
	for key, value := range properties {
		out[string(key)] = plainValue(value)
	}
	return out
}

func plainValue(v resource.PropertyValue) any {
	switch {
	case v.IsComputed(), v.IsOutput() && !v.OutputValue().Known:
		return Unknown
	case v.IsOutput():
		inner := plainValue(v.OutputValue().Element)
		if v.OutputValue().Secret {
			return Secret{inner}
		}
		return inner
	case v.IsSecret():
		return Secret{plainValue(v.SecretValue().Element)}
	case v.IsArray():
		list := []any{}
		for _, item := range v.ArrayValue() {
			list = append(list, plainValue(item))
		}
		return list
	case v.IsObject():
		return plain(v.ObjectValue())
	case v.IsResourceReference():
		return string(v.ResourceReferenceValue().URN)
	case v.IsAsset(), v.IsArchive():
		return v.String()
	}
	return v.V
}
