package fakemesh

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// own notes in managedFields who wrote which top-level field last: enough to see who would have a conflict.
func own(o *unstructured.Unstructured, manager string, was *unstructured.Unstructured) {
	var before map[string]any
	if was != nil {
		before = was.Object
	}
	mine := map[string]any{}
	for k, v := range o.Object {
		if k != "metadata" && k != "status" && !reflect.DeepEqual(before[k], v) {
			mine["f:"+k] = map[string]any{}
		}
	}
	var out []any
	found := false
	for _, e := range entriesOf(was) {
		entry := map[string]any{"manager": e["manager"], "operation": "Update", "time": e["time"]}
		fields := fieldsOf(e)
		for k := range mine {
			if e["manager"] != manager {
				delete(fields, k)
			}
		}
		if e["manager"] == manager {
			found = true
			entry["time"] = stamp()
			for k := range mine {
				fields[k] = map[string]any{}
			}
		}
		entry["fieldsV1"] = fields
		out = append(out, entry)
	}
	if !found {
		out = append(out, map[string]any{"manager": manager, "operation": "Update", "time": stamp(), "fieldsV1": mine})
	}
	_ = unstructured.SetNestedSlice(o.Object, out, "metadata", "managedFields")
}

func stamp() string { return time.Now().UTC().Format(time.RFC3339) }

func entriesOf(o *unstructured.Unstructured) []map[string]any {
	if o == nil {
		return nil
	}
	list, _, _ := unstructured.NestedSlice(o.Object, "metadata", "managedFields")
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func fieldsOf(entry map[string]any) map[string]any {
	out := map[string]any{}
	if f, ok := entry["fieldsV1"].(map[string]any); ok {
		for k, v := range f {
			out[k] = v
		}
	}
	return out
}

// Owner is the manager that owns a top-level field of an object.
func Owner(o *unstructured.Unstructured, field string) string {
	for _, e := range entriesOf(o) {
		if _, ok := fieldsOf(e)["f:"+field]; ok {
			name, _ := e["manager"].(string)
			return name
		}
	}
	return ""
}

// giveBack is what managedFields become: the former entries and those of owners that came later, without meshpol's.
func giveBack(o *unstructured.Unstructured, former []any) {
	have := map[any]bool{"meshpol": true}
	out := slices.Clone(former)
	for _, e := range former {
		if m, ok := e.(map[string]any); ok {
			have[m["manager"]] = true
		}
	}
	for _, e := range entriesOf(o) {
		if !have[e["manager"]] {
			out = append(out, e)
		}
	}
	_ = unstructured.SetNestedSlice(o.Object, out, "metadata", "managedFields")
}

func sortedRefs(objects Objects) []rollout.Ref {
	out := make([]rollout.Ref, 0, len(objects))
	for ref := range objects {
		out = append(out, ref)
	}
	slices.SortFunc(out, func(a, b rollout.Ref) int { return strings.Compare(a.String(), b.String()) })
	return out
}
