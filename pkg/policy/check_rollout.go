package policy

import (
	"fmt"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// rollout holds the fields of a Rollout against each other. Weights that do not grow are a matter of pkg/validate.
func (d *decoder) rollout(s v1alpha1.RolloutSpec) {
	st := s.Strategy
	d.exactlyOne("spec.strategy", []string{"canary", "blueGreen", "rolling", "ab", "direct"},
		st.Canary != nil, st.BlueGreen != nil, st.Rolling != nil, st.AB != nil, st.Direct != nil)
	if st.Canary != nil {
		d.canary(*st.Canary)
	}
	if st.AB != nil {
		for i, m := range st.AB.Match {
			d.exactlyOne(fmt.Sprintf("spec.strategy.ab.match[%d]", i), []string{"header", "cookie", "source"},
				m.Header != nil, m.Cookie != nil, m.Source != nil)
		}
	}
	d.analysis(s.Analysis)
}

func (d *decoder) canary(c v1alpha1.Canary) {
	const path = "spec.strategy.canary"
	d.excludes(path+".stepWeights", c.StepWeights != nil, "steps", c.Steps != nil)
	weights := 0
	for i, s := range c.Steps {
		at := fmt.Sprintf("%s.steps[%d]", path, i)
		d.exactlyOne(at, []string{"setWeight", "pause"}, s.SetWeight != nil, s.Pause != nil)
		d.excludes(at+".min", s.Min != nil, "pause", s.Pause != nil)
		d.excludes(at+".max", s.Max != nil, "pause", s.Pause != nil)
		d.ordered(at+".max", "min", s.Min, s.Max)
		if s.SetWeight != nil {
			weights++
		}
	}
	if c.Steps != nil && weights == 0 && !d.failedUnder(path+".steps") {
		d.fail(CodeTogether, path+".steps", "no step sets a weight", "add a step such as {setWeight: 25}")
	}
}

func (d *decoder) analysis(a v1alpha1.Analysis) {
	if a.Step0 != nil {
		d.ordered("spec.analysis.step0.max", "min", a.Step0.Min, a.Step0.Max)
	}
	if a.SLO != nil {
		d.atLeastOne("spec.analysis.slo", []string{"successRate", "latency"}, a.SLO.SuccessRate != nil, a.SLO.Latency != nil)
	}
	names := map[string]int{}
	for i, c := range a.Checks {
		d.ownCheck(fmt.Sprintf("spec.analysis.checks[%d]", i), c)
		if before, ok := names[c.Name]; ok && c.Name != "" {
			d.fail(CodeValue, fmt.Sprintf("spec.analysis.checks[%d].name", i), fmt.Sprintf("is %q, as that of checks[%d]", c.Name, before), "give each check a name of its own")
		}
		names[c.Name] = i
	}
	d.margins("passMargin", valueOr(a.PassMargin, v1alpha1.DefaultPassMargin), valueOr(a.PassMarginMax, v1alpha1.DefaultPassMarginMax))
	d.margins("latencyMargin", valueOr(a.LatencyMargin, v1alpha1.DefaultLatencyMargin), valueOr(a.LatencyMarginMax, v1alpha1.DefaultLatencyMarginMax))
}

// margins wants what is aimed at to be no more than what is accepted.
func (d *decoder) margins(field string, margin, most float64) {
	at := "spec.analysis." + field
	if margin > most && !d.failedUnder(at) && !d.failedUnder(at+"Max") {
		d.fail(CodeValue, at, fmt.Sprintf("is %g, above %sMax (%g)", margin, field, most), fmt.Sprintf("write at most %g", most))
	}
}

func (d *decoder) ownCheck(at string, c v1alpha1.Check) {
	d.atLeastOne(at, []string{"min", "max"}, c.Min != nil, c.Max != nil)
	if c.Min != nil && c.Max != nil && *c.Min > *c.Max && !d.failedUnder(at) {
		d.fail(CodeValue, at+".min", fmt.Sprintf("is %g, above max (%g)", *c.Min, *c.Max), fmt.Sprintf("write at most %g", *c.Max))
	}
}

func valueOr(v *float64, or float64) float64 {
	if v != nil {
		return *v
	}
	return or
}
