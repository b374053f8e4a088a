package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func newPlanCmd(a *app) *cobra.Command {
	var files fileFlags
	var flags rolloutFlags
	var exit bool
	cmd := &cobra.Command{
		Use: "plan -f FILE", Aliases: []string{"diff"}, GroupID: "files", Args: asUsage(cobra.NoArgs),
		Short: "Show what a rollout would write, step by step",
		Long: `Show what a rollout would write, step by step, as a diff against the live objects, with the plan's digest.
Nothing is written. -o yaml gives the whole objects of every step. A target whose live objects say already what the
policies say is unchanged.

` + exitHelp(exitOK, exitInternal, exitUsage, exitInvalid, exitAborted, exitLocked, exitChanges),
		Example: `  meshpol plan -f timeout.yaml                      # the default canary
  meshpol plan -f policies/ -R --strategy direct     # everything at once
  meshpol plan -f timeout.yaml --steps 1,10,50 -o yaml
  meshpol plan -f timeout.yaml --exit-code           # 11 where something would change`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.untilSignal(cmd.Context())
			defer cancel()
			return a.plan(ctx, files, flags, exit)
		},
	}
	files.add(cmd)
	flags.add(cmd, "")
	flags.addTripwire(cmd)
	cmd.Flags().BoolVar(&exit, "exit-code", false, "exit with 11 where something would be written")
	return cmd
}

func (a *app) plan(ctx context.Context, files fileFlags, flags rolloutFlags, exit bool) error {
	p, err := a.prepare(ctx, files, flags)
	if err != nil {
		return err
	}
	p.look(ctx)
	if err := a.comparable(p); err != nil {
		return err
	}
	var views []printer.PlanView
	writes := 0
	for _, c := range p.set.Changes() {
		plan, err := p.plan(c, "")
		if err != nil {
			return err
		}
		if len(plan.Steps) == 0 {
			if err := p.session.free(ctx, c.Target); err != nil {
				return err
			}
		}
		view, n := p.view(plan)
		views, writes = append(views, view), writes+n
	}
	if err := a.answers().Plans(views); err != nil {
		return err
	}
	if exit && writes > 0 {
		return said(exitChanges, "%d writes", writes)
	}
	return nil
}

// prepare reads files and cluster, validates, and gives the planner; a finding of severity error ends it.
func (a *app) prepare(ctx context.Context, files fileFlags, flags rolloutFlags) (*planner, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	set, err := a.load(files)
	var invalid policy.Errors
	if errors.As(err, &invalid) {
		return nil, a.refuse(0, loadFindings(invalid))
	}
	if err != nil {
		return nil, err
	}
	s, err := a.connect()
	if err != nil {
		return nil, err
	}
	p, err := newPlanner(set, flags, s)
	if err != nil {
		return nil, err
	}
	if err := s.gather(ctx, p.targets()); err != nil {
		return nil, err
	}
	return p, a.mustBeValid(ctx, p, allFindings)
}

// look asks a metrics source for the traffic of the targets, if there is one: a plan without it only foretells less.
func (p *planner) look(ctx context.Context) {
	if p.flags.noAnalysis {
		return
	}
	meter, err := p.session.meter(ctx)
	if err != nil {
		p.unforeseen = err.Error()
		return
	}
	p.session.learn(ctx, meter.Provider, p.set.Changes())
	p.session.remember(ctx, meter, p.set.Changes(), p.flags.history)
}

// view shows a plan with what may be promised of it, and counts its writes.
func (p *planner) view(plan *rollout.Plan) (printer.PlanView, int) {
	v, writes := planView(plan, p.session.clients(plan.Change.Target))
	if len(plan.Steps) == 0 || p.flags.noAnalysis {
		return v, writes
	}
	v.Forecast = p.foretold(plan)
	return v, writes
}

// foretold is what may be promised of a plan, or why nothing may.
func (p *planner) foretold(plan *rollout.Plan) *printer.ForecastView {
	v := &printer.ForecastView{Unknown: p.unforeseen, Accepted: plan.Settings.OnInconclusive == "promote"}
	v.Limit = judgeConfig(p.doc.Spec.Analysis, plan, 0, metrics.History{}).PassMarginMax
	f, known := p.forecast(plan)
	switch {
	case known:
		v.Forecast = f
	case p.session.past.unknown != "":
		v.Unknown = p.session.past.unknown
	case v.Unknown != "":
	case !p.session.past.histories[plan.Change.Target].Empty():
		v.Unknown = "its clients sent no request in the last half hour"
	default:
		v.Unknown = "the metrics source has no requests of its clients in the last hours (istio_requests_total)"
	}
	return v
}

// planView shows a plan and counts its writes.
func planView(p *rollout.Plan, clients int) (printer.PlanView, int) {
	v := printer.PlanView{Name: p.Name, Target: p.Change.Target, Strategy: p.Strategy, Digest: p.Digest, Notes: p.Notes, AtFold: p.AtFold}
	writes := 0
	for i, s := range p.Steps {
		step := printer.StepView{Name: s.Name, Exposure: rollout.Reach(s.Exposure, clients), Asked: rollout.Asked(s.Exposure, clients), Hold: holdText(s)}
		for k, stage := range s.Stages {
			ref := rollout.RefOf(stage.Object)
			diff := printer.ObjectDiff{Ref: ref, Before: p.Before(i, k, ref), After: stage.Object}
			if stage.Delete {
				diff.After = nil
			}
			step.Objects = append(step.Objects, withoutStatus(diff))
			writes++
		}
		v.Steps = append(v.Steps, step)
	}
	return v, writes
}

func withoutStatus(d printer.ObjectDiff) printer.ObjectDiff {
	for _, o := range []**unstructured.Unstructured{&d.Before, &d.After} {
		if *o != nil {
			c := (*o).DeepCopy()
			delete(c.Object, "status")
			*o = c
		}
	}
	return d
}

// holdText says what ends a step; nothing of one that ends with its proof.
func holdText(s rollout.PlannedStep) string {
	if s.Kind == metrics.StepClean {
		return ""
	}
	word := "requests"
	if s.MinRequests == 1 {
		word = "request"
	}
	text := fmt.Sprintf("%s to %s, %.0f %s", v1alpha1.Duration{Duration: s.Min}.Text(), v1alpha1.Duration{Duration: max(s.Max, s.Min)}.Text(), s.MinRequests, word)
	if s.Kind == metrics.StepStage {
		text += " per half"
	}
	switch {
	case s.Pause && s.PauseFor > 0:
		return "after a pause of " + v1alpha1.Duration{Duration: s.PauseFor}.Text() + " · " + text
	case s.Pause:
		return "after a person's word · " + text
	}
	return text
}
