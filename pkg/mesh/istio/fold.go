package istio

import (
	"fmt"
	"slices"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// folder writes the policies into the objects as a careful person would have: no split, no name of ours.
type folder struct {
	f     *finder
	names names
	used  map[string]bool
	twins int
}

// stages are the writes of one VirtualService. There are two: the final content with a statPrefix, which proves it at
// every proxy and counts all of its requests while the fold is watched; then, to clean up, the same without it.
func (d *folder) stages(index int, st site, last bool) []mesh.Stage {
	proof := d.names.foldStat(index)
	final, marked := d.spec(st, ""), d.spec(st, proof)
	if same(final, marked) {
		return []mesh.Stage{{Object: withSpec(st.base, final), Create: st.create, Markers: d.gone(index, last)}}
	}
	return []mesh.Stage{
		{Object: withSpec(st.base, marked), Create: st.create, Markers: []mesh.Marker{{Scope: scopeRoutes, Text: proof}}},
		{
			Object: withSpec(st.base, final), Create: st.create, Delete: st.create && !routedSite(st), Clean: true,
			Markers: []mesh.Marker{{Scope: scopeRoutes, Text: proof, Absent: true}},
		},
	}
}

// gone proves that the split is gone where nothing else of the object changes.
func (d *folder) gone(index int, last bool) []mesh.Marker {
	out := []mesh.Marker{{Scope: scopeRoutes, Text: d.names.oldStat(index), Absent: true}}
	if last {
		out = append(out, mesh.Marker{Scope: scopeRoutes, Text: d.names.clone(), Absent: true})
	}
	return out
}

func routedSite(st site) bool {
	return slices.ContainsFunc(st.hits, func(h hit) bool {
		return routed(h.whole) || slices.ContainsFunc(h.parts, func(p part) bool { return routed(p.rules) })
	})
}

func routed(rules []rule) bool { return slices.ContainsFunc(rules, rule.routed) }

// spec is the folded spec; proof is put into the matches of everything that changes, unless it is empty.
func (d *folder) spec(st site, proof string) tree {
	d.used = map[string]bool{}
	entries := trees(field(spec(st.base), "http"))
	for _, e := range entries {
		d.used[text(e["name"])] = true
	}
	var out []tree
	at := 0
	for i, e := range entries {
		if at == len(st.hits) || st.hits[at].index != i {
			out = append(out, copyTree(e))
			continue
		}
		out = append(out, d.entry(st.hits[at], e, proof)...)
		at++
	}
	s := copyTree(spec(st.base))
	s["http"] = list(out)
	return s
}

func (d *folder) entry(h hit, e tree, proof string) []tree {
	var out []tree
	for _, pt := range h.parts {
		if !routed(pt.rules) {
			// A narrowed circuit breaker leaves no entry of its own; until the clean-up one counts its requests.
			if proof != "" {
				out = append(out, d.counting(pt, e, proof))
			}
			continue
		}
		extra := applyRoute(narrowedEntry(e, pt), pt.rules)
		extra["name"] = d.plainName(pt.rules)
		extra["match"] = list(pt.matches)
		out = append(out, proved(extra, proof))
	}
	if len(h.whole) == 0 {
		return append(out, copyTree(e))
	}
	return append(out, proved(applyRoute(e, h.whole), proof))
}

// counting is an entry like the original that takes a part's requests and counts them.
func (d *folder) counting(pt part, e tree, proof string) tree {
	out := narrowedEntry(e, pt)
	out["name"] = d.names.twin(d.twins)
	out["match"] = list(withStat(pt.matches, proof, true))
	d.twins++
	return out
}

// plainName names an entry of its own after the policy that needs it.
func (d *folder) plainName(rules []rule) string {
	i := slices.IndexFunc(rules, rule.routed)
	name := rules[i].key.Name
	for n := 2; d.used[name]; n++ {
		name = fmt.Sprintf("%s-%d", rules[i].key.Name, n)
	}
	d.used[name] = true
	return name
}

func proved(e tree, proof string) tree {
	if proof != "" {
		e["match"] = list(withStat(matchesOf(e), proof, false))
	} else if ms := asList(e["match"]); ms != nil {
		e["match"] = copyValue(ms)
	}
	return e
}
