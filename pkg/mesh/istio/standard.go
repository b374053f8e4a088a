package istio

import (
	"fmt"
	"slices"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Istio's standard metrics, and the tag of them by which requests of the two sides are told apart: "new" for the clones,
// cohortHalf for those of step 0, "old" for the twins of narrowed entries, anything else for every other route
// (docs/metrics.md).
const (
	standardRequests  = "istio_requests_total"
	standardDurations = "istio_request_duration_milliseconds"
	cohortTag         = "meshpol_cohort"
	cohortHalf        = "half"
)

// fromClients are the matchers of what a host's clients count of it.
func (h host) fromClients() string {
	return fmt.Sprintf("reporter=\"source\",destination_service=%q", h.fqdn())
}

// Standard implements mesh.Mesh.
func (Mesh) Standard(c policy.Change) mesh.StandardMetrics {
	h := host{name: c.Target.Name, namespace: c.Target.Namespace}
	return mesh.StandardMetrics{Host: h.fqdn(), Selector: fmt.Sprintf("{__name__=%q,%s}", standardRequests, h.fromClients()), Tag: cohortTag}
}

// standard asks for the standard metrics of the clients, which have response flags and the status of gRPC.
func (f *finder) standard(side metrics.Side) metrics.Query {
	return f.standardBy(metrics.SeriesRule{Side: side})
}

// cohorts asks for them by the tag. Where the policies are narrower than their entries, only the twins are the old side.
// Step 0 has a value of its own: what began in it under the old policy, and ends in the next step, is not the new side's.
func (f *finder) cohorts(sites []site, m policy.Mode) metrics.Query {
	clones := string(metrics.New)
	if m == policy.Staged {
		clones = cohortHalf
	}
	by := []metrics.SeriesRule{
		{Side: metrics.New, Label: cohortTag, Value: clones},
		{Side: metrics.Old, Label: cohortTag, Value: string(metrics.Old)},
	}
	if f.whole() && !slices.ContainsFunc(sites, func(s site) bool { return slices.ContainsFunc(s.hits, func(h hit) bool { return len(h.parts) > 0 }) }) {
		by = append(by, metrics.SeriesRule{Side: metrics.Old})
	}
	return f.standardBy(by...)
}

func (f *finder) standardBy(sides ...metrics.SeriesRule) metrics.Query {
	q := metrics.Query{
		Selector: fmt.Sprintf("{__name__=~%q,%s}", standardRequests+"|"+standardDurations+"(_bucket)?", f.host.fromClients()), Codes: f.codes(),
	}
	q.Codes.Refused = nil // the flags say it better
	for _, r := range sides {
		r.NameContains, r.Class = standardDurations, metrics.ClassDuration
		q.Rules = append(q.Rules, r)
		r.NameContains, r.Class = standardRequests, metrics.ClassCode
		q.Rules = append(q.Rules, r)
	}
	return q
}

// Past implements mesh.Mesh. A policy that is narrower than its service has no past of its own there.
func (Mesh) Past(s *policy.Snapshot, c policy.Change) metrics.PastQuery {
	f, err := newFinder(s, c)
	if err != nil || !s.Metrics[f.host.fqdn()].Standard {
		return metrics.PastQuery{}
	}
	if svc := s.Object("Service", f.host.namespace, f.host.name); svc != nil {
		f.ports = portsOf(svc)
	}
	if !f.whole() {
		return metrics.PastQuery{}
	}
	return metrics.PastQuery{
		Requests:  fmt.Sprintf("{__name__=%q,%s}", standardRequests, f.host.fromClients()),
		Durations: fmt.Sprintf("{__name__=%q,%s}", standardDurations+"_bucket", f.host.fromClients()),
		Codes:     f.codes(),
	}
}
