package strategy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// line is a step as a row of a table: everything that a test wants to see.
func line(s strategy.Step) string {
	text := fmt.Sprintf("%s|%s|%s %s %.4g|%s-%s|%g", s.Name, s.Kind, s.Exposure.Mode, s.Exposure.By, s.Exposure.Share*100, s.Min, s.Max, s.MinRequests)
	if s.Pause {
		text += fmt.Sprintf("|pause %s", s.PauseFor)
	}
	for _, n := range s.Notes {
		text += "|" + n
	}
	return text
}

func lines(steps []strategy.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, line(s))
	}
	return out
}

func canary(c v1alpha1.Canary) v1alpha1.RolloutSpec {
	return v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &c}}
}

func weight(p v1alpha1.Percent) v1alpha1.CanaryStep { return v1alpha1.CanaryStep{SetWeight: &p} }

func wait(d time.Duration) v1alpha1.CanaryStep {
	if d == 0 {
		return v1alpha1.CanaryStep{Pause: &v1alpha1.Pause{}}
	}
	return v1alpha1.CanaryStep{Pause: &v1alpha1.Pause{Duration: &v1alpha1.Duration{Duration: d}}}
}

func breaker(spec v1alpha1.CircuitBreakerSpec) []policy.Policy {
	return []policy.Policy{{Object: &v1alpha1.CircuitBreaker{Spec: spec}}}
}

func ptr[T any](v T) *T { return &v }

func TestPlan(t *testing.T) {
	const (
		step0 = "step 0|stage|staged request 50|2m0s-5m0s|200"
		bake  = "bake|bake|enforce request 95|5m0s-10m0s|20"
		fold  = "fold|fold|enforce all 0|1m0s-5m0s|20"
	)
	cases := map[string]struct {
		in   strategy.Input
		want []string
	}{
		"the default canary": {strategy.Input{Rollout: canary(v1alpha1.Canary{})}, []string{step0,
			"1 %|watch|enforce request 1|1m0s-10m0s|20", "5 %|watch|enforce request 5|1m0s-10m0s|20",
			"25 %|watch|enforce request 25|2m0s-10m0s|20", "50 %|proof|enforce request 50|2m0s-20m0s|20", bake, fold}},
		"pools by instance": {strategy.Input{Rollout: canary(v1alpha1.Canary{}), Policies: breaker(v1alpha1.CircuitBreakerSpec{MaxConnections: ptr(int32(5))})},
			[]string{"step 0|stage|staged request 50|2m0s-5m0s|200",
				"1 %|watch|enforce instance 1|1m0s-10m0s|20", "25 %|watch|enforce instance 25|2m0s-10m0s|20",
				"50 %|proof|enforce instance 50|2m0s-20m0s|20", "bake|bake|enforce instance 95|5m0s-10m0s|20", fold}},
		"ejection alone by request": {strategy.Input{Rollout: canary(v1alpha1.Canary{StepWeights: []v1alpha1.Percent{50}}),
			Policies: breaker(v1alpha1.CircuitBreakerSpec{OutlierDetection: &v1alpha1.OutlierDetection{}})},
			[]string{step0, "50 %|proof|enforce request 50|2m0s-20m0s|20", bake, fold}},
		"the file wins over the policies": {strategy.Input{Rollout: canary(v1alpha1.Canary{By: "request", StepWeights: []v1alpha1.Percent{50}}),
			Policies: breaker(v1alpha1.CircuitBreakerSpec{MaxConnections: ptr(int32(5))})},
			[]string{step0, "50 %|proof|enforce request 50|2m0s-20m0s|20", bake, fold}},
		"a small proof is noted": {strategy.Input{Rollout: canary(v1alpha1.Canary{StepWeights: []v1alpha1.Percent{1, 10}})},
			[]string{step0, "1 %|watch|enforce request 1|1m0s-10m0s|20",
				"10 %|proof|enforce request 10|1m0s-20m0s|20|MP207: the proof step has 10 %: below 25 % a bound takes long to show", bake, fold}},
		"100 % is never narrowed": {strategy.Input{Rollout: canary(v1alpha1.Canary{StepWeights: []v1alpha1.Percent{50, 100}})},
			[]string{step0, "50 %|proof|enforce request 50|2m0s-20m0s|20", "100 %|bake|enforce request 100|2m0s-10m0s|20",
				"bake|bake|enforce request 100|5m0s-10m0s|20", fold}},
		"97 % keeps 3 % back": {strategy.Input{Rollout: canary(v1alpha1.Canary{StepWeights: []v1alpha1.Percent{97}})},
			[]string{step0, "97 %|proof|enforce request 97|2m0s-20m0s|20", "bake|bake|enforce request 97|5m0s-10m0s|20", fold}},
		"pauses": {strategy.Input{Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{
			wait(time.Minute), wait(2 * time.Minute), weight(5), wait(time.Minute), wait(0), weight(50), wait(0)}})},
			[]string{step0, "5 %|watch|enforce request 5|1m0s-10m0s|20|pause 3m0s",
				"50 %|proof|enforce request 50|2m0s-20m0s|20|pause 0s", bake + "|pause 0s", fold}},
		"own times": {strategy.Input{Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{
			{SetWeight: ptr(v1alpha1.Percent(5)), Max: &v1alpha1.Duration{Duration: 30 * time.Second}},
			{SetWeight: ptr(v1alpha1.Percent(50)), Min: &v1alpha1.Duration{Duration: time.Hour}}}})},
			[]string{step0, "5 %|watch|enforce request 5|30s-30s|20", "50 %|proof|enforce request 50|1h0m0s-1h0m0s|20", bake, fold}},
		"flags win": {strategy.Input{Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{weight(5), wait(0)}}),
			Overrides: strategy.Overrides{StepWeights: []float64{10, 50}, StepMin: time.Second, StepMax: 2 * time.Second, Bake: 3 * time.Second,
				Fold: 4 * time.Second, Step0Min: 5 * time.Second, Step0Max: 6 * time.Second, MinRequests: 7, By: policy.ByInstance}},
			[]string{"step 0|stage|staged request 50|5s-6s|7", "10 %|watch|enforce instance 10|1s-2s|7", "50 %|proof|enforce instance 50|1s-2s|7",
				"bake|bake|enforce instance 95|3s-6s|7", "fold|fold|enforce all 0|4s-20s|7"}},
		"little traffic leaves steps out": {strategy.Input{Rollout: canary(v1alpha1.Canary{}), RPS: 1},
			[]string{step0, "25 %|watch|enforce request 25|2m0s-10m0s|20|" +
				"MP222: the step 1 % is left out: there is too little traffic for a verdict in its time|" +
				"MP222: the step 5 % is left out: there is too little traffic for a verdict in its time; the rollout begins with 25 % (a longer time for the step keeps it: --step-max)",
				"50 %|proof|enforce request 50|2m0s-20m0s|20", bake, fold}},
		"a step between two is left out": {strategy.Input{RPS: 1, Rollout: canary(v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{
			{SetWeight: weight(1).SetWeight, Max: &v1alpha1.Duration{Duration: 2 * time.Hour}}, weight(5), weight(50)}})},
			[]string{step0, "1 %|watch|enforce request 1|1m0s-2h0m0s|20",
				"50 %|proof|enforce request 50|2m0s-20m0s|20|MP222: the step 5 % is left out: there is too little traffic for a verdict in its time", bake, fold}},
		"direct": {strategy.Input{Rollout: v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Direct: &v1alpha1.Direct{}}}},
			[]string{"fold|fold|enforce all 0|2m0s-10m0s|20"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			steps, err := strategy.Plan(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lines(strategy.Taken(steps))); diff != "" {
				t.Error(diff)
			}
			if quiet := c.in.RPS > 0; (len(steps) > len(c.want)) != quiet {
				t.Errorf("%d steps asked for, %d taken", len(steps), len(c.want))
			}
		})
	}
}

// TestSketch: the strategies that no mesh carries out yet have steps all the same, for a simulation.
func TestSketch(t *testing.T) {
	const (
		step0 = "step 0|stage|staged request 50|2m0s-5m0s|200"
		fold  = "fold|fold|enforce all 0|1m0s-5m0s|20"
	)
	match := []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: "x-beta", Value: "yes"}}}
	of := func(s v1alpha1.Strategy) v1alpha1.RolloutSpec { return v1alpha1.RolloutSpec{Strategy: s} }
	keep := v1alpha1.Duration{}
	cases := map[string]struct {
		in   strategy.Input
		want []string
	}{
		"blue-green": {strategy.Input{Rollout: of(v1alpha1.Strategy{BlueGreen: &v1alpha1.BlueGreen{}})},
			[]string{step0, "switch|fold|enforce request 100|5m0s-25m0s|20", fold}},
		"blue-green with a preview and no old set": {strategy.Input{Rollout: of(v1alpha1.Strategy{BlueGreen: &v1alpha1.BlueGreen{Preview: &v1alpha1.Preview{Header: "x-preview"}, KeepOld: &keep}})},
			[]string{step0, "preview|watch|enforce match 0|1m0s-10m0s|20", "switch|fold|enforce request 100|15s-1m15s|20", fold}},
		"rolling": {strategy.Input{Rollout: of(v1alpha1.Strategy{Rolling: &v1alpha1.Rolling{}})},
			[]string{step0, "25 %|watch|enforce instance 25|2m0s-10m0s|20", "50 %|watch|enforce instance 50|2m0s-10m0s|20",
				"75 %|proof|enforce instance 75|2m0s-20m0s|20", "fold|fold|enforce all 0|5m0s-25m0s|20"}},
		"rolling in one batch": {strategy.Input{Rollout: of(v1alpha1.Strategy{Rolling: &v1alpha1.Rolling{Batch: ptr(v1alpha1.Percent(100))}})},
			[]string{step0, "fold|fold|enforce all 0|5m0s-25m0s|20"}},
		"ab": {strategy.Input{Rollout: of(v1alpha1.Strategy{AB: &v1alpha1.AB{Match: match}})},
			[]string{"step 0|stage|staged match 0|2m0s-5m0s|200", "comparison|proof|enforce match 0|30m0s-30m0s|20", "fold|fold|enforce all 0|5m0s-25m0s|20|pause 0s"}},
		"ab and back": {strategy.Input{Rollout: of(v1alpha1.Strategy{AB: &v1alpha1.AB{Match: match, Then: "rollback"}})},
			[]string{"step 0|stage|staged match 0|2m0s-5m0s|200", "comparison|proof|enforce match 0|30m0s-30m0s|20", "back|clean|staged match 0|0s-0s|20"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			steps, err := strategy.Sketch(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lines(steps)); diff != "" {
				t.Error(diff)
			}
			if _, err := strategy.Plan(c.in); err == nil {
				t.Error("Plan gives steps that no mesh can carry out")
			}
		})
	}
}

func TestSketchRefusesTinyBatches(t *testing.T) {
	in := strategy.Input{Rollout: v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Rolling: &v1alpha1.Rolling{Batch: ptr(v1alpha1.Percent(1))}}}}
	if _, err := strategy.Sketch(in); err == nil || err.Error() != "planning: spec.strategy.rolling.batch: batches of 1 %; write 3.125 to 100, at most 32 batches" {
		t.Error(err)
	}
}

// By instance a step has at least one pod, however small its weight: it is left out only where that pod sees too little.
func TestOnePodMayBeEnoughTraffic(t *testing.T) {
	for clients, want := range map[int]string{0: "1 %", 4: "1 %", 400: "25 %"} {
		steps, err := strategy.Plan(strategy.Input{Rollout: canary(v1alpha1.Canary{By: "instance"}), RPS: 1, Clients: clients})
		if err != nil {
			t.Fatal(err)
		}
		if got := strategy.Taken(steps)[1].Name; got != want {
			t.Errorf("%d clients: the first step is %s, want %s", clients, got, want)
		}
	}
}
