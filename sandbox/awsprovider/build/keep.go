package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/awsprovider/types"
	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

const (
	module        = "github.com/hashicorp/terraform-provider-aws"
	servicePrefix = module + "/internal/service/"
)

// keep copies the provider's source without the services that are not wanted and
// without its fixed waits, and returns the services that are kept: the wanted ones
// and, transitively, those that they import.
func keep(from, to string, wanted []string) ([]string, error) {
	kept, err := closure(from, wanted)
	if err != nil {
		return nil, err
	}
	if err := copyTree(from, to, kept); err != nil {
		return nil, err
	}
	for name := range kept {
		if err := narrowTypes(filepath.Join(to, "internal/service", name)); err != nil {
			return nil, err
		}
	}
	if err := narrowServiceList(filepath.Join(to, "internal/provider/service_packages_gen.go"), kept); err != nil {
		return nil, err
	}
	if err := narrowEndpoints(to, kept); err != nil {
		return nil, err
	}
	if err := narrowClients(to, filepath.Join(to, "internal/conns/awsclient_gen.go")); err != nil {
		return nil, err
	}
	if err := dropWaits(to); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(kept)), nil
}

// closure returns the wanted services and those that they import.
func closure(from string, wanted []string) (map[string]bool, error) {
	kept := map[string]bool{}
	for queue := append([]string{}, wanted...); len(queue) > 0; {
		name := queue[0]
		queue = queue[1:]
		if kept[name] {
			continue
		}
		kept[name] = true
		imports, err := importedServices(filepath.Join(from, "internal/service", name))
		if err != nil {
			return nil, err
		}
		queue = append(queue, imports...)
	}
	return kept, nil
}

func importedServices(dir string) ([]string, error) {
	found := []string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no Go files: is the service's name right?", dir)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range parsed.Imports {
			if path := narrow.ImportPath(spec); strings.HasPrefix(path, servicePrefix) {
				name, _, _ := strings.Cut(strings.TrimPrefix(path, servicePrefix), "/")
				found = append(found, name)
			}
		}
	}
	return found, nil
}

// copied are the parts of the module that the provider is made of.
var copied = []string{"internal", "names", "version", "xpprovider", "go.mod", "go.sum"}

// left are folders that only the provider's own tests and generators use.
var left = map[string]bool{"internal/acctest": true, "internal/generate": true}

func copyTree(from, to string, kept map[string]bool) error {
	return narrow.CopySource(from, to, func(path string, entry fs.DirEntry) bool {
		part, _, _ := strings.Cut(path, "/")
		return slices.Contains(copied, part) && !left[path] && !dropped(path, kept) && entry.Name() != "test-fixtures"
	})
}

// dropped reports whether a folder is a service that is not kept.
func dropped(rel string, kept map[string]bool) bool {
	dir, name := filepath.Split(rel)
	return dir == "internal/service/" && !kept[name]
}

// narrowServiceList keeps the list entries and imports of kept services.
func narrowServiceList(file string, kept map[string]bool) error {
	return rewrite(file, func(parsed *ast.File) {
		ast.Inspect(parsed, func(node ast.Node) bool {
			list, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			var elements []ast.Expr
			for _, element := range list.Elts {
				call, ok := element.(*ast.CallExpr)
				if !ok || kept[narrow.PackageOf(call.Fun)] {
					elements = append(elements, element)
				}
			}
			list.Elts = elements
			return false
		})
	})
}

// endpointLists are the functions of the provider's two halves that list the endpoints
// which its configuration may have.
var endpointLists = map[string]string{
	"internal/provider/provider_gen.go":            "endpointsSchema",
	"internal/provider/fwprovider/provider_gen.go": "endpointsBlock",
}

// narrowEndpoints keeps the endpoints of kept services. When the provider checks its
// configuration, it prints the path of each endpoint, and each path has them all: with
// every service of AWS that takes 4 CPU seconds of each run.
func narrowEndpoints(root string, kept map[string]bool) error {
	names, err := endpointNames(filepath.Join(root, "internal/provider/provider_gen.go"), kept)
	if err != nil {
		return err
	}
	for file, function := range endpointLists {
		err := rewrite(filepath.Join(root, file), func(parsed *ast.File) {
			for _, declaration := range parsed.Decls {
				if list, ok := declaration.(*ast.FuncDecl); ok && list.Name.Name == function {
					ast.Inspect(list, func(node ast.Node) bool { return keepKeys(node, names) })
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endpointNames returns the services with their other names, which the file has in the
// cases of a switch. The provider wants all names of a service or none.
func endpointNames(file string, services map[string]bool) (map[string]bool, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(services)
	ast.Inspect(parsed, func(node ast.Node) bool {
		if clause, ok := node.(*ast.CaseClause); ok {
			for _, of := range clause.List {
				if services[literal(of)] {
					for _, name := range clause.List {
						names[literal(name)] = true
					}
				}
			}
		}
		return true
	})
	return names, nil
}

// literal returns the value of a string literal.
func literal(expression ast.Expr) string {
	if value, ok := expression.(*ast.BasicLit); ok {
		text, _ := strconv.Unquote(value.Value)
		return text
	}
	return ""
}

// keepKeys drops a map literal's other keys. It reports whether to look into the node.
func keepKeys(node ast.Node, kept map[string]bool) bool {
	list, ok := node.(*ast.CompositeLit)
	if !ok {
		return true
	}
	if _, isMap := list.Type.(*ast.MapType); !isMap {
		return true
	}
	list.Elts = slices.DeleteFunc(list.Elts, func(element ast.Expr) bool {
		return !kept[literal(element.(*ast.KeyValueExpr).Key)]
	})
	return false
}

// typeLists are the functions of a service that list its types, and the types of the
// table that each may keep.
var typeLists = map[string]map[string]types.Type{
	"EphemeralResources":   nil,
	"FrameworkDataSources": types.DataSources,
	"FrameworkResources":   types.Resources,
	"SDKDataSources":       types.DataSources,
	"SDKResources":         types.Resources,
}

// narrowTypes keeps of a service's lists the types of the table.
func narrowTypes(dir string) error {
	named, err := frameworkTypes(dir)
	if err != nil {
		return err
	}
	return rewrite(filepath.Join(dir, "service_package_gen.go"), func(parsed *ast.File) {
		for _, declaration := range parsed.Decls {
			method, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			wanted, ok := typeLists[method.Name.Name]
			if !ok {
				continue
			}
			list := method.Body.List[0].(*ast.ReturnStmt).Results[0].(*ast.CompositeLit)
			list.Elts = slices.DeleteFunc(list.Elts, func(element ast.Expr) bool {
				_, keep := wanted[typeName(element.(*ast.CompositeLit), named)]
				return !keep
			})
		}
	})
}

// typeName returns the name of the type that an element of a list registers.
func typeName(element *ast.CompositeLit, named map[string]string) string {
	var name string
	for _, field := range element.Elts {
		field := field.(*ast.KeyValueExpr)
		switch field.Key.(*ast.Ident).Name {
		case "TypeName":
			name, _ = strconv.Unquote(field.Value.(*ast.BasicLit).Value)
			return name
		case "Factory":
			name = named[field.Value.(*ast.Ident).Name]
		}
	}
	return name
}

var (
	factory       = regexp.MustCompile(`(?m)^func (new\w+|New\w+)\(.*context\.Context\) \((?:resource|datasource)\.`)
	frameworkType = regexp.MustCompile(`\.TypeName = "(aws_\w+)"`)
)

// frameworkTypes returns the types of the provider's newer half by the functions that
// make them. Each has a file of its own, which also names its type.
func frameworkTypes(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := frameworkType.FindSubmatch(text)
		for _, m := range factory.FindAllSubmatch(text, -1) {
			if name != nil {
				named[string(m[1])] = string(name[1])
			}
		}
	}
	return named, nil
}

var clientCall = regexp.MustCompile(`\b(\w+Client)\(`)

// narrowClients drops the client methods that no kept file calls, and with them
// the SDK packages of those services.
func narrowClients(root, file string) error {
	called := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == file || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range clientCall.FindAllSubmatch(b, -1) {
			called[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return rewrite(file, func(parsed *ast.File) {
		var declarations []ast.Decl
		for _, declaration := range parsed.Decls {
			method, ok := declaration.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(method.Name.Name, "Client") || called[method.Name.Name] {
				declarations = append(declarations, declaration)
			}
		}
		parsed.Decls = declarations
	})
}

// rewrite changes a file's tree and drops the imports that are no longer used.
// Comments are not kept.
func rewrite(file string, change func(*ast.File)) error {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		return err
	}
	before := narrow.Used(parsed)
	change(parsed)
	narrow.DropUnused(parsed, before)
	var out bytes.Buffer
	if err := format.Node(&out, set, parsed); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}
