package istio

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rootNamespace is where mesh-wide configuration lives.
func (f *finder) rootNamespace() string {
	if ns := f.s.Mesh.RootNamespace; ns != "" {
		return ns
	}
	return "istio-system"
}

// destinationRule finds the DestinationRule that Istio uses for the host, or makes the one a person would write. Istio
// looks in the client's namespace, then in the service's, then in the root namespace, and stops at the first that has
// one: no merging across.
func (f *finder) destinationRule(sites []site) (*unstructured.Unstructured, bool, error) {
	var own, wider []*unstructured.Unstructured
	for _, dr := range sorted(f.s.ByKind("DestinationRule")) {
		h := text(field(spec(dr), "host"))
		exact := f.host.is(h, dr.GetNamespace())
		if !exact && !f.host.under(h) {
			continue
		}
		if err := f.usable(dr); err != nil {
			return nil, false, err
		}
		if exact && dr.GetNamespace() == f.host.namespace {
			own = append(own, dr)
		} else {
			wider = append(wider, dr)
		}
	}
	switch {
	case len(own) > 1:
		return nil, false, f.breakerRefusal(codeSeveralRules,
			where(own[0])+" and "+where(own[1])+" both hold the host; Istio merges them by age",
			"merge them into one DestinationRule")
	case len(own) == 1:
		return own[0], false, f.exported(own[0], sites)
	}
	return f.createdRule(f.widest(wider)), true, nil
}

// usable refuses a DestinationRule that would keep the twins from some clients.
func (f *finder) usable(dr *unstructured.Unstructured) error {
	if field(spec(dr), "workloadSelector") != nil {
		return f.breakerRefusal(codeSelectorRule,
			where(dr)+" has a workloadSelector: for its clients it replaces the rule that would bear the new subset",
			"take the selector away, or the rule")
	}
	if ns := dr.GetNamespace(); ns != f.host.namespace && ns != f.rootNamespace() {
		return f.breakerRefusal(codeHiddenRule,
			where(dr)+" hides the service's own rule from the clients of its namespace, whose requests to the new subset would fail",
			"move it to namespace "+f.host.namespace+", or delete it")
	}
	if owner := foreignController(dr); owner != "" {
		return f.foreign(dr, owner)
	}
	for _, s := range trees(field(spec(dr), "subsets")) {
		if anyRun(text(s["name"])) {
			return f.breakerRefusal(codeLeftovers,
				where(dr)+" has the subset "+text(s["name"])+" of another rollout",
				"finish that rollout or take it back first (meshpol status)")
		}
	}
	return nil
}

func (f *finder) breakerRefusal(code, reason, next string) error {
	i := slices.IndexFunc(f.rules, func(r rule) bool { return r.breaker != nil })
	return refusal(code, f.rules[i].key, "spec.target.service", reason, next)
}

// exported refuses a rule that some clients of the split routes do not see: for them the new subset does not exist.
func (f *finder) exported(dr *unstructured.Unstructured, sites []site) error {
	seen := visibility(dr)
	for _, st := range sites {
		if seen.all || (!st.bound.gateways && seen.covers(visibility(st.base))) {
			continue
		}
		return f.breakerRefusal(codeRuleNotExported,
			where(dr)+" is exported to fewer namespaces than "+where(st.base)+" or the gateways it is bound to",
			"give both the same exportTo")
	}
	return nil
}

// widest is the broader rule that is in force for the host now: the service's namespace before the root namespace,
// and there the most specific host.
func (f *finder) widest(rules []*unstructured.Unstructured) *unstructured.Unstructured {
	var best *unstructured.Unstructured
	rank := func(dr *unstructured.Unstructured) int {
		n := len(text(field(spec(dr), "host")))
		if dr.GetNamespace() == f.host.namespace {
			n += 1000
		}
		if f.host.is(text(field(spec(dr), "host")), dr.GetNamespace()) {
			n += 500
		}
		return n
	}
	for _, dr := range rules {
		if best == nil || rank(dr) > rank(best) {
			best = dr
		}
	}
	return best
}

// createdRule is a DestinationRule for the host. A broader one that is in force is copied, since the new one hides it.
func (f *finder) createdRule(wider *unstructured.Unstructured) *unstructured.Unstructured {
	s := tree{"host": f.host.fqdn()}
	if wider != nil {
		for _, k := range []string{"trafficPolicy", "subsets"} {
			if v := field(spec(wider), k); v != nil {
				s[k] = copyValue(v)
			}
		}
		f.notes = append(f.notes, note(noteCopiedRule,
			where(wider)+" is hidden by the new DestinationRule, which starts as a copy of it: later changes of the one do not reach the other"))
	}
	return &unstructured.Unstructured{Object: tree{
		"apiVersion": apiVersion(f.s, "DestinationRule"),
		"kind":       "DestinationRule",
		"metadata":   tree{"name": f.freeName("DestinationRule"), "namespace": f.host.namespace},
		"spec":       s,
	}}
}
