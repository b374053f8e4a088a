package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
)

func TestFieldsThatBelongTogether(t *testing.T) {
	const breakerKeys = "none of maxConnections, maxPendingRequests, maxRequests, maxRequestsPerConnection, maxRetries, outlierDetection is set; set at least one of them"
	cases := map[string]struct{ kind, spec, want string }{
		"a breaker of nothing":    {"CircuitBreaker", "{target: {service: a}}", "MP112: spec: " + breakerKeys},
		"ejections out of order":  {"CircuitBreaker", "{target: {service: a}, outlierDetection: {baseEjectionTime: 30s, maxEjectionTime: 10s}}", "MP111: spec.outlierDetection.maxEjectionTime: is 10s, shorter than baseEjectionTime (30s); write at least 30s"},
		"a limit of nothing":      {"RateLimit", "{target: {service: a}}", "MP112: spec: none of limit, perClient is set; set at least one of them"},
		"a burst of nothing":      {"RateLimit", "{target: {service: a}, burst: 5, perClient: {requests: 1, per: 1s}}", "MP112: spec.burst: means nothing without limit; set limit too, or remove it"},
		"retries of nothing":      {"Retry", "{target: {service: a}, attempts: 0, on: [5xx], backoff: 1s}", "MP112: spec.backoff: means nothing where attempts is 0; remove it, or set attempts to 1 or more\nMP112: spec.on: means nothing where attempts is 0; remove it, or set attempts to 1 or more"},
		"a timeout of nothing":    {"Timeout", "{target: {service: a}}", "MP112: spec: none of request, idle is set; set at least one of them"},
		"a backend of nothing":    {"TrafficShift", "{target: {service: a}, backends: [{weight: 1}]}", "MP112: spec.backends[0]: one of service, labels is missing; set exactly one of them"},
		"a backend of two kinds":  {"TrafficShift", "{target: {service: a}, backends: [{service: b, labels: {v: v2}, weight: 1}]}", "MP112: spec.backends[0].labels: service and labels exclude each other; set exactly one of service, labels"},
		"mutual TLS of nothing":   {"MutualTLS", "{target: {service: a}}", "MP112: spec: one of mode, client is missing; set exactly one of them"},
		"mutual TLS of two sides": {"MutualTLS", "{target: {service: a}, mode: strict, client: {mode: disable}}", "MP112: spec.client: mode and client exclude each other; set exactly one of mode, client"},
		"ports of a client":       {"MutualTLS", "{target: {service: a}, ports: [80], client: {mode: disable}}", "MP112: spec.ports: cannot stand beside client; remove one of them"},
		"ports of a namespace":    {"MutualTLS", "{target: {namespace: true}, ports: [80], mode: strict}", "MP112: spec.ports: cannot stand beside a namespace target; remove one of them"},
		"a rule of nothing":       {"Authorization", "{target: {service: a}, action: deny, rules: [{}]}", "MP112: spec.rules[0]: none of from, to is set; set at least one of them"},
		"callers of nothing":      {"Authorization", "{target: {service: a}, action: deny, rules: [{from: [{}], to: [{}]}]}", "MP112: spec.rules[0].from[0]: none of serviceAccounts, namespaces, cidrs is set; set at least one of them\nMP112: spec.rules[0].to[0]: none of methods, paths, ports is set; set at least one of them"},
		"a fault of nothing":      {"FaultInjection", "{target: {service: a}, expires: 1m}", "MP112: spec: none of abort, delay is set; set at least one of them"},
		"an abort of two kinds":   {"FaultInjection", "{target: {service: a}, expires: 1m, abort: {httpStatus: 503, grpcStatus: UNAVAILABLE, percentage: 5}}", "MP112: spec.abort.grpcStatus: httpStatus and grpcStatus exclude each other; set exactly one of httpStatus, grpcStatus"},
		"no strategy":             {"Rollout", "{strategy: {}}", "MP112: spec.strategy: one of canary, blueGreen, rolling, ab, direct is missing; set exactly one of them"},
		"two strategies":          {"Rollout", "{strategy: {canary: {}, direct: {}}}", "MP112: spec.strategy.direct: canary and direct exclude each other; set exactly one of canary, blueGreen, rolling, ab, direct"},
		"steps twice":             {"Rollout", "{strategy: {canary: {stepWeights: [50], steps: [{setWeight: 50}]}}}", "MP112: spec.strategy.canary.stepWeights: cannot stand beside steps; remove one of them"},
		"a step of nothing":       {"Rollout", "{strategy: {canary: {steps: [{min: 1m}]}}}", "MP112: spec.strategy.canary.steps[0]: one of setWeight, pause is missing; set exactly one of them"},
		"a pause with times":      {"Rollout", "{strategy: {canary: {steps: [{pause: {}, min: 1m, max: 2m}, {setWeight: 5}]}}}", "MP112: spec.strategy.canary.steps[0].max: cannot stand beside pause; remove one of them\nMP112: spec.strategy.canary.steps[0].min: cannot stand beside pause; remove one of them"},
		"pauses alone":            {"Rollout", "{strategy: {canary: {steps: [{pause: {}}]}}}", "MP112: spec.strategy.canary.steps: no step sets a weight; add a step such as {setWeight: 25}"},
		"times out of order":      {"Rollout", "{strategy: {canary: {steps: [{setWeight: 5, min: 2m, max: 1m}]}}, analysis: {step0: {min: 2m, max: 1m}}}", "MP111: spec.analysis.step0.max: is 1m, shorter than min (2m); write at least 2m\nMP111: spec.strategy.canary.steps[0].max: is 1m, shorter than min (2m); write at least 2m"},
		"a population of nothing": {"Rollout", "{strategy: {ab: {match: [{}]}}}", "MP112: spec.strategy.ab.match[0]: one of header, cookie, source is missing; set exactly one of them"},
		"an SLO of nothing":       {"Rollout", "{strategy: {direct: {}}, analysis: {slo: {}}}", "MP112: spec.analysis.slo: none of successRate, latency is set; set at least one of them"},
		"margins out of order":    {"Rollout", "{strategy: {direct: {}}, analysis: {passMarginMax: 1.5}}", "MP111: spec.analysis.passMargin: is 2, above passMarginMax (1.5); write at most 1.5"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { wantFaults(t, c.kind, c.spec, c.want) })
	}
}

// wantFaults loads one document and compares its faults without their places, which other tests cover.
func wantFaults(t *testing.T, kind, text, want string) {
	t.Helper()
	_, err := loadText(spec(kind, text))
	got := strings.ReplaceAll("\n"+faults(t, err), "\n-:4: ", "\n")
	if diff := cmp.Diff(want, strings.TrimPrefix(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestTargets(t *testing.T) {
	cases := map[string]struct{ target, want string }{
		"nothing":                   {"{}", "MP113: spec.target: names nothing; set one of service, gateway, host"},
		"two":                       {"{service: a, workload: {labels: {app: a}}}", "MP113: spec.target.workload: service and workload exclude each other; set exactly one of service, gateway, host"},
		"a service and a host":      {"{service: a, host: a.b}", "MP113: spec.target.host: service and host exclude each other; set exactly one of service, gateway, host"},
		"a gateway without host":    {"{gateway: public}", "MP112: spec.target.gateway: means nothing without host; set host too, or remove it"},
		"a port of a host":          {"{host: a.b, port: 80}", "MP112: spec.target.port: means nothing without service; set service too, or remove it"},
		"routes of a gateway":       {"{gateway: public, host: a.b, routes: [{path: /}]}", "MP112: spec.target.routes: means nothing without service; set service too, or remove it"},
		"a route of nothing":        {"{service: a, routes: [{}]}", "MP112: spec.target.routes[0]: none of name, path, method is set; set at least one of them"},
		"a route by name and path":  {"{service: a, routes: [{name: x, path: /}]}", "MP112: spec.target.routes[0].name: cannot stand beside path and method; remove one of them"},
		"a path that is none":       {"{service: a, routes: [{path: api}]}", `MP111: spec.target.routes[0].path: is "api"; wanted: an exact path that begins with / (/checkout), or a prefix where it ends in * (/api/*)`},
		"a host with a scheme":      {"{host: \"https://a.b\"}", `MP111: spec.target.host: is "https://a.b"; wanted: a host name in lower case without scheme and port, such as api.example.com or *.example.com`},
		"a service":                 {"{service: a, port: 8080}", ""},
		"a gateway with its host":   {"{gateway: istio-ingress/public, host: api.example.com}", ""},
		"a host":                    {"{host: \"*.example.com\"}", ""},
		"routes by path and method": {"{service: a, routes: [{path: /api/*, method: GET}, {name: checkout}]}", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { wantFaults(t, "Timeout", "{target: "+c.target+", request: 1s}", c.want) })
	}
}

// TestEveryKindTakesItsTargetsOnly walks kinds × targets: what Kinds says is what Load does.
func TestEveryKindTakesItsTargetsOnly(t *testing.T) {
	rest := map[string]string{
		"Authorization": "action: allow", "CircuitBreaker": "maxRequests: 1", "FaultInjection": "expires: 1m, delay: {duration: 1s, percentage: 1}",
		"MutualTLS": "mode: strict", "RateLimit": "limit: {requests: 1, per: 1s}", "Retry": "attempts: 1", "Timeout": "request: 1s",
		"TrafficShift": "backends: [{service: b, weight: 1}]",
	}
	targets := map[string]string{
		"service": "{service: a}", "workload": "{workload: {labels: {app: a}}}", "namespace": "{namespace: true}",
		"gateway": "{gateway: public, host: a.b}", "host": "{host: a.b}",
	}
	for _, k := range policy.Kinds() {
		for name, target := range targets {
			t.Run(k.Name+" "+name, func(t *testing.T) {
				body := rest[k.Name]
				if k.Name == "MutualTLS" && name == "host" {
					body = "client: {mode: simple}"
				}
				set, err := loadText(spec(k.Name, "{target: "+target+", "+body+"}"))
				allowed := strings.Contains(strings.Join(k.Targets, " "), name)
				if (err == nil) != allowed || len(set.Policies) != map[bool]int{true: 1}[allowed] {
					t.Errorf("allowed %v, error %v", allowed, err)
				}
				if !allowed && !strings.Contains(err.Error(), "MP113") {
					t.Errorf("the fault is not MP113: %v", err)
				}
			})
		}
	}
}

func TestMutualTLSKeepsItsSidesApart(t *testing.T) {
	wantFaults(t, "MutualTLS", "{target: {workload: {labels: {app: a}}}, client: {mode: simple}}",
		"MP113: spec.target.workload: client acts on the client side: the target cannot be a workload; allowed: service, host")
	wantFaults(t, "MutualTLS", "{target: {host: a.b}, mode: strict}",
		"MP113: spec.target.host: mode acts on the server side: the target cannot be a host; allowed: service, workload, namespace")
	wantFaults(t, "MutualTLS", "{target: {service: a, routes: [{path: /}]}, mode: strict}",
		"MP113: spec.target.routes: a MutualTLS holds for a whole service: routes cannot narrow it; remove routes")
}
