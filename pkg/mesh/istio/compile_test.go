package istio_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func compileText(t *testing.T, objs, policies string, e policy.Exposure) mesh.Compiled {
	t.Helper()
	out, err := istio.New().Compile(objects(t, objs).snapshot(), change(t, policies), e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDetect(t *testing.T) {
	if istio.New().Name() != "istio" {
		t.Error(istio.New().Name())
	}
	for name, c := range map[string]struct {
		s    *policy.Snapshot
		want bool
	}{
		"found":         {&policy.Snapshot{Mesh: policy.MeshFacts{Name: "istio"}}, true},
		"linkerd found": {&policy.Snapshot{Mesh: policy.MeshFacts{Name: "linkerd"}, Objects: objects(t, cartRoutes)}, false},
		"its resources": {&policy.Snapshot{Objects: objects(t, cartRoutes)}, true},
		"nothing":       {&policy.Snapshot{Objects: objects(t, cartService)}, false},
	} {
		if got := istio.New().Detect(c.s); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestFieldsAreIstiosOwn says which field of a policy becomes which field of Istio.
func TestFieldsAreIstiosOwn(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		path   []string
		want   string
	}{
		"timeout":        {pol("Timeout", "{target: {service: cart}, request: 90s}"), []string{"timeout"}, `"1m30s"`},
		"retry":          {pol("Retry", "{target: {service: cart}, attempts: 3}"), []string{"retries"}, `{"attempts":3}`},
		"retry, all":     {pol("Retry", "{target: {service: cart}, attempts: 3, perTryTimeout: 250ms, on: [5xx, reset], backoff: 50ms}"), []string{"retries"}, `{"attempts":3,"backoff":"50ms","perTryTimeout":"250ms","retryOn":"5xx,reset"}`},
		"retry, off":     {pol("Retry", "{target: {service: cart}, attempts: 0}"), []string{"retries"}, `{"attempts":0}`},
		"no change of a": {pol("Timeout", "{target: {service: cart}, request: 1s}"), []string{"retries"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := compileText(t, cartService+cartRoutes, c.policy, everybody())
			last := out.Stages[len(out.Stages)-1].Object
			if got := asJSON(at(entryOf(last, 0), c.path...)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	out := compileText(t, cartService+cartRoutes, pol("CircuitBreaker", `{target: {service: cart}, maxConnections: 1, maxPendingRequests: 2, maxRequests: 3,
  maxRequestsPerConnection: 4, maxRetries: 5, outlierDetection: {consecutiveErrors: 6, interval: 7s, baseEjectionTime: 8s, maxEjectionPercent: 9}}`), everybody())
	want := `{"connectionPool":{"http":{"http1MaxPendingRequests":2,"http2MaxRequests":3,"maxRequestsPerConnection":4,"maxRetries":5},"tcp":{"maxConnections":1}},` +
		`"outlierDetection":{"baseEjectionTime":"8s","consecutive5xxErrors":6,"interval":"7s","maxEjectionPercent":9}}`
	if got := asJSON(at(out.Stages[len(out.Stages)-1].Object.Object, "spec", "trafficPolicy")); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestNotes(t *testing.T) {
	grpc := strings.Replace(cartService, "http-b", "grpc", 1)
	for name, c := range map[string]struct {
		objects, policy string
		e               policy.Exposure
		want            []string
	}{
		"nothing to say": {cartService + cartRoutes, pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.1), nil},
		"a pool by request": {cartService + cartRoutes, pol("CircuitBreaker", cartBreaker), byRequest(policy.Enforce, 0.1),
			[]string{"MP570"}},
		"ejections by request":   {cartService + cartRoutes, pol("CircuitBreaker", "{target: {service: cart}, outlierDetection: {consecutiveErrors: 5}}"), byRequest(policy.Enforce, 0.1), nil},
		"a pool for all":         {cartService + cartRoutes, pol("CircuitBreaker", cartBreaker), byRequest(policy.Enforce, 1), nil},
		"a pool by instance":     {cartService + cartRoutes, pol("CircuitBreaker", cartBreaker), byInstance(policy.Enforce), nil},
		"gRPC":                   {grpc + cartRoutes, pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.1), []string{"MP574"}},
		"gRPC, folded":           {grpc + cartRoutes, pol("Timeout", cartTimeout), everybody(), nil},
		"an HTTPRoute elsewhere": {cartService + cartRoutes + doc("HTTPRoute", "shop/in", "{parentRefs: [{name: gw}], rules: [{backendRefs: [{name: cart, port: 80}]}]}"), pol("Timeout", cartTimeout), everybody(), []string{"MP572"}},
		"an HTTPRoute of others": {cartService + cartRoutes + doc("HTTPRoute", "shop/in", "{parentRefs: [{kind: Service, name: cart, namespace: other}], rules: [{backendRefs: [{name: stock}]}]}"), pol("Timeout", cartTimeout), everybody(), nil},
		"a filter by name": {cartService + cartRoutes + doc("EnvoyFilter", "shop/f", "{configPatches: [{match: {routeConfiguration: {vhost: {route: {name: default}}}}}, {match: {routeConfiguration: {vhost: {route: {name: x}}}}}]}"), pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.1),
			[]string{"MP576"}},
		"hidden from some": {cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], exportTo: ['.'], http: [{route: [{destination: {host: cart}}]}]}"), pol("Timeout", cartTimeout), everybody(), []string{"MP572"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range compileText(t, c.objects, c.policy, c.e).Notes {
				code, words, _ := strings.Cut(n, ": ")
				if words == "" {
					t.Errorf("%q says nothing", n)
				}
				got = append(got, code)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestAClientsPrivateOverlayIsNotTheOwners: a VirtualService that one client namespace keeps for itself leaves all
// other clients on the default route, so they get one of their own.
func TestAClientsPrivateOverlay(t *testing.T) {
	overlay := doc("VirtualService", "web/cart", "{hosts: [cart.shop.svc.cluster.local], exportTo: ['.'], http: [{route: [{destination: {host: cart.shop.svc.cluster.local}}]}]}")
	out := compileText(t, cartService+overlay, pol("Timeout", cartTimeout), byRequest(policy.Enforce, 0.5))
	var got []string
	for _, s := range out.Stages {
		got = append(got, verb(s)+" "+id(s.Object))
	}
	if d := cmp.Diff([]string{"create VirtualService shop/cart", "update VirtualService web/cart"}, sortedCopy(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func sortedCopy(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

// TestDelegateByInstance: Istio copies the gateways of the root's match into the delegate's, and ignores sourceLabels
// beside gateways. A clone there would take all traffic, so there must be none.
func TestDelegateByInstance(t *testing.T) {
	root := func(match string) string {
		return doc("VirtualService", "edge/root", "{hosts: [cart.shop.svc.cluster.local], gateways: [mesh, gw], http: [{"+match+"delegate: {name: cart, namespace: shop}}]}")
	}
	delegate := doc("VirtualService", "shop/cart", "{http: [{route: [{destination: {host: cart}}]}]}")
	_, err := istio.New().Compile(objects(t, cartService+root("match: [{gateways: [mesh], uri: {prefix: /}}], ")+delegate).snapshot(),
		change(t, pol("Timeout", cartTimeout)), byInstance(policy.Enforce))
	if err == nil || !strings.Contains(err.Error(), "MP554") {
		t.Errorf("got %v, want MP554", err)
	}
	out := compileText(t, cartService+root("match: [{uri: {prefix: /}}], ")+delegate, pol("Timeout", cartTimeout), byInstance(policy.Enforce))
	if len(out.Stages) != 1 || len(nodes(at(out.Stages[0].Object.Object, "spec", "http"))) != 2 {
		t.Errorf("a delegate whose root lists no gateways is split: got %+v", out.Stages)
	}
}

// TestNoCloneEverListsGatewaysBesideSourceLabels is the rule that keeps a split by instance from taking all traffic.
func TestNoCloneEverListsGatewaysBesideSourceLabels(t *testing.T) {
	for _, c := range goldenCases(t) {
		out, err := istio.New().Compile(c.base.snapshot(), c.change, byInstance(policy.Enforce))
		if err != nil {
			continue
		}
		for _, s := range out.Stages {
			for _, e := range nodes(at(s.Object.Object, "spec", "http")) {
				for _, m := range nodes(e["match"]) {
					if at(m, "sourceLabels", cohortLabel) != nil && m["gateways"] != nil {
						t.Errorf("%s: %s lists gateways", c.name, str(e["name"]))
					}
				}
			}
		}
	}
}

func TestByMatch(t *testing.T) {
	e := policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{
		{Header: &v1alpha1.NameValue{Name: "X-Preview"}},
		{Cookie: &v1alpha1.NameValue{Name: "group", Value: "b"}},
		{Source: map[string]string{"app": "web"}},
	}}
	out := compileText(t, cartService+cartRoutes, pol("Timeout", cartTimeout), e)
	clone := entryOf(out.Stages[0].Object, 0)
	want := `[{"headers":{"x-preview":{}},"statPrefix":"mp-1a2b3c4d-new"},{"headers":{"cookie":{"regex":"(.*; *)?group=b(;.*)?"}},"statPrefix":"mp-1a2b3c4d-new"},` +
		`{"sourceLabels":{"app":"web"},"statPrefix":"mp-1a2b3c4d-new"}]`
	if got := asJSON(clone["match"]); got != want || str(clone["timeout"]) != "1s" {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if out.Labels != nil {
		t.Error("no pod is labelled for a chosen population")
	}
}

// TestSwitched: at the full window there is no condition left, so that requests without a usable id are switched too.
func TestSwitched(t *testing.T) {
	out := compileText(t, cartService+cartRoutes, pol("Timeout", cartTimeout), byRequest(policy.Enforce, 1))
	if got := asJSON(entryOf(out.Stages[0].Object, 0)["match"]); got != `[{"statPrefix":"mp-1a2b3c4d-new"}]` {
		t.Errorf("got %s", got)
	}
	none := compileText(t, cartService+cartRoutes, pol("Timeout", cartTimeout), policy.Exposure{Mode: policy.Enforce, By: policy.ByRequest, Window: policy.Window{Start: 5}})
	entries := nodes(at(none.Stages[0].Object.Object, "spec", "http"))
	if len(entries) != 1 || str(entries[0]["name"]) != "default" {
		t.Errorf("an empty window has a clone: %v", entries)
	}
	want := []mesh.Marker{{Scope: "routes", Text: "mp-1a2b3c4d-old"}, {Scope: "routes", Text: "mp-new-1a2b3c4d-0-", Absent: true}}
	if d := cmp.Diff(want, none.Stages[0].Markers); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestMarkersAreNotMetBefore: what proves a write must not hold before it, whatever came before: the base, or any other
// exposure. Writes that change nothing but labelled pods' routes are the exception: their own markers say so.
func TestMarkersAreNotMetBefore(t *testing.T) {
	steps := map[string]policy.Exposure{
		"staged": byRequest(policy.Staged, 0.5), "1 %": byRequest(policy.Enforce, 0.01), "50 %": byRequest(policy.Enforce, 0.5),
		"100 %": byRequest(policy.Enforce, 1), "fold": everybody(),
	}
	for _, c := range goldenCases(t) {
		for from, before := range steps {
			for to, after := range steps {
				if from != to && to != "fold" {
					c.provesItself(t, from+" to "+to, before, after)
				}
			}
		}
		for to, after := range steps {
			c.provesItself(t, "base to "+to, policy.Exposure{}, after)
		}
	}
}

func (c goldenCase) provesItself(t *testing.T, way string, before, after policy.Exposure) {
	t.Helper()
	live := c.base
	if before.By != "" {
		out, err := istio.New().Compile(c.base.snapshot(), c.change, before)
		if err != nil {
			return
		}
		live = live.apply(out.Stages)
	}
	out, err := istio.New().Compile(c.base.snapshot(), c.change, after)
	if err != nil {
		return
	}
	for _, s := range out.Stages {
		was := live.get(s.Object)
		live = live.apply([]mesh.Stage{s})
		if (was == nil && s.Delete) || (was != nil && !s.Delete && asJSON(was.Object["spec"]) == asJSON(s.Object.Object["spec"])) {
			continue
		}
		if was != nil && holds(was.Object, s.Markers) {
			t.Errorf("%s, %s: %s is proved before it is written: %v", c.name, way, id(s.Object), s.Markers)
		}
		if !s.Delete && !holds(s.Object.Object, s.Markers) {
			t.Errorf("%s, %s: %s is never proved: %v", c.name, way, id(s.Object), s.Markers)
		}
	}
}

// holds looks for markers in an object, as they are looked for in what Istio makes of it. Cluster names end in a bar.
func holds(o any, markers []mesh.Marker) bool {
	dump := strings.NewReplacer(`"`, "|").Replace(asJSON(o))
	for _, m := range markers {
		if strings.Contains(dump, m.Text) == m.Absent {
			return false
		}
	}
	return true
}
