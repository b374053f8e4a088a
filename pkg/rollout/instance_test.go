package rollout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const byInstance = `
strategy:
  canary: {by: instance, steps: [{setWeight: 1, min: 30s, max: 2m}, {setWeight: 50, min: 30s, max: 2m}]}
analysis: {step0: {min: 30s, max: 2m, minRequests: 20}, minRequests: 10}
bake: 30s
`

const cartBreaker = `
apiVersion: meshpol.io/v1alpha1
kind: CircuitBreaker
metadata: {name: cart-breaker, namespace: shop}
spec:
  target: {service: cart}
  maxConnections: 60
`

const cartRule = `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec:
  host: cart
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
`

const cartRuleFolded = `
host: cart
trafficPolicy:
  loadBalancer: {simple: LEAST_REQUEST}
  connectionPool: {tcp: {maxConnections: 60}}
`

const cartRoutesAsBefore = `
hosts: [cart]
http:
- name: main
  timeout: 5s
  route: [{destination: {host: cart}}]
`

// clients are pods of two workloads that call the cart.
func clients() []policy.Pod {
	return []policy.Pod{
		fakemesh.Pod("shop", "front", "front-1"), fakemesh.Pod("shop", "front", "front-2"), fakemesh.Pod("shop", "front", "front-3"),
		fakemesh.Pod("web", "admin", "admin-1"), fakemesh.Pod("web", "admin", "admin-2"),
	}
}

// newPool tells whether a route uses the new pool: the twin subset, or the folded rule.
func newPool(r fakemesh.Route) bool {
	text := dumpOf(fakemesh.Objects{drRef(): r.Objects[drRef()]})
	routes, _ := r.Entry["route"].([]any)
	for _, d := range routes {
		if strings.Contains(asText(d), `"subset":"mp-`) {
			return true
		}
	}
	top, _, _ := strings.Cut(text, `"subsets"`)
	return strings.Contains(top, `"maxConnections":60`)
}

// cohorts records who bears the label whenever a step is judged.
func cohorts(b *bench, seen map[string][]string) metrics.Judge {
	return fakemesh.Judge{Say: func(step metrics.JudgeStep, _ metrics.Tick) metrics.Judgement {
		seen[b.plan.Steps[step.Index].Name] = b.world.PodsWith(b.change.Target.CohortLabel())
		return metrics.Judgement{}
	}}
}

func breaker(t *testing.T) *bench {
	b := prepare(t, spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()})
	b.world.Traffic = fakemesh.Traffic{RPS: 20, Fails: func(fakemesh.Route) float64 { return 0.001 }}
	return b
}

func TestCanaryByInstanceSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		seen := map[string][]string{}
		b.judge = cohorts(b, seen)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		for step, want := range map[string]int{"step 0": 0, "1 %": 1, "50 %": 3, "bake": 4} {
			if len(seen[step]) != want {
				t.Errorf("%s: cohort %v, want %d pods", step, seen[step], want)
			}
		}
		if ids := seen["50 %"]; len(ids) == 3 && !(strings.HasPrefix(ids[0], "shop/front") && strings.HasPrefix(ids[2], "web/admin")) {
			t.Errorf("the cohort is not of both workloads: %v", ids)
		}
		b.specIs(vsRef(), cartRoutesAsBefore)
		b.specIs(drRef(), cartRuleFolded)
		b.clean()
		if want := []string{"shop/front", "web/admin"}; !slices.Equal(got.State.Callers, want) {
			t.Errorf("callers %v, want workloads", got.State.Callers)
		}
		b.trace()
	})
}

func TestBreakerOrderOfWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		b.judge = failAt(2)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.asBefore()
		var order []string
		for _, e := range fakemesh.Of[rollout.Wrote](b.sink) {
			order = append(order, e.Object.Kind+": "+e.Why)
		}
		want := []string{
			"VirtualService: step 0", "DestinationRule: 1 %", "VirtualService: 1 %",
			"VirtualService: new policy out of force", "VirtualService: as before", "DestinationRule: as before",
		}
		if !slices.Equal(order, want) {
			t.Errorf("writes %q, want %q", order, want)
		}
		// Every write is behind the proof of the one before.
		b.behindProofs()
		b.trace()
	})
}

// behindProofs checks that between two writes of different objects lies a proof.
func (b *bench) behindProofs() {
	b.t.Helper()
	var last rollout.Ref
	for _, e := range b.sink.Events() {
		switch e := e.(type) {
		case rollout.Wrote:
			if e.Why == "fenced for this runner" {
				continue // marks alone
			}
			if last != (rollout.Ref{}) && last != e.Object {
				b.t.Errorf("%s was written before %s was proved", e.Object, last)
			}
			last = e.Object
		case rollout.Proved, rollout.Neutralised:
			last = rollout.Ref{}
		}
	}
}

func TestBreakerFailsAtEveryStep(t *testing.T) {
	for i, name := range []string{"step 0", "1 %", "50 %", "bake", "fold"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := breaker(t)
				b.judge = failAt(i)
				got, err := b.runner("one").start()
				endedAs(t, got, err, rollout.RolledBack, harmAt(i))
				b.asBefore()
				b.trace()
			})
		})
	}
}

func TestBreakerThatRefusesIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		b.world.Traffic.Fails = func(r fakemesh.Route) float64 {
			if newPool(r) {
				return 0.3
			}
			return 0
		}
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.asBefore()
		b.trace()
	})
}

func TestCreatedObjectsGoAgain(t *testing.T) {
	service := cartObjects[:strings.Index(cartObjects, "---")]
	t.Run("taken back", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{objects: service, policy: cartBreaker, rollout: byInstance, pods: clients()})
			b.judge = failAt(3)
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
			b.asBefore()
			b.behindProofs()
			b.trace()
		})
	})
	t.Run("succeeded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{objects: service, policy: cartBreaker, rollout: byInstance, pods: clients()})
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.Succeeded, "")
			b.specIs(drRef(), "{host: cart.shop.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {maxConnections: 60}}}}")
			if b.world.Get(vsRef()) != nil {
				t.Error("the VirtualService that only carried the split is still there")
			}
			b.clean()
			b.trace()
		})
	})
	t.Run("somebody was faster", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{objects: service, policy: cartBreaker, rollout: byInstance, pods: clients()})
			r := b.runner("one")
			theirs := objects(t, cartObjects)[1]
			r.node.Fault = once("write", 1, func() { b.world.Put(theirs, "person") })
			got, err := r.start()
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseEdited)
			b.specIs(vsRef(), cartRoutesAsBefore)
			b.clean()
			b.trace()
		})
	})
}

func TestCohortPodsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		b.steps[2].Min = 4 * time.Minute // 50 %
		b.steps[2].Max = 8 * time.Minute
		key := b.change.Target.CohortLabel()
		var sizes []int
		b.judge = fakemesh.Judge{Say: func(step metrics.JudgeStep, tick metrics.Tick) metrics.Judgement {
			if step.Index == 2 {
				sizes = append(sizes, len(b.world.PodsWith(key)))
			}
			return metrics.Judgement{}
		}}
		go func() {
			time.Sleep(90 * time.Second)
			b.world.RemovePod("shop/front-1") // 4 clients are left: 2 in the cohort
			time.Sleep(45 * time.Second)
			b.world.RemovePod("web/admin-1")
			b.world.SetPod(fakemesh.Pod("web", "admin", "admin-1")) // the same name, without the label
			time.Sleep(45 * time.Second)
			for _, name := range []string{"front-4", "front-5", "front-6", "front-7"} {
				b.world.SetPod(fakemesh.Pod("shop", "front", name)) // 8 clients: 4
			}
		}()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		for _, want := range []int{3, 2, 4} {
			if !slices.Contains(sizes, want) {
				t.Errorf("the cohort had %v pods over time, want %d among them", sizes, want)
			}
		}
		if last := sizes[len(sizes)-1]; last != 4 {
			t.Errorf("the cohort ended with %d pods, want 4", last)
		}
		b.clean()
		b.trace()
	})
}

func TestUnreadyCohortPodIsNotReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		seen := map[string][]string{}
		b.judge = fakemesh.Judge{Say: func(step metrics.JudgeStep, _ metrics.Tick) metrics.Judgement {
			labelled := b.world.PodsWith(b.change.Target.CohortLabel())
			if step.Index == 1 && len(labelled) == 1 {
				id, _, _ := strings.Cut(labelled[0], "=")
				for _, p := range b.world.Snapshot().Pods {
					if p.ID() == id {
						p.Ready = false
						b.world.SetPod(p)
					}
				}
			}
			seen[b.plan.Steps[step.Index].Name] = labelled
			return metrics.Judgement{}
		}}
		b.steps[1].Min = 2 * time.Minute
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if len(seen["1 %"]) != 1 {
			t.Errorf("the cohort of one pod became %v", seen["1 %"])
		}
	})
}

func TestPodThatVanishesWhileItIsProved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		r := b.runner("one")
		gone := ""
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if c.Op != "label" || gone != "" {
				return fakemesh.Fault{}
			}
			gone, _, _ = strings.Cut(c.What, " ")
			b.world.Freeze(gone)
			go func() {
				time.Sleep(5 * time.Second)
				b.world.RemovePod(gone)
			}()
			return fakemesh.Fault{}
		}
		got, err := r.start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.clean()
	})
}

func TestLabelsOfADeadRunGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		stale := clients()[4]
		stale.Labels[b.change.Target.CohortLabel()] = "deadbeef"
		b.world.SetPod(stale)
		b.judge = failAt(1)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.clean()
	})
}

func TestNobodyIsKnownToCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		b.world.Traffic.RPS = 0
		b.setting.NoAnalysis = true
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		warned := slices.ContainsFunc(fakemesh.Of[rollout.Warned](b.sink), func(w rollout.Warned) bool {
			return strings.Contains(w.Text, "no client pod of service shop/cart is known")
		})
		if !warned {
			t.Error("nobody was told that the cohort is empty")
		}
	})
}

func TestCrashByInstance(t *testing.T) {
	s := spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()}
	crashes(t, s, nil, 2, func(b *bench, got rollout.Result) {
		b.t.Helper()
		endedAs(b.t, got, nil, rollout.Succeeded, "")
		b.specIs(vsRef(), cartRoutesAsBefore)
		b.specIs(drRef(), cartRuleFolded)
		b.clean()
	})
	crashes(t, s, func(b *bench) { b.judge = failAt(2) }, 2, func(b *bench, got rollout.Result) {
		b.t.Helper()
		endedAs(b.t, got, nil, rollout.RolledBack, rollout.CauseBreach)
		b.specIs(vsRef(), cartRoutesAsBefore)
		b.clean()
		b.behindProofs()
	})
}

func asText(v any) string {
	m, _ := v.(map[string]any)
	return dumpOf(fakemesh.Objects{vsRef(): {Object: map[string]any{"apiVersion": "v1", "kind": "X", "x": m}}})
}
