package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/simulate"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// study simulates cells of a table.
type study struct {
	ctx        context.Context //nolint:containedctx // one study is one call
	runs, done int
}

// options are a simulation of a strategy's preset, with the judge that rollout has by default.
func (s *study) options(preset string, compare bool, harms ...string) (simulate.Options, error) {
	spec, ok := strategy.Preset(preset)
	if !ok {
		return simulate.Options{}, fmt.Errorf("no strategy %s", preset)
	}
	o, err := s.optionsOf(preset, spec)
	if err != nil {
		return o, err
	}
	o.Compare = compare
	o.Harm, err = simulate.ParseHarms(harms)
	return o, err
}

// optionsOf are a simulation of any rollout. The judge is chosen when the traffic is known.
func (s *study) optionsOf(name string, spec v1alpha1.RolloutSpec) (simulate.Options, error) {
	steps, err := strategy.Sketch(strategy.Input{Rollout: spec, Seed: name})
	if err != nil {
		return simulate.Options{}, err
	}
	plan := simulate.NewPlan(rollout.PlanInput{Name: name, Strategy: name, Steps: steps,
		Settings: rollout.Settings{Tick: 15 * time.Second, Deadline: 2 * time.Hour, OnInconclusive: "wait", OnNoData: "wait"}})
	return simulate.Options{Plan: plan, Traffic: simulate.DefaultTraffic(), Runs: s.runs, Seed: 1}, nil
}

// judge is the one that rollout has by default, with a history or without.
func judge(p *rollout.Plan, past metrics.History) (metrics.Judge, error) {
	return judgeFor(func(c *metrics.JudgeConfig) {
		c.Steps, c.PlannedTicks, c.History = len(p.Steps), ticks(p), past
	})
}

func ticks(p *rollout.Plan) int {
	var sum time.Duration
	for _, s := range p.Steps {
		sum += s.Max
	}
	return max(1, int(sum/p.Settings.Tick))
}

// histories is how many pasts of a service are drawn for a cell: how much few errors seem to clump differs from one to the
// next.
const histories = 20

// run simulates, with the tripwire. Where no judge is chosen yet, each run knows one of some pasts of six hours.
func (s *study) run(o simulate.Options) (simulate.Report, error) {
	for i := range uint64(histories) {
		if o.Judge != nil {
			break
		}
		j, err := judge(o.Plan, simulate.History(o.Traffic, o.Seed+i))
		if err != nil {
			return simulate.Report{}, err
		}
		o.Judges = append(o.Judges, j)
	}
	wire := metrics.DefaultTripwireConfig(0)
	for _, step := range o.Plan.Steps {
		if wire.Watches(step.Kind, step.Exposure.Share) {
			wire.Steps, wire.PlannedSeconds = wire.Steps+1, wire.PlannedSeconds+step.Max.Seconds()
		}
	}
	wire.Steps, wire.PlannedSeconds = max(1, wire.Steps), max(1, wire.PlannedSeconds)
	o.Tripwire = &wire
	r, err := simulate.Run(s.ctx, o)
	for _, rule := range r.Rules {
		s.done += rule.Good.Runs
		if rule.Bad != nil {
			s.done += rule.Bad.Runs
		}
	}
	return r, err
}

// goodServices is the table of harmless policies over services.
func (s *study) goodServices(out *strings.Builder) error {
	row(out, "base errors", "requests/s", "clumps", "Pass at ≤ 2×", "Pass, weaker", "paused", "no verdict", "minutes, median / 9 of 10", "taken back: meshpol", "Flagger", "Argo", "Kayenta")
	rule(out, 12)
	for _, base := range []float64{0.0001, 0.001, 0.01} {
		for _, rps := range []float64{10, 50, 200, 1000} {
			for _, clumps := range []float64{1, 3, 10} {
				if err := s.goodService(out, base, rps, clumps); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *study) goodService(out *strings.Builder, base, rps, clumps float64) error {
	o, err := s.options("canary", true)
	if err != nil {
		return err
	}
	o.Traffic.Errors, o.Traffic.RPS, o.Traffic.Clumps = base, rps, clumps
	r, err := s.run(o)
	if err != nil {
		return err
	}
	good := r.Rules[0].Good
	tight := 0
	for _, b := range good.Bounds {
		if b.Name == "1.5×" || b.Name == "2×" {
			tight += b.Runs
		}
	}
	passed := good.Share(simulate.Passed)
	narrow := float64(tight) / float64(good.Runs)
	cells := []string{percent(base), fmt.Sprintf("%g", rps), fmt.Sprintf("%g", clumps), percent(narrow), percent(passed - narrow),
		percent(good.Share(simulate.Paused)), percent(noVerdict(good)), fmt.Sprintf("%.1f / %.1f", good.Took.Median/60, good.Took.P90/60)}
	for _, rule := range r.Rules {
		cells = append(cells, percent(rule.Good.Share(simulate.Failed)))
	}
	row(out, cells...)
	return nil
}

// trouble is a name for what happens to both sides alike.
type trouble struct {
	name   string
	change func(*simulate.Traffic)
}

func troubles() []trouble {
	return []trouble{
		{"none", func(*simulate.Traffic) {}},
		{"clumps of 10", func(t *simulate.Traffic) { t.Clumps = 10 }},
		{"base errors 1 %", func(t *simulate.Traffic) { t.Errors = 0.01 }},
		{"2 sick spells a pod an hour", func(t *simulate.Traffic) { t.Sick = 2 }},
		{"6 bursts of 100 errors an hour", func(t *simulate.Traffic) { t.Bursts = 6 }},
		{"2 shared outages an hour", func(t *simulate.Traffic) { t.Outages = 2 }},
	}
}

// falseAlarms is the table of harmless policies in trouble.
func (s *study) falseAlarms(out *strings.Builder) error {
	row(out, "trouble of both sides", "meshpol", "of these in the fold", "Flagger", "Argo", "Kayenta", "meshpol: paused", "no verdict", "Argo: no verdict")
	rule(out, 9)
	for _, t := range troubles() {
		o, err := s.options("canary", true)
		if err != nil {
			return err
		}
		t.change(&o.Traffic)
		r, err := s.run(o)
		if err != nil {
			return err
		}
		cells := []string{t.name}
		for i, rule := range r.Rules {
			cells = append(cells, percent(rule.Good.Share(simulate.Failed)))
			if i == 0 {
				cells = append(cells, inFold(rule.Good))
			}
		}
		cells = append(cells, percent(r.Rules[0].Good.Share(simulate.Paused)))
		for _, i := range []int{0, 2} {
			cells = append(cells, percent(noVerdict(r.Rules[i].Good)))
		}
		row(out, cells...)
	}
	return nil
}

// noVerdict is the share of the runs that ended without a Pass, a Fail or a pause for a person.
func noVerdict(t simulate.Tally) float64 {
	return t.Share(simulate.Inconclusive) + t.Share(simulate.NoData) + t.Share(simulate.TimedOut)
}

// inFold is the share of the runs that were taken back in the fold, where nobody is left to compare with.
func inFold(t simulate.Tally) string {
	for _, c := range t.FoundAt {
		if c.Name == "fold" {
			return percent(float64(c.Runs) / float64(t.Runs))
		}
	}
	return percent(0)
}

// harms are those of the tables and plots.
func harms() []string {
	return []string{"errors=2x", "errors=5x", "errors=10x", "errors=+2%", "fail=10%", "fail=90%", "latency=+25%", "latency=+50%", "latency=+100%", "hang"}
}

// harmful is the table of harms; what it found is for the plots.
func (s *study) harmful(out *strings.Builder) ([]simulate.Report, error) {
	row(out, "harm", "meshpol", "Flagger", "Argo", "Kayenta")
	rule(out, 5)
	var all []simulate.Report
	for _, h := range harms() {
		o, err := s.options("canary", true, h)
		if err != nil {
			return nil, err
		}
		r, err := s.run(o)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
		cells := []string{"`" + h + "`"}
		for _, rule := range r.Rules {
			cells = append(cells, found(*rule.Bad))
		}
		row(out, cells...)
	}
	return all, nil
}

// found is one cell: how often, when, and at what cost.
func found(t simulate.Tally) string {
	text := fmt.Sprintf("%s, %s; %.0f", percent(t.Share(simulate.Failed)), minutes(t.Found.N, t.Found.Median), t.Harmed.Mean)
	if n := t.Share(simulate.Paused); n > 0.0005 {
		text += fmt.Sprintf(" (paused %s)", percent(n))
	}
	if n := noVerdict(t); n > 0.0005 {
		text += fmt.Sprintf(" (no verdict %s)", percent(n))
	}
	return text
}

// strategies is the table of all five.
func (s *study) strategies(out *strings.Builder) error {
	row(out, "strategy", "good policy takes, median", "`errors=5x`", "`fail=90%`")
	rule(out, 4)
	for _, st := range strategy.All() {
		cells := []string{st.Name}
		for i, h := range []string{"errors=5x", "fail=90%"} {
			o, err := s.options(st.Name, false, h)
			if err != nil {
				return err
			}
			r, err := s.run(o)
			if err != nil {
				return err
			}
			if i == 0 {
				cells = append(cells, minutes(r.Rules[0].Good.Took.N, r.Rules[0].Good.Took.Median))
			}
			cells = append(cells, found(*r.Rules[0].Bad))
		}
		row(out, cells...)
	}
	return nil
}

func row(out *strings.Builder, cells ...string) {
	out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func rule(out *strings.Builder, n int) { out.WriteString(strings.Repeat("|---", n) + "|\n") }
