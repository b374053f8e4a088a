package istio_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func ms(n int) *v1alpha1.Duration {
	return &v1alpha1.Duration{Duration: time.Duration(n) * time.Millisecond}
}

// compiled compiles, or ends the example where the change is refused: that it is refused well has its own test.
func compiled(t *rapid.T, w world, c policy.Change, e policy.Exposure) []mesh.Stage {
	out, err := istio.New().Compile(w.snapshot(), c, e)
	var u *policy.UnsupportedError
	if errors.As(err, &u) {
		t.Skip(u.Code)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Stages
}

// wanted is what a request must meet under the policies, said without the compiler: its base route, with the fields of
// every policy whose target it fits.
func wanted(base met, entry node, r asked, ps []policy.Policy) met {
	if !base.Found || !toCart(entry) {
		return base
	}
	for _, p := range ps {
		if !fits(*p.Object.PolicyTarget(), entry, r) {
			continue
		}
		switch o := p.Object.(type) {
		case *v1alpha1.Timeout:
			base.Timeout = ""
			if o.Spec.Request.Duration > 0 {
				base.Timeout = o.Spec.Request.Text()
			}
		case *v1alpha1.Retry:
			want := node{"attempts": int64(o.Spec.Attempts), "perTryTimeout": o.Spec.PerTryTimeout.Text()}
			if v := at(entry, "retries", "retryRemoteLocalities"); v != nil {
				want["retryRemoteLocalities"] = v
			}
			base.Retries = asJSON(want)
		}
	}
	return base
}

func toCart(entry node) bool {
	return slices.ContainsFunc(nodes(entry["route"]), func(d node) bool { return strings.HasPrefix(str(at(d, "destination", "host")), "cart") })
}

func fits(t v1alpha1.Target, entry node, r asked) bool {
	if t.Port != nil && int64(*t.Port) != r.port {
		return false
	}
	return len(t.Routes) == 0 || slices.ContainsFunc(t.Routes, func(ref v1alpha1.RouteRef) bool { return refFits(ref, entry, r) })
}

func refFits(ref v1alpha1.RouteRef, entry node, r asked) bool {
	if ref.Name != "" {
		return ref.Name == str(entry["name"])
	}
	prefix, isPrefix := strings.CutSuffix(ref.Path, "*")
	path := ref.Path == "" || ref.Path == r.path || (isPrefix && strings.HasPrefix(r.path, prefix))
	return path && (ref.Method == "" || ref.Method == r.method)
}

func exposed(d *drawn) policy.Exposure {
	share := rapid.Float64Range(0.001, 1).Draw(d.t, d.label())
	e := policy.Exposure{Mode: policy.Enforce, By: policy.ByRequest, Share: share, Window: policy.NewWindow(d.label(), share)}
	switch d.of("request", "request", "instance", "match", "staged", "all") {
	case "instance":
		e = policy.Exposure{Mode: policy.Enforce, By: policy.ByInstance, Share: share}
	case "match":
		e = policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: "X-Preview", Value: "on"}}}}
	case "staged":
		e.Mode = policy.Staged
	case "all":
		e = everybody()
	}
	return e
}

// inCohort tells whether a request is under the new policy at an exposure.
func inCohort(e policy.Exposure, r asked) bool {
	switch {
	case e.Mode == policy.Staged:
		return false
	case e.By == policy.All:
		return true
	case e.By == policy.ByInstance:
		return r.labels[cohortLabel] == rev
	case e.By == policy.ByMatch:
		return r.headers["x-preview"] == "on"
	}
	return e.Window.Contains(policy.Bucket(r.headers["x-request-id"]))
}

// TestEveryRequestMeetsWhatItShould compares, request by request, what the compiled routes do with what the words of
// the policies say: inside the cohort the policies, outside of it nothing changes at all.
func TestEveryRequestMeetsWhatItShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		vs, ps := d.virtualService(), d.policies()
		e := exposed(d)
		w := world{service(), vs}
		after := w.apply(compiled(t, w, changeOf(ps...), e)).get(vs)
		for range 10 {
			r := d.asked()
			if d.chance(50) {
				r.headers["x-preview"] = "on"
			}
			if r.gateway == "mesh" && d.chance(50) {
				r.labels[cohortLabel] = rev
			}
			want, entry := evaluate(vs, r)
			if inCohort(e, r) {
				want = wanted(want, entry, r, ps)
			}
			if got, _ := evaluate(after, r); got != want {
				t.Fatalf("%s, request %+v:\n got %+v\nwant %+v\nfrom\n%s\nto\n%s", e, r, got, want, asJSON(vs.Object["spec"]), asJSON(after.Object["spec"]))
			}
		}
	})
}

func breakerOf(d *drawn) policy.Policy {
	o := &v1alpha1.CircuitBreaker{Spec: v1alpha1.CircuitBreakerSpec{Target: v1alpha1.Target{Service: "cart"}}}
	n := int32(42)
	o.Spec.MaxConnections = &n
	if d.chance(50) {
		o.Spec.MaxRequests = &n
	}
	if d.chance(50) {
		o.Spec.OutlierDetection = &v1alpha1.OutlierDetection{ConsecutiveErrors: &n}
	}
	if d.chance(40) {
		p := int32(80)
		o.Spec.Target.Port = &p
	}
	return named("CircuitBreaker", o)
}

// limited is a cluster's policy with the breaker's fields, as words.
func limited(cluster string, p policy.Policy, key string) string {
	s := p.Object.(*v1alpha1.CircuitBreaker).Spec
	if s.Target.Port != nil && !strings.HasSuffix(key, "|80") {
		return cluster
	}
	end := strings.LastIndex(cluster, "}{")
	labels := ""
	if end >= 0 && strings.HasSuffix(cluster, `"version":"v1"}`) || strings.HasSuffix(cluster, `"version":"v2"}`) {
		cluster, labels = cluster[:end+1], cluster[end+1:]
	}
	c := fromJSON(cluster)
	set(c, int64(*s.MaxConnections), "connectionPool", "tcp", "maxConnections")
	if s.MaxRequests != nil {
		set(c, int64(*s.MaxRequests), "connectionPool", "http", "http2MaxRequests")
	}
	if s.OutlierDetection != nil {
		set(c, int64(*s.OutlierDetection.ConsecutiveErrors), "outlierDetection", "consecutive5xxErrors")
	}
	return asJSON(c) + labels
}

func set(n node, v any, path ...string) {
	for _, p := range path[:len(path)-1] {
		if n[p] == nil {
			n[p] = node{}
		}
		n = n[p].(node)
	}
	n[path[len(path)-1]] = v
}

// TestClustersGetTheBreakerAndNothingElse compares clusters as Istio merges them: in the split the old ones stay byte
// for byte and the new ones are the old ones with the limits; after the fold all of them have the limits.
func TestClustersGetTheBreakerAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		vs := object("VirtualService", node{"hosts": []any{"cart"}, "http": []any{node{"route": d.route()}}})
		dr, p := d.destinationRule(), breakerOf(d)
		w := world{service(), vs, dr}
		before := clusters(dr, 80, 90)

		split := w.apply(compiled(t, w, changeOf(p), byInstance(policy.Enforce)))
		got := clusters(split.get(dr), 80, 90)
		for key, c := range got {
			of, port, _ := strings.Cut(key, "|")
			old, isNew := strings.CutSuffix(of, "mp-new-"+rev)
			old = strings.TrimSuffix(old, "-") + "|" + port
			want := before[old]
			if isNew {
				want = limited(want, p, key)
			}
			if c != want {
				t.Fatalf("split, cluster %s:\n got %s\nwant %s\nfrom %s", key, c, want, asJSON(dr.Object["spec"]))
			}
		}
		folded := clusters(split.apply(compiled(t, w, changeOf(p), everybody())).get(dr), 80, 90)
		for key, c := range folded {
			if want := limited(before[key], p, key); c != want {
				t.Fatalf("fold, cluster %s:\n got %s\nwant %s\nfrom %s", key, c, want, asJSON(dr.Object["spec"]))
			}
		}
		if len(folded) != len(before) {
			t.Fatalf("%d clusters became %d", len(before), len(folded))
		}
	})
}

// TestGoingBackLeavesNothing goes through any exposures one after the other, stops anywhere within the last, and back.
func TestGoingBackLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		w := world{service()}
		if d.chance(80) {
			w = append(w, d.virtualService())
		}
		ps := d.policies()
		if d.chance(60) {
			ps = append(ps, breakerOf(d))
			if len(w) > 1 || d.chance(50) {
				w = append(w, d.destinationRule())
			}
		}
		c, live := changeOf(ps...), w
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			stages := compiled(t, w, c, exposed(d))
			live = live.apply(stages[:rapid.IntRange(0, len(stages)).Draw(t, "stages")])
		}
		after, conflicts := live.undo(t, w, live, c)
		if diff := cmp.Diff(w.specs(), after.specs()); diff != "" || len(conflicts) > 0 {
			t.Fatalf("-before +after:\n%s\n%v", diff, conflicts)
		}
	})
}

// TestNeutraliseTakesThePolicyOut: one pass, then every request meets the old policy again, and a second pass finds
// nothing to do.
func TestNeutraliseTakesThePolicyOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		vs, ps := d.virtualService(), d.policies()
		e := exposed(d)
		if e.By == policy.All {
			t.Skip("the fold is taken back by Tidy")
		}
		w, c := world{service(), vs}, changeOf(ps...)
		live := w.apply(compiled(t, w, c, e))
		for _, o := range istio.New().Neutralise(live, c) {
			live = live.put(id(o), o)
		}
		if again := istio.New().Neutralise(live, c); len(again) > 0 {
			t.Fatalf("a second pass changes %s", id(again[0]))
		}
		for range 5 {
			r := d.asked()
			r.labels[cohortLabel], r.headers["x-preview"] = rev, "on"
			want, _ := evaluate(vs, r)
			if got, _ := evaluate(live.get(vs), r); got != want {
				t.Fatalf("request %+v meets %+v, want %+v", r, got, want)
			}
		}
	})
}

// TestOthersKeepTheirEdits: going back after somebody edited the live object is the same as the edit on the base.
func TestOthersKeepTheirEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		vs, ps := d.virtualService(), d.policies()
		w, c := world{service(), vs}, changeOf(ps...)
		ours := w.apply(compiled(t, w, c, exposed(d)))
		edit := foreignEdit(d)
		want := w.put(id(vs), edit(vs))
		got, conflicts := ours.put(id(vs), edit(ours.get(vs))).undo(t, w, ours, c)
		if diff := cmp.Diff(want.specs(), got.specs()); diff != "" || len(conflicts) > 0 {
			t.Fatalf("-edited base +edited and taken back:\n%s\n%v\nours %s", diff, conflicts, ours.specs())
		}
	})
}

// foreignEdit is something that somebody else does to a VirtualService meanwhile.
func foreignEdit(d *drawn) func(*unstructured.Unstructured) *unstructured.Unstructured {
	kind := d.of("front", "back", "host", "mirror", "export")
	return func(o *unstructured.Unstructured) *unstructured.Unstructured {
		out := o.DeepCopy()
		s := out.Object["spec"].(node)
		entries, _ := s["http"].([]any)
		added := node{"name": "added", "match": []any{node{"uri": node{"exact": "/new"}}}, "route": []any{node{"destination": node{"host": "new"}}}, "timeout": "9s"}
		switch kind {
		case "front":
			s["http"] = append([]any{added}, entries...)
		case "back":
			s["http"] = append(entries, added)
		case "host":
			s["hosts"] = append(s["hosts"].([]any), "cart.example.org")
		case "export":
			s["exportTo"] = []any{"*"}
		case "mirror":
			for _, e := range nodes(entries) {
				if e["redirect"] != nil {
					e["redirect"] = node{"uri": "/moved"}
				}
			}
		}
		return out
	}
}
