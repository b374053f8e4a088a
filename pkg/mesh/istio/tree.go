package istio

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// tree is a JSON object as unstructured content holds it. Trees that come from a caller are never edited: copy first.
type tree = map[string]any

func asTree(v any) tree {
	m, _ := v.(tree)
	return m
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// integer reads a whole number whatever JSON decoder made it.
func integer(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case int:
		return int64(n)
	}
	return 0
}

// field walks down trees; it is nil where a step is missing.
func field(v any, path ...string) any {
	for _, p := range path {
		v = asTree(v)[p]
	}
	return v
}

func texts(v any) []string {
	var out []string
	for _, e := range asList(v) {
		out = append(out, text(e))
	}
	return out
}

func trees(v any) []tree {
	var out []tree
	for _, e := range asList(v) {
		out = append(out, asTree(e))
	}
	return out
}

func list(ts []tree) []any {
	out := make([]any, len(ts))
	for i, t := range ts {
		out[i] = t
	}
	return out
}

func copyTree(t tree) tree { return runtime.DeepCopyJSON(t) }

func copyValue(v any) any { return runtime.DeepCopyJSONValue(v) }

// same compares two JSON values by what they would be written as, so that 1 and 1.0 are one number.
func same(a, b any) bool { return bytes.Equal(canonical(a), canonical(b)) }

// canonical is the value's JSON with sorted keys; trees come from JSON, so that it cannot fail.
func canonical(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// child returns the tree under a key, and makes it where it is missing.
func child(t tree, key string) tree {
	c := asTree(t[key])
	if c == nil {
		c = tree{}
		t[key] = c
	}
	return c
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func spec(o *unstructured.Unstructured) tree {
	if o == nil {
		return nil
	}
	return asTree(o.Object["spec"])
}

// withSpec is the object with another spec; the rest is copied, without what only the API server may write.
func withSpec(o *unstructured.Unstructured, s tree) *unstructured.Unstructured {
	out := o.DeepCopy()
	out.Object["spec"] = s
	return out
}

func where(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}
