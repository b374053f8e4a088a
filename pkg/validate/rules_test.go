package validate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/validate"
)

const (
	direct = "{strategy: {direct: {}}}"
	cart   = "target: {service: cart}"
)

// ruleCase is one firing and one clean case of a code.
type ruleCase struct {
	fires string
	// live and cleanLive are the clusters; nil = offline. mesh is the fake with no error unless it is set.
	live, cleanLive *policy.Snapshot
	mesh            validate.Mesh
	want            []string
	clean           string
}

// offlineCases need files only.
func offlineCases() map[string]ruleCase {
	retry := func(spec string) string { return doc("Retry", "r", "{"+cart+", "+spec+"}") }
	timeout := func(spec string) string { return doc("Timeout", "t", "{"+cart+", "+spec+"}") }
	breaker := func(spec string) string { return doc("CircuitBreaker", "b", "{"+cart+", "+spec+"}") }
	shift := func(backends string) string { return doc("TrafficShift", "s", "{"+cart+", backends: "+backends+"}") }
	rollout := func(spec string) string { return doc("Rollout", "x", spec) }
	return map[string]ruleCase{
		"MP201": {fires: retry("attempts: 1, perTryTimeout: 0s"), clean: retry("attempts: 1, perTryTimeout: 1s"), want: []string{
			"-:4 MP201 error spec.perTryTimeout: perTryTimeout is 0s: a try could take no time at all; remove it to let a try take as long as the request, or write a time such as 250ms"}},
		"MP202": {fires: retry("attempts: 11"), clean: retry("attempts: 10"), want: []string{
			"-:4 MP202 warning spec.attempts: 11 attempts turn one failing request into 12; write 2 or 3: what fails three times in a row mostly fails on"}},
		"MP203": {fires: rollout("{strategy: {canary: {stepWeights: [5, 25, 25]}}}"), clean: rollout("{strategy: {canary: {steps: [{setWeight: 5}, {pause: {}}, {setWeight: 25}]}}}"), want: []string{
			"-:4 MP203 error spec.strategy.canary.stepWeights[2]: the weight 25 is not above the one before it; write growing weights such as 1, 5, 25, 50"}},
		"MP204": {fires: rollout("{strategy: {ab: {match: [{source: {app: web}}]}}}"), clean: rollout(direct), want: []string{
			"-:4 MP204 error spec.strategy.ab: the strategy ab comes in a later release; use canary or direct"}},
		"MP205": {fires: doc("Retry", "r", "{target: {service: cart, routes: [{path: /pay, method: POST}]}, attempts: 1, on: [connect-failure, 503]}"),
			clean: doc("Retry", "r", "{target: {service: cart, routes: [{path: /pay, method: POST}]}, attempts: 1, on: [connect-failure, refused-stream]}"), want: []string{
				"-:4 MP205 warning spec.target.routes[0].method: POST is repeated after 503, when it may have been carried out already; retry only on connect-failure, refused-stream and reset-before-request, or make the call idempotent"}},
		"MP206": {fires: timeout("request: 0s"), clean: timeout("request: 1ms"), want: []string{
			"-:4 MP206 warning spec.request: request is 0s: requests may take for ever; write the longest time a caller waits, or keep it on purpose"}},
		"MP207": {fires: rollout("{strategy: {canary: {steps: [{setWeight: 1}, {setWeight: 10}]}}}"), clean: rollout("{strategy: {canary: {steps: [{setWeight: 1}, {setWeight: 25}, {setWeight: 100}]}}}"), want: []string{
			"-:4 MP207 warning spec.strategy.canary.steps[1].setWeight: the last step before the bake has 10 %: below 25 % a bound takes long to show; add a step of 25 to 50 %"}},
		"MP208": {fires: docs(breaker("maxRequests: 5"), rollout("{strategy: {canary: {by: request}}}")), clean: docs(breaker("maxRequests: 5"), rollout("{strategy: {canary: {}}}")), want: []string{
			"-:9 MP208 warning spec.strategy.canary.by: CircuitBreaker/shop/b has limits that are absolute per proxy: a share of the requests proves nothing about them; write by: instance, or leave by out"}},
		"MP209": {fires: docs(timeout("request: 1s"), rollout("{policies: [{kind: Timeout, name: t}, {kind: Retry, name: r}], strategy: {direct: {}}}")),
			clean: docs(timeout("request: 1s"), rollout("{policies: [{kind: Timeout, name: t}], strategy: {direct: {}}}")), want: []string{
				"-:9 MP209 error spec.policies[1]: Retry/shop/r is in none of the files; add its file with -f, or remove it from the list"}},
		"MP210": {fires: docs(timeout("request: 1s"), retry("attempts: 1"), rollout("{policies: [{kind: Timeout, name: t}], strategy: {direct: {}}}")),
			clean: docs(timeout("request: 1s"), retry("attempts: 1"), rollout(direct)), want: []string{
				"-:8 MP210 warning metadata.name: no Rollout of the files names the policy: it would not be rolled out; add it to a Rollout's policies"}},
		"MP211": {fires: docs(timeout("request: 1s"), rollout(direct), doc("Rollout", "y", direct)), clean: docs(timeout("request: 1s"), rollout(direct)), want: []string{
			"-:14 MP211 error spec.policies: Timeout/shop/t is rolled out by x too (-:9); name every policy in one Rollout only"}},
		"MP212": {fires: shift("[{service: a, weight: 0}]"), clean: shift("[{service: a, weight: 1}]"), want: []string{
			"-:4 MP212 error spec.backends: all weights are 0: no request would be answered; give one backend a weight"}},
		"MP213": {fires: shift("[{labels: {v: a}, weight: 1}, {labels: {v: a}, weight: 2}]"), clean: shift("[{labels: {v: a}, weight: 1}, {labels: {v: b}, weight: 2}]"), want: []string{
			"-:4 MP213 error spec.backends[1]: the backend is the same as backends[0]; add their weights into one"}},
		"MP214": {fires: breaker("outlierDetection: {maxEjectionPercent: 100}"), clean: breaker("outlierDetection: {maxEjectionPercent: 50}"), want: []string{
			"-:4 MP214 warning spec.outlierDetection.maxEjectionPercent: all endpoints may be ejected at once; write 50 or less: a fault of all endpoints is not cured by sending nowhere"}},
		"MP215": {fires: breaker("outlierDetection: {maxEjectionPercent: 0}"), clean: breaker("outlierDetection: {}"), want: []string{
			"-:4 MP215 warning spec.outlierDetection.maxEjectionPercent: no endpoint may ever be ejected; write a share such as 50, or remove outlierDetection"}},
		"MP216": {fires: doc("Authorization", "a", "{"+cart+", action: allow}"), clean: doc("Authorization", "a", "{"+cart+", action: allow, rules: [{from: [{namespaces: [shop]}]}]}"), want: []string{
			"-:4 MP216 warning spec.action: allow without rules denies every request to the target; add a rule for each caller, or keep it on purpose"}},
		"MP217": {fires: doc("Authorization", "a", "{"+cart+", action: deny}"), clean: doc("Authorization", "a", "{"+cart+", action: deny, rules: [{to: [{paths: [/admin/*]}]}]}"), want: []string{
			"-:4 MP217 warning spec.action: deny without rules denies nothing; add a rule, or remove the policy"}},
		"MP218": {fires: rollout("{strategy: {direct: {}}, analysis: {slo: {successRate: 100}}}"), clean: rollout("{strategy: {direct: {}}, analysis: {slo: {successRate: 99.9}}}"), want: []string{
			"-:4 MP218 warning spec.analysis.slo.successRate: 100 % leaves no room for a single error: no bound can ever be shown; write what the service promises, such as 99.9"}},
		"MP219": {fires: rollout("{strategy: {canary: {steps: [{setWeight: 50, max: 20s}]}}, bake: 10s, analysis: {tick: 30s}}"), clean: rollout("{strategy: {canary: {steps: [{setWeight: 50, max: 20s}]}}, bake: 15s}"), want: []string{
			"-:4 MP219 warning spec.bake: 10s is shorter than a tick (30s): nothing is judged in it; write at least a tick, better several",
			"-:4 MP219 warning spec.strategy.canary.steps[0].max: 20s is shorter than a tick (30s): nothing is judged in it; write at least a tick, better several"}},
		"MP223": {fires: rollout("{strategy: {canary: {}}, analysis: {onNoData: promote}}"), clean: rollout("{strategy: {canary: {}}, analysis: {onNoData: rollback}}"), want: []string{
			"-:4 MP223 warning spec.analysis.onNoData: a policy under which nothing is counted any more goes on to 100 %; write wait, pause or rollback"}},
		"MP224": {fires: rollout("{strategy: {canary: {}}, analysis: {allow: {refused: 20}}}"), clean: rollout("{strategy: {canary: {}}, analysis: {allow: {refused: 0.5}}}"), want: []string{
			"-:4 MP224 warning spec.analysis.allow.refused: more than 5 % of the requests may be refused without that being harm; write what the policy refuses by design"}},
		"MP220": {fires: rollout("{strategy: {canary: {steps: [{setWeight: 50}, {pause: {duration: 1h}}]}}, deadline: 30m}"), clean: rollout("{strategy: {canary: {}}, deadline: 30m}"), want: []string{
			"-:4 MP220 error spec.deadline: the steps take 1h10m at least, longer than the deadline of 30m: the rollout would be taken back on the way; write a longer deadline or shorter steps"}},
		"MP221": {fires: doc("FaultInjection", "f", "{"+cart+", expires: 1m, abort: {httpStatus: 503, percentage: 51}, delay: {duration: 1s, percentage: 60}}"),
			clean: doc("FaultInjection", "f", "{"+cart+", expires: 1m, abort: {httpStatus: 503, percentage: 50}, delay: {duration: 1s, percentage: 5}}"), want: []string{
				"-:4 MP221 warning spec.abort.percentage: 51 % of the requests are answered with an error; begin with a few percent",
				"-:4 MP221 warning spec.delay.percentage: 60 % of the requests wait 1s; begin with a few percent"}},
		"MP225": {fires: docs(timeout("request: 250us"), doc("Retry", "r", "{target: {service: web}, attempts: 1, perTryTimeout: 1500us, backoff: 25500us}")),
			clean: docs(timeout("request: 0s"), retry("attempts: 1, perTryTimeout: 250ms, backoff: 25ms")), want: []string{
				"-:4 MP225 error spec.request: 250µs is no whole number of milliseconds: proxies count in them; write 1ms, or a longer time; us is a millionth of a second",
				"-:9 MP225 error spec.backoff: 25.5ms is no whole number of milliseconds: proxies count in them; write 26ms, or a longer time; us is a millionth of a second",
				"-:9 MP225 error spec.perTryTimeout: 1.5ms is no whole number of milliseconds: proxies count in them; write 2ms, or a longer time; us is a millionth of a second"}},
		"MP226": {fires: timeout("request: 1ms"), clean: timeout("request: 5ms"), want: []string{
			"-:4 MP226 warning spec.request: 1ms is hardly longer than the way through two proxies: most requests would be cut off; write a time above the latency of the target"}},
		"MP301": {fires: docs(retry("attempts: 3, perTryTimeout: 500ms, backoff: 100ms"), timeout("request: 2s")), clean: docs(retry("attempts: 3, perTryTimeout: 425ms, backoff: 100ms"), timeout("request: 2s")), want: []string{
			"-:4 MP301 warning spec.perTryTimeout: 4 tries of 500ms and 3 pauses of 100ms take 2.3s, longer than the timeout of 2s (Timeout/shop/t, -:9): the last ones never happen; " +
				"write a perTryTimeout of at most 425ms, fewer attempts, or a timeout of at least 2.3s"}},
		"MP302": {fires: docs(retry("attempts: 1, perTryTimeout: 2s"), timeout("request: 2s")), clean: docs(retry("attempts: 1, perTryTimeout: 1s"), timeout("request: 2s")), want: []string{
			"-:4 MP302 error spec.perTryTimeout: one try may take 2s, as long as the whole request (2s, Timeout/shop/t, -:9): a try that hangs is never repeated; write a perTryTimeout of at most 1s"}},
		"MP303": {fires: docs(timeout("request: 1s"), doc("Timeout", "u", "{target: {service: cart, routes: [{path: /api/*}]}, request: 2s}")),
			clean: docs(doc("Timeout", "t", "{target: {service: cart, routes: [{path: /web/*}]}, request: 1s}"), doc("Timeout", "u", "{target: {service: cart, routes: [{path: /api/*}]}, request: 2s}")), want: []string{
				"-:9 MP303 error spec.target: Timeout/shop/t (-:4) already holds for requests of service shop/cart; merge the two, or narrow them to routes that have no request in common"}},
		"MP304": {fires: docs(retry("attempts: 2, on: [5xx, 429]"), doc("RateLimit", "l", "{"+cart+", limit: {requests: 5, per: 1s}}")), clean: docs(retry("attempts: 2, on: [5xx]"), doc("RateLimit", "l", "{"+cart+", limit: {requests: 5, per: 1s}}")), want: []string{
			"-:4 MP304 warning spec.on[1]: what RateLimit/shop/l (-:9) refuses is sent up to 3 times: retries multiply the load that the limit is to shed; remove 429"}},
		"MP305": {fires: docs(doc("MutualTLS", "client", "{"+cart+", client: {mode: simple}}"), doc("MutualTLS", "server", "{"+cart+", mode: strict}")),
			clean: docs(doc("MutualTLS", "client", "{"+cart+", client: {mode: istio-mutual}}"), doc("MutualTLS", "server", "{"+cart+", mode: strict}")), want: []string{
				"-:4 MP305 error spec.client.mode: clients use simple while the servers accept mutual TLS of the mesh only (MutualTLS/shop/server, -:9): every call would fail; write istio-mutual, or make the servers permissive"}},
		"MP306": {fires: docs(doc("FaultInjection", "f", "{"+cart+", expires: 1m, delay: {duration: 1s, percentage: 5}}"), timeout("request: 1s")),
			clean: docs(doc("FaultInjection", "f", "{target: {service: user-service}, expires: 1m, delay: {duration: 1s, percentage: 5}}"), timeout("request: 1s")), want: []string{
				"-:4 MP306 info spec: the fault is injected before Timeout/shop/t (-:9) acts: it is neither repeated nor cut off; inject the fault at the callee's own callee to see this policy at work"}},
	}
}

// liveCases need a cluster.
func liveCases() map[string]ruleCase {
	timeout := doc("Timeout", "t", "{"+cart+", request: 1s}")
	limit := doc("RateLimit", "l", "{"+cart+", limit: {requests: 5, per: 1s}}")
	onTarget := func(target string) string { return doc("Timeout", "t", "{target: "+target+", request: 1s}") }
	bare := func(names ...string) *policy.Snapshot {
		return but(func(s *policy.Snapshot) {
			for i, p := range s.Pods {
				s.Pods[i].Proxy = !slices.Contains(names, p.Name) && len(names) > 0
			}
		})
	}
	with := func(kind, namespace, name string, spec map[string]any) *policy.Snapshot {
		return but(func(s *policy.Snapshot) { s.Objects = append(s.Objects, object(kind, namespace, name, spec)) })
	}
	marked := but(func(s *policy.Snapshot) {
		vs := object("VirtualService", "shop", "cart", map[string]any{"hosts": []any{"cart.shop.svc.cluster.local"}})
		vs.SetAnnotations(map[string]string{"meshpol.io/rollout": "other/0a1b2c3d"})
		dr := object("DestinationRule", "shop", "cart-of-others", map[string]any{"host": "cart.other.svc.cluster.local"})
		dr.SetAnnotations(vs.GetAnnotations())
		s.Objects = append(s.Objects, vs, dr)
	})
	shift := func(backend string) string { return doc("TrafficShift", "s", "{"+cart+", backends: ["+backend+"]}") }
	return map[string]ruleCase{
		"MP307": {fires: doc("CircuitBreaker", "b", "{"+cart+", outlierDetection: {maxEjectionPercent: 10}}"), live: shop(), clean: doc("CircuitBreaker", "b", "{"+cart+", outlierDetection: {maxEjectionPercent: 50}}"), want: []string{
			"-:4 MP307 warning spec.outlierDetection.maxEjectionPercent: 10 % of 2 endpoints is less than one: no endpoint is ejected by recent proxies; write at least 50"}},
		"MP401": {fires: onTarget("{service: carts}"), live: shop(), clean: timeout, want: []string{
			"-:4 MP401 error spec.target.service: there is no Service shop/carts in the cluster; check the name and the namespace, or deploy the Service first"}},
		"MP402": {fires: limit, live: bare("cart-0", "cart-1"), clean: limit, want: []string{
			"-:4 MP402 error spec.target.service: none of the 2 pods of service shop/cart has a proxy: nothing would enforce the policy; bring the pods into the mesh first"}},
		"MP403": {fires: timeout, live: bare(), clean: timeout, want: []string{
			"-:4 MP403 error spec.target: no pod that could be read has a proxy: the policy acts in its callers' proxies, and there is none; bring the callers into the mesh first"}},
		"MP404": {fires: timeout, live: marked, clean: timeout, want: []string{
			"-:4 MP404 warning spec.target: VirtualService shop/cart is in the hands of the rollout other/0a1b2c3d; wait for it, or look at it with meshpol status; where that does not know it, its Lease is gone, and kubectl get controllerrevisions has the objects as they were"}},
		"MP405": {fires: doc("RateLimit", "l", "{target: {workload: {labels: {app: crat}}}, limit: {requests: 5, per: 1s}}"), live: shop(),
			clean: doc("RateLimit", "l", "{target: {workload: {labels: {app: cart}}}, limit: {requests: 5, per: 1s}}"), want: []string{
				"-:4 MP405 error spec.target.workload.labels: no pod in shop has these labels; check the labels (kubectl get pods --show-labels)"}},
		"MP406": {fires: onTarget("{service: cart, port: 80}"), live: shop(), clean: onTarget("{service: cart, port: 8080}"), want: []string{
			"-:4 MP406 error spec.target.port: the Service shop/cart has no port 80; its ports: 8080"}},
		"MP407": {fires: shift("{service: cart-v2, weight: 1}"), live: shop(), clean: shift("{service: cart, weight: 1}"), want: []string{
			"-:4 MP407 error spec.backends[0].service: there is no Service shop/cart-v2 in the cluster; deploy it before requests are sent to it"}},
		"MP408": {fires: shift("{labels: {version: v2}, weight: 10}"), live: shop(), clean: shift("{labels: {version: v1}, weight: 10}"), want: []string{
			"-:4 MP408 error spec.backends[0].labels: no pod in shop has these labels: 10 parts of the requests would find nobody; deploy the pods before requests are sent to them"}},
		"MP409": {fires: onTarget("{host: pay.example.com}"), live: shop(), clean: onTarget("{host: pay.example.com}"),
			cleanLive: with("ServiceEntry", "egress", "example", map[string]any{"hosts": []any{"*.example.com"}}), want: []string{
				"-:4 MP409 error spec.target.host: no ServiceEntry has the host pay.example.com; create the ServiceEntry first: without one the mesh does not know the host"}},
		"MP410": {fires: onTarget("{gateway: public, host: api.example.com}"), live: shop(), clean: onTarget("{gateway: ingress/public, host: api.example.com}"),
			cleanLive: with("Gateway", "ingress", "public", nil), want: []string{
				"-:4 MP410 error spec.target.gateway: there is no Gateway shop/public in the cluster; write it as namespace/name where it is in another namespace"}},
		"MP411": {fires: limit, live: bare("cart-1"), clean: limit, want: []string{
			"-:4 MP411 warning spec.target.service: 1 of the 2 pods of service shop/cart have no proxy: the policy does not hold there; bring them into the mesh, or know that they stay open"}},
		"MP501": {fires: timeout, live: shop(), mesh: fakeMesh{err: errors.New("boom")}, clean: timeout, want: []string{
			"-:1 MP501 error : compiling service shop/cart: boom; this is a fault of meshpol: please report it"}},
		"MP601": {fires: timeout, live: but(func(s *policy.Snapshot) { s.Unread = []string{"pods in shop: forbidden"} }), clean: timeout, want: []string{
			"MP601 warning : not read: pods in shop: forbidden; everything below was decided without it; give this identity the right to read it; docs/role.yaml is the role that is needed"}},
		"MP602": {fires: timeout, live: but(func(s *policy.Snapshot) { s.Mesh = policy.MeshFacts{} }), clean: timeout, want: []string{
			"MP602 error : there is no istio in the cluster lab; check the kubeconfig context; files alone are checked with --offline"}},
		"MP603": {fires: timeout, live: but(func(s *policy.Snapshot) { s.Mesh.Version = "" }), clean: timeout, want: []string{
			"MP603 warning : the version of the mesh could not be found: fields that need a version are not checked; look whether the control plane runs, and let this identity read its pods"}},
		"MP604": {fires: timeout, live: but(func(s *policy.Snapshot) { s.Mesh.Version = "1.19.3" }), clean: timeout,
			cleanLive: but(func(s *policy.Snapshot) { s.Mesh.Version = "1.31-dev" }), want: []string{
				"MP604 warning : Istio 1.19.3 is older than 1.20, the oldest version that meshpol was checked against; upgrade Istio, or try it in staging first"}},
		"MP605": {fires: doc("CircuitBreaker", "b", "{"+cart+", maxRequests: 5}"), live: but(func(s *policy.Snapshot) { delete(s.Mesh.APIVersions, "DestinationRule") }), clean: timeout, want: []string{
			"MP605 error : the cluster has no DestinationRule resources, which CircuitBreaker/shop/b needs; install Istio's CRDs"}},
	}
}

func TestEveryCodeFiresAndStaysSilent(t *testing.T) {
	cases := offlineCases()
	for code, c := range liveCases() {
		cases[code] = c
	}
	for _, r := range validate.Rules() {
		c, ok := cases[r.Code.Code]
		if !ok {
			t.Errorf("%s has no case", r.Code.Code)
			continue
		}
		delete(cases, r.Code.Code)
		t.Run(r.Code.Code, func(t *testing.T) {
			if c.mesh == nil {
				c.mesh = fakeMesh{}
			}
			if diff := cmp.Diff(c.want, lines(validate.Check(load(t, c.fires), c.live, c.mesh))); diff != "" {
				t.Errorf("firing: %s", diff)
			}
			clean := c.cleanLive
			if clean == nil && c.live != nil {
				clean = shop()
			}
			for _, f := range validate.Check(load(t, c.clean), clean, fakeMesh{}) {
				if f.Code == r.Code.Code {
					t.Errorf("not silent: %s", lines([]validate.Finding{f})[0])
				}
			}
		})
	}
	for code := range cases {
		t.Errorf("there is no rule %s", code)
	}
}

func TestCodesAreUniqueAndExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range validate.Codes() {
		if seen[c.Code] || !strings.HasPrefix(c.Code, "MP") || len(c.Code) != 5 {
			t.Errorf("the code %q is used twice or malformed", c.Code)
		}
		seen[c.Code] = true
		if c.Title == "" || !strings.HasSuffix(c.Why, ".") || !strings.HasSuffix(c.Next, ".") || !slices.Contains([]validate.Severity{validate.Error, validate.Warning, validate.Info}, c.Severity) {
			t.Errorf("%s is not described: %+v", c.Code, c)
		}
	}
}
