package simulate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/simulate"
)

// wired is a canary that begins at 10 % of 400 requests a second, with the tripwire beside it.
func wired(t *testing.T, harms ...string) simulate.Options {
	o := of(t, v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{StepWeights: []v1alpha1.Percent{10, 50}}}}, harms...)
	wire := metrics.DefaultTripwireConfig(0)
	o.Tripwire, o.Traffic.RPS, o.Runs = &wire, 400, 40
	return o
}

// TestTheTripwireIsSimulated: gross harm is out within seconds, sooner than any tick of the judge ends; without the
// tripwire it takes a tick and the judge's reaction.
func TestTheTripwireIsSimulated(t *testing.T) {
	o := wired(t, "fail=90%")
	r := run(t, o)
	bad := r.Rules[0].Bad
	if bad.Share(simulate.Failed) != 1 || bad.Tripped != bad.Runs || bad.Found.P90 > 12 || bad.Found.Median < 3 {
		t.Errorf("%+v", bad)
	}
	if diff := cmp.Diff([]string{"10 %", "50 %"}, r.Tripwire); diff != "" {
		t.Error(diff)
	}
	o.Tripwire = nil
	slow := run(t, o)
	if got := slow.Rules[0].Bad; got.Tripped != 0 || got.Found.Median < 20 || got.Harmed.Median < 2*bad.Harmed.Median || slow.Tripwire != nil {
		t.Errorf("without it: %+v", got)
	}
}

// TestTheTripwireChangesNothingElse: it deals the seconds of a tick that is drawn as a whole, so that a harmless policy, and
// a harm that it is not for, meet the same judge with it and without.
func TestTheTripwireChangesNothingElse(t *testing.T) {
	o := wired(t, "errors=5x")
	with := run(t, o)
	o.Tripwire = nil
	without := run(t, o)
	if diff := cmp.Diff(without.Rules, with.Rules); diff != "" {
		t.Error(diff)
	}
}

// TestByInstanceNobodyWatches: there the tripwire only pauses, and is not simulated.
func TestByInstanceNobodyWatches(t *testing.T) {
	o := of(t, v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{By: "instance"}}}, "fail=90%")
	wire := metrics.DefaultTripwireConfig(0)
	o.Tripwire = &wire
	if r := run(t, o); r.Tripwire != nil || r.Rules[0].Bad.Tripped != 0 {
		t.Errorf("%v", r.Tripwire)
	}
}

// TestPausesArePauses: what a rollout is told to pause for is not taken back, whoever finds it.
func TestPausesArePauses(t *testing.T) {
	for name, change := range map[string]func(*simulate.Options){
		"by the judge":    func(o *simulate.Options) { o.Tripwire = nil },
		"by the tripwire": func(*simulate.Options) {},
		"no verdict": func(o *simulate.Options) {
			o.Traffic.RPS, o.Plan.Settings.OnInconclusive, o.Harm = 1, "pause", simulate.Harm{Text: "errors=1.01x", Times: 1.01}
		},
	} {
		o := wired(t, "fail=90%")
		o.Plan.Settings.OnFailure, o.Runs = "pause", 10
		change(&o)
		bad := run(t, o).Rules[0].Bad
		if bad.Share(simulate.Paused) != 1 || bad.Found.N != 0 || bad.Asked.N != bad.Runs {
			t.Errorf("%s: %v", name, bad.Ends)
		}
	}
}

// TestTheCommonestReasonIsGiven, with its step, of whatever did not pass.
func TestTheCommonestReasonIsGiven(t *testing.T) {
	o := wired(t)
	o.Traffic.RPS = 1
	why := run(t, o).Rules[0].Good.Why
	if len(why) != 1 || why[0].End != string(simulate.Inconclusive) || why[0].Step != "50 %" || why[0].Runs != why[0].Of || !strings.HasPrefix(why[0].Reason, "inconclusive: ") {
		t.Errorf("%+v", why)
	}
	o = wired(t)
	o.Plan.Settings = rollout.Settings{Tick: o.Plan.Settings.Tick, Deadline: o.Plan.Steps[0].Min}
	why = run(t, o).Rules[0].Good.Why
	want := []simulate.Why{{End: string(simulate.TimedOut), Step: "step 0", Reason: "the deadline of 2m0s has passed", Runs: 40, Of: 40}}
	if diff := cmp.Diff(want, why); diff != "" && (len(why) != 1 || why[0].Reason != want[0].Reason) {
		t.Error(diff)
	}
}
