package istio

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

// ownMarks is the prefix of annotations and labels that meshpol itself sets on objects.
const ownMarks = "meshpol.io/"

// Tidy takes our changes out of a live object: what bears a name of this run goes, and of the fold only those fields
// go back to base that still have our value. A nil base means that the object did not exist before us; ours is the
// object as we wrote it last. A live object that is nil is gone already.
func (Mesh) Tidy(base, ours, live *unstructured.Unstructured, c policy.Change) (mesh.Undone, error) {
	if live == nil {
		return mesh.Undone{}, nil
	}
	n := names{c.Rev}
	left := n.stripped(spec(live))
	if base == nil {
		return n.tidyCreated(ours, live, left), nil
	}
	was := left
	if ours != nil {
		was = n.stripped(spec(ours))
	}
	m := &merger{}
	out := asTree(m.merge("spec", present(spec(base)), present(was), present(left)).v)
	u := mesh.Undone{Conflicts: m.conflicts}
	if !same(out, spec(live)) {
		u.Object = withSpec(live, out)
		u.Markers = n.goneFrom(live)
	}
	return u, nil
}

// tidyCreated deletes an object that we made and nobody else touched. One that others edited stays, without anything
// of the split in it.
func (n names) tidyCreated(ours, live *unstructured.Unstructured, left tree) mesh.Undone {
	if ours != nil && same(n.stripped(spec(ours)), left) && sameMarks(ours, live) {
		return mesh.Undone{Delete: true, Markers: n.goneFrom(live)}
	}
	u := mesh.Undone{Conflicts: []mesh.Conflict{
		{Field: "spec", Base: "(no such object)", Ours: short(spec(ours)), Live: short(spec(live))},
	}}
	if !same(left, spec(live)) && len(asList(left["http"])) > 0 == (spec(live)["http"] != nil) {
		u.Object = withSpec(live, left)
		u.Markers = n.goneFrom(live)
	}
	return u
}

// sameMarks compares labels and annotations but for our own: somebody who added one has taken the object over.
func sameMarks(a, b *unstructured.Unstructured) bool {
	return maps.Equal(foreignMarks(a.GetLabels()), foreignMarks(b.GetLabels())) &&
		maps.Equal(foreignMarks(a.GetAnnotations()), foreignMarks(b.GetAnnotations()))
}

func foreignMarks(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if !strings.HasPrefix(k, ownMarks) {
			out[k] = v
		}
	}
	return out
}

// stripped is a spec without anything that bears a name of this run.
func (n names) stripped(s tree) tree {
	out := copyTree(s)
	if entries, ok := out["http"].([]any); ok {
		var kept []tree
		for _, e := range trees(entries) {
			if !n.ourEntry(text(e["name"])) {
				kept = append(kept, n.unmarked(e))
			}
		}
		out["http"] = list(kept)
	}
	if subsets, ok := out["subsets"].([]any); ok {
		kept := slices.DeleteFunc(trees(subsets), func(s tree) bool { return n.ourSubset(text(s["name"])) })
		out["subsets"] = list(kept)
		if len(kept) == 0 {
			delete(out, "subsets")
		}
	}
	return out
}

// unmarked is an entry without our statPrefix. A match list that held nothing else goes too.
func (n names) unmarked(e tree) tree {
	ms := trees(e["match"])
	ours := false
	for _, m := range ms {
		if n.ourStat(text(m["statPrefix"])) {
			delete(m, "statPrefix")
			ours = true
		}
	}
	if ours && len(ms) == 1 && len(ms[0]) == 0 {
		delete(e, "match")
	}
	return e
}

// goneFrom proves that the names of ours that an object bears are gone. Names that several objects of a run share
// prove nothing about one of them, so they are left out.
func (n names) goneFrom(o *unstructured.Unstructured) []mesh.Marker {
	var out []mesh.Marker
	absent := func(scope, text string) {
		m := mesh.Marker{Scope: scope, Text: text, Absent: true}
		if text != "" && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	for _, e := range trees(field(spec(o), "http")) {
		if name := text(e["name"]); strings.HasPrefix(name, n.clone()) {
			absent(scopeRoutes, name)
		}
		for _, m := range trees(e["match"]) {
			if s := text(m["statPrefix"]); n.ourStat(s) && s != n.newStat(policy.Staged) && s != n.newStat(policy.Enforce) {
				absent(scopeRoutes, s)
			}
		}
	}
	for _, s := range trees(field(spec(o), "subsets")) {
		if name := text(s["name"]); n.ourSubset(name) {
			absent(scopeClusters, "|"+name+"|")
		}
	}
	return out
}
