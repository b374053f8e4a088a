package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/simulate"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// manyRuns is how many more rollouts a cell has where a share below 1 % is the question.
const manyRuns = 10

// outages is the table of harmless policies under outages of both sides, of which some fall into the fold.
func (s *study) outages(out *strings.Builder) error {
	row(out, "outages an hour", "each lasts", "taken back", "of these in the fold", "paused", "no verdict")
	rule(out, 6)
	for _, rate := range []float64{0.5, 1, 2, 4} {
		for _, lasts := range []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute} {
			o, err := s.options("canary", false)
			if err != nil {
				return err
			}
			o.Traffic.Outages, o.Traffic.OutageFor, o.Traffic.OutageFails = rate, lasts, 0.2
			o.Runs *= manyRuns
			r, err := s.run(o)
			if err != nil {
				return err
			}
			good := r.Rules[0].Good
			row(out, fmt.Sprintf("%g", rate), minutes(1, lasts.Seconds()), percent(good.Share(simulate.Failed)), inFold(good),
				percent(good.Share(simulate.Paused)), percent(noVerdict(good)))
		}
	}
	return nil
}

// late is something that begins when all requests are under the new policy.
type late struct {
	name   string
	change func(*simulate.Options)
}

func lates() []late {
	harm := func(name string, h simulate.Harm) late {
		h.Whole = true
		return late{name, func(o *simulate.Options) { o.Harm = h }}
	}
	drift := func(name string, times float64) late {
		return late{name, func(o *simulate.Options) { o.Traffic.Drift = times }}
	}
	return []late{
		{"nothing", func(*simulate.Options) {}},
		drift("errors of everybody 1.5×", 1.5), drift("errors of everybody 3×", 3), drift("errors of everybody 10×", 10),
		{"2 outages an hour", func(o *simulate.Options) {
			o.Traffic.Outages, o.Traffic.OutageFails = 2, 0.2
			o.Runs *= manyRuns
		}},
		harm("harm: errors 5×", simulate.Harm{Times: 5}), harm("harm: errors 10×", simulate.Harm{Times: 10}),
		harm("harm: 5 % fail", simulate.Harm{Fail: 0.05}), harm("harm: 10 % fail", simulate.Harm{Fail: 0.1}),
		harm("harm: 30 % fail", simulate.Harm{Fail: 0.3}), harm("harm: all fail", simulate.Harm{Fail: 1}),
	}
}

// noHoldback is the table of what begins when nobody is left under the old policy: in the fold of the default canary, and
// in a canary whose last step is setWeight: 100.
func (s *study) noHoldback(out *strings.Builder) error {
	row(out, "what begins at 100 %", "default canary", "to `setWeight: 100`", "the same, without a history")
	rule(out, 4)
	for _, l := range lates() {
		cells := []string{l.name}
		for _, variant := range []struct{ whole, past bool }{{false, true}, {true, true}, {true, false}} {
			o, err := s.wholeOptions(variant.whole, variant.past)
			if err != nil {
				return err
			}
			l.change(&o)
			r, err := s.run(o)
			if err != nil {
				return err
			}
			sum := r.Rules[0].Good
			if r.Rules[0].Bad != nil {
				sum = *r.Rules[0].Bad
			}
			cells = append(cells, wholeCell(sum))
		}
		row(out, cells...)
	}
	return nil
}

// wholeOptions are the default canary, or one that goes on to 100 % before it bakes; with a history or without.
func (s *study) wholeOptions(whole, past bool) (simulate.Options, error) {
	spec, ok := strategy.Preset("canary")
	if !ok {
		return simulate.Options{}, errors.New("no preset of a canary")
	}
	if whole {
		all := v1alpha1.Percent(100)
		spec.Strategy.Canary.Steps = append(spec.Strategy.Canary.Steps, v1alpha1.CanaryStep{SetWeight: &all})
	}
	o, err := s.optionsOf("canary", spec)
	if err == nil && !past {
		o.Judge, err = judge(o.Plan, metrics.History{})
	}
	return o, err
}

func wholeCell(t simulate.Tally) string {
	text := fmt.Sprintf("%s, %s, %s", percent(t.Share(simulate.Failed)), percent(t.Share(simulate.Paused)), percent(t.Share(simulate.Passed)))
	if t.Harm != "" || t.Harmed.Most > 0 {
		text += fmt.Sprintf("; %.0f", t.Harmed.Mean)
	}
	return text
}
