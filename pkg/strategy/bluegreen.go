package strategy

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// planBlueGreen installs both policies, shows the new one to the preview where there is one, and switches with one write.
// Nobody is left to compare with after the switch, so that it is judged before and after, like a fold; the old set stays
// beside it, so that going back is one write too.
func planBlueGreen(in Input) []Step {
	b := in.Rollout.Strategy.BlueGreen
	steps := []Step{stage(in)}
	if b.Preview != nil {
		steps = append(steps, preview(in, b.Preview.Header))
	}
	return append(steps, turn(in, b.KeepOld.Duration), fold(in, or(in.Overrides.Fold, v1alpha1.DefaultFold)))
}

// preview is watched like a step of a canary. A match without a value means any value of the header.
func preview(in Input, header string) Step {
	return Step{
		Name: "preview", Kind: metrics.StepWatch, MinRequests: minRequests(in),
		Exposure: policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: header}}}},
		Min:      or(in.Overrides.StepMin, v1alpha1.DefaultStepMin),
		Max:      max(in.Overrides.StepMin, or(in.Overrides.StepMax, v1alpha1.DefaultStepMax)),
	}
}

// turn is the switch. Without any time to keep the old set it is looked at for one tick.
func turn(in Input, keep time.Duration) Step {
	watched := or(in.Overrides.Bake, max(keep, v1alpha1.DefaultTick))
	return Step{
		Name: "switch", Kind: metrics.StepFold, Exposure: exposure(in, policy.ByRequest, 100),
		Min: watched, Max: 5 * watched, MinRequests: minRequests(in),
	}
}
