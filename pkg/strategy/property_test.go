package strategy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// anyCanary draws a canary that Load and validate would let through.
func anyCanary(t *rapid.T) v1alpha1.Canary {
	var steps []v1alpha1.CanaryStep
	last := 0
	for _, more := range rapid.SliceOfN(rapid.IntRange(1, 300), 1, 6).Draw(t, "growth") {
		if last+more > 1000 {
			break
		}
		if last += more; rapid.Bool().Draw(t, "pause before") {
			steps = append(steps, wait(0))
		}
		steps = append(steps, weight(v1alpha1.Percent(last)/10))
	}
	return v1alpha1.Canary{By: rapid.SampledFrom([]string{"", "request", "instance"}).Draw(t, "by"), Steps: steps}
}

func anyInput(t *rapid.T) strategy.Input {
	in := strategy.Input{Rollout: canary(anyCanary(t)), Seed: rapid.String().Draw(t, "seed")}
	if rapid.Bool().Draw(t, "direct") {
		in.Rollout = v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Direct: &v1alpha1.Direct{}}}
	}
	if rapid.Bool().Draw(t, "traffic known") {
		in.RPS = rapid.Float64Range(0.001, 10000).Draw(t, "rps")
	}
	return in
}

func TestEveryPlanGrowsToTheFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps, err := strategy.Plan(anyInput(t))
		if err != nil {
			t.Fatal(err)
		}
		share, window := 0.0, policy.Window{}
		for i, s := range steps {
			last := i == len(steps)-1
			switch e := s.Exposure; {
			case s.Name == "" || s.Max < s.Min || s.Min <= 0 || s.MinRequests <= 0:
				t.Fatalf("step %d is empty: %s", i, line(s))
			case last != (e.By == policy.All) || last != (s.Kind == metrics.StepFold):
				t.Fatalf("the fold is not the last step: %v", lines(steps))
			case last, e.Mode == policy.Staged:
			case e.Share < share:
				t.Fatalf("the exposure shrinks: %v", lines(steps))
			case e.By == policy.ByRequest && !nested(window, e.Window):
				t.Fatalf("%v is not inside %v", window, e.Window)
			default:
				share, window = e.Share, e.Window
			}
		}
	})
}

// nested tells whether every bucket of the narrow window is in the wide one.
func nested(narrow, wide policy.Window) bool {
	for b := range policy.Buckets {
		if narrow.Contains(b) && !wide.Contains(b) {
			return false
		}
	}
	return true
}

func TestEveryCanaryIsComparedBeforeItIsEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps, err := strategy.Plan(strategy.Input{Rollout: canary(anyCanary(t))})
		if err != nil {
			t.Fatal(err)
		}
		count := map[metrics.StepKind]int{}
		for _, s := range steps {
			count[s.Kind]++
			if s.Exposure.Share >= 1 && (s.Kind == metrics.StepWatch || s.Kind == metrics.StepProof) {
				t.Fatalf("nobody is left to compare with: %s", line(s))
			}
		}
		if steps[0].Kind != metrics.StepStage || count[metrics.StepStage] != 1 || count[metrics.StepProof] > 1 || count[metrics.StepBake] == 0 {
			t.Fatalf("%v", lines(steps))
		}
	})
}

func TestPlanIsAFunctionOfItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		a, errA := strategy.Plan(in)
		b, errB := strategy.Plan(in)
		if diff := cmp.Diff(a, b); diff != "" || errA != nil || errB != nil {
			t.Fatal(diff, errA, errB)
		}
	})
}

func TestLaterStrategiesSaySo(t *testing.T) {
	for _, s := range strategy.All() {
		t.Run(s.Name, func(t *testing.T) {
			spec, ok := strategy.Preset(s.Name)
			if !ok {
				t.Fatal("no preset")
			}
			_, err := strategy.Plan(strategy.Input{Rollout: spec})
			var later *strategy.UnavailableError
			if got := !errors.As(err, &later); got != s.Available {
				t.Errorf("available %v, want %v: %v", got, s.Available, err)
			}
			if later != nil && later.Strategy != s.Field {
				t.Errorf("strategy %q", later.Strategy)
			}
		})
	}
	if _, ok := strategy.Preset("shadow"); ok {
		t.Error("there is no preset shadow")
	}
}

func TestImpossibleRolloutsAreRefused(t *testing.T) {
	cases := map[string]struct {
		in   strategy.Input
		want string
	}{
		"no strategy": {strategy.Input{}, "planning: spec.strategy: exactly one strategy is wanted; set canary or direct"},
		"two strategies": {strategy.Input{Rollout: v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{}, Direct: &v1alpha1.Direct{}}}},
			"planning: spec.strategy: exactly one strategy is wanted; set canary or direct"},
		"a weight that does not grow": {strategy.Input{Rollout: canary(v1alpha1.Canary{StepWeights: []v1alpha1.Percent{5, 5}})},
			"planning: spec.strategy.canary.steps[1]: the weight 5 does not grow; write a weight above the one before"},
		"a weight of nothing": {strategy.Input{Rollout: canary(v1alpha1.Canary{}), Overrides: strategy.Overrides{StepWeights: []float64{0.05}}},
			"planning: spec.strategy.canary.steps[0]: the weight is 0.05; write 0.1 to 100"},
		"pauses alone": {strategy.Input{Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{wait(0)}})},
			"planning: spec.strategy.canary: no step sets a weight; add a step such as {setWeight: 25}"},
		"an empty step": {strategy.Input{Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{{}}})},
			"planning: spec.strategy.canary.steps[0]: neither setWeight nor pause is set; set exactly one of them"},
		"an unknown population": {strategy.Input{Rollout: canary(v1alpha1.Canary{By: "pod"})},
			`planning: spec.strategy.canary.by: is "pod"; write request or instance`},
		"a strategy to come": {strategy.Input{Rollout: v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{AB: &v1alpha1.AB{}}}},
			"planning ab: the strategy comes in a later release; use canary or direct"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			steps, err := strategy.Plan(c.in)
			if err == nil || steps != nil || err.Error() != c.want {
				t.Errorf("steps %v, error %v, want %s", lines(steps), err, c.want)
			}
		})
	}
}
