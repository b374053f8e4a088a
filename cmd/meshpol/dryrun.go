package main

import (
	"context"
	"time"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// rehearse has the API server check every write of all targets, and the way back, and writes nothing: not even the
// Lease. What would stop the rollout itself before its first write stops this, with the same exit code.
func (r *runner) rehearse(ctx context.Context, p *planner) error {
	for _, c := range p.set.Changes() {
		if err := r.rehearseOne(ctx, p, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) rehearseOne(ctx context.Context, p *planner, c policy.Change) error {
	plan, _, err := p.dated(c)
	if err != nil {
		return err
	}
	if err := r.session.free(ctx, c.Target); err != nil {
		return err
	}
	if len(plan.Steps) == 0 {
		r.session.app.unchanged(plan)
		return nil
	}
	if err := r.session.mayRun(ctx, plan); err != nil {
		return beginError(err)
	}
	x, err := r.executor(ctx, p.doc, plan)
	if err != nil {
		return err
	}
	if err := r.session.tryChecks(ctx, x.Asker, plan); err != nil {
		return beginError(err)
	}
	writes, err := x.Rehearse(ctx, plan)
	if err != nil {
		return beginError(err)
	}
	r.session.app.outcomes = append(r.session.app.outcomes, printer.OutcomeView{
		Name: plan.Name, Target: c.Target, Outcome: printer.Rehearsed, Digest: plan.Digest, Steps: len(plan.Steps), Writes: writes,
	})
	return nil
}

// free tells whether a rollout of the target could begin: nobody holds it, and none is unfinished.
func (s *session) free(ctx context.Context, t policy.Target) error {
	state, lock, err := s.store().Peek(ctx, t)
	switch {
	case err != nil:
		return err
	case alive(lock, time.Now()):
		return &rollout.LockedError{What: t.String(), Holder: lock.Holder, Renewed: lock.Renewed, Next: rollout.LockedNext(state)}
	case !state.Phase.Ended():
		return &rollout.UnfinishedError{State: state}
	}
	return nil
}
