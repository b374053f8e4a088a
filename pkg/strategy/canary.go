package strategy

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// CodeSmallProof is the note of a proof below 25 %; pkg/validate explains it.
const CodeSmallProof = "MP207"

// CodeDropped is the note of steps that were left out for lack of traffic; pkg/validate explains it.
const CodeDropped = "MP222"

func planCanary(in Input) ([]Step, error) {
	by, err := populationOf(in)
	if err != nil {
		return nil, err
	}
	asked, err := weights(in, by)
	if err != nil {
		return nil, err
	}
	ramp, last := climb(in, by, asked)
	steps := append([]Step{stage(in)}, ramp...)
	steps = append(steps, bake(in, by, last), fold(in, or(in.Overrides.Fold, v1alpha1.DefaultFold)))
	return withTrailingPause(steps, asked), nil
}

// populationOf chooses between requests and instances: flag, then file, then what the policies need.
func populationOf(in Input) (policy.By, error) {
	by := or(in.Overrides.By, policy.By(in.Rollout.Strategy.Canary.By))
	switch by {
	case policy.ByRequest, policy.ByInstance:
		return by, nil
	case "":
		if needsInstances(in.Policies) {
			return policy.ByInstance, nil
		}
		return policy.ByRequest, nil
	}
	return "", &InputError{Field: "spec.strategy.canary.by", Reason: fmt.Sprintf("is %q", by), Next: "write request or instance"}
}

// needsInstances tells whether a share of the requests proves nothing: a pool is absolute per proxy, and a server
// accepts plaintext or not, whatever the request.
func needsInstances(policies []policy.Policy) bool {
	for _, p := range policies {
		switch o := p.Object.(type) {
		case *v1alpha1.CircuitBreaker:
			if o.Spec.HasPools() {
				return true
			}
		case *v1alpha1.MutualTLS:
			if o.Spec.Client == nil {
				return true
			}
		}
	}
	return false
}

// weights lists the steps that are asked for in the long form, checked.
func weights(in Input, by policy.By) ([]v1alpha1.CanaryStep, error) {
	canary := *in.Rollout.Strategy.Canary
	if len(in.Overrides.StepWeights) > 0 {
		canary = v1alpha1.Canary{StepWeights: percents(in.Overrides.StepWeights)}
	}
	steps := canary.StepList()
	if len(steps) == 0 {
		canary.StepWeights = v1alpha1.DefaultWeightsByRequest()
		if by == policy.ByInstance {
			canary.StepWeights = v1alpha1.DefaultWeightsByInstance()
		}
		steps = canary.StepList()
	}
	return steps, checkWeights(steps)
}

func percents(in []float64) []v1alpha1.Percent {
	out := make([]v1alpha1.Percent, len(in))
	for i, f := range in {
		out[i] = v1alpha1.Percent(f)
	}
	return out
}

func checkWeights(steps []v1alpha1.CanaryStep) error {
	any := false
	for i, s := range steps {
		if s.SetWeight == nil && s.Pause == nil {
			return &InputError{Field: stepPath(i), Reason: "neither setWeight nor pause is set", Next: "set exactly one of them"}
		}
		if s.SetWeight == nil {
			continue
		}
		any = true
		if w := *s.SetWeight; !(w >= 0.1 && w <= 100) { // written so that NaN is refused too
			return &InputError{Field: stepPath(i), Reason: fmt.Sprintf("the weight is %g", w), Next: "write 0.1 to 100"}
		}
	}
	if !any {
		return &InputError{Field: "spec.strategy.canary", Reason: "no step sets a weight", Next: "add a step such as {setWeight: 25}"}
	}
	if i := v1alpha1.NotGrowing(steps); i >= 0 {
		return &InputError{Field: stepPath(i), Reason: fmt.Sprintf("the weight %g does not grow", *steps[i].SetWeight),
			Next: "write a weight above the one before"}
	}
	return nil
}

func stepPath(i int) string { return fmt.Sprintf("spec.strategy.canary.steps[%d]", i) }

// stage is step 0: the split with both halves on the old policy. It risks nothing and shows that the proxies take it,
// that both halves count and that they are alike. It is by request also where the canary is by instance: it exposes no
// pod, and it is how the client pods are found.
func stage(in Input) Step {
	s, least := in.Rollout.Analysis.Step0, or(in.Overrides.Step0Min, in.Rollout.Analysis.Step0.Min.Duration)
	e := exposure(in, policy.ByRequest, v1alpha1.DefaultStep0Weight)
	e.Mode = policy.Staged
	return Step{
		Name: "step 0", Kind: metrics.StepStage, Exposure: e,
		Min: least, Max: max(least, or(in.Overrides.Step0Max, s.Max.Duration)),
		MinRequests: or(in.Overrides.MinRequests, float64(*s.MinRequests)),
	}
}

// bake holds 5 % back, or as little as the last step left; 100 % is never narrowed again.
func bake(in Input, by policy.By, last v1alpha1.Percent) Step {
	length := or(in.Overrides.Bake, in.Rollout.Bake.Duration)
	return Step{
		Name: "bake", Kind: metrics.StepBake, Exposure: exposure(in, by, max(last, v1alpha1.DefaultBakeWeight)),
		Min: length, Max: 2 * length, MinRequests: minRequests(in),
	}
}

// exposure enforces the policy for a share.
func exposure(in Input, by policy.By, weight v1alpha1.Percent) policy.Exposure {
	share := float64(weight) / 100
	e := policy.Exposure{Mode: policy.Enforce, By: by, Share: share}
	if by == policy.ByRequest {
		e.Window = policy.NewWindow(in.Seed, share)
	}
	return e
}

// climb makes the watch steps and the proof step, and tells the last weight.
func climb(in Input, by policy.By, asked []v1alpha1.CanaryStep) (steps []Step, last v1alpha1.Percent) {
	proof := proofIndex(asked)
	var waiting pause
	var dropped []string
	for i, a := range asked {
		if a.SetWeight == nil {
			waiting = waiting.plus(*a.Pause)
			continue
		}
		s := widen(in, by, a, i == proof)
		last = *a.SetWeight
		if s.Dropped = tooQuiet(in, s); s.Dropped {
			steps, dropped = append(steps, s), append(dropped, s.Name)
			continue
		}
		s.Pause, s.PauseFor = waiting.asked, waiting.length
		first := !slices.ContainsFunc(steps, func(s Step) bool { return !s.Dropped })
		s.Notes = notes(s, dropped, first)
		steps, waiting, dropped = append(steps, s), pause{}, nil
	}
	return steps, last
}

// proofIndex is the last step that leaves somebody to compare with: it must show a bound. -1 where there is none.
func proofIndex(asked []v1alpha1.CanaryStep) int {
	proof := -1
	for i, a := range asked {
		if a.SetWeight != nil && *a.SetWeight < 100 {
			proof = i
		}
	}
	return proof
}

// widen is one step of the ramp. At 100 % nobody is left to compare with, so it is judged like a bake: before and after.
func widen(in Input, by policy.By, a v1alpha1.CanaryStep, proof bool) Step {
	w := *a.SetWeight
	least, most := stepTimes(in, a, proof)
	kind := metrics.StepWatch
	switch {
	case proof:
		kind = metrics.StepProof
	case w >= 100:
		kind = metrics.StepBake
	}
	return Step{
		Name: fmt.Sprintf("%.4g %%", float64(w)), Kind: kind, Exposure: exposure(in, by, w),
		Min: least, Max: most, MinRequests: minRequests(in),
	}
}

// stepTimes are flag, then file, then the defaults of the weight. A longer min stretches a max that nobody set.
func stepTimes(in Input, a v1alpha1.CanaryStep, proof bool) (least, most time.Duration) {
	least, most = v1alpha1.DefaultStepMin, v1alpha1.DefaultStepMax
	if *a.SetWeight >= v1alpha1.WideWeight {
		least = v1alpha1.DefaultStepMinWide
	}
	if proof {
		most = v1alpha1.DefaultProofMax
	}
	if a.Max != nil {
		most, least = a.Max.Duration, min(least, a.Max.Duration)
	}
	if a.Min != nil {
		least = a.Min.Duration
	}
	if in.Overrides.StepMax > 0 {
		most, least = in.Overrides.StepMax, min(least, in.Overrides.StepMax)
	}
	least = or(in.Overrides.StepMin, least)
	return least, max(least, most)
}

// tooQuiet tells that a watch step could not see enough requests in its time (JUDGE.md section 2). By instance it has at
// least one pod, whose share is known with the number of pods only.
func tooQuiet(in Input, s Step) bool {
	share := s.Exposure.Share
	if s.Exposure.By == policy.ByInstance {
		if in.Clients <= 0 {
			return false
		}
		share = max(share, 1/float64(in.Clients))
	}
	expected := in.RPS * share * s.Max.Seconds()
	return in.RPS > 0 && s.Kind == metrics.StepWatch && expected < 2*s.MinRequests
}

// notes are what a person should know of a step before it runs: the first one of all exposes more than was asked for at
// first where those before it are left out.
func notes(s Step, dropped []string, first bool) []string {
	var out []string
	if s.Kind == metrics.StepProof && s.Exposure.Share*100 < float64(v1alpha1.WideWeight) {
		out = append(out, fmt.Sprintf("%s: the proof step has %.4g %%: below %.4g %% a bound takes long to show",
			CodeSmallProof, s.Exposure.Share*100, float64(v1alpha1.WideWeight)))
	}
	for _, name := range dropped {
		out = append(out, fmt.Sprintf("%s: the step %s is left out: there is too little traffic for a verdict in its time",
			CodeDropped, name))
	}
	if first && len(dropped) > 0 {
		out[len(out)-1] += "; the rollout begins with " + s.Name + " (a longer time for the step keeps it: --step-max)"
	}
	return out
}

// pause is the waits between two weights, taken together: one without a length outweighs all lengths.
type pause struct {
	asked, forever bool
	length         time.Duration
}

func (p pause) plus(more v1alpha1.Pause) pause {
	p.asked = true
	if more.Duration == nil || p.forever {
		return pause{asked: true, forever: true}
	}
	p.length += more.Duration.Duration
	return p
}

// withTrailingPause puts the pauses after the last weight in front of the bake.
func withTrailingPause(steps []Step, asked []v1alpha1.CanaryStep) []Step {
	var waiting pause
	for _, a := range asked {
		if a.SetWeight != nil {
			waiting = pause{}
			continue
		}
		waiting = waiting.plus(*a.Pause)
	}
	b := len(steps) - 2
	steps[b].Pause, steps[b].PauseFor = waiting.asked, waiting.length
	return steps
}
