package istio_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

func query(t *testing.T, base, policies string, e policy.Exposure) metrics.Query {
	t.Helper()
	q, err := istio.New().Query(objects(t, base).snapshot(), change(t, policies), e, map[string]metrics.Side{"shop/a": metrics.New})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// sideOf is what a source would make of a series: Prometheus matches the whole name, then the rules count.
func sideOf(q metrics.Query, name string) string {
	pattern := regexp.MustCompile(`__name__=~"([^"]*)"`).FindStringSubmatch(q.Selector)
	if !regexp.MustCompile("^(?:" + pattern[1] + ")$").MatchString(name) {
		return "not asked for"
	}
	for _, r := range q.Rules {
		if strings.Contains(name, r.NameContains) {
			return string(r.Side) + " " + string(r.Class)
		}
	}
	return "no rule"
}

func TestQueryByRequest(t *testing.T) {
	q := query(t, cartService+cartRoutes, pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.1))
	const vhost = "envoy_vhost_cart_shop_svc_cluster_local_80_route_"
	for name, want := range map[string]string{
		vhost + "mp_1a2b3c4d_new_upstream_rq":                                 "new code",
		vhost + "mp_1a2b3c4d_old_upstream_rq":                                 "old code",
		vhost + "mp_1a2b3c4d_new_upstream_rq_time_bucket":                     "new duration",
		vhost + "mp_1a2b3c4d_old_upstream_rq_time_bucket":                     "old duration",
		"envoy_vhost_shop_example_org_443_route_mp_1a2b3c4d_old_upstream_rq":  "old code",
		vhost + "mp_1a2b3c4d_new_upstream_rq_total":                           "new attempt",
		vhost + "mp_1a2b3c4d_new_upstream_rq_completed":                       "not asked for",
		vhost + "mp_1a2b3c4d_new_upstream_rq_xx":                              "not asked for",
		vhost + "mp_1a2b3c4d_new_upstream_rq_timeout":                         "not asked for",
		vhost + "mp_1a2b3c4d_new_upstream_rq_retry":                           "not asked for",
		vhost + "mp_1a2b3c4d_new_upstream_rq_time_sum":                        "not asked for",
		vhost + "mp_ffffffff_new_upstream_rq":                                 "not asked for",
		vhost + "mp_1a2b3c4d_fold_00_upstream_rq":                             "not asked for",
		"envoy_cluster_mp_1a2b3c4d_new_upstream_rq":                           "not asked for",
		vhost + "mp_1a2b3c4d_1_old_upstream_rq":                               "not asked for",
		"xenvoy_vhost_a_route_mp_1a2b3c4d_new_upstream_rq":                    "not asked for",
		"envoy_vhost_a_route_x_route_mp_1a2b3c4d_new_upstream_rq_time_bucket": "new duration",
	} {
		if got := sideOf(q, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !q.FromZero || q.Instances != nil {
		t.Errorf("got %+v: every series is born with the run and names its side", q)
	}
	if d := cmp.Diff(metrics.CodeRules{Bad: []string{"5xx", "0"}, BadGRPC: metrics.DefaultCodes().BadGRPC, Refused: []string{"504"}, RefusedFlags: []string{"UT"}}, q.Codes); d != "" {
		t.Error(d)
	}
}

func TestQueryByInstance(t *testing.T) {
	q := query(t, cartService+cartRoutes, pol("CircuitBreaker", cartBreaker), byInstance(policy.Enforce))
	if q.Instances["shop/a"] != metrics.New {
		t.Error("the pods' sides are not passed on")
	}
	if d := cmp.Diff([]string{"503"}, q.Codes.Refused); d != "" {
		t.Error(d)
	}
}

func TestQueryOfTheFold(t *testing.T) {
	s := objects(t, cartService+cartRoutes).snapshot()
	c := change(t, pol("Timeout", cartTimeout))
	q, err := istio.New().Query(s, c, everybody(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := sideOf(q, "envoy_vhost_cart_shop_svc_cluster_local_80_route_mp_1a2b3c4d_fold_00_upstream_rq"); got != "new code" {
		t.Errorf("the fold's statPrefix is %s", got)
	}
	s.Mesh.Version = "1.22.8"
	if q, err = istio.New().Query(s, c, everybody(), nil); err != nil {
		t.Fatal(err)
	}
	if got := sideOf(q, "istio_requests_total"); got != "new code" || !strings.Contains(q.Selector, `destination_service="cart.shop.svc.cluster.local"`) {
		t.Errorf("before 1.23 the standard metrics are %s by %s", got, q.Selector)
	}
	_, err = istio.New().Query(s, c, byRequest(policy.Enforce, 0.1), nil)
	var u *policy.UnsupportedError
	if !errors.As(err, &u) || u.Code != "MP551" {
		t.Errorf("got %v, want MP551", err)
	}
}

// TestQueryReadsTheUsersOwnPrefix: an original keeps its statPrefix, so the old side is counted under it, for the hosts
// of its VirtualService only.
func TestQueryReadsTheUsersOwnPrefix(t *testing.T) {
	const own = "{hosts: [cart, cart.example.org], http: [{match: [{statPrefix: cart-pay}], route: [{destination: {host: cart}}]}]}"
	q := query(t, cartService+doc("VirtualService", "shop/cart", own), pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.1))
	for name, want := range map[string]string{
		"envoy_vhost_cart_shop_svc_cluster_local_80_route_cart_pay_upstream_rq":        "old code",
		"envoy_vhost_cart_example_org_80_route_cart_pay_upstream_rq_time_bucket":       "old duration",
		"envoy_vhost_stock_shop_svc_cluster_local_80_route_cart_pay_upstream_rq":       "not asked for",
		"envoy_vhost_cart_shop_svc_cluster_local_80_route_mp_1a2b3c4d_new_upstream_rq": "new code",
	} {
		if got := sideOf(q, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if q.FromZero {
		t.Error("the user's own series are older than the run")
	}
}

// TestQueryRefusesOneNameForTwo: once flattened, cart-a.b and cart.a-b are one virtual host. That matters only where the
// statPrefix is the user's.
func TestQueryRefusesOneNameForTwo(t *testing.T) {
	vs := func(name, host, match string) string {
		return doc("VirtualService", "shop/"+name, "{hosts: [cart.shop.svc.cluster.local, "+host+"], http: [{match: [{"+match+"}], route: [{destination: {host: "+name+"}}]}]}")
	}
	other := func(match string) string {
		return doc("VirtualService", "shop/x", "{hosts: [cart.a-b.org], http: [{match: [{"+match+"}], route: [{destination: {host: x}}]}]}")
	}
	c := change(t, pol("Timeout", cartTimeout))
	ask := func(base string) error {
		_, err := istio.New().Query(objects(t, base).snapshot(), c, byRequest(policy.Enforce, 0.1), nil)
		return err
	}
	var u *policy.UnsupportedError
	if err := ask(cartService + vs("cart", "cart-a.b.org", "statPrefix: pay") + other("statPrefix: pay")); !errors.As(err, &u) || u.Code != "MP457" {
		t.Errorf("got %v, want MP457", err)
	}
	if err := ask(cartService + vs("cart", "cart-a.b.org", "uri: {prefix: /}") + other("statPrefix: pay")); err != nil {
		t.Errorf("got %v: prefixes of ours cannot collide", err)
	}
}

// TestStep0CountsForItself: a request that began in step 0, under the old policy, and ends in the next step must not be
// counted for the new policy there.
func TestStep0CountsForItself(t *testing.T) {
	base, c := cartService+cartRoutes, pol("Timeout", cartTimeout)
	const staged, enforced = "envoy_vhost_cart_shop_svc_cluster_local_80_route_mp_1a2b3c4d_half_upstream_rq", "envoy_vhost_cart_shop_svc_cluster_local_80_route_mp_1a2b3c4d_new_upstream_rq"
	for _, e := range []policy.Exposure{byRequest(policy.Staged, 0.5), byRequest(policy.Enforce, 0.01)} {
		isStaged := e.Mode == policy.Staged
		q := query(t, base, c, e)
		if a, b := sideOf(q, staged) == "new code", sideOf(q, enforced) == "new code"; a != isStaged || b == isStaged {
			t.Errorf("%s: its own series %t, those of the new policy %t", e, a, b)
		}
		text := asJSON(compileText(t, base, c, e).Stages[0].Object.Object)
		if strings.Contains(text, "mp-1a2b3c4d-half") != isStaged || strings.Contains(text, "mp-1a2b3c4d-new") == isStaged {
			t.Errorf("%s: %s", e, text)
		}
	}
}
