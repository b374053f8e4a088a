package simulate_test

import (
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/simulate"
)

// TestOutagesAreNotTakenBack: at most 1 % of harmless rollouts fall to two outages of everybody an hour; some 2 % where two
// writes, a step of 100 % and the fold, leave nobody to compare with (4 of these 200). Most pass, so that the share says something.
func TestOutagesAreNotTakenBack(t *testing.T) {
	all := v1alpha1.Percent(100)
	for name, c := range map[string]struct {
		steps  []v1alpha1.CanaryStep
		taken  float64
		passed float64
	}{
		"default":        {nil, 0.01, 0.9},
		"setWeight: 100": {[]v1alpha1.CanaryStep{{SetWeight: percent(5)}, {SetWeight: percent(50)}, {SetWeight: &all}}, 0.025, 0.6},
	} {
		o := of(t, v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{Steps: c.steps}}})
		o.Runs, o.Traffic.Outages, o.Traffic.OutageFails = 200, 2, 0.2
		good := run(t, o).Rules[0].Good
		t.Log(name, good.Ends)
		if good.Share(simulate.Failed) > c.taken || good.Share(simulate.Passed) < c.passed {
			t.Errorf("%s: %v", name, good.Ends)
		}
	}
}

// TestHarmThatBeginsWithTheFoldIsTakenBack, if it is gross; less pauses, and what is within the tolerance passes.
func TestHarmThatBeginsWithTheFoldIsTakenBack(t *testing.T) {
	for _, c := range []struct {
		harm simulate.Harm
		want simulate.End
	}{
		{simulate.Harm{Fail: 1}, simulate.Failed}, {simulate.Harm{Fail: 0.1}, simulate.Failed}, {simulate.Harm{Fail: 0.02}, simulate.Paused},
		{simulate.Harm{Times: 1.5}, simulate.Passed},
	} {
		o := options(t, "canary")
		o.Harm, o.Harm.Whole, o.Runs = c.harm, true, 20
		if bad := run(t, o).Rules[0].Bad; bad.Share(c.want) < 0.95 || bad.Found.P90 > float64(40*time.Minute/time.Second) {
			t.Errorf("%+v: %v", c.harm, bad.Ends)
		}
	}
}

func percent(v v1alpha1.Percent) *v1alpha1.Percent { return &v }

// TestAServiceInTroubleCanStillBeChanged: pods that are sick now and then, and a service that is far beyond its objective
// anyway, say nothing of a policy that does no harm.
func TestAServiceInTroubleCanStillBeChanged(t *testing.T) {
	slo := v1alpha1.Percent(99.9)
	for name, change := range map[string]func(*simulate.Options, *metrics.JudgeConfig){
		"sick pods": func(o *simulate.Options, _ *metrics.JudgeConfig) { o.Traffic.Sick = 2 },
		"beyond its objective": func(o *simulate.Options, c *metrics.JudgeConfig) {
			o.Traffic.Errors, c.SuccessTarget, c.ErrorFloor = 0.02, float64(slo)/100, 0.001
		},
		"slower than promised": func(_ *simulate.Options, c *metrics.JudgeConfig) {
			c.LatencyObjective = metrics.LatencyObjective{Bound: 50, Target: 0.99}
		},
	} {
		o := options(t, "canary")
		o.Runs = 60
		c := metrics.DefaultJudgeConfig()
		c.Steps, c.PlannedTicks = len(o.Plan.Steps), 260
		change(&o, &c)
		c.History = simulate.History(o.Traffic, 1)
		var err error
		if o.Judge, err = metrics.NewJudge(c); err != nil {
			t.Fatal(err)
		}
		if good := run(t, o).Rules[0].Good; good.Share(simulate.Passed) < 0.9 || good.Share(simulate.Failed) > 0.02 {
			t.Errorf("%s: %v", name, good.Ends)
		}
	}
}
