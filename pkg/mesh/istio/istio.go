package istio

import (
	"errors"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

const (
	scopeRoutes   = "routes"
	scopeClusters = "clusters"
)

// Mesh is Istio with sidecars. The zero value is ready.
type Mesh struct{}

var _ mesh.Mesh = Mesh{}

// New is the mesh.
func New() Mesh { return Mesh{} }

// Name is istio.
func (Mesh) Name() string { return "istio" }

// Detect tells whether Istio is in the snapshot: it was found, or there are resources of its APIs.
func (Mesh) Detect(s *policy.Snapshot) bool {
	if s.Mesh.Name != "" {
		return s.Mesh.Name == "istio"
	}
	for _, o := range s.Objects {
		if group, _, _ := strings.Cut(o.GetAPIVersion(), "/"); strings.HasSuffix(group, "istio.io") {
			return true
		}
	}
	return false
}

// Compile gives the objects of a change at an exposure, in the order in which they must be written. What Istio cannot
// express, or what a live object stands in the way of, is a *policy.UnsupportedError.
//
// Where the policies are in force already there are no stages, at any exposure.
//
// By request, a window of the full width matches every request, ids that are not accepted included: that is the
// switched position. A window of width 0 matches none: the split is installed and nobody is in it.
func (m Mesh) Compile(s *policy.Snapshot, c policy.Change, e policy.Exposure) (mesh.Compiled, error) {
	out, err := compile(s, c, e)
	return out, onMesh(err, s)
}

// onMesh names the mesh and its version in an UnsupportedError.
func onMesh(err error, s *policy.Snapshot) error {
	var u *policy.UnsupportedError
	if errors.As(err, &u) {
		u.Mesh = strings.TrimSpace("istio " + s.Mesh.Version)
	}
	return err
}

func compile(s *policy.Snapshot, c policy.Change, e policy.Exposure) (mesh.Compiled, error) {
	f, err := newFinder(s, c)
	if err != nil {
		return mesh.Compiled{}, err
	}
	if err := f.exposable(e); err != nil {
		return mesh.Compiled{}, err
	}
	sites, err := f.sites()
	if err != nil {
		return mesh.Compiled{}, err
	}
	p, err := f.pools(sites)
	if err != nil {
		return mesh.Compiled{}, err
	}
	folded := f.fold(sites, p)
	switch {
	case f.inForce(folded):
		return mesh.Compiled{Notes: folded.Notes}, nil
	case e.By == policy.All:
		return folded, nil
	}
	return f.split(sites, p, e)
}

// inForce tells whether the fold would leave every object as it is: the policies are in force already.
func (f *finder) inForce(folded mesh.Compiled) bool {
	last := map[string]mesh.Stage{}
	for _, st := range folded.Stages {
		last[where(st.Object)] = st
	}
	for _, st := range last {
		was := f.s.Object(st.Object.GetKind(), st.Object.GetNamespace(), st.Object.GetName())
		if !st.Delete && (was == nil || !same(spec(was), spec(st.Object))) {
			return false
		}
	}
	return true
}

func newFinder(s *policy.Snapshot, c policy.Change) (*finder, error) {
	rules, err := rulesOf(c, s.Mesh.Version)
	if err != nil {
		return nil, err
	}
	if len(rules) == 0 {
		return nil, refusal(codeNothingToDo, policy.Key{}, "", "there is no policy for "+c.Target.String(), "")
	}
	return &finder{s: s, c: c, rules: rules, host: host{name: c.Target.Name, namespace: c.Target.Namespace}}, nil
}

// exposable refuses exposures that the split route cannot give.
func (f *finder) exposable(e policy.Exposure) error {
	switch {
	case e.Mode == policy.Observe:
		return refusal(codeExposure, f.first(), "",
			f.first().Kind+" acts or does not: it cannot be observed without acting",
			"canary by request or by instance")
	case e.By == policy.All && e.Mode == policy.Staged:
		return refusal(codeExposure, f.first(), "",
			"a staged exposure needs a split",
			"stage it by request or by instance")
	case e.By == policy.ByMatch && len(byMatch(e.Match)) != len(e.Match), e.By == policy.ByMatch && len(e.Match) == 0:
		return refusal(codeStrategyMatch, f.first(), "",
			"the chosen population is empty",
			"give a header, a cookie or source labels")
	}
	svc := f.s.Object("Service", f.host.namespace, f.host.name)
	if svc == nil || e.By != policy.ByInstance {
		return nil
	}
	if svc.GetLabels()["istio.io/use-waypoint"] != "" {
		return refusal(codeNotByInstance, f.first(), "spec.target.service",
			"the service uses a waypoint, which does not honour sourceLabels",
			"canary by request")
	}
	return nil
}

// split compiles every exposure but the fold: the DestinationRule before the routes that use its new subsets.
func (f *finder) split(sites []site, p *pools, e policy.Exposure) (mesh.Compiled, error) {
	var out mesh.Compiled
	if p != nil && e.Mode == policy.Enforce {
		out.Stages = append(out.Stages, p.stage())
	}
	sp := f.splitter(e)
	for i, st := range sites {
		stage, err := sp.stage(i, st)
		if err != nil {
			return out, err
		}
		out.Stages = append(out.Stages, stage)
	}
	if e.By == policy.ByInstance {
		if sp.clones == 0 {
			return out, refusal(codeNotByInstance, f.first(), "spec.target",
				strings.Join(sp.heldBack, "; "),
				"canary by request")
		}
		out.Labels = sp.cohortLabel()
	}
	if e.By == policy.ByMatch && sp.clones == 0 {
		return out, refusal(codeStrategyMatch, f.first(), "",
			"no route can be split by the chosen population",
			"choose it by a header or a cookie")
	}
	out.AtFold = slices.Concat(sp.heldBack, f.onlyAtFold(p, e))
	out.Notes = slices.Concat(f.notes, f.remarks(sites, p, e))
	return out, nil
}

// fold compiles the last step. The top level of the DestinationRule comes first, while the twins are still in use, and
// the twins go last, when no proxy routes to them any more.
func (f *finder) fold(sites []site, p *pools) mesh.Compiled {
	var out mesh.Compiled
	var after mesh.Stage
	if p != nil {
		var before mesh.Stage
		before, after = p.folded()
		out.Stages = append(out.Stages, before)
	}
	d := &folder{f: f, names: names{f.c.Rev}}
	var last []mesh.Stage
	for i, st := range sites {
		stages := d.stages(i, st, i == len(sites)-1)
		out.Stages = append(out.Stages, stages[0])
		last = append(last, stages[1:]...)
	}
	out.Stages = append(out.Stages, last...)
	if p != nil {
		after.Clean = true
		out.Stages = append(out.Stages, after)
	}
	out.Notes = slices.Concat(f.notes, f.remarks(sites, p, policy.Exposure{Mode: policy.Enforce, By: policy.All}))
	return out
}

// onlyAtFold lists populations that the split leaves on the old policy whatever its share.
func (f *finder) onlyAtFold(p *pools, e policy.Exposure) []string {
	var out []string
	if e.By == policy.ByRequest && e.Window.Width < policy.Buckets {
		out = append(out, "requests whose x-request-id is neither a UUID of version 4 or 7 nor 32 hex digits")
	}
	if e.By == policy.ByInstance {
		out = append(out, "client pods that are not known when the cohort is labelled, and clients without a sidecar")
	}
	if p == nil {
		return out
	}
	if len(p.rule.breaker.pool) > 0 {
		out = append(out, "the servers' own inbound connection limits, which come from the top level of the DestinationRule")
	}
	if slices.ContainsFunc(f.ports, func(sp servicePort) bool { return !sp.http }) {
		out = append(out, "TCP connections to the service's other ports, which pass no http route")
	}
	return append(out, "gateways and clients that reach the service without these routes")
}

// remarks are findings that do not stop.
func (f *finder) remarks(sites []site, p *pools, e policy.Exposure) []string {
	var out []string
	if p != nil && len(p.rule.breaker.pool) > 0 && e.By == policy.ByRequest && e.Mode != policy.Staged && e.Window.Width < policy.Buckets {
		out = append(out, note(noteShareOfPool,
			p.rule.key.String()+": each proxy counts alone and sees a share of the requests; use canary by instance, or expect no Pass below 100 %"))
	}
	if slices.ContainsFunc(f.ports, func(sp servicePort) bool { return sp.grpc && f.concerns(sp) }) && e.By != policy.All && !f.s.Metrics[f.host.fqdn()].Cohorts {
		out = append(out, note(noteGRPC,
			"service "+f.host.namespace+"/"+f.host.name+" has gRPC ports: by request their failures are seen only where istio_requests_total has the tag meshpol_cohort"))
	}
	for _, r := range f.rules {
		if r.removesTimeout() {
			out = append(out, note(noteTimeoutGone, r.key.String()+": request 0s removes the route's timeout"))
		}
	}
	out = append(out, f.sharedPrefixes(sites, e)...)
	return append(out, f.namedByFilters(sites, e)...)
}
