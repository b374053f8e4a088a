package istio

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// portBlocks are the blocks that a port's settings replace wholesale, whether they set them or not.
func portBlocks() []string {
	return []string{"connectionPool", "outlierDetection", "loadBalancer", "tls"}
}

// pools writes a CircuitBreaker into the DestinationRule of the host.
type pools struct {
	f       *finder
	names   names
	rule    rule
	base    *unstructured.Unstructured
	create  bool
	subsets []string
}

// pools prepares the DestinationRule, or is nil where no policy of the change is a CircuitBreaker.
func (f *finder) pools(sites []site) (*pools, error) {
	i := slices.IndexFunc(f.rules, func(r rule) bool { return r.breaker != nil })
	if i < 0 {
		return nil, nil
	}
	if j := slices.IndexFunc(f.rules[i+1:], func(r rule) bool { return r.breaker != nil }); j >= 0 {
		return nil, refusal(codeSameKind, f.rules[i+1+j].key, "spec.target",
			f.rules[i].key.String()+" acts on the same service",
			"make one CircuitBreaker of them")
	}
	p := &pools{f: f, names: names{f.c.Rev}, rule: f.rules[i], subsets: f.subsetsInUse(sites)}
	var err error
	if p.base, p.create, err = f.destinationRule(sites); err != nil {
		return nil, err
	}
	for _, s := range p.subsets {
		if s != "" && p.subset(s) == nil {
			return nil, refusal(codeMissingSubset, p.rule.key, "spec.target",
				"the subset "+s+" is routed to and "+where(p.base)+" does not define it",
				"define it, or route elsewhere")
		}
	}
	return p, nil
}

// subsetsInUse lists the subsets that concerned routes name; the empty name is a destination without one.
func (f *finder) subsetsInUse(sites []site) []string {
	var out []string
	for _, st := range sites {
		entries := trees(field(spec(st.base), "http"))
		for _, h := range st.hits {
			for _, d := range trees(entries[h.index]["route"]) {
				if f.host.is(text(field(d, "destination", "host")), st.base.GetNamespace()) {
					out = append(out, text(field(d, "destination", "subset")))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (p *pools) subset(name string) tree {
	for _, s := range trees(field(spec(p.base), "subsets")) {
		if text(s["name"]) == name {
			return s
		}
	}
	return nil
}

// stage is the DestinationRule with a twin for every subset in use; nothing that existed changes.
func (p *pools) stage() mesh.Stage {
	proof := mesh.Marker{Scope: scopeClusters, Text: p.names.subset(p.subsets[0]) + "|"}
	return p.write(copyTree(spec(p.base)), p.twins(), proof)
}

// folded are the two writes of the fold: the policy at the top level while the twins are still routed to, with a
// subset that proves it; then the same without any name of ours, once nothing routes to the twins any more.
func (p *pools) folded() (before, after mesh.Stage) {
	final := p.final()
	mark := p.names.foldSubset()
	extra := append(p.twins(), tree{"name": mark})
	before = p.write(copyTree(final), extra, mesh.Marker{Scope: scopeClusters, Text: mark + "|"})
	after = p.write(final, nil, mesh.Marker{Scope: scopeClusters, Text: mark + "|", Absent: true})
	return before, after
}

func (p *pools) write(s tree, extra []tree, m mesh.Marker) mesh.Stage {
	if len(extra) > 0 {
		s["subsets"] = append(asList(s["subsets"]), list(extra)...)
	}
	return mesh.Stage{Object: withSpec(p.base, s), Create: p.create, Markers: []mesh.Marker{m}}
}

// twins are subsets with the same endpoints and the new policy, every block of it written out: a block that a subset
// sets replaces the block of the top level, and what it leaves out is inherited differently by different versions.
func (p *pools) twins() []tree {
	var out []tree
	top := asTree(field(spec(p.base), "trafficPolicy"))
	for _, name := range p.subsets {
		old := p.subset(name)
		t := tree{"name": p.names.subset(name)}
		if labels := asTree(old["labels"]); len(labels) > 0 {
			t["labels"] = copyTree(labels)
		}
		t["trafficPolicy"] = p.rule.breaker.apply(effective(top, asTree(old["trafficPolicy"])))
		out = append(out, t)
	}
	return out
}

// final is the spec with the policy at the top level, and in the user's own subsets where they override it.
func (p *pools) final() tree {
	s := copyTree(spec(p.base))
	top := asTree(field(spec(p.base), "trafficPolicy"))
	for _, sub := range trees(s["subsets"]) {
		if own := asTree(sub["trafficPolicy"]); own != nil {
			sub["trafficPolicy"] = p.rule.breaker.overrides(top, own)
		}
	}
	s["trafficPolicy"] = p.rule.breaker.apply(top)
	return s
}

// effective is the policy of a subset as Istio computes it: its blocks replace those of the top level, its port
// settings replace both for their port.
func effective(top, sub tree) tree {
	out := overlay(top, sub)
	var ports []tree
	for _, s := range trees(sub["portLevelSettings"]) {
		ports = append(ports, copyTree(s))
	}
	for _, t := range trees(top["portLevelSettings"]) {
		if portSettings(ports, portNumber(t)) == nil {
			both := overlay(t, onlyBlocks(sub))
			ports = append(ports, both)
		}
	}
	if len(ports) > 0 {
		out["portLevelSettings"] = list(ports)
	}
	return out
}

// overlay puts the blocks of b over those of a; port settings are left out.
func overlay(a, b tree) tree {
	out := tree{}
	for _, t := range []tree{a, b} {
		for k, v := range t {
			if k != "portLevelSettings" {
				out[k] = copyValue(v)
			}
		}
	}
	return out
}

func onlyBlocks(t tree) tree {
	out := tree{}
	for _, b := range portBlocks() {
		if v, ok := t[b]; ok {
			out[b] = v
		}
	}
	return out
}

func portNumber(settings tree) int64 { return integer(field(settings, "port", "number")) }

func portSettings(settings []tree, n int64) tree {
	i := slices.IndexFunc(settings, func(s tree) bool { return portNumber(s) == n })
	if i < 0 {
		return nil
	}
	return settings[i]
}

// apply is a traffic policy with the breaker's fields everywhere it acts; all other fields of the blocks stay.
func (b *breaker) apply(policy tree) tree {
	out := copyTree(policy)
	if out == nil {
		out = tree{}
	}
	settings := trees(out["portLevelSettings"])
	if b.port == 0 {
		b.merge(out, true)
		for _, s := range settings {
			b.merge(s, true)
		}
		return out
	}
	s := portSettings(settings, b.port)
	if s == nil {
		s = onlyBlocks(copyTree(out))
		s["port"] = tree{"number": b.port}
		out["portLevelSettings"] = append(asList(out["portLevelSettings"]), s)
	}
	b.merge(s, true)
	return out
}

// overrides is a subset's own policy with the breaker's fields where it would hide those of the top level.
func (b *breaker) overrides(top, own tree) tree {
	out := copyTree(own)
	settings := trees(out["portLevelSettings"])
	if b.port == 0 {
		b.merge(out, false)
		for _, s := range settings {
			b.merge(s, true)
		}
		return out
	}
	if s := portSettings(settings, b.port); s != nil {
		b.merge(s, true)
		return out
	}
	if !b.hides(own) {
		return out
	}
	above := portSettings(trees(top["portLevelSettings"]), b.port)
	if above == nil {
		above = onlyBlocks(top)
	}
	s := overlay(above, onlyBlocks(own))
	s["port"] = tree{"number": b.port}
	b.merge(s, true)
	out["portLevelSettings"] = append(asList(out["portLevelSettings"]), s)
	return out
}

// hides tells whether a policy sets a block that the breaker changes.
func (b *breaker) hides(policy tree) bool {
	return (len(b.pool) > 0 && policy["connectionPool"] != nil) || (len(b.outlier) > 0 && policy["outlierDetection"] != nil)
}

// merge puts the fields into the blocks of a policy in place; blocks that are missing are made only where asked.
func (b *breaker) merge(policy tree, create bool) {
	for name, ours := range map[string]tree{"connectionPool": b.pool, "outlierDetection": b.outlier} {
		if len(ours) == 0 || (!create && policy[name] == nil) {
			continue
		}
		mergeInto(child(policy, name), ours)
	}
}

func mergeInto(dst, src tree) {
	for k, v := range src {
		if sub := asTree(v); sub != nil {
			mergeInto(child(dst, k), sub)
			continue
		}
		dst[k] = copyValue(v)
	}
}
