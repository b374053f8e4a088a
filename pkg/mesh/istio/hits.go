package istio

import (
	"fmt"
	"slices"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// hits fills in which entries of a site the rules concern, and how far.
func (f *finder) hits(st *site, entries []tree) error {
	for i, e := range entries {
		if !f.routes(e, st.base.GetNamespace()) {
			continue
		}
		h, err := f.hit(*st, e)
		if err != nil {
			return err
		}
		h.parts = unreached(h.parts, entries[:i])
		if len(h.parts)+len(h.whole) == 0 {
			continue
		}
		h.index = i
		if err := f.delegateFits(*st, e); err != nil {
			return err
		}
		st.hits = append(st.hits, h)
	}
	return nil
}

// unreached leaves out matches that earlier entries take already, such as the entry that the fold of an earlier version
// of the policy left.
func unreached(parts []part, earlier []tree) []part {
	taken := func(m tree) bool {
		return slices.ContainsFunc(earlier, func(e tree) bool {
			return slices.ContainsFunc(matchesOf(e), func(x tree) bool { return covers(x, m) })
		})
	}
	var out []part
	for _, p := range parts {
		p.matches = slices.DeleteFunc(slices.Clone(p.matches), taken)
		if len(p.matches) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// fit is how a rule concerns an entry: not at all (no matches), as a whole, or some of its requests.
type fit struct {
	whole   bool
	matches []tree
	rewrite string
}

func (f *finder) hit(st site, entry tree) (hit, error) {
	var h hit
	var parts []part
	for _, r := range f.rules {
		got, err := f.fit(st, entry, r)
		switch {
		case err != nil:
			return h, err
		case got.whole:
			h.whole = append(h.whole, r)
		case len(got.matches) > 0:
			parts = join(parts, part{matches: got.matches, rewrite: got.rewrite, rules: []rule{r}})
		default:
			continue
		}
		if err := f.pureHost(st, entry, r); err != nil {
			return h, err
		}
		rootTimes := slices.ContainsFunc(st.roots, func(t tree) bool { return t["timeout"] != nil })
		if r.removesTimeout() && rootTimes {
			return h, refusal(codeNoTimeout, r.key, "spec.request",
				where(st.base)+" is a delegate and inherits its root's timeout where it has none",
				"remove the timeout of the root by hand")
		}
	}
	if err := oneOfKind(h.whole); err != nil {
		return h, err
	}
	var err error
	h.parts, err = complete(parts, h.whole)
	return h, err
}

// join puts a part to those before it: rules narrowed to the same requests share one.
func join(parts []part, p part) []part {
	for i, q := range parts {
		if same(list(q.matches), list(p.matches)) {
			parts[i].rules = append(slices.Clone(q.rules), p.rules...)
			return parts
		}
	}
	return append(parts, p)
}

// complete checks that parts are disjoint and gives each the rules of the whole that it does not replace.
func complete(parts []part, whole []rule) ([]part, error) {
	for i := range parts {
		if err := oneOfKind(parts[i].rules); err != nil {
			return nil, err
		}
		for _, q := range parts[:i] {
			if !apart(parts[i].matches, q.matches) {
				return nil, refusal(codeOverlap, parts[i].rules[0].key, "spec.target.routes",
					"some requests fit it and "+q.rules[0].key.String()+" too",
					"give both the same target, or targets that do not overlap")
			}
		}
		own := parts[i].rules
		for _, r := range whole {
			if !slices.ContainsFunc(own, func(o rule) bool { return o.key.Kind == r.key.Kind }) {
				parts[i].rules = append(slices.Clone(parts[i].rules), r)
			}
		}
	}
	return parts, nil
}

func apart(a, b []tree) bool {
	for _, x := range a {
		for _, y := range b {
			if !disjoint(x, y) {
				return false
			}
		}
	}
	return true
}

func oneOfKind(rules []rule) error {
	for i, r := range rules {
		for _, q := range rules[:i] {
			if q.key.Kind == r.key.Kind {
				return refusal(codeSameKind, r.key, "spec.target",
					q.key.String()+" acts on the same requests",
					"keep one of them")
			}
		}
	}
	return nil
}

// fit works out how a rule concerns an entry.
func (f *finder) fit(st site, entry tree, r rule) (fit, error) {
	port, concerned, err := f.portFit(st, entry, r)
	if err != nil || !concerned {
		return fit{}, err
	}
	refs := r.target.Routes
	if len(refs) == 0 {
		refs = []v1alpha1.RouteRef{{}}
	}
	var out fit
	for _, ref := range refs {
		if ref.Name != "" && ref.Name != text(entry["name"]) {
			continue
		}
		ref.Name = ""
		one, err := narrowed(entry, narrowingOf(ref, port))
		if err != nil {
			return fit{}, refusal(codeNarrowing, r.key, "spec.target.routes",
				where(st.base)+" "+entryName(entry)+": "+err.Error(),
				"name the route instead (target.routes: [{name: …}]), or add a route of its own for the path")
		}
		if one.whole {
			return one, nil
		}
		if len(out.matches) > 0 && len(one.matches) > 0 && out.rewrite != one.rewrite {
			return fit{}, refusal(codeNarrowing, r.key, "spec.target.routes",
				where(st.base)+" "+entryName(entry)+" rewrites the path, differently for each of the paths",
				"write one policy per path")
		}
		out = out.plus(one)
	}
	return out, nil
}

func (a fit) plus(b fit) fit {
	for _, m := range b.matches {
		if !slices.ContainsFunc(a.matches, func(x tree) bool { return same(x, m) }) {
			a.matches = append(a.matches, m)
		}
	}
	if b.rewrite != "" {
		a.rewrite = b.rewrite
	}
	return a
}

// narrowed puts a narrowing and an entry's matches together.
func narrowed(entry tree, n narrowing) (fit, error) {
	var out fit
	own := matchesOf(entry)
	out.whole = true
	rewrite := text(field(entry, "rewrite", "uri"))
	for _, m := range own {
		c, err := n.conjunction(m)
		if err != nil {
			return fit{}, err
		}
		if c == nil {
			out.whole = false
			continue
		}
		out.whole = out.whole && same(c, m)
		now := rewrite
		if rewrite != "" {
			if now, err = rewritten(rewrite, m, c); err != nil {
				return fit{}, err
			}
		}
		if len(out.matches) > 0 && out.rewrite != now {
			return fit{}, fmt.Errorf("the route rewrites the path, differently for each of its matches")
		}
		out.matches, out.rewrite = append(out.matches, c), now
	}
	return out, nil
}

// matchesOf are an entry's matches; an entry without any takes everything.
func matchesOf(entry tree) []tree {
	if ms := trees(entry["match"]); len(ms) > 0 {
		return ms
	}
	return []tree{{}}
}

func entryName(entry tree) string {
	if n := text(entry["name"]); n != "" {
		return "route " + n
	}
	return "a route without name"
}

// portFit tells whether an entry serves the rule's port: 0 means all its requests do, else the match must say it.
func (f *finder) portFit(st site, entry tree, r rule) (port int64, concerned bool, err error) {
	if r.target.Port == nil {
		return 0, true, nil
	}
	want := int64(*r.target.Port)
	given := f.destinationPorts(st, entry)
	switch {
	case len(given) == 1 && given[0] == want:
		return 0, true, nil
	case !slices.Contains(given, want) && !slices.Contains(given, 0):
		return 0, false, nil
	case len(given) > 1:
		return 0, false, refusal(codeNarrowing, r.key, "spec.target.port",
			where(st.base)+" "+entryName(entry)+" divides its requests among several ports",
			"leave port out")
	case f.onlyPort(want):
		return 0, true, nil
	case st.bound.gateways:
		return 0, false, refusal(codeNarrowing, r.key, "spec.target.port",
			where(st.base)+" is bound to a gateway, and its "+entryName(entry)+" names no destination port",
			"set destination.port in the route")
	}
	return want, true, nil
}

// destinationPorts lists the different ports that an entry's destinations for the target name; 0 is none named.
func (f *finder) destinationPorts(st site, entry tree) []int64 {
	var out []int64
	for _, d := range trees(entry["route"]) {
		if f.host.is(text(field(d, "destination", "host")), st.base.GetNamespace()) {
			out = append(out, integer(field(d, "destination", "port", "number")))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// onlyPort tells whether the Service has no other HTTP port.
func (f *finder) onlyPort(n int64) bool {
	return len(f.ports) > 0 && !slices.ContainsFunc(f.ports, func(p servicePort) bool { return p.http && p.number != n })
}

// pureHost refuses a route policy for an entry that also sends requests elsewhere, unless the user named the entry.
func (f *finder) pureHost(st site, entry tree, r rule) error {
	named := slices.ContainsFunc(r.target.Routes, func(ref v1alpha1.RouteRef) bool {
		return ref.Name != "" && ref.Name == text(entry["name"])
	})
	if !r.routed() || named {
		return nil
	}
	for _, d := range trees(entry["route"]) {
		if h := text(field(d, "destination", "host")); !f.host.is(h, st.base.GetNamespace()) {
			return refusal(codeMixedHosts, r.key, "spec.target",
				where(st.base)+" "+entryName(entry)+" also routes to "+h+", which would get the policy too",
				"if that is meant, name the route: target.routes: [{name: …}]")
		}
	}
	return nil
}

// delegateFits refuses a delegate's entry without match where the root's match holds what Istio compares strictly: a
// match of ours in the delegate would then be a conflict, and Istio drops the route.
func (f *finder) delegateFits(st site, entry tree) error {
	if len(trees(entry["match"])) > 0 {
		return nil
	}
	for _, root := range st.roots {
		for _, m := range trees(root["match"]) {
			if fold, _ := m["ignoreUriCase"].(bool); fold || text(m["sourceNamespace"]) != "" {
				return refusal(codeDelegateMatch, f.first(), "spec.target",
					where(st.base)+": the route that delegates to it matches ignoreUriCase or sourceNamespace, and the delegate has no match of its own",
					"repeat that part of the match in the delegate")
			}
		}
	}
	return nil
}
