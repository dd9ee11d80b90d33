package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

// Go compiles a package whole, though a program may use little of it: EC2's client
// alone, with its 600 operations, takes a minute. So the builder drops from the
// sources of some modules the declarations that the program can't reach.
//
// It resolves names, not types, and so keeps a little too much: all methods of a
// type that it keeps, except for the types in sparse. A declaration dropped by mistake is a
// compile error. The one exception is a method of a sparse type that only an interface
// of a type assertion asks for: without it, the assertion fails.

const (
	awsServices = "github.com/aws/aws-sdk-go-v2/service/"
	bridge      = "github.com/pulumi/pulumi-terraform-bridge/v3"
	pulumiPkg   = "github.com/pulumi/pulumi/pkg/v3"
	pulumiSDK   = "github.com/pulumi/pulumi/sdk/v3"
)

// shaken are the modules with sources that are shaken, by prefix.
var shaken = []string{module, awsServices, bridge, pulumiPkg, pulumiSDK}

// sparse are the types with methods that are kept only if something calls a method of
// that name, and the code that the others would need. A service's Client is one too.
var sparse = map[symbol]string{
	{module + "/internal/conns", "AWSClient"}:          "a client of every service",
	{bridge + "/pkg/tfbridge/info", "Provider"}:        "computing tokens from names",
	{pulumiSDK + "/go/common/workspace", "PluginInfo"}: "downloading plugins, and with it git and a terminal's user interface",
	{pulumiSDK + "/go/common/workspace", "PluginSpec"}: "likewise",
}

// uncalled are methods that nothing calls, though other types have one of that name
// that is called.
var uncalled = []symbol{
	{pulumiSDK + "/go/common/workspace", "PluginSpec.Download"},
	{pulumiSDK + "/go/common/workspace", "PluginSpec.InstallDependencies"},
	{pulumiSDK + "/go/common/workspace", "ProjectPlugin.Spec"},
}

func isSparse(t symbol) bool {
	_, named := sparse[t]
	return named || t.name == "Client" && strings.HasPrefix(t.path, awsServices)
}

type goModule struct{ Path, GoMod string }

// goPackage is a package as `go list -json` prints it.
type goPackage struct {
	ImportPath, Name, Dir string
	Standard              bool
	GoFiles               []string
	SFiles, EmbedFiles    []string
	Imports               []string
	Module                *goModule
}

func (p *goPackage) shaken() bool {
	return p.Module != nil && slices.ContainsFunc(shaken, func(prefix string) bool { return strings.HasPrefix(p.Module.Path, prefix) })
}

// listPackages returns the packages that the program imports, directly or not.
func listPackages(modfile string) (map[string]*goPackage, error) {
	out, err := narrow.Go("list", "-deps", "-json=ImportPath,Name,Dir,Standard,GoFiles,SFiles,EmbedFiles,Imports,Module", "-modfile", modfile, ".")
	if err != nil {
		return nil, err
	}
	packages := map[string]*goPackage{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		p := &goPackage{}
		if err := decoder.Decode(p); err != nil {
			return nil, err
		}
		packages[p.ImportPath] = p
	}
	return packages, nil
}

// symbol is a name of a package's top level.
type symbol struct{ path, name string }

// declaration is the smallest part of a file that is kept or dropped: a function,
// a method, a type, a variable or a group of constants.
type declaration struct {
	file       *sourceFile
	from, to   token.Pos // with its comment
	node       ast.Node
	names      []string
	receiver   string // of a method
	kept       bool
	references []symbol // beside those in node
}

type sourceFile struct {
	path    string // of its package
	name    string
	text    []byte
	start   token.Pos
	parsed  *ast.File
	imports map[string]string // local name to path
	locals  map[*ast.ImportSpec]string
	parts   []*declaration
}

type shaker struct {
	packages map[string]*goPackage
	files    map[string][]*sourceFile // of the shaken packages, by path
	declared map[symbol][]*declaration
	methods  map[symbol][]*declaration // by their receiver
	called   map[string]bool           // the names of fields and methods that are used
	waiting  map[string][]*declaration // methods of sparse types by name, until one is called
	reached  map[string]bool           // packages
	queue    []*declaration
	err      error
}

func newShaker(packages map[string]*goPackage) (*shaker, error) {
	s := &shaker{
		packages: packages, files: map[string][]*sourceFile{}, declared: map[symbol][]*declaration{}, methods: map[symbol][]*declaration{},
		called: map[string]bool{}, waiting: map[string][]*declaration{}, reached: map[string]bool{},
	}
	for path, p := range packages {
		if !p.shaken() {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := s.parse(path, filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			s.files[path] = append(s.files[path], file)
			s.index(file)
		}
	}
	s.reachPackage(program)
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		s.visit(next.file, next.node)
		for _, reference := range next.references {
			s.reach(reference)
		}
	}
	return s, s.err
}

func (s *shaker) parse(path, name string) (*sourceFile, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	file := &sourceFile{path: path, name: name, text: text, start: parsed.FileStart, parsed: parsed, imports: map[string]string{}, locals: map[*ast.ImportSpec]string{}}
	for _, spec := range parsed.Imports {
		local := narrow.LocalName(spec)
		if p := s.packages[narrow.ImportPath(spec)]; p != nil && spec.Name == nil {
			local = p.Name
		}
		file.imports[local], file.locals[spec] = narrow.ImportPath(spec), local
	}
	return file, nil
}

var linkname = regexp.MustCompile(`(?m)^//go:linkname (\w+) (\S+)\.(\w+)$`)

// index adds a file's declarations to the shaker.
func (s *shaker) index(file *sourceFile) {
	for _, d := range file.parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			part := &declaration{file: file, node: d, names: []string{d.Name.Name}, from: commented(d.Doc, d.Pos()), to: d.End()}
			if d.Recv != nil {
				part.receiver = receiverOf(d)
			}
			file.parts = append(file.parts, part)
		case *ast.GenDecl:
			file.parts = append(file.parts, partsOf(file, d)...)
		}
	}
	linked := map[string]symbol{}
	for _, m := range linkname.FindAllSubmatch(file.text, -1) {
		linked[string(m[1])] = symbol{string(m[2]), string(m[3])}
	}
	for _, part := range file.parts {
		for _, name := range part.names {
			key := symbol{file.path, name}
			if part.receiver != "" {
				key.name = part.receiver
				s.methods[key] = append(s.methods[key], part)
				continue
			}
			s.declared[key] = append(s.declared[key], part)
			if to, ok := linked[name]; ok {
				part.references = append(part.references, to)
			}
		}
	}
}

// partsOf returns the declarations of a group. Constants stay together, since one
// may count on the number of those before it.
func partsOf(file *sourceFile, d *ast.GenDecl) []*declaration {
	if d.Tok == token.IMPORT {
		return nil
	}
	whole := &declaration{file: file, node: d, from: commented(d.Doc, d.Pos()), to: d.End()}
	var parts []*declaration
	for _, spec := range d.Specs {
		part := &declaration{file: file, node: spec, from: spec.Pos(), to: spec.End()}
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				part.names = append(part.names, name.Name)
			}
			part.from = commented(spec.Doc, part.from)
		case *ast.TypeSpec:
			part.names = []string{spec.Name.Name}
			part.from = commented(spec.Doc, part.from)
		}
		whole.names = append(whole.names, part.names...)
		parts = append(parts, part)
	}
	if d.Tok == token.CONST || !d.Lparen.IsValid() {
		return []*declaration{whole}
	}
	return parts
}

func commented(doc *ast.CommentGroup, pos token.Pos) token.Pos {
	if doc != nil {
		return doc.Pos()
	}
	return pos
}

// receiverOf returns the T of a method of T, *T or T[X].
func receiverOf(method *ast.FuncDecl) string {
	expression := method.Recv.List[0].Type
	for {
		switch e := expression.(type) {
		case *ast.StarExpr:
			expression = e.X
		case *ast.IndexExpr:
			expression = e.X
		case *ast.IndexListExpr:
			expression = e.X
		case *ast.ParenExpr:
			expression = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// visit reaches the symbols that a node of a file names.
func (s *shaker) visit(file *sourceFile, node ast.Node) {
	ast.Inspect(node, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			if node.Name != nil && node.Name.Name == "_" {
				s.reachPackage(narrow.ImportPath(node))
			}
			return false
		case *ast.SelectorExpr:
			s.call(node.Sel.Name)
			if path, ok := file.imports[narrow.PackageOf(node)]; ok {
				s.reach(symbol{path, node.Sel.Name})
				s.reachPackage(path)
			}
			s.visit(file, node.X)
			return false
		case *ast.InterfaceType:
			for _, method := range node.Methods.List {
				for _, name := range method.Names {
					s.call(name.Name)
				}
			}
		case *ast.Ident:
			s.reach(symbol{file.path, node.Name})
		}
		return true
	})
}

func (s *shaker) reach(to symbol) {
	if to.name == "_" {
		return
	}
	for _, part := range s.declared[to] {
		s.keep(part)
		for _, method := range s.methods[to] {
			name := method.names[0]
			switch {
			case slices.Contains(uncalled, symbol{to.path, to.name + "." + name}):
			case isSparse(to) && !s.called[name]:
				s.waiting[name] = append(s.waiting[name], method)
			default:
				s.keep(method)
			}
		}
	}
}

func (s *shaker) call(name string) {
	if s.called[name] {
		return
	}
	s.called[name] = true
	for _, method := range s.waiting[name] {
		s.keep(method)
	}
}

func (s *shaker) keep(part *declaration) {
	if part.kept {
		return
	}
	part.kept = true
	s.queue = append(s.queue, part)
	s.reachPackage(part.file.path)
}

// reachPackage keeps the init functions of a shaken package and of those that it
// imports for that alone. Of another package it reaches the symbols that its files name.
func (s *shaker) reachPackage(path string) {
	p := s.packages[path]
	if s.reached[path] || p == nil || p.Standard {
		return
	}
	s.reached[path] = true
	if p.shaken() {
		s.reach(symbol{path, "init"})
		for _, file := range s.files[path] {
			for _, spec := range file.parsed.Imports {
				s.visit(file, spec)
			}
		}
		return
	}
	for _, imported := range p.Imports {
		if q := s.packages[imported]; q != nil && !q.shaken() {
			s.reachPackage(imported)
		}
	}
	if !slices.ContainsFunc(p.Imports, func(imported string) bool { q := s.packages[imported]; return q != nil && q.shaken() }) {
		return
	}
	for _, name := range p.GoFiles {
		file, err := s.parse(path, filepath.Join(p.Dir, name))
		if err != nil {
			s.err = errors.Join(s.err, err)
			continue
		}
		s.visit(file, file.parsed)
	}
}

// write writes a package's files to a folder, without the dropped declarations.
func (s *shaker) write(path, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range s.files[path] {
		if !slices.ContainsFunc(file.parts, func(part *declaration) bool { return part.kept }) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file.name)), file.shaken(), 0o644); err != nil {
			return err
		}
	}
	p := s.packages[path]
	for _, name := range slices.Concat(p.SFiles, p.EmbedFiles) {
		if err := narrow.Copy(filepath.Join(p.Dir, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// shaken returns a file's text without the declarations that are dropped, and
// without the imports that only they used.
func (f *sourceFile) shaken() []byte {
	used := map[string]bool{"_": true, ".": true}
	out := slices.Clone(f.text)
	for _, part := range f.parts {
		if !part.kept {
			f.blank(out, part.from, part.to)
			continue
		}
		maps.Copy(used, narrow.Used(part.node))
	}
	for _, d := range f.parsed.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.IMPORT {
			continue
		}
		for _, spec := range group.Specs {
			if spec := spec.(*ast.ImportSpec); !used[f.locals[spec]] {
				from, to := spec.Pos(), spec.End()
				if !group.Lparen.IsValid() {
					from, to = group.Pos(), group.End()
				}
				f.blank(out, from, to)
			}
		}
	}
	return out
}

// blank overwrites a part of a file's text with spaces, so that line numbers stay.
func (f *sourceFile) blank(text []byte, from, to token.Pos) {
	for i := from - f.start; i < to-f.start; i++ {
		if text[i] != '\n' {
			text[i] = ' '
		}
	}
}
