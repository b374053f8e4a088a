package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// runner holds what the runs of one command share.
type runner struct {
	session *session
	flags   rolloutFlags
	prover  *kube.Prover
	meter   metrics.Provider
	scrape  time.Duration
	sink    rollout.Sink
	holder  string
}

// newRunner opens metrics source and prover, before anything is written.
func (a *app) newRunner(ctx context.Context, s *session, flags rolloutFlags, targets int) (*runner, error) {
	opts := a.progressOptions()
	opts.Several = targets > 1
	r := &runner{session: s, flags: flags, sink: printer.New(a.err, a.events(), opts).Events()}
	var err error
	if r.holder, err = s.holder(ctx); err != nil {
		return nil, err
	}
	if !flags.noAnalysis {
		if err := r.openMeter(ctx); err != nil {
			return nil, err
		}
	}
	r.prover = kube.NewProver(s.cluster)
	r.prover.Expect(s.snapshot.Pods)
	return r, nil
}

func (r *runner) openMeter(ctx context.Context) error {
	meter, err := r.session.meter(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		return &codeError{code: exitTimeout, err: fmt.Errorf("nothing to judge by: %w; name a source with --prometheus, or go without with --no-analysis", err)}
	}
	r.meter, r.scrape = meter.Provider, meter.scrape
	return nil
}

// learn asks the metrics source what it has of the targets, and what they did before.
func (r *runner) learn(ctx context.Context, changes []policy.Change, history time.Duration) {
	if r.meter == nil {
		return
	}
	r.session.learn(ctx, r.meter, changes)
	r.session.remember(ctx, source{Provider: r.meter, scrape: r.scrape}, changes, history)
}

func (r *runner) close() { r.prover.Close() }

// start opens and runs the rollout of one target. Up to the first write a signal breaks it off; from then on the
// executor answers to signals, so that the way back has its time.
func (r *runner) start(ctx context.Context, p *planner, c policy.Change) error {
	ready, cancel := r.session.app.untilSignal(ctx)
	defer cancel()
	plan, started, err := p.dated(c)
	if err != nil {
		return err
	}
	if len(plan.Steps) == 0 {
		// What another run has brought into force and still judges may be out of force in a moment.
		if err := r.session.free(ready, c.Target); err != nil {
			return err
		}
		r.session.app.unchanged(plan)
		return nil
	}
	if err := r.session.mayRun(ready, plan); err != nil {
		return beginError(err)
	}
	x, err := r.executor(ready, p.doc, plan)
	if err != nil {
		return err
	}
	if err := r.session.tryChecks(ready, x.Asker, plan); err != nil {
		return beginError(err)
	}
	if p.strategyName() == "direct" && !plan.Settings.NoAnalysis && r.session.past.histories[c.Target].Empty() {
		r.session.app.warn("nothing is known of the time before: more than 5 %% of errors afterwards count as harm, whatever there was before; to bring a cure into an outage: --no-analysis")
	}
	if !plan.Settings.NoAnalysis {
		plan.Notes = append(slices.Clone(plan.Notes), p.foretold(plan).Advice()...)
	}
	state, err := x.Begin(ready, plan, r.holder, started)
	if err != nil {
		return beginError(err)
	}
	return r.run(ctx, x, plan, state)
}

// run goes on from a state whose lock is ours.
func (r *runner) run(ctx context.Context, x rollout.Executor, plan *rollout.Plan, state rollout.State) error {
	result, err := x.Run(ctx, plan, state)
	r.session.app.concluded(result)
	return r.session.finish(ctx, result, err)
}

func (r *runner) executor(ctx context.Context, doc v1alpha1.Rollout, plan *rollout.Plan) (rollout.Executor, error) {
	config := judgeConfig(doc.Spec.Analysis, plan, r.scrape, r.session.past.histories[plan.Change.Target])
	config.Source = sourceName(r.meter)
	judge, err := metrics.NewJudge(config)
	if err != nil {
		return rollout.Executor{}, &codeError{code: exitInvalid, err: err}
	}
	x := r.session.executor(r.sink, r.prover)
	x.Meter, x.Judge = r.meter, metrics.Checked{Judge: judge, Checks: plan.Settings.Checks}
	if x.Asker, err = r.asker(plan); err != nil {
		return rollout.Executor{}, err
	}
	x.OnSignal = cmp.Or(r.flags.onSignal, defaultOnSignal(x.Attended))
	err = r.armTripwire(ctx, &x, doc.Spec.Analysis, plan)
	return x, err
}

// asker answers the checks of a plan; they are PromQL, which only Prometheus speaks.
func (r *runner) asker(plan *rollout.Plan) (metrics.Asker, error) {
	if len(plan.Settings.Checks) == 0 || plan.Settings.NoAnalysis {
		return nil, nil
	}
	if !planByInstance(plan) && slices.ContainsFunc(plan.Settings.Checks, ofCohort) {
		return nil, usage("a check with $pods needs a cohort of pods: use it with --by instance")
	}
	if asker, ok := r.meter.(metrics.Asker); ok {
		return asker, nil
	}
	return nil, usage("the Rollout's checks are PromQL, which the proxies do not speak: leave out --scrape %s, or the checks", r.session.app.prometheus.scrape)
}

// onSignalRollback takes the rollout back when a signal comes.
const onSignalRollback = "rollback"

func defaultOnSignal(attended bool) string {
	if attended {
		return rollout.OnSignalPause
	}
	return onSignalRollback
}

// beginError says of a rollout that could not begin that nothing was written. Where another one holds the lock, that is
// not ours to say.
func beginError(err error) error {
	err = plain(err)
	if exitCode(err) == exitLocked {
		return err
	}
	return fmt.Errorf("%w; nothing was written", err)
}

func ofCohort(c metrics.Check) bool { return strings.Contains(c.Query, "$pods") }

func planByInstance(p *rollout.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s rollout.PlannedStep) bool { return s.Labels != nil })
}
