package istio

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
)

// site is one VirtualService with http entries that route to the target.
type site struct {
	base *unstructured.Unstructured
	// create tells that base does not exist: it is what a person would write before setting any policy.
	create bool
	bound  bindings
	// roots are the entries that delegate to it, where it is a delegate.
	roots []tree
	hits  []hit
}

// hit is an http entry that routes to the target and is concerned by some rule.
type hit struct {
	index int
	// parts are the requests that some rules are narrowed to, disjoint from each other; whole are the rules for all
	// requests of the entry. The rules of a part include those of the whole.
	parts []part
	whole []rule
}

// part is a share of an entry's requests: matches that take the place of the entry's own.
type part struct {
	matches []tree
	// rewrite is the uri rewrite that keeps the server's path the same, where the entry has one.
	rewrite string
	rules   []rule
}

// finder gathers what a change touches. It is made anew for every Compile.
type finder struct {
	s     *policy.Snapshot
	c     policy.Change
	host  host
	rules []rule
	ports []servicePort
	notes []string
}

// first is the policy that refusals about the whole target name.
func (f *finder) first() policy.Key { return f.rules[0].key }

// sites finds the VirtualServices to change, sorted by namespace and name, and refuses what would not work.
func (f *finder) sites() ([]site, error) {
	if err := f.service(); err != nil {
		return nil, err
	}
	var out []site
	for _, vs := range sorted(f.s.ByKind("VirtualService")) {
		st, reaches, err := f.site(vs)
		if err != nil {
			return nil, err
		}
		if reaches {
			out = append(out, st)
		}
	}
	created, err := f.ownHost(out)
	if err != nil {
		return nil, err
	}
	out = append(out, created...)
	out = slices.DeleteFunc(out, func(s site) bool { return len(s.hits) == 0 })
	return out, f.everyRuleHits(out)
}

func sorted(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	out := slices.Clone(objects)
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int { return strings.Compare(where(a), where(b)) })
	return out
}

// service checks the Service itself. Without any Service in the snapshot (offline) nothing is known of it.
func (f *finder) service() error {
	svc := f.s.Object("Service", f.host.namespace, f.host.name)
	if svc == nil {
		if len(f.s.ByKind("Service")) == 0 {
			return nil
		}
		return refusal(codeNoService, f.first(), "spec.target.service",
			"there is no Service "+f.host.namespace+"/"+f.host.name,
			"check name and namespace")
	}
	if owner := foreignController(svc); owner != "" {
		return f.foreign(svc, owner)
	}
	f.ports = portsOf(svc)
	if len(f.ports) > 0 && !slices.ContainsFunc(f.ports, func(p servicePort) bool { return p.http }) {
		return refusal(codeNotHTTP, f.first(), "spec.target.service",
			"no port of the Service is HTTP by its name or appProtocol",
			"name the port http-… or set appProtocol, if it is HTTP")
	}
	if err := f.policyPorts(); err != nil {
		return err
	}
	return f.meshRoutes()
}

func (f *finder) policyPorts() error {
	for _, r := range f.rules {
		if r.target.Port == nil || len(f.ports) == 0 {
			continue
		}
		fits := func(p servicePort) bool { return p.number == int64(*r.target.Port) && p.http }
		if !slices.ContainsFunc(f.ports, fits) {
			return refusal(codeNoPort, r.key, "spec.target.port",
				fmt.Sprintf("the Service has no HTTP port %d", *r.target.Port),
				"use a port of the Service, not of the pods")
		}
	}
	return nil
}

// meshRoutes looks at Gateway API routes: one attached to the service replaces every VirtualService for sidecars.
func (f *finder) meshRoutes() error {
	for _, r := range sorted(f.s.ByKind("HTTPRoute")) {
		for _, p := range trees(field(spec(r), "parentRefs")) {
			if text(p["kind"]) == "Service" && f.refersTo(p, r) {
				return refusal(codeHTTPRoute, f.first(), "spec.target.service",
					where(r)+" is attached to the Service, and Istio lets it win over VirtualServices",
					"move its rules to a VirtualService first")
			}
		}
		for _, rule := range trees(field(spec(r), "rules")) {
			if slices.ContainsFunc(trees(rule["backendRefs"]), func(b tree) bool { return f.refersTo(b, r) }) {
				f.notes = append(f.notes, note(noteOutsideVS,
					where(r)+" routes to the service without a VirtualService: its traffic never gets the policy"))
				break
			}
		}
	}
	return nil
}

func (f *finder) refersTo(ref tree, in *unstructured.Unstructured) bool {
	ns := text(ref["namespace"])
	if ns == "" {
		ns = in.GetNamespace()
	}
	return text(ref["name"]) == f.host.name && ns == f.host.namespace
}

func (f *finder) foreign(o *unstructured.Unstructured, owner string) error {
	return refusal(codeOtherController, f.first(), "spec.target.service",
		where(o)+" is managed by "+owner+", which would undo or mix up our writes",
		"let one tool own it")
}

// site looks at one VirtualService: whether it routes to the target, and which entries the rules concern.
func (f *finder) site(vs *unstructured.Unstructured) (site, bool, error) {
	st := site{base: vs, bound: bound(texts(field(spec(vs), "gateways")))}
	entries := trees(field(spec(vs), "http"))
	if !slices.ContainsFunc(entries, func(e tree) bool { return f.routes(e, vs.GetNamespace()) }) {
		return st, false, nil
	}
	if len(texts(field(spec(vs), "hosts"))) == 0 {
		st.roots, st.bound = f.rootsOf(vs)
		if len(st.roots) == 0 {
			return st, false, nil
		}
	}
	if owner := foreignController(vs); owner != "" {
		return st, false, f.foreign(vs, owner)
	}
	if err := f.leftovers(vs, entries); err != nil {
		return st, false, err
	}
	err := f.hits(&st, entries)
	return st, err == nil, err
}

func (f *finder) leftovers(vs *unstructured.Unstructured, entries []tree) error {
	for _, e := range entries {
		if anyRun(text(e["name"])) {
			return refusal(codeLeftovers, f.first(), "spec.target.service",
				where(vs)+" has the route "+text(e["name"])+" of another rollout",
				"finish that rollout or take it back first (meshpol status)")
		}
	}
	return nil
}

// routes tells whether an entry sends requests to the target.
func (f *finder) routes(entry tree, namespace string) bool {
	return slices.ContainsFunc(trees(entry["route"]), func(d tree) bool {
		return f.host.is(text(field(d, "destination", "host")), namespace)
	})
}

// rootsOf finds the entries that delegate to a VirtualService, and what their VirtualServices are bound to.
func (f *finder) rootsOf(delegate *unstructured.Unstructured) ([]tree, bindings) {
	var out []tree
	var b bindings
	for _, vs := range f.s.ByKind("VirtualService") {
		for _, e := range trees(field(spec(vs), "http")) {
			if delegates(e, vs.GetNamespace(), delegate) {
				out = append(out, e)
				b = b.or(bound(texts(field(spec(vs), "gateways"))))
			}
		}
	}
	return out, b
}

func delegates(entry tree, namespace string, to *unstructured.Unstructured) bool {
	d := asTree(entry["delegate"])
	if d == nil || text(d["name"]) != to.GetName() {
		return false
	}
	if ns := text(d["namespace"]); ns != "" {
		namespace = ns
	}
	return namespace == to.GetNamespace()
}

// everyRuleHits refuses a policy that no entry is concerned by: it would be dropped in silence.
func (f *finder) everyRuleHits(sites []site) error {
	for _, r := range f.rules {
		hits := func(rs []rule) bool { return slices.ContainsFunc(rs, func(x rule) bool { return x.key == r.key }) }
		found := slices.ContainsFunc(sites, func(s site) bool {
			return slices.ContainsFunc(s.hits, func(h hit) bool {
				return hits(h.whole) || slices.ContainsFunc(h.parts, func(p part) bool { return hits(p.rules) })
			})
		})
		if !found {
			return refusal(codeNoRoute, r.key, "spec.target", "no route to "+f.host.fqdn()+" takes such requests",
				"look at the names and matches of the VirtualService's http entries")
		}
	}
	return nil
}
