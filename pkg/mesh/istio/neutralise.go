package istio

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Neutralise removes every clone of this run from the given objects, and nothing else: the originals, which always
// follow their clones, take all traffic again. It needs no base, so that it works whatever others edited meanwhile.
func (Mesh) Neutralise(live []*unstructured.Unstructured, c policy.Change) []*unstructured.Unstructured {
	n := names{c.Rev}
	var out []*unstructured.Unstructured
	for _, o := range live {
		if o == nil || o.GetKind() != "VirtualService" {
			continue
		}
		entries := trees(field(spec(o), "http"))
		ours := func(e tree) bool { return strings.HasPrefix(text(e["name"]), n.clone()) }
		kept := slices.DeleteFunc(slices.Clone(entries), ours)
		if len(kept) == len(entries) {
			continue
		}
		s := copyTree(spec(o))
		if len(kept) == 0 && s["tcp"] == nil && s["tls"] == nil {
			kept = []tree{n.lastResort(entries[0])}
		}
		s["http"] = list(kept)
		out = append(out, withSpec(o, s))
	}
	return out
}

// NeutralMarkers hold at a proxy that has no clone of this run any more.
func (Mesh) NeutralMarkers(c policy.Change) []mesh.Marker {
	return []mesh.Marker{{Scope: scopeRoutes, Text: names{c.Rev}.clone(), Absent: true}}
}

// lastResort is a clone without its cohort, its policies and its subset: a VirtualService without any route is
// refused by Istio, and somebody deleted every original.
func (n names) lastResort(clone tree) tree {
	out := copyTree(clone)
	for _, k := range []string{"name", "match", "timeout", "retries"} {
		delete(out, k)
	}
	for _, d := range trees(out["route"]) {
		dest := asTree(d["destination"])
		switch s := text(dest["subset"]); {
		case s == n.subset(""):
			delete(dest, "subset")
		case n.ourSubset(s):
			dest["subset"] = strings.TrimSuffix(s, "-"+n.subset(""))
		}
	}
	return out
}
