package strategy

import (
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// planAB gives the policy to the chosen population for its time, and then does what the Rollout says. Step 0 counts the
// population under the old policy: it is chosen, not drawn, so that it may differ by itself.
func planAB(in Input) []Step {
	ab := in.Rollout.Strategy.AB
	chosen := policy.Exposure{Mode: policy.Enforce, By: policy.ByMatch, Match: ab.Match}
	before, compared := stage(in), Step{
		Name: "comparison", Kind: metrics.StepProof, Exposure: chosen,
		Min: ab.Duration.Duration, Max: ab.Duration.Duration, MinRequests: minRequests(in),
	}
	before.Exposure = policy.Exposure{Mode: policy.Staged, By: policy.ByMatch, Match: ab.Match}
	return []Step{before, compared, afterAB(in, ab.Then, before.Exposure)}
}

// afterAB is the fold, at once or once a person has said so, or the way back to the old policy for everybody.
func afterAB(in Input, then string, out policy.Exposure) Step {
	if then == "rollback" {
		return Step{Name: "back", Kind: metrics.StepClean, Exposure: out, MinRequests: minRequests(in)}
	}
	last := fold(in, or(in.Overrides.Bake, in.Rollout.Bake.Duration))
	last.Pause = then == "ask"
	return last
}
