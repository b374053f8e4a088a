package main

import (
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// concluding runs a command that writes, and for programs ends it with one document on standard output: what came of
// each target, and the exit code. People have read it in the events; for them only what no event tells is written.
func (a *app) concluding(act func() error) error {
	err := plain(act())
	if printed := a.answers().Outcomes(exitCode(err), err, a.outcomes); err == nil {
		return printed
	}
	return err
}

// concluded notes how a run ended, or where it was left.
func (a *app) concluded(r rollout.Result) {
	a.outcomes = append(a.outcomes, printer.OutcomeView{Name: r.State.Name, Target: r.State.Target, Outcome: outcomeOf(r.Phase),
		Reason: r.Reason, Digest: r.State.Digest, Steps: r.State.Steps, Status: &printer.StatusView{StoredState: rollout.StoredState{State: r.State}}})
}

func outcomeOf(p rollout.Phase) printer.Outcome {
	switch p {
	case rollout.Succeeded:
		return printer.Succeeded
	case rollout.RolledBack:
		return printer.RolledBack
	case rollout.Paused:
		return printer.Paused
	case rollout.Failed:
		return printer.Failed
	}
	return printer.Unfinished
}

// unchanged notes a target for which nothing is to be done.
func (a *app) unchanged(p *rollout.Plan) {
	a.outcomes = append(a.outcomes, printer.OutcomeView{Name: p.Name, Target: p.Change.Target, Outcome: printer.Unchanged, Digest: p.Digest})
}

// notStarted notes the targets that a run did not come to, and says so.
func (a *app) notStarted(p *planner, changes []policy.Change) {
	for _, c := range changes {
		a.warn("not started: rollout %s of %s, since the one before it did not succeed", p.name(c), c.Target)
		a.outcomes = append(a.outcomes, printer.OutcomeView{Name: p.name(c), Target: c.Target, Outcome: printer.NotStarted})
	}
}
