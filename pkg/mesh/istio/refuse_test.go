package istio_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

const (
	cartService = `
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: http-b, port: 90}]}
`
	cartRoutes = `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - name: default
    route: [{destination: {host: cart}}]
`
	cartTimeout = "{target: {service: cart}, request: 1s}"
	cartBreaker = "{target: {service: cart}, maxConnections: 5}"
)

// doc is one more object: kind, namespace/name, spec.
func doc(kind, name, spec string) string {
	ns, n, _ := strings.Cut(name, "/")
	return "\n---\napiVersion: networking.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + n + ", namespace: " + ns + "}\nspec: " + spec + "\n"
}

func pol(kind, spec string) string {
	return "\n---\napiVersion: meshpol.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + strings.ToLower(kind) + ", namespace: shop}\nspec: " + spec + "\n"
}

type refused struct {
	code    string
	objects string
	policy  string
	e       policy.Exposure
	version string
	// words must be in the error.
	words []string
}

func refusedCases() map[string]refused {
	catchAll := "[{route: [{destination: {host: cart}}]}]"
	return map[string]refused{
		"no such service": {code: "MP440", objects: doc("Service", "shop/other", "{}"), words: []string{"shop/cart"}},
		"the host routes elsewhere": {code: "MP441",
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{route: [{destination: {host: cart-v2}}]}]}")},
		"a second VirtualService": {code: "MP442", objects: cartService + cartRoutes + doc("VirtualService", "web/cart", "{hosts: [cart.shop.svc.cluster.local], http: [{route: [{destination: {host: cart.shop.svc.cluster.local}}]}]}"),
			words: []string{"VirtualService shop/cart", "VirtualService web/cart", "merge"}},
		"Flagger owns it": {code: "MP443", objects: cartService + strings.Replace(cartRoutes, "namespace: shop}", "namespace: shop, ownerReferences: [{apiVersion: flagger.app/v1beta1, kind: Canary, name: cart, uid: a}]}", 1),
			words: []string{"Flagger (Canary cart)"}},
		"Argo Rollouts marks the service": {code: "MP443", objects: strings.Replace(cartService, "namespace: shop}", "namespace: shop, annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: cart}}", 1),
			words: []string{"Argo Rollouts"}},
		"Argo Rollouts wrote the rule": {code: "MP443", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + strings.Replace(doc("DestinationRule", "shop/cart", "{host: cart}"), "namespace: shop}", "namespace: shop, managedFields: [{manager: rollouts-controller}]}", 1),
			words: []string{"Argo Rollouts"}},
		"an HTTPRoute on the service": {code: "MP444", objects: cartService + doc("HTTPRoute", "shop/cart", "{parentRefs: [{group: '', kind: Service, name: cart}]}")},
		"a TCP service":               {code: "MP445", objects: strings.NewReplacer("http-b", "tls", "http", "tcp").Replace(cartService)},
		"a TCP VirtualService":        {code: "MP445", objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], tcp: [{route: [{destination: {host: cart}}]}]}")},
		"a wildcard VirtualService":   {code: "MP446", objects: cartService + doc("VirtualService", "shop/all", "{hosts: ['*.shop.svc.cluster.local'], http: [{route: [{destination: {host: proxy}}]}]}")},
		"an entry with two hosts": {code: "MP447", objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{name: mix, route: [{destination: {host: cart}, weight: 90}, {destination: {host: cart-v2}, weight: 10}]}]}"),
			words: []string{"route mix", "cart-v2", "routes: [{name"}},
		"x-request-id is taken":      {code: "MP448", objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{match: [{headers: {x-request-id: {prefix: a}}}], route: [{destination: {host: cart}}]}]}")},
		"x-request-id is taken away": {code: "MP448", objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{match: [{withoutHeaders: {X-Request-ID: {}}}], route: [{destination: {host: cart}}]}]}")},
		"x-request-id is taken by the root": {code: "MP448", objects: cartService +
			doc("VirtualService", "edge/root", "{hosts: [cart.shop.svc.cluster.local], http: [{match: [{headers: {x-request-id: {prefix: a}}}], delegate: {name: cart, namespace: shop}}]}") +
			doc("VirtualService", "shop/cart", "{http: "+catchAll+"}")},
		"no such route": {code: "MP449", objects: cartService + cartRoutes, policy: pol("Timeout", "{target: {service: cart, routes: [{name: nope}]}, request: 1s}")},
		"a rule in a client namespace": {code: "MP450", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "web/cart", "{host: cart.shop.svc.cluster.local}"),
			words: []string{"DestinationRule web/cart"}},
		"a wildcard rule in a client namespace": {code: "MP450", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "web/all", "{host: '*.local'}")},
		"two rules":                             {code: "MP451", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "shop/a", "{host: cart}") + doc("DestinationRule", "shop/b", "{host: cart}")},
		"a rule with a selector":                {code: "MP452", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "shop/a", "{host: cart, workloadSelector: {matchLabels: {app: web}}}")},
		"a rule for few":                        {code: "MP453", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "shop/a", "{host: cart, exportTo: ['.']}")},
		"a delegate whose root ignores case": {code: "MP454", objects: cartService +
			doc("VirtualService", "edge/root", "{hosts: [cart.shop.svc.cluster.local], http: [{match: [{uri: {prefix: /}, ignoreUriCase: true}], delegate: {name: cart, namespace: shop}}]}") +
			doc("VirtualService", "shop/cart", "{http: "+catchAll+"}")},
		"leftovers in a VirtualService":  {code: "MP455", objects: cartService + strings.Replace(cartRoutes, "name: default", "name: mp-new-ffffffff-0-p", 1)},
		"leftovers in a DestinationRule": {code: "MP455", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + cartRoutes + doc("DestinationRule", "shop/a", "{host: cart, subsets: [{name: v1-mp-new-ffffffff}]}")},
		"no such port":                   {code: "MP456", objects: cartService + cartRoutes, policy: pol("Timeout", "{target: {service: cart, port: 8080}, request: 1s}")},
		"a subset that nobody defines": {code: "MP458", policy: pol("CircuitBreaker", cartBreaker), objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{route: [{destination: {host: cart, subset: v9}}]}]}"),
			words: []string{"v9"}},

		"a kind to come":      {code: "MP540", policy: pol("FaultInjection", "{target: {service: cart}, abort: {httpStatus: 503, percentage: 1}, expires: 10m}"), words: []string{"later release"}},
		"a target to come":    {code: "MP541", policy: pol("Timeout", "{target: {host: api.example.org}, request: 1s}"), words: []string{"spec.target.host"}},
		"observing a timeout": {code: "MP542", e: policy.Exposure{Mode: policy.Observe, By: policy.ByRequest}},
		"staging everything":  {code: "MP542", e: policy.Exposure{Mode: policy.Staged, By: policy.All}},
		"an idle timeout":     {code: "MP543", policy: pol("Timeout", "{target: {service: cart}, idle: 1s}"), words: []string{"spec.idle"}},
		"backoff before 1.26": {code: "MP544", policy: pol("Retry", "{target: {service: cart}, attempts: 2, backoff: 50ms}"), version: "1.25.9", words: []string{"spec.backoff"}},
		"a cap of ejections":  {code: "MP545", policy: pol("CircuitBreaker", "{target: {service: cart}, outlierDetection: {consecutiveErrors: 3, maxEjectionTime: 5m}}")},
		"half a percent":      {code: "MP546", policy: pol("CircuitBreaker", "{target: {service: cart}, outlierDetection: {maxEjectionPercent: 12.5}}")},
		"a path and a regex": {code: "MP548", policy: pol("Timeout", "{target: {service: cart, routes: [{path: /a/*}]}, request: 1s}"),
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{name: rx, match: [{uri: {regex: '/[a-z]+'}}], route: [{destination: {host: cart}}]}]}"), words: []string{"route rx", "/[a-z]+"}},
		"a path where case is ignored": {code: "MP548", policy: pol("Timeout", "{target: {service: cart, routes: [{path: /a/*}]}, request: 1s}"),
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{match: [{uri: {prefix: /A}, ignoreUriCase: true}], route: [{destination: {host: cart}}]}]}")},
		"two rewrites": {code: "MP548", policy: pol("Timeout", "{target: {service: cart, routes: [{path: /a/x}, {path: /a/y}]}, request: 1s}"),
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{match: [{uri: {prefix: /a}}], rewrite: {uri: /}, route: [{destination: {host: cart}}]}]}"), words: []string{"one policy per path"}},
		"a port behind a gateway": {code: "MP548", policy: pol("Timeout", "{target: {service: cart, port: 80}, request: 1s}"),
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], gateways: [mesh, gw], http: "+catchAll+"}"), words: []string{"destination.port"}},
		"two ports in one entry": {code: "MP548", policy: pol("Timeout", "{target: {service: cart, port: 80}, request: 1s}"),
			objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{route: [{destination: {host: cart, port: {number: 80}}, weight: 1}, {destination: {host: cart, port: {number: 90}}, weight: 1}]}]}")},
		"overlapping policies": {code: "MP549", objects: cartService + cartRoutes,
			policy: pol("Timeout", "{target: {service: cart, routes: [{path: /a/*}]}, request: 1s}") + pol("Retry", "{target: {service: cart, routes: [{path: /a/b}]}, attempts: 1}")},
		"two timeouts": {code: "MP550", objects: cartService + cartRoutes,
			policy: pol("Timeout", cartTimeout) + strings.Replace(pol("Timeout", cartTimeout), "name: timeout", "name: timeout-2", 1)},
		"two breakers": {code: "MP550", objects: cartService + cartRoutes,
			policy: pol("CircuitBreaker", "{target: {service: cart, port: 80}, maxConnections: 5}") + strings.Replace(pol("CircuitBreaker", "{target: {service: cart, port: 90}, maxConnections: 5}"), "name: circuitbreaker", "name: b-2", 1)},
		"half a millisecond":        {code: "MP552", policy: pol("Retry", "{target: {service: cart}, attempts: 1, perTryTimeout: 1500us}")},
		"a root with a timeout":     {code: "MP553", policy: pol("Timeout", "{target: {service: cart}, request: 0s}"), objects: cartService + doc("VirtualService", "edge/root", "{hosts: [cart.shop.svc.cluster.local], http: [{timeout: 3s, delegate: {name: cart, namespace: shop}}]}") + doc("VirtualService", "shop/cart", "{http: "+catchAll+"}")},
		"gateways by instance":      {code: "MP554", e: byInstance(policy.Enforce), objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], gateways: [mesh, gw], http: [{match: [{gateways: [gw]}], route: [{destination: {host: cart}}]}]}")},
		"a waypoint by instance":    {code: "MP554", e: byInstance(policy.Enforce), objects: strings.Replace(cartService, "namespace: shop}", "namespace: shop, labels: {istio.io/use-waypoint: w}}", 1)},
		"nobody chosen":             {code: "MP555", e: policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch}},
		"a population behind gates": {code: "MP555", e: policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Source: map[string]string{"app": "web"}}}}, objects: cartService + doc("VirtualService", "shop/cart", "{hosts: [cart], gateways: [mesh, gw], http: [{match: [{gateways: [gw]}], route: [{destination: {host: cart}}]}]}")},
	}
}

// TestRefusals compiles what Istio cannot do, or what would do harm, and wants the code, a reason and a way out.
func TestRefusals(t *testing.T) {
	for name, c := range refusedCases() {
		t.Run(name, func(t *testing.T) {
			err := compileRefused(t, c)
			var u *policy.UnsupportedError
			if !errors.As(err, &u) {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if u.Code != c.code || u.Reason == "" || u.Next == "" || !strings.HasPrefix(u.Mesh, "istio 1.") || u.Policy.Name == "" {
				t.Errorf("got %+v, want %s with policy, mesh, reason and next step", u, c.code)
			}
			for _, w := range c.words {
				if !strings.Contains(u.Error()+u.Field, w) {
					t.Errorf("%q does not say %q", u.Error(), w)
				}
			}
		})
	}
}

func compileRefused(t *testing.T, c refused) error {
	if c.policy == "" {
		c.policy = pol("Timeout", cartTimeout)
	}
	if c.objects == "" {
		c.objects = cartService + cartRoutes
	}
	if c.e.By == "" {
		c.e = byRequest(policy.Enforce, 0.1)
	}
	s := objects(t, c.objects).snapshot()
	if c.version != "" {
		s.Mesh.Version = c.version
	}
	_, err := istio.New().Compile(s, change(t, c.policy), c.e)
	return err
}

// TestEveryCodeIsListedOnceAndTried holds the table to its word.
func TestEveryCodeIsListedOnceAndTried(t *testing.T) {
	// Those that Compile never returns as an error: a loader that refuses them first, Query, and notes.
	elsewhere := []string{"MP457", "MP547", "MP551", "MP556"}
	var tried []string
	for _, c := range refusedCases() {
		tried = append(tried, c.code)
	}
	seen := map[string]bool{}
	last := ""
	for _, c := range istio.Codes() {
		if seen[c.Code] || c.Code <= last {
			t.Errorf("%s is there twice or out of order", c.Code)
		}
		if c.Title == "" || !strings.HasSuffix(c.Why, ".") || !strings.HasSuffix(c.Next, ".") {
			t.Errorf("%s is not described: %+v", c.Code, c)
		}
		seen[c.Code], last = true, c.Code
		note := strings.HasPrefix(c.Code, "MP57")
		if !note && !slices.Contains(tried, c.Code) && !slices.Contains(elsewhere, c.Code) {
			t.Errorf("%s (%s) has no case", c.Code, c.Title)
		}
	}
	for _, c := range tried {
		if !seen[c] {
			t.Errorf("%s is not in Codes", c)
		}
	}
}
