package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// thousandInputs are what the plans of 1,000 policies on 334 services are made of.
func thousandInputs(t testing.TB) []rollout.PlanInput {
	t.Helper()
	var docs, services []string
	for i := 0; len(docs) < 1000; i++ {
		services = append(services, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n", i))
		for _, p := range [][2]string{
			{"Timeout", "request: 2s"}, {"Retry", "attempts: 2, perTryTimeout: 500ms, on: [connect-failure]"}, {"CircuitBreaker", "maxConnections: 100"},
		} {
			if len(docs) < 1000 {
				docs = append(docs, fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: %s\nmetadata: {name: p%d, namespace: shop}\nspec: {target: {service: s%d}, %s}\n", p[0], i, i, p[1]))
			}
		}
	}
	set, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(strings.Join(docs, "---\n"))})
	must(t, err)
	snapshot := &policy.Snapshot{Objects: objects(t, strings.Join(services, "\n---\n")), Pods: threeClients(),
		Mesh: policy.MeshFacts{Name: "istio", Version: "1.31.0", APIVersions: map[string]string{"VirtualService": "networking.istio.io/v1", "DestinationRule": "networking.istio.io/v1"}}}
	var out []rollout.PlanInput
	for _, c := range set.Changes() {
		steps, err := strategy.Plan(strategy.Input{Rollout: v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{}}}, Policies: c.Policies, Seed: c.Target.Name})
		must(t, err)
		out = append(out, rollout.PlanInput{Name: c.Target.Name, Strategy: "canary", Snapshot: snapshot, Change: c, Steps: steps, Host: c.Target.Name + ".shop.svc.cluster.local"})
	}
	return out
}

// BenchmarkPlanThousand makes the plans of 1,000 policies: every step compiled, and the digests.
func BenchmarkPlanThousand(b *testing.B) {
	inputs := thousandInputs(b)
	for b.Loop() {
		for _, in := range inputs {
			if p, err := rollout.NewPlan(istio.New(), in); err != nil || len(p.Steps) < 6 {
				b.Fatalf("%+v, %v", p, err)
			}
		}
	}
}

// BenchmarkStateCodec writes and reads the state of a rollout that is nearly over, as every act does.
func BenchmarkStateCodec(b *testing.B) {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	s := rollout.State{Version: rollout.StateVersion, Name: "cart-timeout", Phase: rollout.Baking, Started: now, Updated: now, Deadline: now.Add(time.Hour)}
	for i := range 6 {
		side := metrics.Counts{Requests: 9000, Errors: 9, Codes: map[string]float64{"200": 8991, "503": 9}}
		s.Results = append(s.Results, rollout.StepResult{Name: fmt.Sprintf("%d %%", i), Confirmed: 1000, Barrier: 0.4,
			Judgement: metrics.Judgement{Verdict: metrics.Pass, Reason: "new 0.1 % errors against 0.1 % (9 of 9,000 against 9 of 9,000 requests), 120 s", New: side, Old: side}})
		s.Touched = append(s.Touched, rollout.Touched{Ref: vsRef(), Spec: strings.Repeat("0123456789abcdef", 4)})
		s.Instances = append(s.Instances, fmt.Sprintf("shop/front-%d", i))
	}
	for b.Loop() {
		text, err := s.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rollout.DecodeState(text); err != nil {
			b.Fatal(err)
		}
	}
}
