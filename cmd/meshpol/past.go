package main

import (
	"context"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// past is what the metrics source of a session says of the time before its runs.
type past struct {
	facts     map[string]policy.MetricFacts
	histories map[policy.Target]metrics.History
	// unknown says why the histories are not known, where that has a reason.
	unknown string
}

// standards is a source that knows which series it has.
type standards interface {
	// Standard is the number of pods that have series of a selector, and whether a label of theirs has a value.
	Standard(ctx context.Context, selector, label string) (pods int, labelled bool, err error)
}

// learn asks the source what it has of the targets and what they did in the last hours. Without an answer a run goes on
// with what it measures itself.
func (s *session) learn(ctx context.Context, meter metrics.Provider, changes []policy.Change) {
	s.past = past{facts: map[string]policy.MetricFacts{}, histories: map[policy.Target]metrics.History{}}
	if source, ok := meter.(standards); ok {
		for _, c := range changes {
			of := s.mesh.Standard(c)
			pods, tagged, err := source.Standard(ctx, of.Selector, of.Tag)
			if err != nil {
				s.app.warn("the metrics of %s are not known, route statistics are used: %v", c.Target, err)
				continue
			}
			s.past.facts[of.Host] = policy.MetricFacts{Standard: pods > 0, Cohorts: tagged, Clients: pods}
		}
	}
	s.snapshot = s.informed(s.snapshot)
}

// informed is a snapshot with what the metrics source has.
func (s *session) informed(snapshot *policy.Snapshot) *policy.Snapshot {
	out := *snapshot
	out.Metrics = s.past.facts
	return &out
}

// lookBack is how much of the time before is read. A rehearsal of everything at once judges nothing and plans nothing by
// it; of a canary it decides which steps are left out.
func (p *planner) lookBack() time.Duration {
	if p.flags.dryRun == dryRunServer && p.strategyName() == "direct" {
		return 0
	}
	return p.flags.history
}

// remember reads what the targets did in the last hours. A source that does not tell is said once: it is hardly different
// for the next target.
func (s *session) remember(ctx context.Context, meter source, changes []policy.Change, length time.Duration) {
	of, ok := meter.Provider.(metrics.Historian)
	switch {
	case length < time.Minute:
		s.past.unknown = "the time before is left out (--history " + (v1alpha1.Duration{Duration: length}).Text() + ")"
		return
	case !ok:
		s.past.unknown = "the proxies do not know the time before (--scrape " + scrapeProxies + ")"
		return
	}
	told := false
	for _, c := range changes {
		q := s.mesh.Past(s.snapshot, c)
		if q.Requests == "" {
			continue
		}
		q.Scrape, q.Except = meter.scrape, s.runs(ctx, c.Target)
		h, err := of.History(ctx, q, time.Now(), length)
		if err != nil {
			if !told {
				s.app.warn("what %s did before is not known, going on without it: %v; it is read with range queries (/api/v1/query_range), --history 0 leaves it out", c.Target, err)
			}
			told, s.past.unknown = true, "the time before could not be read"
			continue
		}
		s.past.histories[c.Target] = h
	}
}

// runs are the last rollouts of a target. Whoever may not read them learns from all of the past.
func (s *session) runs(ctx context.Context, t policy.Target) []metrics.Span {
	state, _, err := s.store().Peek(ctx, t)
	if err != nil {
		return nil
	}
	return state.Runs(time.Now())
}

// clients is the number of client pods of a target, 0 where it is not known.
func (s *session) clients(t policy.Target) int { return s.past.facts[hostOf(t)].Clients }

// forecast is what a plan may promise; false where nothing is known of the traffic.
func (p *planner) forecast(plan *rollout.Plan) (metrics.Forecast, bool) {
	before := p.session.past.histories[plan.Change.Target]
	steps := plannedLengths(plan, p.session.clients(plan.Change.Target))
	return metrics.ForecastOf(before, steps, judgeConfig(p.doc.Spec.Analysis, plan, 0, before))
}

// plannedLengths are the steps of a plan as a forecast takes them, with so many client pods; 0: not known.
func plannedLengths(plan *rollout.Plan, clients int) []metrics.PlannedLength {
	var steps []metrics.PlannedLength
	for _, s := range plan.Steps {
		length := metrics.PlannedLength{Kind: s.Kind, Share: s.Exposure.Share, Min: s.Min, Max: s.Max, MinRequests: s.MinRequests}
		switch {
		case s.Kind == metrics.StepStage:
			length.Share = 0
		case s.Exposure.By == policy.All:
			length.Share = 1
		case s.Exposure.By == policy.ByInstance && clients > 0:
			length.Share = float64(rollout.InstanceCount(s.Exposure, clients)) / float64(clients)
		}
		steps = append(steps, length)
	}
	return steps
}
