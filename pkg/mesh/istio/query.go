package istio

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Query asks for the counters of both sides, from Istio's standard metrics of the clients where they tell more, else
// from Envoy's own route statistics.
//
// By request the name of the route statistics tells the side; they are blind to gRPC status, so that for gRPC the
// standard metrics are wanted, with the tag meshpol_cohort. By instance the pod tells the side, through instances. At the
// fold there are no sides any more: all is new, counted by the fold's own statPrefix.
func (Mesh) Query(
	s *policy.Snapshot, c policy.Change, e policy.Exposure, instances map[string]metrics.Side,
) (metrics.Query, error) {
	q, err := queryFor(s, c, e, instances)
	if e.By == policy.ByInstance {
		q.Instances = instances
	}
	return q, onMesh(err, s)
}

func queryFor(s *policy.Snapshot, c policy.Change, e policy.Exposure, instances map[string]metrics.Side) (metrics.Query, error) {
	f, err := newFinder(s, c)
	if err != nil {
		return metrics.Query{}, err
	}
	sites, err := f.sites()
	if err != nil {
		return metrics.Query{}, err
	}
	has, exported := s.Metrics[f.host.fqdn()], atLeast(s.Mesh.Version, 23)
	grpc := slices.ContainsFunc(f.ports, func(p servicePort) bool { return p.grpc && f.concerns(p) })
	q, standard := f.standardFor(e, has, sites, grpc, exported)
	switch {
	case standard:
		return q, nil
	case !exported:
		return metrics.Query{}, refusal(codeNoRouteStats, f.first(), "",
			"Istio before 1.23 does not export the route statistics that tell the two sides apart",
			"give the standard metrics the tag "+cohortTag+", upgrade, or run without analysis")
	case e.By == policy.All:
		q = f.foldStatistics(sites)
	default:
		if q, err = f.routeStatistics(sites, e.Mode); err != nil {
			return q, err
		}
	}
	if forPods := e.Mode == policy.Staged && instances != nil; grpc && !forPods {
		q.Blind = blindToGRPC
	}
	return q, nil
}

// standardFor asks for Istio's standard metrics where they are there and tell more than route statistics: by instance
// always, else of gRPC, and where no route statistics are exported.
func (f *finder) standardFor(e policy.Exposure, has policy.MetricFacts, sites []site, grpc, exported bool) (metrics.Query, bool) {
	switch {
	case e.By == policy.All && (!exported || grpc && has.Standard):
		return f.standard(metrics.New), true
	case e.By == policy.ByInstance && has.Standard && f.whole():
		return f.standard(""), true // a pod that is not known is on neither side
	case (e.By == policy.ByRequest || e.By == policy.ByMatch) && has.Cohorts && (grpc || !exported):
		return f.cohorts(sites, e.Mode), true
	}
	return metrics.Query{}, false
}

// blindToGRPC is why route statistics cannot judge gRPC.
const blindToGRPC = "failures of gRPC come with code 200, and Envoy's route statistics do not have their status; Istio's metrics of the " +
	"clients (istio_requests_total) do: by instance as they are, by request with the tag " + cohortTag + " (docs/metrics.md)"

// concerns tells whether the policies reach a port.
func (f *finder) concerns(p servicePort) bool {
	return slices.ContainsFunc(f.rules, func(r rule) bool { return r.target.Port == nil || int64(*r.target.Port) == p.number })
}

// whole tells whether the policies concern every request to the service.
func (f *finder) whole() bool {
	return !slices.ContainsFunc(f.rules, func(r rule) bool { return r.target.Port != nil && len(f.ports) > 1 || len(r.target.Routes) > 0 })
}

// anyHost is how the names of route statistics begin, whatever the virtual host.
const anyHost = "envoy_vhost_.+"

// stem is the part of a metric's name that tells a side, with a regular expression for what stands before it.
type stem struct {
	side   metrics.Side
	before string
	name   string
}

func (f *finder) routeStatistics(sites []site, mode policy.Mode) (metrics.Query, error) {
	n := names{f.c.Rev}
	stems := []stem{{side: metrics.New, before: anyHost, name: routeStem(n.newStat(mode))}}
	for i, st := range sites {
		stems = append(stems, stem{side: metrics.Old, before: anyHost, name: routeStem(n.oldStat(i))})
		for _, p := range ownPrefixes(st) {
			if err := f.collides(st, p); err != nil {
				return metrics.Query{}, err
			}
		}
		stems = append(stems, f.ownStems(st, metrics.Old)...)
	}
	q := queryOf(stems)
	q.FromZero, q.Codes = fromZero(sites), f.codes()
	return q, nil
}

// ownStems are the statistics of the user's own statPrefixes, which concerned entries keep.
func (f *finder) ownStems(st site, side metrics.Side) []stem {
	var out []stem
	hosts := texts(field(spec(st.base), "hosts"))
	for _, p := range ownPrefixes(st) {
		if len(hosts) == 0 { // a delegate has its root's
			out = append(out, stem{side: side, before: anyHost, name: routeStem(p)})
		}
		for _, h := range hosts {
			out = append(out, stem{side: side, before: "envoy_vhost_" + f.vhost(h, st) + "_[0-9]+", name: routeStem(p)})
		}
	}
	return out
}

// fromZero tells whether all series of the sites are born with the run.
func fromZero(sites []site) bool {
	return !slices.ContainsFunc(sites, func(st site) bool { return len(ownPrefixes(st)) > 0 })
}

// foldStatistics asks for the route statistics of the fold's own statPrefix: they are Envoy's own, whatever Telemetry
// there is, and count every request under the folded policy until the clean-up.
func (f *finder) foldStatistics(sites []site) metrics.Query {
	var stems []stem
	for i, st := range sites {
		stems = append(stems, stem{side: metrics.New, before: anyHost, name: routeStem(names{f.c.Rev}.foldStat(i))})
		stems = append(stems, f.ownStems(st, metrics.New)...)
	}
	q := queryOf(stems)
	q.FromZero, q.Codes = fromZero(sites), f.codes()
	return q
}

// codes says what the policies themselves refuse. Route statistics have no response flags, so that the code must do. A
// breaker that only ejects refuses nothing.
func (f *finder) codes() metrics.CodeRules {
	out := metrics.DefaultCodes()
	for _, r := range f.rules {
		if ejectsOnly := r.breaker != nil && len(r.breaker.pool) == 0; !ejectsOnly && !r.removesTimeout() {
			w, _ := metrics.WatchOf(r.key.Kind)
			out = out.And(w.Codes)
		}
	}
	return out
}

func queryOf(stems []stem) metrics.Query {
	var names []string
	var rules []metrics.SeriesRule
	for _, s := range stems {
		names = append(names, s.before+s.name)
		// The others' names begin with the counter's, so their rules come first. The total counts attempts.
		rules = append(rules,
			metrics.SeriesRule{NameContains: s.name + "_time", Side: s.side, Class: metrics.ClassDuration},
			metrics.SeriesRule{NameContains: s.name + "_total", Side: s.side, Class: metrics.ClassAttempt},
			metrics.SeriesRule{NameContains: s.name, Side: s.side, Class: metrics.ClassCode})
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return metrics.Query{
		Selector: fmt.Sprintf(`{__name__=~"(%s)(_time_bucket|_total)?",response_code_class=""}`, strings.Join(names, "|")),
		Rules:    rules,
	}
}

// routeStem is the part of a metric's name for a statPrefix.
func routeStem(statPrefix string) string { return "_route_" + flat(statPrefix) + "_upstream_rq" }

// flat is a name as Prometheus gets it from Envoy: everything but letters and digits becomes an underscore.
func flat(s string) string { return regexp.MustCompile("[^a-zA-Z0-9]").ReplaceAllString(s, "_") }

// vhost is the flattened virtual host of a host of a VirtualService, without its port.
func (f *finder) vhost(h string, st site) string {
	switch {
	case strings.HasPrefix(h, "*"):
		return ".+"
	case !strings.Contains(h, "."):
		h += "." + st.base.GetNamespace() + ".svc." + clusterDomain
	}
	return flat(h)
}

// collides refuses a user's statPrefix that another VirtualService uses for a host with the same flattened name: the
// two cannot be told apart. Prefixes of ours are unique to the run and cannot collide.
func (f *finder) collides(st site, prefix string) error {
	mine := map[string]string{}
	for _, h := range texts(field(spec(st.base), "hosts")) {
		mine[f.vhost(h, st)] = h
	}
	for _, vs := range sorted(f.s.ByKind("VirtualService")) {
		other := site{base: vs}
		if vs == st.base || !usesPrefix(vs.Object, prefix) {
			continue
		}
		for _, h := range texts(field(spec(vs), "hosts")) {
			if own, ok := mine[f.vhost(h, other)]; ok && own != h {
				return refusal(codeNameCollision, f.first(), "spec.target",
					fmt.Sprintf("statistics of %s and %s with statPrefix %s have one name", own, h, prefix),
					"give one of them another statPrefix")
			}
		}
	}
	return nil
}

func usesPrefix(vs tree, prefix string) bool {
	return slices.ContainsFunc(trees(field(vs, "spec", "http")), func(e tree) bool {
		return slices.ContainsFunc(matchesOf(e), func(m tree) bool { return flat(text(m["statPrefix"])) == flat(prefix) })
	})
}
