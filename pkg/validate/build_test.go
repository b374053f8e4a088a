package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/validate"
)

// doc is a document of the shop with its spec in line 4.
func doc(kind, name, spec string) string {
	return "apiVersion: meshpol.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: shop}\nspec: " + spec + "\n"
}

func docs(texts ...string) string { return strings.Join(texts, "---\n") }

// load reads documents; tests of rules only use such as load without a fault.
func load(t testing.TB, text string) policy.Set {
	t.Helper()
	set, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// lines are findings as a person would read them.
func lines(findings []validate.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s: %s; %s", f.At, f.Code, f.Severity, f.Field, f.Message, f.Next)), " "))
	}
	return out
}

// object makes an object of a cluster.
func object(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "spec": spec}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// shop is the namespace of the examples: two services, whose pods all have proxies, and two callers.
func shop() *policy.Snapshot {
	s := &policy.Snapshot{Cluster: "lab", Mesh: policy.MeshFacts{
		Name: "istio", Version: "1.31.0", APIVersions: map[string]string{"VirtualService": "networking.istio.io/v1", "DestinationRule": "networking.istio.io/v1"}}}
	for _, app := range []string{"cart", "user-service", "web", "mobile"} {
		s.Objects = append(s.Objects, object("Service", "shop", app, map[string]any{
			"selector": map[string]any{"app": app}, "ports": []any{map[string]any{"port": int64(8080), "name": "http"}}}))
		for i := range 2 {
			s.Pods = append(s.Pods, policy.Pod{Namespace: "shop", Name: fmt.Sprintf("%s-%d", app, i), Proxy: true, Ready: true,
				Labels: map[string]string{"app": app, "version": "v1"}})
		}
	}
	return s
}

// but is the shop with a change.
func but(change func(*policy.Snapshot)) *policy.Snapshot {
	s := shop()
	change(s)
	return s
}

// fakeMesh is a mesh that answers with one error; it counts how often it is asked.
type fakeMesh struct {
	err   error
	only  policy.By
	asked *int
}

func (fakeMesh) Name() string                   { return "istio" }
func (fakeMesh) Detect(s *policy.Snapshot) bool { return s.Mesh.Name == "istio" }

func (m fakeMesh) Compile(_ *policy.Snapshot, _ policy.Change, e policy.Exposure) (mesh.Compiled, error) {
	if m.asked != nil {
		*m.asked++
	}
	if m.only != "" && m.only != e.By {
		return mesh.Compiled{}, nil
	}
	return mesh.Compiled{}, m.err
}
