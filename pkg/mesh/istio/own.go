package istio

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// holder is a VirtualService that holds the target's host for sidecars.
type holder struct {
	vs       *unstructured.Unstructured
	wildcard bool
	seen     visible
}

// ownHost sees to it that calls of sidecars to the service pass a VirtualService: it refuses what Istio would not
// merge, and creates one where everybody uses the default route.
func (f *finder) ownHost(sites []site) ([]site, error) {
	exact, wildcards := f.holders()
	for i, a := range exact {
		for _, b := range exact[i+1:] {
			if a.seen.meets(b.seen) {
				return nil, refusal(codeSecondVS, f.first(), "spec.target.service",
					where(a.vs)+" and "+where(b.vs)+" both hold "+f.host.fqdn()+" for sidecars, and Istio takes one of them only",
					"merge them into one VirtualService")
			}
		}
		if err := f.holds(a, sites); err != nil {
			return nil, err
		}
	}
	public := func(h holder) bool { return h.seen.all }
	owners := func(h holder) bool { return h.vs.GetNamespace() == f.host.namespace }
	if i := slices.IndexFunc(exact, owners); i >= 0 && !exact[i].seen.all {
		f.notes = append(f.notes, note(noteOutsideVS,
			"clients in namespaces that "+where(exact[i].vs)+" is not exported to never get the policy"))
		return nil, nil
	}
	if slices.ContainsFunc(exact, public) {
		return nil, nil
	}
	if i := slices.IndexFunc(wildcards, public); i >= 0 {
		return nil, f.holds(wildcards[i], sites)
	}
	return f.created()
}

func (f *finder) holders() (exact, wildcards []holder) {
	for _, vs := range sorted(f.s.ByKind("VirtualService")) {
		if !bound(texts(field(spec(vs), "gateways"))).mesh {
			continue
		}
		for _, h := range texts(field(spec(vs), "hosts")) {
			switch {
			case f.host.is(h, vs.GetNamespace()):
				exact = append(exact, holder{vs: vs, seen: visibility(vs)})
			case f.host.under(h):
				wildcards = append(wildcards, holder{vs: vs, seen: visibility(vs), wildcard: true})
			default:
				continue
			}
			break
		}
	}
	return exact, wildcards
}

// holds checks that a holder's own routes, or those it delegates to, reach the service.
func (f *finder) holds(h holder, sites []site) error {
	entries := trees(field(spec(h.vs), "http"))
	for _, s := range sites {
		toSite := func(e tree) bool { return delegates(e, h.vs.GetNamespace(), s.base) }
		if s.base == h.vs || slices.ContainsFunc(entries, toSite) {
			return nil
		}
	}
	switch {
	case h.wildcard:
		return refusal(codeWildcardVS, f.first(), "spec.target.service",
			where(h.vs)+" holds the host by a wildcard and routes nothing to it",
			"write a VirtualService for "+f.host.fqdn()+" first")
	case len(entries) == 0:
		return refusal(codeNotHTTP, f.first(), "spec.target.service",
			where(h.vs)+" has TCP or TLS routes only",
			"a policy of this kind needs an http entry")
	}
	return refusal(codeHostElsewhere, f.first(), "spec.target.service",
		where(h.vs)+" holds "+f.host.fqdn()+" and routes nothing to it",
		"set the policy on the service that it routes to")
}

// created is the VirtualService that a person would write for the service: with neither timeout nor retries Istio
// generates what it generates without it, so that installing it changes nothing.
func (f *finder) created() ([]site, error) {
	name := f.freeName("VirtualService")
	vs := &unstructured.Unstructured{Object: tree{
		"apiVersion": apiVersion(f.s, "VirtualService"),
		"kind":       "VirtualService",
		"metadata":   tree{"name": name, "namespace": f.host.namespace},
		"spec": tree{
			"hosts": []any{f.host.fqdn()},
			"http":  []any{tree{"route": []any{tree{"destination": tree{"host": f.host.fqdn()}}}}},
		},
	}}
	st := site{base: vs, create: true, bound: bindings{mesh: true}}
	err := f.hits(&st, trees(field(spec(vs), "http")))
	return []site{st}, err
}

// freeName is the service's name, or a plain variation of it where another object has that name.
func (f *finder) freeName(kind string) string {
	name := f.host.name
	for _, suffix := range []string{"", "-policy", "-policy-2", "-policy-3"} {
		name = f.host.name + suffix
		if f.s.Object(kind, f.host.namespace, name) == nil {
			break
		}
	}
	return name
}
