package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func TestCanaryByRequestSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		got, err := r.start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.specIs(vsRef(), cartFolded)
		b.clean()

		live, was := b.world.Get(vsRef()), b.before[vsRef()]
		if diff := cmp.Diff(was.GetLabels(), live.GetLabels()); diff != "" {
			t.Errorf("labels (-before +now):\n%s", diff)
		}
		if diff := cmp.Diff(was.GetAnnotations(), live.GetAnnotations()); diff != "" {
			t.Errorf("annotations (-before +now):\n%s", diff)
		}
		if owner := fakemesh.Owner(live, "spec"); owner != "team" {
			t.Errorf("the spec belongs to %q, want its former owner", owner)
		}
		records, err := r.node.Records(t.Context(), b.change.Target)
		must(t, err)
		if len(records) != 1 || records[0].Result != "succeeded" || len(records[0].Final) != 1 || len(records[0].Base) != 1 {
			t.Errorf("records: %+v", records)
		}
		if want := []string{"step 0", "10 %", "50 %", "bake", "fold", "clean-up"}; !slices.Equal(stepNames(b), want) {
			t.Errorf("steps %q, want %q", stepNames(b), want)
		}
		if want := []string{"Progressing", "Baking", "Folding", "Succeeded"}; !slices.Equal(phasesSaved(b), want) {
			t.Errorf("phases %q, want %q", phasesSaved(b), want)
		}
		for _, res := range got.State.Results[:5] {
			if res.Judgement.Verdict != metrics.Pass || res.Confirmed != 3 || res.Barrier <= 0 {
				t.Errorf("result of %s: %+v", res.Name, res)
			}
		}
		b.trace()
	})
}

func stepNames(b *bench) []string {
	var out []string
	for _, e := range fakemesh.Of[rollout.StepStarted](b.sink) {
		out = append(out, e.Name)
	}
	return out
}

func phasesSaved(b *bench) []string {
	var out []string
	for _, e := range b.world.Log() {
		if e.Call.Op == "save" {
			out = append(out, e.Call.What)
		}
	}
	return slices.Compact(out)
}

func TestNothingIsExposedBeforeItsStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		widest := map[string]float64{}
		b.judge = fakemesh.Judge{Say: func(step metrics.JudgeStep, tick metrics.Tick) metrics.Judgement {
			n, o := tick.Total(metrics.New).Requests, tick.Total(metrics.Old).Requests
			widest[b.plan.Steps[step.Index].Name] = max(widest[b.plan.Steps[step.Index].Name], n/max(1, n+o))
			return metrics.Judgement{}
		}}
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		for step, want := range map[string]float64{"step 0": 0.5, "10 %": 0.1, "50 %": 0.5, "bake": 0.95, "fold": 1} {
			if have := widest[step]; have < want-0.02 || have > want+0.02 {
				t.Errorf("%s: %.3f of the requests were on the new side, want %.2f", step, have, want)
			}
		}
	})
}

// failAt is a judge that finds harm at a step.
func failAt(index int) metrics.Judge {
	return fakemesh.Judge{Say: func(step metrics.JudgeStep, _ metrics.Tick) metrics.Judgement {
		if step.Index == index {
			return metrics.Judgement{Verdict: metrics.Fail, Reason: "harm for the test"}
		}
		return metrics.Judgement{}
	}}
}

// harmAt is the cause of what is found at a step: in step 0 nothing is exposed, so that it says nothing of the policy.
func harmAt(index int) rollout.Cause {
	if index == 0 {
		return rollout.CauseInconclusive
	}
	return rollout.CauseBreach
}

func TestFailAtEveryStepTakesBack(t *testing.T) {
	for i, name := range []string{"step 0", "10 %", "50 %", "bake", "fold"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				b.judge = failAt(i)
				r := b.runner("one")
				got, err := r.start()
				endedAs(t, got, err, rollout.RolledBack, harmAt(i))
				b.asBefore()
				if d := got.State.Decided; d == nil || d.Name != b.plan.Steps[i].Name || d.Judgement.Verdict != metrics.Fail || len(got.State.Results) != i {
					t.Errorf("decided by %+v after %d finished steps", d, len(got.State.Results))
				}
				if len(fakemesh.Of[rollout.Neutralised](b.sink)) != 1 {
					t.Error("the new policy was not proved to be out of force exactly once")
				}
				records, err := r.node.Records(t.Context(), b.change.Target)
				must(t, err)
				if records[0].Result != "rolled-back" || !strings.HasSuffix(records[0].Verdict, "harm for the test") {
					t.Errorf("record: %s, %s", records[0].Result, records[0].Verdict)
				}
				b.trace()
			})
		})
	}
}

func TestSequentialJudge(t *testing.T) {
	cases := map[string]struct {
		rollout string
		fails   func(fakemesh.Route) float64
		phase   rollout.Phase
		cause   rollout.Cause
		within  time.Duration
	}{
		"harmless":         {fails: failing(0.002, 0.002), phase: rollout.Succeeded},
		"all fail":         {fails: failing(0.001, 1), phase: rollout.RolledBack, cause: rollout.CauseBreach, within: 5 * time.Minute},
		"a tenth fails":    {fails: failing(0.001, 0.1), phase: rollout.RolledBack, cause: rollout.CauseBreach, within: 10 * time.Minute},
		"biased by itself": {fails: onlyNewSide, phase: rollout.RolledBack, cause: rollout.CauseInconclusive, within: 6 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{rollout: "strategy: {canary: {by: request}}\n"})
				b.world.Traffic.Fails = c.fails
				judge, err := metrics.NewJudge(metrics.DefaultJudgeConfig())
				must(t, err)
				b.judge = judge
				began := time.Now()
				got, err := b.runner("one").start()
				endedAs(t, got, err, c.phase, c.cause)
				if took := time.Since(began); c.within > 0 && took > c.within {
					t.Errorf("took %s, want at most %s", took, c.within)
				}
				if c.phase == rollout.RolledBack {
					b.asBefore()
				}
			})
		})
	}
}

// onlyNewSide fails what passes a clone, whether it bears the policy or not: the comparison itself is biased.
func onlyNewSide(r fakemesh.Route) float64 {
	if name, _ := r.Entry["name"].(string); strings.HasPrefix(name, "mp-") {
		return 0.5
	}
	return 0.001
}

func TestFormsOfTheServerAreNoEdits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		// The API server fills a default into every route entry that is written, as Gateway API's schemas do.
		fill := func(o *unstructured.Unstructured) {
			entries, _, _ := unstructured.NestedSlice(o.Object, "spec", "http")
			for _, e := range entries {
				e.(map[string]any)["mirrorPercentage"] = map[string]any{"value": int64(100)}
			}
			if len(entries) > 0 {
				must(t, unstructured.SetNestedSlice(o.Object, entries, "spec", "http"))
			}
		}
		b.world.Defaults = fill
		b.judge = failAt(2)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		if len(got.State.Forms) == 0 {
			t.Error("the rehearsal learned no forms")
		}
		fill(b.before[vsRef()])
		b.asBefore()
		b.trace()
	})
}

func TestNoAnalysis(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.setting.NoAnalysis = true
		b.world.Traffic.Fails = failing(0, 1)
		b.tweak = func(x *rollout.Executor) { x.Meter, x.Judge = nil, nil }
		began := time.Now()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.specIs(vsRef(), cartFolded)
		if took := time.Since(began); took < 150*time.Second || took > 160*time.Second {
			t.Errorf("took %s, want the five least times of 30 s", took)
		}
		for _, e := range b.world.Log() {
			if e.Call.Op == "read" {
				t.Fatal("the metrics source was read")
			}
		}
	})
}

func TestUnchangedPolicyWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{objects: strings.Replace(cartObjects, "timeout: 5s", "timeout: 250ms", 1)})
		if p := b.planned(); len(p.Steps) != 0 || len(p.Base) != 0 {
			t.Errorf("the plan has %d steps", len(p.Steps))
		}
	})
}

func TestTimesOfTheWayBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.judge = failAt(2)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		back := fakemesh.Of[rollout.TakingBack](b.sink)[0]
		out := fakemesh.Of[rollout.Neutralised](b.sink)[0]
		if took := out.At.Sub(back.At); took > 400*time.Millisecond {
			t.Errorf("decision to proof took %s with proxies that lag 300 ms", took)
		}
		if out.Proof.Confirmed != 3 {
			t.Errorf("proved on %d proxies", out.Proof.Confirmed)
		}
	})
}

func ExampleAsked() {
	fmt.Println(rollout.Reach(stepOf("instance", 0.01), 8), "·", rollout.Asked(stepOf("instance", 0.01), 8))
	fmt.Println(rollout.Reach(stepOf("instance", 0.5), 3), "·", rollout.Asked(stepOf("instance", 0.5), 3))
	fmt.Println(rollout.Reach(stepOf("instance", 0.5), 0))
	fmt.Println(rollout.Asked(stepOf("request", 0.0003), 0))
	// Output:
	// 1 pod (12.5 %) · asked 1 % of 8 client pods
	// 2 pods (66.7 %) · asked 50 % of 3 client pods
	// 50 % of client pods
	// asked 0.03 %, 1 of 4096 ids: 0.024 %
}
