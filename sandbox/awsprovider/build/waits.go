package main

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

// AWS is eventually consistent, so the provider waits before it looks and looks
// again after it has seen the state that it wants. The local AWS is consistent at
// once, and these waits would be most of a deployment's time. The polling of
// terraform-plugin-sdk's helper/retry stays: it begins after 0.1 seconds and doubles.

// waitTypes are the types with waits in their literals.
var waitTypes = []string{"StateChangeConf", "WaitOpts"}

// waitFields are the fields of these types that are waits, beside Timeout.
var waitFields = []string{"ContinuousTargetOccurence", "Delay", "MinTimeout", "PollInterval"}

// dropWaits removes the waits from the provider's services.
func dropWaits(root string) error {
	return filepath.WalkDir(filepath.Join(root, "internal/service"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !hasWaits(text) {
			return err
		}
		return rewrite(path, dropWaitsOf)
	})
}

func hasWaits(text []byte) bool {
	return bytes.Contains(text, []byte("time.Sleep(")) ||
		slices.ContainsFunc(waitTypes, func(name string) bool { return bytes.Contains(text, []byte(name+"{")) })
}

func dropWaitsOf(parsed *ast.File) {
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CompositeLit:
			if selector, ok := node.Type.(*ast.SelectorExpr); ok && slices.Contains(waitTypes, selector.Sel.Name) {
				node.Elts = slices.DeleteFunc(node.Elts, isWait)
			}
		case *ast.BlockStmt:
			node.List = slices.DeleteFunc(node.List, isSleep)
		}
		return true
	})
}

func isWait(element ast.Expr) bool {
	pair, ok := element.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	field, ok := pair.Key.(*ast.Ident)
	return ok && slices.Contains(waitFields, field.Name)
}

func isSleep(statement ast.Stmt) bool {
	expression, ok := statement.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := expression.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && narrow.PackageOf(selector) == "time" && selector.Sel.Name == "Sleep"
}
