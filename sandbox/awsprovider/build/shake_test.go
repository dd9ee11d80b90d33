package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shakenProgram is a program with a client of two operations, of which it calls one,
// and with a function that it links by name.
var shakenProgram = map[string]map[string]string{
	program: {"main.go": `package main

import "github.com/aws/aws-sdk-go-v2/service/ec2"

func main() { ec2.New().Start(ec2.Running) }
`},
	awsServices + "ec2": {"api.go": `package ec2

import (
	"fmt"
	"strings"
	_ "unsafe"

	"github.com/aws/aws-sdk-go-v2/service/hidden"
)

type Client struct{ shown }

func New() *Client { return &Client{} }

// Start is called.
func (c *Client) Start(state int) { fmt.Println(state, serialize()) }

// Stop is not.
func (c *Client) Stop() { strings.ToUpper(hidden.Name) }

const (
	Pending = iota
	Running
)

var (
	used   = 1
	unused = hidden.Name
)

type shown struct{}

func (shown) String() string { return fmt.Sprint(used) }

var _ = hidden.Name

func init() { registered() }

func registered() {}

//go:linkname serialize github.com/aws/aws-sdk-go-v2/service/linked.serialize
func serialize() string
`},
	awsServices + "hidden": {"hidden.go": "package hidden\n\nvar Name string\n"},
	awsServices + "linked": {"linked.go": "package linked\n\nfunc serialize() string { return \"\" }\n\nfunc other() {}\n"},
}

func shakeProgram(t *testing.T) *shaker {
	t.Helper()
	packages := map[string]*goPackage{}
	for path, files := range shakenProgram {
		p := &goPackage{ImportPath: path, Name: filepath.Base(path), Dir: t.TempDir(), Module: &goModule{Path: path}}
		for name, text := range files {
			p.GoFiles = append(p.GoFiles, name)
			if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(text, awsServices+"ec2") {
				p.Imports = append(p.Imports, awsServices+"ec2")
			}
		}
		packages[path] = p
	}
	s, err := newShaker(packages)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDeclarationsThatTheProgramCannotReachAreDropped(t *testing.T) {
	text := string(shakeProgram(t).files[awsServices+"ec2"][0].shaken())
	for _, want := range []string{"Start is called", "Pending", "Running", "used   = 1", "shown) String", "func init", "registered() {}", "func serialize", "go:linkname serialize", `"fmt"`, `_ "unsafe"`} {
		if !strings.Contains(text, want) {
			t.Errorf("without %s", want)
		}
	}
	for _, gone := range []string{"Stop", "unused", "hidden", "strings"} {
		if strings.Contains(text, gone) {
			t.Errorf("still with %s", gone)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestAFunctionThatIsLinkedByNameIsKept(t *testing.T) {
	text := string(shakeProgram(t).files[awsServices+"linked"][0].shaken())
	if !strings.Contains(text, "serialize") || strings.Contains(text, "other") {
		t.Error(text)
	}
}

func TestAPackageOfWhichNothingIsLeftIsNotWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hidden")
	if err := shakeProgram(t).write(awsServices+"hidden", dir); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
		t.Error(files)
	}
}

func TestOnlyTheTypesOfTheTableAreRegistered(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"service_package_gen.go": `package batch

func (p *servicePackage) FrameworkResources() []*types.ServicePackageFrameworkResource {
	return []*types.ServicePackageFrameworkResource{
		{Factory: newJobQueueResource, Name: "Job Queue"},
		{Factory: newOtherResource, Name: "Other"},
	}
}

func (p *servicePackage) SDKDataSources() []*types.ServicePackageSDKDataSource {
	return []*types.ServicePackageSDKDataSource{
		{Factory: dataSourceRegion, TypeName: "aws_region", Name: "Region"},
		{Factory: dataSourceZone, TypeName: "aws_no_such_zone", Name: "Zone"},
	}
}
`,
		"job_queue.go": "package batch\n\nfunc newJobQueueResource(context.Context) (resource.ResourceWithConfigure, error) { return nil, nil }\n\nfunc m() { r.TypeName = \"aws_batch_job_queue\" }\n",
		"other.go":     "package batch\n\nfunc newOtherResource(_ context.Context) (resource.ResourceWithConfigure, error) { return nil, nil }\n\nfunc o() { r.TypeName = \"aws_no_such_other\" }\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := narrowTypes(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "service_package_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc([]string{"newJobQueueResource", "dataSourceRegion", "newOtherResource", "dataSourceZone"}, func(name string) bool { return !strings.Contains(string(b), name) })
	if !slices.Equal(left, []string{"newJobQueueResource", "dataSourceRegion"}) {
		t.Errorf("%v are registered", left)
	}
}
