package istio_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
)

const rev = "1a2b3c4d"

// world is a cluster's objects, as the API server would hold them.
type world []*unstructured.Unstructured

func objects(t testing.TB, text string) world {
	t.Helper()
	var out world
	for _, doc := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		b, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w world) get(o *unstructured.Unstructured) *unstructured.Unstructured {
	i := slices.IndexFunc(w, func(x *unstructured.Unstructured) bool { return id(x) == id(o) })
	if i < 0 {
		return nil
	}
	return w[i]
}

func id(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// put is the world with an object written or, where it is nil, the named one deleted. It goes through JSON, as every
// object does that the API server hands back.
func (w world) put(name string, o *unstructured.Unstructured) world {
	out := slices.DeleteFunc(slices.Clone(w), func(x *unstructured.Unstructured) bool { return id(x) == name })
	if o != nil {
		b, err := o.MarshalJSON()
		if err != nil {
			panic(err)
		}
		fresh := &unstructured.Unstructured{}
		if err := fresh.UnmarshalJSON(b); err != nil {
			panic(err)
		}
		out = append(out, fresh)
	}
	return out
}

func (w world) apply(stages []mesh.Stage) world {
	for _, s := range stages {
		o := s.Object
		if s.Delete {
			o = nil
		}
		w = w.put(id(s.Object), o)
	}
	return w
}

func (w world) snapshot() *policy.Snapshot {
	return &policy.Snapshot{Mesh: policy.MeshFacts{Name: "istio", Version: "1.31.0", RootNamespace: "istio-system"}, Objects: w}
}

// undo neutralises and tidies everything that was touched, with what we wrote last as ours.
func (w world) undo(t fataler, base, ours world, c policy.Change) (world, []mesh.Conflict) {
	t.Helper()
	m := istio.New()
	for _, o := range m.Neutralise(w, c) {
		w = w.put(id(o), o)
	}
	var conflicts []mesh.Conflict
	for _, o := range slices.Clone(w) {
		if !strings.HasPrefix(o.GetAPIVersion(), "networking.istio.io") {
			continue
		}
		u, err := m.Tidy(base.get(o), ours.get(o), o, c)
		if err != nil {
			t.Fatal(err)
		}
		conflicts = append(conflicts, u.Conflicts...)
		switch {
		case u.Delete:
			w = w.put(id(o), nil)
		case u.Object != nil:
			w = w.put(id(o), u.Object)
		}
	}
	return w, conflicts
}

// specs is what a mesh reads of a world, by object.
func (w world) specs() map[string]string {
	out := map[string]string{}
	for _, o := range w {
		b, err := json.Marshal(o.Object["spec"])
		if err != nil {
			panic(err)
		}
		out[id(o)] = string(b)
	}
	return out
}

func toYAML(t testing.TB, o *unstructured.Unstructured) string {
	t.Helper()
	b, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b)) + "\n"
}

// change loads policies from YAML text, through the loader that users meet.
func change(t testing.TB, text string) policy.Change {
	t.Helper()
	set, err := policy.Load(policy.LoadOptions{Paths: []string{policy.Stdin}, Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	cs := set.Changes()
	if len(cs) != 1 {
		t.Fatalf("got %d targets, want 1", len(cs))
	}
	cs[0].Rev = rev
	return cs[0]
}

func byRequest(mode policy.Mode, share float64) policy.Exposure {
	return policy.Exposure{Mode: mode, By: policy.ByRequest, Share: share, Window: policy.NewWindow("golden", share)}
}

func byInstance(mode policy.Mode) policy.Exposure {
	return policy.Exposure{Mode: mode, By: policy.ByInstance, Share: 0.5}
}

func everybody() policy.Exposure {
	return policy.Exposure{Mode: policy.Enforce, By: policy.All, Share: 1}
}

// fataler is what tests and rapid's checks have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}
