package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// TestReferenceIsUpToDate compares what is committed with what the code says now.
func TestReferenceIsUpToDate(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, reference, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("docs/reference/%s is out of date: run go generate ./internal/gen (%v)\n%s", name, err, firstDifference(string(got), string(want)))
		}
	}
	err = fs.WalkDir(os.DirFS(filepath.Join(root, reference, "schema")), ".", func(path string, d fs.DirEntry, err error) error {
		if _, ok := files["schema/"+path]; err == nil && !d.IsDir() && !ok {
			t.Errorf("docs/reference/schema/%s is of no kind any more: remove it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return cmp.Diff(a[i], b[i])
		}
	}
	return ""
}

// TestEveryFieldIsDescribed wants a comment on every type and field that a file may have, and a default in the tag to
// be in the comment too.
func TestEveryFieldIsDescribed(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	c, err := readComments(filepath.Join(root, "pkg/policy/v1alpha1"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ == reflect.TypeFor[v1alpha1.Duration]() {
			return
		}
		seen[typ] = true
		if c.meaning(typ, "") == "" {
			t.Errorf("%s has no comment", typ.Name())
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Tag.Get("json") == ",inline" {
				walk(f.Type)
				continue
			}
			text := c.meaning(typ, f.Name)
			if text == "" || !strings.HasSuffix(text, ".") {
				t.Errorf("%s.%s is not described: %q", typ.Name(), f.Name, text)
			}
			if d := tags(f)["default"]; d != "" && !strings.Contains(text, d) {
				t.Errorf("%s.%s: the comment does not name the default %s", typ.Name(), f.Name, d)
			}
			walk(f.Type)
		}
	}
	for _, k := range kinds() {
		walk(reflect.TypeOf(k.object))
	}
}
