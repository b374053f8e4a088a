package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// comments maps a type ("Timeout") and a field ("TimeoutSpec.Request") to its comment, on one line.
type comments map[string]string

// readComments reads the comments of a package's types.
func readComments(dir string) (comments, error) {
	out := comments{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading comments: %w", err)
		}
		out.add(tree)
	}
	return out, nil
}

func (c comments) add(tree *ast.File) {
	for _, d := range tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			t := s.(*ast.TypeSpec)
			c[t.Name.Name] = oneLine(g.Doc.Text())
			if st, ok := t.Type.(*ast.StructType); ok {
				c.addFields(t.Name.Name, st)
			}
		}
	}
}

func (c comments) addFields(owner string, st *ast.StructType) {
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			c[owner+"."+n.Name] = oneLine(f.Doc.Text())
		}
		if id, ok := f.Type.(*ast.Ident); ok && len(f.Names) == 0 { // embedded
			c[owner+"."+id.Name] = oneLine(f.Doc.Text())
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// meaning is a field's comment without the name at its beginning, as a person reads it beside the key: "MaxRequests is the
// number" becomes "The number". Without a field it is the type's own.
func (c comments) meaning(t reflect.Type, field string) string {
	name, text := t.Name(), c[t.Name()]
	if field != "" {
		name, text = field, c[t.Name()+"."+field]
	}
	text = strings.TrimPrefix(text, name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
