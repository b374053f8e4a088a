package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func newRolloutCmd(a *app) *cobra.Command {
	var files fileFlags
	var flags rolloutFlags
	cmd := &cobra.Command{
		Use: "rollout -f FILE", GroupID: "run", Args: asUsage(cobra.NoArgs),
		Short: "Roll policies out step by step, judged against the old ones in the same seconds",
		Long: `Roll policies out step by step. Step 0 installs the split with identical halves and only counts; then the share
under the new policy grows from step to step, each proved on every proxy and judged against the old policy in the same
seconds; the bake holds 5 % back; the fold leaves what a careful person would have written by hand. A policy that does
harm is taken back within seconds.

` + exitCodesHelp,
		Example: `  meshpol rollout -f timeout.yaml                        # 1, 5, 25, 50 %, bake, fold
  meshpol rollout -f timeout.yaml --steps 1,10,50 --bake 2m
  meshpol rollout -f breaker.yaml --by instance           # one client pod first
  meshpol rollout -f rollout.yaml -f policies/ -o jsonl   # a Rollout document; events as JSON lines`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollout(cmd.Context(), files, flags) },
	}
	files.add(cmd)
	flags.add(cmd, "")
	cmd.AddCommand(newResumeCmd(a), newAbortCmd(a), newAskCmd(a, rollout.RequestPause), newAskCmd(a, rollout.RequestPromote))
	return cmd
}

func newApplyCmd(a *app) *cobra.Command {
	var files fileFlags
	var flags rolloutFlags
	cmd := &cobra.Command{
		Use: "apply -f FILE", GroupID: "run", Args: asUsage(cobra.NoArgs),
		Short: "Bring policies into force at once, proved and judged before and after",
		Long: `Bring policies into force at once. Every write is rehearsed, proved on every proxy, and judged before and after;
a policy that does gross harm is taken back. Without a metrics source it exits with 6 unless --no-analysis is given.

` + exitCodesHelp,
		Example: `  meshpol apply -f timeout.yaml
  meshpol apply -f timeout.yaml --no-analysis`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollout(cmd.Context(), files, flags) },
	}
	files.add(cmd)
	flags.add(cmd, "direct")
	return cmd
}

// rollout runs the plans of all targets, one after the other; the first that does not succeed ends it.
func (a *app) rollout(ctx context.Context, files fileFlags, flags rolloutFlags) error {
	p, err := a.prepare(ctx, files, flags)
	if err != nil {
		return err
	}
	run, err := a.newRunner(ctx, p.session, flags)
	if err != nil {
		return err
	}
	defer run.close()
	changes := p.set.Changes()
	for i, c := range changes {
		if err := run.start(ctx, p, c); err != nil {
			if left := len(changes) - i - 1; left > 0 {
				err = fmt.Errorf("%w (%d more targets were not started)", err, left)
			}
			return err
		}
	}
	return nil
}

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
func (a *app) newRunner(ctx context.Context, s *session, flags rolloutFlags) (*runner, error) {
	r := &runner{session: s, flags: flags, sink: a.progress().Events()}
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
	if err != nil {
		return &codeError{code: exitTimeout, err: fmt.Errorf("nothing to judge by: %w; name a source with --prometheus, or go without with --no-analysis", err)}
	}
	r.meter, r.scrape = meter, meter.scrape
	return nil
}

func (r *runner) close() {
	if r.prover != nil {
		r.prover.Close()
	}
}

// start opens and runs the rollout of one target.
func (r *runner) start(ctx context.Context, p *planner, c policy.Change) error {
	draft, err := p.plan(c, "")
	if err != nil {
		return err
	}
	if len(draft.Steps) == 0 {
		r.sink.Emit(rollout.Warned{Head: rollout.Head{At: time.Now(), Rollout: draft.Name, Target: c.Target}, Text: "unchanged: the live objects already say so; nothing was written"})
		return nil
	}
	started := time.Now()
	plan, err := p.plan(c, rollout.RevOf(draft.Digest, started))
	if err != nil {
		return err
	}
	if err := r.session.mayRun(ctx, plan); err != nil {
		return beginError(err)
	}
	x, err := r.executor(p, plan)
	if err != nil {
		return err
	}
	state, err := x.Begin(ctx, plan, r.holder, started)
	if err != nil {
		return beginError(err)
	}
	result, err := x.Run(ctx, plan, state)
	return r.session.finish(ctx, result, err)
}

func (r *runner) executor(p *planner, plan *rollout.Plan) (rollout.Executor, error) {
	judge, err := metrics.NewFirstJudge(judgeConfig(p.doc.Spec.Analysis, plan, r.scrape))
	if err != nil {
		return rollout.Executor{}, &codeError{code: exitInvalid, err: err}
	}
	x := r.session.executor(r.meter, judge, r.sink, r.prover)
	x.OnSignal = cmp.Or(r.flags.onSignal, defaultOnSignal(x.Attended))
	return x, nil
}

func defaultOnSignal(attended bool) string {
	if attended {
		return rollout.OnSignalPause
	}
	return "rollback"
}

// beginError says of a rollout that could not begin that nothing was written. Where another one holds the lock, that is
// not ours to say.
func beginError(err error) error {
	if exitCode(err) == exitLocked {
		return err
	}
	return fmt.Errorf("%w; nothing was written", err)
}
