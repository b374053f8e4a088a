package validate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/strategy"
)

func weightsDoNotGrow(_ Facts, r policy.RolloutDoc) []Finding {
	c := r.Object.Spec.Strategy.Canary
	if c == nil {
		return nil
	}
	i := v1alpha1.NotGrowing(c.StepList())
	if i < 0 {
		return nil
	}
	field := fmt.Sprintf("spec.strategy.canary.steps[%d].setWeight", i)
	if len(c.StepWeights) > 0 {
		field = fmt.Sprintf("spec.strategy.canary.stepWeights[%d]", i)
	}
	return []Finding{aboutRollout(r, field, fmt.Sprintf("the weight %g is not above the one before it", float64(*c.StepList()[i].SetWeight)),
		"write growing weights such as 1, 5, 25, 50")}
}

func laterStrategy(f Facts, r policy.RolloutDoc) []Finding {
	_, err := steps(f, r)
	var later *strategy.UnavailableError
	if !errors.As(err, &later) {
		return nil
	}
	return []Finding{aboutRollout(r, "spec.strategy."+later.Strategy, "the strategy "+later.Strategy+" comes in a later release",
		"use canary or direct")}
}

// steps plans the Rollout for the policies that it names.
func steps(f Facts, r policy.RolloutDoc) ([]strategy.Step, error) {
	return strategy.Plan(strategy.Input{Rollout: r.Object.Spec, Policies: named(f.Set, r)})
}

// named are the policies that a Rollout is for: those of its list, or all.
func named(set policy.Set, r policy.RolloutDoc) []policy.Policy {
	refs := r.Object.Spec.Policies
	if len(refs) == 0 {
		return set.Policies
	}
	var out []policy.Policy
	for _, p := range set.Policies {
		if slices.ContainsFunc(refs, func(ref v1alpha1.PolicyRef) bool { return refersTo(ref, p.Key) }) {
			out = append(out, p)
		}
	}
	return out
}

func refersTo(ref v1alpha1.PolicyRef, k policy.Key) bool {
	return k == policy.Key{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

func smallProof(_ Facts, r policy.RolloutDoc) []Finding {
	c := r.Object.Spec.Strategy.Canary
	if c == nil {
		return nil
	}
	proof, at := v1alpha1.Percent(0), 0
	for i, s := range c.StepList() {
		if s.SetWeight != nil && *s.SetWeight < 100 {
			proof, at = *s.SetWeight, i
		}
	}
	field := fmt.Sprintf("spec.strategy.canary.steps[%d].setWeight", at)
	if len(c.StepWeights) > 0 {
		field = fmt.Sprintf("spec.strategy.canary.stepWeights[%d]", at)
	}
	return when(proof > 0 && proof < v1alpha1.WideWeight, aboutRollout(r, field,
		fmt.Sprintf("the last step before the bake has %g %%: below %g %% a bound takes long to show", float64(proof), float64(v1alpha1.WideWeight)),
		"add a step of 25 to 50 %"))
}

// poolsByRequest looks for pools that a Rollout canaries by request although it cannot prove them.
func poolsByRequest(f Facts, r policy.RolloutDoc) []Finding {
	c := r.Object.Spec.Strategy.Canary
	if c == nil || c.By != "request" {
		return nil
	}
	var out []Finding
	for _, p := range named(f.Set, r) {
		if b, ok := p.Object.(*v1alpha1.CircuitBreaker); ok && b.Spec.HasPools() {
			out = append(out, aboutRollout(r, "spec.strategy.canary.by",
				fmt.Sprintf("%s has limits that are absolute per proxy: a share of the requests proves nothing about them", p.Key),
				"write by: instance, or leave by out"))
		}
	}
	return out
}

func missingPolicy(f Facts, r policy.RolloutDoc) []Finding {
	var out []Finding
	for i, ref := range r.Object.Spec.Policies {
		known := slices.ContainsFunc(f.Set.Policies, func(p policy.Policy) bool { return refersTo(ref, p.Key) })
		if !known {
			key := policy.Key{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
			out = append(out, aboutRollout(r, fmt.Sprintf("spec.policies[%d]", i), key.String()+" is in none of the files",
				"add its file with -f, or remove it from the list"))
		}
	}
	return out
}

// withoutRollout looks for policies that no Rollout names although every Rollout has a list.
func withoutRollout(f Facts) []Finding {
	if len(f.Set.Rollouts) == 0 {
		return nil
	}
	rolled := map[policy.Key]bool{}
	for _, r := range f.Set.Rollouts {
		for _, p := range named(f.Set, r) {
			rolled[p.Key] = true
		}
	}
	var out []Finding
	for _, p := range f.Set.Policies {
		if !rolled[p.Key] {
			out = append(out, about(p, "metadata.name", "no Rollout of the files names the policy: it would not be rolled out",
				"add it to a Rollout's policies"))
		}
	}
	return out
}

// twoRollouts looks for policies that two Rollouts name.
func twoRollouts(f Facts) []Finding {
	var out []Finding
	first := map[policy.Key]policy.RolloutDoc{}
	for _, r := range f.Set.Rollouts {
		for _, p := range named(f.Set, r) {
			if other, ok := first[p.Key]; ok {
				out = append(out, aboutRollout(r, "spec.policies", fmt.Sprintf("%s is rolled out by %s too (%s)", p.Key, other.Object.Name, other.Source.At("spec.policies")),
					"name every policy in one Rollout only"))
				continue
			}
			first[p.Key] = r
		}
	}
	return out
}

func noErrorBudget(_ Facts, r policy.RolloutDoc) []Finding {
	slo := r.Object.Spec.Analysis.SLO
	return when(slo != nil && slo.SuccessRate != nil && *slo.SuccessRate >= 100, aboutRollout(r, "spec.analysis.slo.successRate",
		"100 % leaves no room for a single error: no bound can ever be shown", "write what the service promises, such as 99.9"))
}

func promotesBlindly(_ Facts, r policy.RolloutDoc) []Finding {
	return when(r.Object.Spec.Analysis.OnNoData == "promote", aboutRollout(r, "spec.analysis.onNoData",
		"a policy under which nothing is counted any more goes on to 100 %", "write wait, pause or rollback"))
}

// freely is the share of refusals in percent above which a policy's own harm hides among them.
const freely = 5

func refusesFreely(_ Facts, r policy.RolloutDoc) []Finding {
	a := r.Object.Spec.Analysis.Allow
	return when(a != nil && a.Refused != nil && *a.Refused > freely, aboutRollout(r, "spec.analysis.allow.refused",
		"more than 5 % of the requests may be refused without that being harm", "write what the policy refuses by design"))
}

// shorterThanATick looks for times in which nothing can be judged.
func shorterThanATick(_ Facts, r policy.RolloutDoc) []Finding {
	tick := v1alpha1.DefaultTick
	if t := r.Object.Spec.Analysis.Tick; t != nil {
		tick = t.Duration
	}
	var out []Finding
	look := func(field string, d *v1alpha1.Duration) {
		if d != nil && d.Duration < tick {
			out = append(out, aboutRollout(r, field, fmt.Sprintf("%s is shorter than a tick (%s): nothing is judged in it", d.Text(), v1alpha1.Duration{Duration: tick}.Text()),
				"write at least a tick, better several"))
		}
	}
	look("spec.bake", r.Object.Spec.Bake)
	if c := r.Object.Spec.Strategy.Canary; c != nil {
		for i, s := range c.Steps {
			look(fmt.Sprintf("spec.strategy.canary.steps[%d].max", i), s.Max)
		}
	}
	return out
}

// deadlineTooShort compares the deadline with the least time of all steps.
func deadlineTooShort(f Facts, r policy.RolloutDoc) []Finding {
	planned, err := steps(f, r)
	deadline := r.Object.Spec.Deadline
	if err != nil || deadline == nil {
		return nil
	}
	least := time.Duration(0)
	for _, s := range planned {
		least += s.Min + s.PauseFor
	}
	return when(least > deadline.Duration, aboutRollout(r, "spec.deadline",
		fmt.Sprintf("the steps take %s at least, longer than the deadline of %s: the rollout would be taken back on the way", v1alpha1.Duration{Duration: least}.Text(), deadline.Text()),
		"write a longer deadline or shorter steps"))
}
