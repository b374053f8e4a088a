package simulate_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/simulate"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// options are a simulation of a strategy's preset on the default traffic.
func options(t testing.TB, name string, harms ...string) simulate.Options {
	t.Helper()
	spec, ok := strategy.Preset(name)
	if !ok {
		t.Fatalf("no preset %s", name)
	}
	return of(t, spec, harms...)
}

func of(t testing.TB, spec v1alpha1.RolloutSpec, harms ...string) simulate.Options {
	t.Helper()
	steps, err := strategy.Sketch(strategy.Input{Rollout: spec, Seed: "a"})
	if err != nil {
		t.Fatal(err)
	}
	judge, err := metrics.NewJudge(metrics.DefaultJudgeConfig())
	if err != nil {
		t.Fatal(err)
	}
	harm, err := simulate.ParseHarms(harms)
	if err != nil {
		t.Fatal(err)
	}
	return simulate.Options{
		Plan: simulate.NewPlan(rollout.PlanInput{Name: "a", Strategy: "canary", Steps: steps,
			Settings: rollout.Settings{Tick: 15 * time.Second, Deadline: 2 * time.Hour, OnInconclusive: "wait", OnNoData: "wait"}}),
		Judge: judge, Traffic: simulate.DefaultTraffic(), Harm: harm, Runs: 8, Seed: 1,
	}
}

func run(t testing.TB, o simulate.Options) simulate.Report {
	t.Helper()
	r, err := simulate.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryStrategyFindsGrossHarm: a harmless policy passes, one that breaks nine of ten requests does not.
func TestEveryStrategyFindsGrossHarm(t *testing.T) {
	for _, s := range strategy.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := run(t, options(t, s.Name, "fail=90%")).Rules[0]
			if r.Good.Share(simulate.Passed) != 1 || r.Bad.Share(simulate.Failed) != 1 {
				t.Errorf("harmless: %v, harmful: %v", r.Good.Ends, r.Bad.Ends)
			}
			if r.Good.Harmed.Most != 0 || r.Bad.Harmed.Median < 10 || r.Bad.Found.P90 > 120 {
				t.Errorf("harmed %v and %v, found after %v", r.Good.Harmed, r.Bad.Harmed, r.Bad.Found)
			}
		})
	}
}

// TestInstanceCanariesAreSimulated: one of eight pods is harmed at a time, not one of a hundred requests.
func TestInstanceCanariesAreSimulated(t *testing.T) {
	r := run(t, of(t, v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{By: "instance"}}}, "fail=90%")).Rules[0]
	if r.Bad.Share(simulate.Failed) != 1 || r.Bad.HarmedShare < 0.1 || r.Bad.HarmedShare > 0.13 {
		t.Errorf("%+v", r.Bad)
	}
}

// TestWhatNobodyCountsIsNoData: neither requests that never end nor a side without metrics ever passes.
func TestWhatNobodyCountsIsNoData(t *testing.T) {
	for _, harm := range []string{"hang", "silent"} {
		r := run(t, options(t, "canary", harm)).Rules[0]
		if r.Bad.Share(simulate.Passed) != 0 || (r.Bad.Harmed.Median > 0) != (harm == "hang") {
			t.Errorf("%s: %+v", harm, r.Bad)
		}
	}
}

// TestPausesAreWaited: a timed pause takes its time, a person's word comes at once.
func TestPausesAreWaited(t *testing.T) {
	ten, fifty := v1alpha1.Percent(10), v1alpha1.Percent(50)
	spec := func(p v1alpha1.Pause) v1alpha1.RolloutSpec {
		return v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{Steps: []v1alpha1.CanaryStep{{SetWeight: &ten}, {Pause: &p}, {SetWeight: &fifty}}}}}
	}
	asked := run(t, of(t, spec(v1alpha1.Pause{})))
	timed := run(t, of(t, spec(v1alpha1.Pause{Duration: &v1alpha1.Duration{Duration: 7 * time.Minute}})))
	if !asked.Asks || timed.Asks {
		t.Errorf("asks for a person: %v, %v", asked.Asks, timed.Asks)
	}
	// The minutes of the pause are other minutes for the later steps, so that only the order of the times is certain.
	if a, b := asked.Rules[0].Good.Took, timed.Rules[0].Good.Took; b.Median < a.Median || b.Median < 17*60 {
		t.Errorf("took %v and %v", a, b)
	}
}

func TestSameSeedSameReport(t *testing.T) {
	o := options(t, "canary", "errors=5x")
	o.Compare, o.Runs = true, 12
	o.Traffic.Sick, o.Traffic.Bursts, o.Traffic.Outages = 0.5, 2, 1
	text := func(procs int) string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		b, err := json.Marshal(run(t, o))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	one, two := text(1), text(2)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error("on two processors:", diff)
	}
	o.Seed = 2
	if text(2) == one {
		t.Error("another seed gives the same report")
	}
}

// anyTraffic draws services from hardly any traffic to much, from clean to hopeless.
func anyTraffic(t *rapid.T) simulate.Traffic {
	d := simulate.DefaultTraffic()
	d.RPS = rapid.Float64Range(0.1, 500).Draw(t, "rps")
	d.Pods = rapid.IntRange(1, 12).Draw(t, "pods")
	d.Errors = rapid.SampledFrom([]float64{0, 0.0001, 0.001, 0.01, 0.3, 1}).Draw(t, "errors")
	d.Clumps = rapid.SampledFrom([]float64{1, 3, 10}).Draw(t, "clumps")
	d.Sick = rapid.SampledFrom([]float64{0, 0.25, 4}).Draw(t, "sick")
	d.Bursts = rapid.SampledFrom([]float64{0, 4}).Draw(t, "bursts")
	d.Outages = rapid.SampledFrom([]float64{0, 1}).Draw(t, "outages")
	return d
}

// TestNeverMoreHarmThanRequests, and every run ends, whatever the traffic, the harm and the strategy.
func TestNeverMoreHarmThanRequests(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := options(t, rapid.SampledFrom([]string{"canary", "direct", "blue-green", "rolling", "ab"}).Draw(rt, "strategy"),
			rapid.SampledFrom([]string{"errors=5x", "errors=+2%", "latency=+50%", "latency=+500%", "fail=90%", "fail=100%", "hang", "silent"}).Draw(rt, "harm"))
		o.Traffic, o.Runs, o.Seed = anyTraffic(rt), 1, rapid.Uint64().Draw(rt, "seed")
		o.Compare = rapid.Bool().Draw(rt, "compare")
		for _, rule := range run(t, o).Rules {
			for _, sum := range []simulate.Tally{rule.Good, *rule.Bad} {
				ended := 0
				for _, c := range sum.Ends {
					ended += c.Runs
				}
				if ended != sum.Runs || sum.HarmedShare < 0 || sum.HarmedShare > 1 || (sum.Harm == "" && sum.Harmed.Most > 0) {
					rt.Fatalf("%s: %+v", rule.Name, sum)
				}
			}
		}
	})
}

// TestQuietTrafficPasses: without errors and noise nothing stands in the way of a harmless policy.
func TestQuietTrafficPasses(t *testing.T) {
	for _, s := range strategy.All() {
		o := options(t, s.Name)
		o.Compare = true
		o.Traffic.Errors, o.Traffic.Noise = 0, 0
		for _, rule := range run(t, o).Rules {
			if rule.Good.Share(simulate.Passed) != 1 || rule.Bad != nil {
				t.Errorf("%s, %s: %v", s.Name, rule.Name, rule.Good.Ends)
			}
		}
	}
}

func TestAContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := simulate.Run(ctx, options(t, "canary")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for want, change := range map[string]func(*simulate.Options){
		"simulating a rollout: its plan has no steps":                        func(o *simulate.Options) { o.Plan.Steps = nil },
		"simulating rollout a: 0 runs: use 1 to 1000000":                     func(o *simulate.Options) { o.Runs = 0 },
		"simulating rollout a: 0 requests per second: use 0.01 to 1000000":   func(o *simulate.Options) { o.Traffic.RPS = 0 },
		"simulating rollout a: 0 pods: use 1 to 1000":                        func(o *simulate.Options) { o.Traffic.Pods = 0 },
		"simulating rollout a: clumps of 0 errors: use 1 to 1000":            func(o *simulate.Options) { o.Traffic.Clumps = 0 },
		"simulating rollout a: a chosen share of 100 %: use 0.01 to 99.99 %": func(o *simulate.Options) { o.Traffic.Chosen = 1 },
		"simulating rollout a: latencies must be above 0":                    func(o *simulate.Options) { o.Traffic.Latency = 0 },
		"simulating rollout a: the reaction time cannot be negative":         func(o *simulate.Options) { o.Traffic.Reaction = -1 },
		"simulating rollout a: a share of errors of 200 %: use 0 to 100 %":   func(o *simulate.Options) { o.Traffic.Errors = 2 },
	} {
		o := options(t, "canary")
		change(&o)
		if _, err := simulate.Run(t.Context(), o); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func BenchmarkThousandRollouts(b *testing.B) {
	o := options(b, "canary")
	o.Runs = 1000
	for b.Loop() {
		run(b, o)
	}
}
