package strategy

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// Input is what a plan of steps is made of.
type Input struct {
	// Rollout is the Rollout's spec; what it leaves out is filled in.
	Rollout v1alpha1.RolloutSpec
	// Policies are the policies of the change: they choose between requests and instances.
	Policies []policy.Policy
	// Seed places the windows of requests: one seed per rollout.
	Seed string
	// RPS is the traffic of the target in requests per second; 0 = not known. Watch steps that could not see enough requests
	// in their time are marked as Dropped.
	RPS float64
	// Clients is the number of client pods; 0 = not known.
	Clients int
	// Overrides are what flags say; they win over the Rollout.
	Overrides Overrides
}

// Overrides are choices of the command line. A zero value leaves the Rollout's choice.
type Overrides struct {
	// StepWeights replace the canary's steps, pauses included; in percent.
	StepWeights []float64
	// StepMin and StepMax replace the times of the watch and proof steps.
	StepMin, StepMax time.Duration
	// Bake is the time of the bake (direct: of the fold), Fold the time of a canary's fold.
	Bake, Fold time.Duration
	// Step0Min and Step0Max replace the times of step 0.
	Step0Min, Step0Max time.Duration
	// MinRequests replaces the number of requests without which there is no verdict, of step 0 too.
	MinRequests float64
	// By is policy.ByRequest or policy.ByInstance.
	By policy.By
}

// Plan gives the steps of a rollout in a mesh. It returns an *UnavailableError for a strategy that comes in a later
// release, and an *InputError for a Rollout that cannot be planned.
func Plan(in Input) ([]Step, error) {
	names := in.Rollout.Strategy.Names()
	for _, s := range All() {
		if len(names) == 1 && names[0] == s.Field && !s.Available {
			return nil, &UnavailableError{Strategy: s.Field}
		}
	}
	return Sketch(in)
}

// Sketch gives the steps of every strategy, also of those that no mesh can carry out yet: a simulation needs no mesh.
//
//	canary:     step 0 (identical halves) → watch … → proof → bake (5 % held back) → fold
//	direct:     fold
//	blue-green: step 0 → (preview) → switch, the old set is kept → fold
//	rolling:    step 0 → watch … → proof, batch by batch → fold
//	ab:         step 0 (the chosen population, old policy) → comparison → fold, or back
func Sketch(in Input) ([]Step, error) {
	in.Rollout = v1alpha1.DefaultRolloutSpec(in.Rollout)
	switch s := in.Rollout.Strategy; {
	case len(s.Names()) != 1:
		return nil, &InputError{Field: "spec.strategy", Reason: "exactly one strategy is wanted", Next: "set canary or direct"}
	case s.Canary != nil:
		return planCanary(in)
	case s.BlueGreen != nil:
		return planBlueGreen(in), nil
	case s.Rolling != nil:
		return planRolling(in)
	case s.AB != nil:
		return planAB(in), nil
	default:
		return planDirect(in), nil
	}
}

// planDirect is the fold alone: there is nobody to compare with, so before and after are compared.
func planDirect(in Input) []Step {
	return []Step{fold(in, or(in.Overrides.Bake, in.Rollout.Bake.Duration))}
}

// fold is the last step of every strategy: everything is under the new policy and no split is left. Where requests are
// few it waits for them up to five times its time.
func fold(in Input, watch time.Duration) Step {
	return Step{
		Name: "fold", Kind: metrics.StepFold, Exposure: policy.Exposure{Mode: policy.Enforce, By: policy.All},
		Min: watch, Max: 5 * watch, MinRequests: minRequests(in),
	}
}

func minRequests(in Input) float64 {
	return or(in.Overrides.MinRequests, float64(*in.Rollout.Analysis.MinRequests))
}

// or is v, or what stands in for it where it is zero.
func or[T comparable](v, standIn T) T {
	var zero T
	if v == zero {
		return standIn
	}
	return v
}
