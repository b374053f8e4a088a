package strategy

import (
	"fmt"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// mostBatches is how many batches a rolling rollout may have, as many as a canary has steps.
const mostBatches = 32

// planRolling moves batch by batch. The last batch leaves nobody on the old policy: it is the fold, and is watched as
// long as a bake. Batches of workloads or namespaces are planned by their share of the instances.
func planRolling(in Input) ([]Step, error) {
	batch := *in.Rollout.Strategy.Rolling.Batch
	if !(batch >= 100.0/mostBatches && batch <= 100) { // written so that NaN is refused too
		return nil, &InputError{Field: "spec.strategy.rolling.batch", Reason: fmt.Sprintf("batches of %g %%", float64(batch)),
			Next: fmt.Sprintf("write %g to 100, at most %d batches", 100.0/mostBatches, mostBatches)}
	}
	var asked []v1alpha1.CanaryStep
	for w := batch; w < 100; w += batch {
		asked = append(asked, v1alpha1.CanaryStep{SetWeight: &w})
	}
	steps := []Step{stage(in)}
	ramp, _ := climb(in, policy.ByInstance, asked)
	return append(append(steps, ramp...), fold(in, or(in.Overrides.Bake, in.Rollout.Bake.Duration))), nil
}
