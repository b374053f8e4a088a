package istio

import (
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

// splitter writes the split route into VirtualServices. It numbers clones through all of them, in the same way at
// every exposure.
type splitter struct {
	f        *finder
	names    names
	exposure policy.Exposure
	conds    []condition
	next     int
	// heldBack are populations that the split cannot reach.
	heldBack []string
	// labelled is the best clone of every VirtualService, by instance.
	labelled []cloned
	clones   int
}

// placed is what the split put into one VirtualService.
type placed struct {
	clones []cloned
	first  int
	marked bool
}

type cloned struct {
	name   string
	number int
	// everywhere tells that every proxy of the VirtualService gets it, whatever its port, namespace or gateway.
	everywhere bool
}

func (f *finder) splitter(e policy.Exposure) *splitter {
	return &splitter{f: f, names: names{f.c.Rev}, exposure: e, conds: cohort(e, f.c.Target, f.c.Rev)}
}

// stage is one VirtualService with the split in it.
func (p *splitter) stage(index int, st site) (mesh.Stage, error) {
	entries := trees(field(spec(st.base), "http"))
	did := placed{first: p.next}
	var out []tree
	at := 0
	for i, e := range entries {
		if at < len(st.hits) && st.hits[at].index == i {
			put, err := p.entry(index, st, st.hits[at], e, &did)
			if err != nil {
				return mesh.Stage{}, err
			}
			out = append(out, put...)
			at++
			continue
		}
		out = append(out, copyTree(e))
	}
	s := copyTree(spec(st.base))
	s["http"] = list(out)
	p.clones += len(did.clones)
	return mesh.Stage{Object: withSpec(st.base, s), Create: st.create, Markers: p.markers(index, did)}, nil
}

// entry gives what stands in an entry's place: clone and twin of every part, then the clone of the whole, then the
// original.
func (p *splitter) entry(index int, st site, h hit, e tree, did *placed) ([]tree, error) {
	var out []tree
	for _, pt := range h.parts {
		put, err := p.part(index, st, pt, e, did)
		if err != nil {
			return nil, err
		}
		out = append(out, put...)
	}
	if len(h.whole) == 0 {
		return append(out, copyTree(e)), nil
	}
	clone, err := p.clone(st, e, matchesOf(e), h.whole, did)
	if err != nil {
		return nil, err
	}
	if clone == nil && p.byPod() {
		p.holdBack(st, e)
		return append(out, copyTree(e)), nil
	}
	if clone != nil {
		out = append(out, clone)
	}
	original := copyTree(e)
	original["match"] = list(withStat(matchesOf(e), p.names.oldStat(index), false))
	counted := func(m tree) bool { return p.names.ourStat(text(m["statPrefix"])) }
	did.marked = did.marked || slices.ContainsFunc(trees(original["match"]), counted)
	return append(out, original), nil
}

// part gives the clone of a part and its twin: the same requests outside the cohort, so that the two sides that are
// compared differ in nothing but the policy. The original then takes and counts neither.
func (p *splitter) part(index int, st site, pt part, e tree, did *placed) ([]tree, error) {
	base := narrowedEntry(e, pt)
	clone, err := p.clone(st, base, pt.matches, pt.rules, did)
	if err != nil {
		return nil, err
	}
	twin := copyTree(base)
	twin["name"] = p.names.twin(p.number())
	twin["match"] = list(withStat(pt.matches, p.names.oldStat(index), true))
	switch {
	case clone == nil && p.byPod():
		p.holdBack(st, e)
		return nil, nil
	case clone == nil:
		did.marked = true
		return []tree{twin}, nil
	}
	did.marked = true
	return []tree{clone, twin}, nil
}

func (p *splitter) holdBack(st site, e tree) {
	p.heldBack = append(p.heldBack, where(st.base)+" "+entryName(e)+
		": what gateways take, or a root's match that lists gateways, cannot be split by client pod")
}

func (p *splitter) number() int {
	p.next++
	return p.next - 1
}

func (p *splitter) byPod() bool { return p.exposure.By == policy.ByInstance }

// narrowedEntry is an entry whose path rewrite fits a part's matches.
func narrowedEntry(e tree, pt part) tree {
	out := copyTree(e)
	if pt.rewrite != "" && field(out, "rewrite", "uri") != nil {
		asTree(out["rewrite"])["uri"] = pt.rewrite
	}
	return out
}

// withStat puts a statPrefix into copies of matches; a user's own one stays unless it is to be replaced.
func withStat(matches []tree, stat string, replace bool) []tree {
	var out []tree
	for _, m := range matches {
		c := copyTree(m)
		if replace || text(c["statPrefix"]) == "" {
			c["statPrefix"] = stat
		}
		out = append(out, c)
	}
	return out
}

// clone is the new side of an entry, or nil where the cohort is empty or no match can be split.
func (p *splitter) clone(st site, e tree, matches []tree, rules []rule, did *placed) (tree, error) {
	number := p.number()
	var ms []tree
	for _, m := range matches {
		for _, c := range p.conds {
			both, ok, err := p.join(st, m, c)
			if err != nil {
				return nil, err
			}
			if ok {
				ms = append(ms, both)
			}
		}
	}
	if len(ms) == 0 {
		return nil, nil
	}
	out := copyTree(e)
	if p.exposure.Mode == policy.Enforce {
		out = p.enforced(st, out, rules)
	}
	out["name"] = p.names.cloneAt(number, tag(p.exposure))
	out["match"] = list(withStat(ms, p.names.newStat(p.exposure.Mode), true))
	did.clones = append(did.clones, cloned{
		name: text(out["name"]), number: number, everywhere: slices.ContainsFunc(matches, everywhere),
	})
	return out, nil
}

// enforced puts the policies into a clone: fields for route policies, the twin subset for a circuit breaker.
func (p *splitter) enforced(st site, e tree, rules []rule) tree {
	out := applyRoute(e, rules)
	if !slices.ContainsFunc(rules, func(r rule) bool { return r.breaker != nil }) {
		return out
	}
	for _, d := range trees(out["route"]) {
		dest := asTree(d["destination"])
		if p.f.host.is(text(dest["host"]), st.base.GetNamespace()) {
			dest["subset"] = p.names.subset(text(dest["subset"]))
		}
	}
	return out
}

// join adds a condition to a match. It is false where both together take nothing that can be split.
func (p *splitter) join(st site, m tree, c condition) (tree, bool, error) {
	out := copyTree(m)
	for _, seen := range append(rootMatches(st), m) {
		if h := taken(seen, c.headers); h != "" {
			return nil, false, refusal(codeHeaderTaken, p.f.first(), "spec.target",
				where(st.base)+": a match already tests the header "+h+", and a match has one test per header",
				"take that test out of the route, or go without a split: meshpol apply")
		}
	}
	for h, v := range c.headers {
		child(out, "headers")[h] = copyValue(v)
	}
	if !c.byPod() {
		return out, true, nil
	}
	if !splitsByPod(st, out) {
		return nil, false, nil
	}
	if out["gateways"] != nil {
		// Istio ignores what a match says of its source where it lists gateways. Without the list the match also holds
		// for the gateways of the VirtualService, whose pods do not bear the label.
		for _, k := range []string{"gateways", "sourceLabels", "sourceNamespace"} {
			delete(out, k)
		}
	}
	labels := child(out, "sourceLabels")
	for k, v := range c.source {
		if old, ok := labels[k]; ok && text(old) != v {
			return nil, false, nil
		}
		labels[k] = v
	}
	return out, true, nil
}

func rootMatches(st site) []tree {
	var out []tree
	for _, r := range st.roots {
		out = append(out, trees(r["match"])...)
	}
	return out
}

// taken names a header that a match tests already.
func taken(m, headers tree) string {
	for want := range headers {
		for _, tests := range []string{"headers", "withoutHeaders"} {
			for h := range asTree(m[tests]) {
				if strings.EqualFold(h, want) {
					return h
				}
			}
		}
	}
	return ""
}

// splitsByPod tells whether a match can be split by labels of sidecars. A delegate inherits the gateways of its root's
// match, which would switch sourceLabels off.
func splitsByPod(st site, m tree) bool {
	if slices.ContainsFunc(rootMatches(st), func(r tree) bool { return len(asList(r["gateways"])) > 0 }) {
		return false
	}
	if listed := texts(m["gateways"]); len(listed) > 0 {
		return slices.Contains(listed, meshGateway)
	}
	return st.bound.mesh
}

// everywhere tells whether a match holds for every proxy, as far as istiod sorts matches out by proxy.
func everywhere(m tree) bool {
	for _, k := range []string{"port", "sourceLabels", "sourceNamespace", "gateways"} {
		if m[k] != nil {
			return false
		}
	}
	return true
}

// best is the clone that most proxies get.
func (d placed) best() (cloned, bool) {
	if len(d.clones) == 0 {
		return cloned{}, false
	}
	if i := slices.IndexFunc(d.clones, func(c cloned) bool { return c.everywhere }); i >= 0 {
		return d.clones[i], true
	}
	return d.clones[0], true
}

// markers prove a split write at every proxy that has the routes. By request and by match that is the name of a clone.
// By instance only labelled pods have a clone, so the absence of every other kind of clone proves it, and the counting
// of the originals where nothing was there before. With an empty cohort nobody has a clone.
func (p *splitter) markers(index int, did placed) []mesh.Marker {
	best, ok := did.best()
	if ok && !p.byPod() {
		return []mesh.Marker{{Scope: scopeRoutes, Text: best.name}}
	}
	var out []mesh.Marker
	if did.marked {
		out = append(out, mesh.Marker{Scope: scopeRoutes, Text: p.names.oldStat(index)})
	}
	if !ok {
		return append(out, mesh.Marker{Scope: scopeRoutes, Text: p.names.cloneStem(did.first), Absent: true})
	}
	p.labelled = append(p.labelled, best)
	for _, l := range tagLetters() {
		if l != letter(p.exposure) {
			out = append(out, mesh.Marker{Scope: scopeRoutes, Text: p.names.cloneStem(best.number) + l, Absent: true})
		}
	}
	return out
}

// cohortLabel is the label of the cohort of pods, with the clone that a labelled pod has and no other.
func (p *splitter) cohortLabel() *mesh.CohortLabel {
	best, _ := placed{clones: p.labelled}.best()
	return &mesh.CohortLabel{
		Key: p.f.c.Target.CohortLabel(), Value: p.f.c.Rev,
		Markers: []mesh.Marker{{Scope: scopeRoutes, Text: best.name}},
	}
}
