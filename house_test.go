package meshpol_test

import (
	"go/ast"
	"path"
	"slices"
	"testing"
)

// The budgets of the house: what no longer fits on a few screens gets a second look, not a third page.
const (
	maxFileLines     = 400
	maxFunctionLines = 80
)

func TestFilesAndFunctionsStayShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.set.Position(s.tree.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: part it by subject", s.file, n, maxFileLines)
		}
		for _, d := range s.tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", s.file, f.Name.Name, n, maxFunctionLines)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: init: lists are explicit functions, nothing happens by being imported", s.file)
			}
		}
	}
}

func TestPackagesAreNamedForWhatTheyGive(t *testing.T) {
	vague := []string{"util", "utils", "common", "helpers", "shared", "misc", "base"}
	for _, s := range sources(t) {
		if name := path.Base(s.dir); slices.Contains(vague, name) {
			t.Errorf("%s: a package called %s says nothing of what is in it", s.file, name)
		}
	}
}

// TestOnlyMainKnowsTheProcess keeps everything below main testable: writers, arguments and exits are passed.
func TestOnlyMainKnowsTheProcess(t *testing.T) {
	private := []string{"Exit", "Stdout", "Stderr", "Stdin", "Args"}
	for _, s := range sources(t) {
		if s.file == "cmd/meshpol/main.go" {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(private, sel.Sel.Name) {
				t.Errorf("%s: os.%s belongs to cmd/meshpol/main.go", s.set.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}
