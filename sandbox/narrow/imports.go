package narrow

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// Used returns the x of every x.Y in a part of a file: the packages that it uses, by
// their local names.
func Used(part ast.Node) map[string]bool {
	used := map[string]bool{}
	ast.Inspect(part, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			used[PackageOf(selector)] = true
		}
		return true
	})
	return used
}

// DropUnused drops the imports that were used before a change of a file and are not
// used after it.
func DropUnused(file *ast.File, before map[string]bool) {
	after := Used(file)
	for _, declaration := range file.Decls {
		if imports, ok := declaration.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			imports.Specs = slices.DeleteFunc(imports.Specs, func(spec ast.Spec) bool {
				name := LocalName(spec.(*ast.ImportSpec))
				return before[name] && !after[name]
			})
		}
	}
}

// PackageOf returns the x of x.Y.
func PackageOf(expression ast.Expr) string {
	if selector, ok := expression.(*ast.SelectorExpr); ok {
		if name, ok := selector.X.(*ast.Ident); ok {
			return name.Name
		}
	}
	return ""
}

// LocalName returns the name of an import in its file; without a name of its own, the
// last part of its path.
func LocalName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	path := ImportPath(spec)
	return path[strings.LastIndex(path, "/")+1:]
}

// ImportPath returns the path of an import.
func ImportPath(spec *ast.ImportSpec) string {
	path, _ := strconv.Unquote(spec.Path.Value)
	return path
}
