package main

import (
	"fmt"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// shortTimes makes steps last seconds instead of minutes, so that the demo ends soon.
func shortTimes() []string {
	return []string{"--step0-min", "8s", "--step0-max", "40s", "--step-min", "8s", "--step-max", "40s", "--bake", "8s", "--fold-watch", "6s", "--tick", "5s"}
}

func answered(r referee.Record) bool { return r.Server != referee.NoServer }

func expects(ms uint32) referee.Predicate {
	return func(r referee.Record) bool { return r.ExpectedTimeout == ms }
}

func code(c referee.Outcome) referee.Predicate {
	return func(r referee.Record) bool { return r.Outcome == c }
}

func policyFile(kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n  target:\n    service: cart\n%s", kind, name, trial.Namespace, spec)
}

// lenient is a Rollout that goes on without the bounds that half a minute of the demo's traffic cannot show: those of a
// real one, of latency above all, take minutes.
func lenient(name string) string {
	return fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n  strategy: {canary: {}}\n"+
		"  analysis: {passMarginMax: 20, latencyMarginMax: 3, slo: {successRate: 99.9}, onInconclusive: promote}\n", name, trial.Namespace)
}

func parts() []part {
	return []part{
		{
			title: "a good timeout goes out",
			story: "cart answers in a few milliseconds; a timeout of 2 s goes to 1, 10, 50 % of the requests, bakes at 95 %, and is folded.",
			files: map[string]string{"rollout.yaml": lenient("cart-timeout"), "timeout.yaml": policyFile("Timeout", "cart-timeout", "  request: 2s\n")},
			args:  append([]string{"rollout", "--steps", "1,10,50"}, shortTimes()...),
			tells: answered, isNew: expects(2000),
		},
		{
			title:    "a timeout that is far too short is found and taken back",
			story:    "every answer of cart takes 60 ms; a timeout of 20 ms would fail every request.",
			files:    map[string]string{"timeout.yaml": policyFile("Timeout", "cart-timeout", "  request: 20ms\n")},
			args:     append([]string{"rollout", "--steps", "1,10,50"}, shortTimes()...),
			rules:    []app.Rule{slow("/", 60*time.Millisecond, 1)},
			wantExit: 4, tells: func(referee.Record) bool { return true }, isNew: code(504), harm: code(504),
		},
		{
			title: "a retry and a timeout for one service go out together",
			story: "5 % of cart's first answers fail; the retry heals them, under a timeout of 3 s. Both move as one.",
			files: map[string]string{
				"rollout.yaml": lenient("cart-resilience"),
				"retry.yaml":   policyFile("Retry", "cart-retry", "  attempts: 2\n  perTryTimeout: 1s\n  on: [5xx, reset, connect-failure]\n"),
				"timeout.yaml": policyFile("Timeout", "cart-timeout", "  request: 3s\n"),
			},
			args:  append([]string{"rollout", "--name", "cart-resilience", "--steps", "10,50"}, shortTimes()...),
			rules: []app.Rule{{Path: "/", FailRatio: 0.05, FailAttempts: 1}},
			tells: answered, isNew: expects(1000), // perTryTimeout is what the server is told
		},
		{
			title:    "a circuit breaker that is far too tight is found on the first client pod and taken back",
			story:    "every answer of cart takes 60 ms; one request at a time and none waiting refuses most of a client pod's requests.",
			files:    map[string]string{"breaker.yaml": policyFile("CircuitBreaker", "cart-breaker", "  maxConnections: 1\n  maxPendingRequests: 1\n  maxRequests: 1\n")},
			args:     append([]string{"rollout", "--steps", "25,50"}, shortTimes()...),
			rules:    []app.Rule{slow("/", 60*time.Millisecond, 1)},
			wantExit: 4, tells: func(referee.Record) bool { return true }, isNew: code(503), harm: code(503),
		},
	}
}
