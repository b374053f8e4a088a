package istio_test

import (
	"strings"
	"testing"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

const grpcCart = "{ports: [{name: grpc, port: 80}]}"

// informed is a snapshot with what a metrics source has of the service.
func informed(t *testing.T, base string, has policy.MetricFacts) *policy.Snapshot {
	t.Helper()
	s := objects(t, base).snapshot()
	s.Metrics = map[string]policy.MetricFacts{"cart.shop.svc.cluster.local": has}
	return s
}

// TestSource: which counters are asked for, and where none of them would do.
func TestSource(t *testing.T) {
	grpc := doc("Service", "shop/cart", grpcCart) + cartRoutes
	http := cartService + cartRoutes
	both := doc("Service", "shop/cart", "{ports: [{name: grpc, port: 80}, {name: http, port: 81}]}") + cartRoutes
	standard, tagged := policy.MetricFacts{Standard: true}, policy.MetricFacts{Standard: true, Cohorts: true}
	request, instance, all := byRequest(policy.Enforce, 0.1), byInstance(policy.Enforce), everybody()
	pods := map[string]metrics.Side{}
	for name, c := range map[string]struct {
		base  string
		has   policy.MetricFacts
		e     policy.Exposure
		pods  map[string]metrics.Side
		spec  string
		want  string
		blind bool
	}{
		"http by request":                {base: http, has: tagged, e: request, want: "route"},
		"http by instance":               {base: http, has: standard, e: instance, pods: pods, want: "istio"},
		"http by instance, nothing else": {base: http, e: instance, pods: pods, want: "route"},
		"narrower than the service":      {base: http, has: standard, e: instance, pods: pods, spec: "{target: {service: cart, routes: [{path: /pay}]}, request: 1s}", want: "route"},
		"http folded":                    {base: http, has: tagged, e: all, want: "route"},
		"grpc by request":                {base: grpc, has: standard, e: request, want: "route", blind: true},
		"grpc by request with the tag":   {base: grpc, has: tagged, e: request, want: "istio"},
		"grpc by instance":               {base: grpc, has: standard, e: instance, pods: pods, want: "istio"},
		"grpc by instance, nothing else": {base: grpc, e: instance, pods: pods, want: "route", blind: true},
		"grpc, step 0 for instances":     {base: grpc, has: standard, e: byRequest(policy.Staged, 0.5), pods: pods, want: "route"},
		"grpc, step 0 for requests":      {base: grpc, has: standard, e: byRequest(policy.Staged, 0.5), want: "route", blind: true},
		"grpc folded":                    {base: grpc, has: standard, e: all, want: "istio"},
		"grpc folded, nothing else":      {base: grpc, e: all, want: "route", blind: true},
		"the http port of both":          {base: both, e: request, spec: "{target: {service: cart, port: 81}, request: 1s}", want: "route"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := c.spec
			if spec == "" {
				spec = cartTimeout
			}
			q, err := istio.New().Query(informed(t, c.base, c.has), change(t, pol("Timeout", spec)), c.e, c.pods)
			if err != nil {
				t.Fatal(err)
			}
			got := "route"
			if strings.Contains(q.Selector, "istio_requests_total") {
				got = "istio"
			}
			if got != c.want || (q.Blind != "") != c.blind {
				t.Errorf("%s is asked, blind %q", q.Selector, q.Blind)
			}
		})
	}
}

// sideOfTag is the side of a series of istio_requests_total with a value of the tag.
func sideOfTag(q metrics.Query, tag string) metrics.Side {
	for _, r := range q.Rules {
		if r.Class == metrics.ClassCode && (r.Label == "" || r.Label == "meshpol_cohort" && r.Value == tag) {
			return r.Side
		}
	}
	return "nobody's"
}

func TestTheTagTellsTheSides(t *testing.T) {
	base := doc("Service", "shop/cart", grpcCart) + cartRoutes
	s := informed(t, base, policy.MetricFacts{Standard: true, Cohorts: true})
	narrow := "{target: {service: cart, routes: [{path: /pay}]}, request: 1s}"
	for _, c := range []struct {
		spec string
		mode policy.Mode
		want string
	}{
		{cartTimeout, policy.Enforce, "new old old old old"},
		{cartTimeout, policy.Staged, "old new old old old"},
		{narrow, policy.Enforce, "new nobody's old nobody's nobody's"},
		{narrow, policy.Staged, "nobody's new old nobody's nobody's"},
	} {
		q, err := istio.New().Query(s, change(t, pol("Timeout", c.spec)), byRequest(c.mode, 0.1), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range []string{"new", "half", "old", "none", ""} {
			got = append(got, string(sideOfTag(q, tag)))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s, %v: %v, want %s", c.spec, c.mode, got, c.want)
		}
		if len(q.Codes.Refused) > 0 || len(q.Codes.RefusedFlags) != 1 {
			t.Errorf("%+v: the flags say what the policy refused", q.Codes)
		}
	}
}

func TestPast(t *testing.T) {
	standard := policy.MetricFacts{Standard: true}
	c := change(t, pol("Timeout", cartTimeout))
	q := istio.New().Past(informed(t, cartService+cartRoutes, standard), c)
	if !strings.Contains(q.Requests, `"istio_requests_total",reporter="source",destination_service="cart.shop.svc.cluster.local"`) || !strings.Contains(q.Durations, "milliseconds_bucket") {
		t.Errorf("%+v", q)
	}
	if q = istio.New().Past(informed(t, cartService+cartRoutes, policy.MetricFacts{}), c); q.Requests != "" {
		t.Errorf("a past from nothing: %+v", q)
	}
	narrow := change(t, pol("Timeout", "{target: {service: cart, routes: [{path: /pay}]}, request: 1s}"))
	if q = istio.New().Past(informed(t, cartService+cartRoutes, standard), narrow); q.Requests != "" {
		t.Errorf("the service's past for a part of it: %+v", q)
	}
	if of := istio.New().Standard(c); of.Host != "cart.shop.svc.cluster.local" || of.Tag == "" || of.Selector == "" {
		t.Errorf("%+v", of)
	}
}
