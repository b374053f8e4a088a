package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
	"github.com/meshpol/meshpol/pkg/validate"
)

// planner makes plans of a file set against a session's snapshot.
type planner struct {
	set     policy.Set
	doc     v1alpha1.Rollout
	flags   rolloutFlags
	session *session
	// traffic is what a simulation supposes, in requests a second; a session's history says it otherwise.
	traffic float64
	// pods are the client pods that a simulation supposes.
	pods int
	// unforeseen says why nothing is known of the traffic.
	unforeseen string
}

// newPlanner picks the Rollout that governs the set: the only one in it, or a preset. A strategy that a flag names takes
// the place of the Rollout's; everything else of it holds.
func newPlanner(set policy.Set, f rolloutFlags, s *session) (*planner, error) {
	p := &planner{set: set, flags: f, session: s}
	switch {
	case len(set.Rollouts) > 1:
		return nil, usage("the files hold %d Rollouts (%s); one run follows one: give their files one by one", len(set.Rollouts), rolloutNames(set))
	case len(set.Rollouts) == 1:
		p.doc = *set.Rollouts[0].Object
	default:
		p.doc = preset("canary")
	}
	p.doc.Spec.Strategy = chosen(p.doc.Spec.Strategy, f.strategy)
	selected, err := selectPolicies(set, p.doc.Spec.Policies)
	if err != nil {
		return nil, err
	}
	p.set.Policies = selected
	if len(selected) == 0 {
		return nil, &codeError{code: exitInvalid, err: fmt.Errorf("the files hold no policy: there is nothing to roll out")}
	}
	p.doc.Spec = v1alpha1.DefaultRolloutSpec(p.doc.Spec)
	if len(set.Rollouts) == 1 {
		p.set.Rollouts = []policy.RolloutDoc{{Object: p.flagged(set.Rollouts[0].Object), Source: set.Rollouts[0].Source}}
	}
	return p, nil
}

// flagged is a Rollout document as the flags make it, for the rules that look at its times.
func (p *planner) flagged(doc *v1alpha1.Rollout) *v1alpha1.Rollout {
	out := *doc
	set := func(field **v1alpha1.Duration, flag time.Duration) {
		if flag > 0 {
			*field = &v1alpha1.Duration{Duration: flag}
		}
	}
	set(&out.Spec.Analysis.Tick, p.flags.tick)
	set(&out.Spec.Bake, p.flags.bake)
	set(&out.Spec.Deadline, p.flags.deadline)
	if c := out.Spec.Strategy.Canary; c != nil && (p.flags.stepMin > 0 || p.flags.stepMax > 0 || len(p.flags.steps) > 0) {
		out.Spec.Strategy.Canary = p.flaggedSteps(*c)
	}
	return &out
}

func (p *planner) flaggedSteps(c v1alpha1.Canary) *v1alpha1.Canary {
	steps := slices.Clone(c.StepList())
	if len(p.flags.steps) > 0 {
		return &v1alpha1.Canary{By: c.By} // the flags' own check has seen them
	}
	for i := range steps {
		if steps[i].SetWeight == nil {
			continue
		}
		if p.flags.stepMin > 0 {
			steps[i].Min = &v1alpha1.Duration{Duration: p.flags.stepMin}
		}
		if p.flags.stepMax > 0 {
			steps[i].Max = &v1alpha1.Duration{Duration: p.flags.stepMax}
		}
	}
	return &v1alpha1.Canary{By: c.By, Steps: steps}
}

func rolloutNames(set policy.Set) string {
	var names []string
	for _, r := range set.Rollouts {
		names = append(names, r.Object.Name)
	}
	return strings.Join(names, ", ")
}

func preset(strategy string) v1alpha1.Rollout {
	r := v1alpha1.Rollout{}
	r.APIVersion, r.Kind = v1alpha1.APIVersion, "Rollout"
	r.Spec.Strategy = chosen(v1alpha1.Strategy{}, strategy)
	return r
}

// chosen is the strategy that a flag names, unless the Rollout says more about the same one.
func chosen(doc v1alpha1.Strategy, flag string) v1alpha1.Strategy {
	for _, s := range strategy.All() {
		if s.Name == flag && !slices.Contains(doc.Names(), s.Field) {
			return s.Preset
		}
	}
	return doc
}

func selectPolicies(set policy.Set, refs []v1alpha1.PolicyRef) ([]policy.Policy, error) {
	if len(refs) == 0 {
		return set.Policies, nil
	}
	var out []policy.Policy
	for _, ref := range refs {
		i := slices.IndexFunc(set.Policies, func(p policy.Policy) bool {
			return p.Kind == ref.Kind && p.Name == ref.Name && (ref.Namespace == "" || p.Namespace == ref.Namespace)
		})
		if i < 0 {
			return nil, &codeError{code: exitInvalid, err: fmt.Errorf("the Rollout names %s %s, which is in none of the files; add its file with -f", ref.Kind, ref.Name)}
		}
		out = append(out, set.Policies[i])
	}
	return out, nil
}

// targets are the targets of the selected policies, sorted.
func (p *planner) targets() []policy.Target { return targetsOf(p.set) }

// targetsOf are the targets of a set, sorted.
func targetsOf(set policy.Set) []policy.Target {
	var out []policy.Target
	for _, c := range set.Changes() {
		out = append(out, c.Target)
	}
	return out
}

// dated is the plan of a run that starts now. One without steps has nothing to do and bears no rev.
func (p *planner) dated(c policy.Change) (*rollout.Plan, time.Time, error) {
	started := time.Now()
	draft, err := p.plan(c, "")
	if err != nil || len(draft.Steps) == 0 {
		return draft, started, err
	}
	plan, err := p.plan(c, rollout.RevOf(draft.Digest, started))
	return plan, started, err
}

// plan makes the plan of one target; rev is empty for a plan that is only looked at.
func (p *planner) plan(c policy.Change, rev string) (*rollout.Plan, error) {
	steps, err := strategy.Plan(p.input(c))
	if err != nil {
		return nil, &codeError{code: exitInvalid, err: err}
	}
	docs, err := p.documents(c)
	if err != nil {
		return nil, err
	}
	c.Rev = rev
	return rollout.NewPlan(p.session.mesh, rollout.PlanInput{
		Name: p.name(c), Strategy: p.strategyName(), Snapshot: p.session.snapshot, Change: c, Steps: steps,
		Settings: p.settings(c.Target), Host: hostOf(c.Target), Documents: docs,
	})
}

// input is what the steps of one target are planned from.
func (p *planner) input(c policy.Change) strategy.Input {
	return strategy.Input{
		Rollout: p.doc.Spec, Policies: c.Policies, Seed: p.name(c) + " " + c.Target.String(), Overrides: p.overrides(),
		RPS: p.rps(c.Target), Clients: p.clients(c.Target),
	}
}

// clients is the number of client pods of a target, 0 where it is not known.
func (p *planner) clients(t policy.Target) int {
	if p.session == nil {
		return p.pods
	}
	return p.session.clients(t)
}

// fewClients are the findings of canaries by instance that have too few client pods to be compared.
func (p *planner) fewClients() []validate.Finding {
	var out []validate.Finding
	for _, c := range p.set.Changes() {
		steps, err := strategy.Sketch(p.input(c))
		byInstance := func(s strategy.Step) bool {
			return s.Exposure.By == policy.ByInstance && s.Exposure.Mode == policy.Enforce
		}
		if err == nil && !p.flags.noAnalysis && slices.ContainsFunc(steps, byInstance) {
			out = append(out, validate.FewClients(c.Policies[0], p.clients(c.Target))...)
		}
	}
	return out
}

// rps is what a target gets in requests a second, 0 where it is not known.
func (p *planner) rps(t policy.Target) float64 {
	if p.session == nil {
		return p.traffic
	}
	return p.session.past.histories[t].RecentRate()
}

// name is the rollout's name: the flag's, the document's, or the first policy's.
func (p *planner) name(c policy.Change) string {
	return cmp.Or(p.flags.name, p.doc.Name, c.Policies[0].Name)
}

func (p *planner) strategyName() string { return strings.Join(p.doc.Spec.Strategy.Names(), ",") }

func (p *planner) overrides() strategy.Overrides {
	f := p.flags
	return strategy.Overrides{
		StepWeights: f.steps, StepMin: f.stepMin, StepMax: f.stepMax, Bake: f.bake, Fold: f.foldWatch,
		Step0Min: f.step0Min, Step0Max: f.step0Max, MinRequests: float64(f.minRequests), By: policy.By(f.by),
	}
}

func (p *planner) settings(t policy.Target) rollout.Settings {
	a := p.doc.Spec.Analysis
	s := rollout.Settings{
		OnFailure: cmp.Or(p.flags.onFailure, p.doc.Spec.OnFailure), OnInconclusive: cmp.Or(p.flags.onInconclusive, a.OnInconclusive),
		OnNoData: a.OnNoData, PropagationTimeout: p.flags.propagation, NoAnalysis: p.flags.noAnalysis,
		Tick: p.flags.tick, Deadline: p.flags.deadline, History: p.flags.history, Checks: checks(a, t),
		Tripwire: tripwireWord(a, p.flags.noTripwire),
	}
	if s.Tick == 0 {
		s.Tick = durationOr(a.Tick, 15*time.Second)
	}
	if s.Deadline == 0 {
		s.Deadline = durationOr(p.doc.Spec.Deadline, 2*time.Hour)
	}
	return s
}

// checks are the Rollout's own checks on a target.
func checks(a v1alpha1.Analysis, t policy.Target) []metrics.Check {
	var out []metrics.Check
	put := strings.NewReplacer("$namespace", t.Namespace, "$service", t.Name)
	for _, c := range a.Checks {
		check := metrics.Check{Name: c.Name, Query: put.Replace(c.Query), Min: c.Min, Max: c.Max, Failures: v1alpha1.DefaultCheckFailures}
		if c.Failures != nil {
			check.Failures = int(*c.Failures)
		}
		out = append(out, check)
	}
	return out
}

func durationOr(d *v1alpha1.Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return d.Duration
}

// documents are the policies of the change and the Rollout as plain data, for digest and record.
func (p *planner) documents(c policy.Change) ([]map[string]any, error) {
	var out []map[string]any
	add := func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding a document for the record: %w", err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("encoding a document for the record: %w", err)
		}
		out = append(out, m)
		return nil
	}
	for _, pol := range c.Policies {
		if err := add(pol.Object); err != nil {
			return nil, err
		}
	}
	doc := p.doc
	doc.Name = cmp.Or(doc.Name, p.name(c))
	return out, add(doc)
}

// judgeConfig maps the Rollout's analysis and the plan's size onto the judge's settings.
func judgeConfig(a v1alpha1.Analysis, p *rollout.Plan, scrape time.Duration, before metrics.History) metrics.JudgeConfig {
	c := metrics.DefaultJudgeConfig()
	c.History = before
	if a.SLO != nil && a.SLO.SuccessRate != nil && *a.SLO.SuccessRate < 100 {
		c.SuccessTarget = float64(*a.SLO.SuccessRate) / 100
		c.ErrorFloor = 1 - c.SuccessTarget
	}
	if a.SLO != nil && a.SLO.Latency != nil {
		c.LatencyObjective = metrics.LatencyObjective{Bound: float64(a.SLO.Latency.Max.Milliseconds()), Target: float64(a.SLO.Latency.P) / 100}
	}
	c = watching(c, p.Change.Policies)
	if a.FalseRollback != nil {
		c.FalseRollback = *a.FalseRollback * 0.9 // the rest is the tripwire's (JUDGE.md §3)
	}
	if a.PassMargin != nil {
		c.PassMargin = *a.PassMargin
	}
	if a.PassMarginMax != nil {
		c.PassMarginMax = *a.PassMarginMax
	}
	if a.LatencyMargin != nil {
		c.LatencyMargin = *a.LatencyMargin
	}
	if a.LatencyMarginMax != nil {
		c.LatencyMarginMax = *a.LatencyMarginMax
	}
	if a.Allow != nil && a.Allow.Refused != nil {
		c.AllowRefused = min(0.99, float64(*a.Allow.Refused)/100)
	}
	c.Tick, c.Steps, c.PlannedTicks = p.Settings.Tick, len(p.Steps), plannedTicks(p)
	if scrape > 0 {
		c.Scrape = scrape
	}
	return c
}

// watching is a configuration for the kinds of the policies.
func watching(c metrics.JudgeConfig, policies []policy.Policy) metrics.JudgeConfig {
	for _, pol := range policies {
		w, _ := metrics.WatchOf(pol.Kind)
		c.SilentFails = c.SilentFails || w.Silent
		if w.Slow {
			c.LatencyTolerance = 0
		}
		if f, ok := pol.Object.(*v1alpha1.FaultInjection); ok && f.Spec.Abort != nil {
			c.AllowRefused = min(0.99, float64(f.Spec.Abort.Percentage)/100) // what is injected is meant
		}
	}
	return c
}

// plannedTicks is how many intervals the plan takes at the most.
func plannedTicks(p *rollout.Plan) int {
	var sum time.Duration
	for _, s := range p.Steps {
		sum += max(s.Max, s.Min)
	}
	return max(int(sum/max(p.Settings.Tick, time.Second)), 1)
}
