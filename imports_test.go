package meshpol_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/meshpol/meshpol/"

// picture is who may import whom: what decides knows nothing of what writes, and nothing calls back up. Every package
// of cmd, pkg and internal has a line here; "*" is everything.
//
//	5 edge  cmd/meshpol ───→ everything below
//	4 edge  internal/printer  internal/audit  pkg/kube  pkg/metrics/prometheus
//	3 core  pkg/validate  pkg/simulate → pkg/rollout
//	2 core  pkg/mesh/istio  pkg/mesh/istio/xds  pkg/mesh/linkerd       (they do not know each other)
//	1 core  pkg/mesh  pkg/strategy                 (they share policy.Exposure)
//	0 core  pkg/policy → pkg/policy/v1alpha1       pkg/metrics → nothing
func picture() map[string][]string {
	return map[string][]string{
		"cmd/meshpol":            {"*"},
		"internal/printer":       {"pkg/simulate", "pkg/rollout", "pkg/policy", "pkg/metrics"},
		"internal/audit":         {"pkg/rollout", "pkg/policy", "pkg/metrics"},
		"pkg/kube":               {"pkg/rollout", "pkg/mesh", "pkg/mesh/istio/xds", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/metrics/prometheus": {"pkg/metrics"},
		"pkg/validate":           {"pkg/mesh", "pkg/strategy", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/rollout":            {"pkg/mesh", "pkg/strategy", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/simulate":           {"internal/draw", "internal/scenes", "internal/traffic", "pkg/rollout", "pkg/mesh", "pkg/strategy", "pkg/policy", "pkg/metrics"},
		"pkg/mesh/istio":         {"pkg/mesh", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/mesh/istio/xds":     {"pkg/mesh"},
		"pkg/mesh/linkerd":       {"pkg/mesh", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/mesh":               {"pkg/policy", "pkg/metrics"},
		"pkg/strategy":           {"pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"pkg/policy":             {"pkg/policy/v1alpha1"},
		"pkg/policy/v1alpha1":    {},
		"pkg/metrics":            {},
		"internal/gen":           {"pkg/validate", "pkg/mesh/istio", "pkg/policy", "pkg/policy/v1alpha1"},
		"internal/analysis":      {"internal/scenes", "pkg/simulate", "pkg/rollout", "pkg/strategy", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
		"internal/golden":        {},
		"internal/draw":          {},
		"internal/scenes":        {"internal/draw", "internal/traffic", "pkg/metrics"},
		"internal/traffic":       {"internal/draw"},
		"internal/fakekube":      {},
		"internal/fakemesh":      {"pkg/rollout", "pkg/mesh", "pkg/strategy", "pkg/policy", "pkg/policy/v1alpha1", "pkg/metrics"},
	}
}

// homes is where a library lives; the longest prefix counts, "*" is everywhere, an empty list is tests only. A
// library without a line has no home yet: give it one when you add it.
func homes() map[string][]string {
	return map[string][]string{
		"charm.land":                       {"internal/printer"},
		"github.com/charmbracelet":         {"internal/printer"},
		"github.com/pmezard/go-difflib":    {"internal/printer"},
		"github.com/google/go-cmp":         {"internal/golden"},
		"github.com/invopop/jsonschema":    {"internal/gen"},
		"github.com/prometheus":            {"pkg/metrics/prometheus"},
		"github.com/rogpeppe/go-internal":  {},
		"github.com/spf13":                 {"cmd/meshpol"},
		"go.opentelemetry.io":              {"internal/audit"},
		"go.yaml.in/yaml/v3":               {"pkg/policy"},
		"golang.org/x/sync":                {"pkg/rollout", "pkg/kube", "pkg/metrics/prometheus"},
		"golang.org/x/term":                {"cmd/meshpol"},
		"gonum.org":                        {"pkg/metrics"},
		"istio.io":                         {"pkg/mesh/istio"},
		"k8s.io/api":                       {"pkg/kube"},
		"k8s.io/apimachinery":              {"*"},
		"k8s.io/cli-runtime":               {"cmd/meshpol"},
		"k8s.io/client-go":                 {"pkg/kube"},
		"k8s.io/client-go/rest":            {"pkg/kube", "cmd/meshpol"},
		"k8s.io/client-go/tools/clientcmd": {"pkg/kube", "cmd/meshpol"},
		"k8s.io/streaming":                 {"pkg/kube", "internal/fakekube"},
		"pgregory.net/rapid":               {},
		"sigs.k8s.io/gateway-api":          {"pkg/mesh/linkerd"},
		"sigs.k8s.io/yaml":                 {"pkg/policy", "internal/printer"},
	}
}

// source is a parsed Go file with the folder it is in.
type source struct {
	dir, file string
	tree      *ast.File
	set       *token.FileSet
}

// sources parses the code of cmd, pkg and internal. Tests are left out: they may look wherever they need to.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, root := range []string{"cmd", "pkg", "internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			dir := path.Dir(filepath.ToSlash(name))
			if strings.Contains(dir, "/testdata") {
				return nil
			}
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			out = append(out, source{dir: dir, file: filepath.ToSlash(name), tree: tree, set: set})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := picture()[s.dir]
		if !known {
			t.Errorf("%s: package %s has no place in the picture of imports_test.go: give it one", s.file, s.dir)
			continue
		}
		for _, imported := range importsOf(t, s) {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(allowed, "*") && !slices.Contains(allowed, to) {
				t.Errorf("%s: %s may not import %s: it may import %s (imports_test.go)", s.file, s.dir, to, strings.Join(allowed, ", "))
			}
		}
	}
}

func TestLibrariesStayAtHome(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range importsOf(t, s) {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(imported, module) {
				continue
			}
			library := libraryOf(imported)
			home := homes()[library]
			switch {
			case library == "":
				t.Errorf("%s: %s has no home: give it one in homes of imports_test.go", s.file, imported)
			case !slices.Contains(home, "*") && !slices.Contains(home, s.dir):
				t.Errorf("%s: %s belongs to %s only", s.file, imported, strings.Join(append(home, "tests"), ", "))
			}
		}
	}
}

// TestThePictureHasNoCircles holds the picture itself to its word: arrows only point down.
func TestThePictureHasNoCircles(t *testing.T) {
	var visit func(trail []string)
	visit = func(trail []string) {
		for _, next := range picture()[trail[len(trail)-1]] {
			if slices.Contains(trail, next) {
				t.Fatalf("the picture has a circle: %s", strings.Join(append(trail, next), " → "))
			}
			visit(append(slices.Clone(trail), next))
		}
	}
	for _, start := range slices.Sorted(maps.Keys(picture())) {
		visit([]string{start})
	}
}

func importsOf(t *testing.T, s source) []string {
	t.Helper()
	var out []string
	for _, i := range s.tree.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatalf("%s: %v", s.file, err)
		}
		out = append(out, p)
	}
	return out
}

// libraryOf is the longest prefix of homes that an import path has, in whole path elements.
func libraryOf(imported string) string {
	for p := imported; p != "."; p = path.Dir(p) {
		if _, ok := homes()[p]; ok {
			return p
		}
	}
	return ""
}
