package main

import (
	"context"

	"github.com/spf13/cobra"

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

Policies of one target move as one. Several targets are rolled out one after the other; the first that does not succeed
ends the command, and the others are not started.

` + allExits(),
		Example: `  meshpol rollout -f timeout.yaml                        # 1, 5, 25, 50 %, bake, fold
  meshpol rollout -f timeout.yaml --steps 1,10,50 --bake 2m
  meshpol rollout -f breaker.yaml --by instance           # one client pod first
  meshpol rollout -f timeout.yaml --dry-run=server        # rehearse every write, write nothing
  meshpol rollout -f rollout.yaml -f policies/ -o jsonl   # a Rollout document; events as JSON lines`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollout(cmd.Context(), files, flags) },
	}
	files.add(cmd)
	flags.add(cmd, "")
	flags.addTripwire(cmd)
	flags.addDryRun(cmd)
	cmd.AddCommand(newResumeCmd(a), newAbortCmd(a), newAskCmd(a, rollout.RequestPause), newAskCmd(a, rollout.RequestPromote))
	return cmd
}

func newApplyCmd(a *app) *cobra.Command {
	var files fileFlags
	var flags rolloutFlags
	cmd := &cobra.Command{
		Use: "apply -f FILE", GroupID: "run", Args: asUsage(cobra.NoArgs),
		Short: "Bring policies into force at once, proved and judged",
		Long: `Bring policies into force at once. Every write is rehearsed and proved on every proxy, and judged
against the hours before, where the metrics source knows them (istio_requests_total); else more than 5 % of errors
afterwards count as harm. A policy that does harm is taken back. Without a metrics source it exits with 6 unless
--no-analysis is given.

` + allExits(),
		Example: `  meshpol apply -f timeout.yaml
  meshpol apply -f timeout.yaml --dry-run=server   # rehearse every write, write nothing
  meshpol apply -f timeout.yaml --no-analysis`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollout(cmd.Context(), files, flags) },
	}
	files.add(cmd)
	flags.add(cmd, "direct")
	flags.addDryRun(cmd)
	return cmd
}

// rollout runs, or rehearses, the plans of all targets.
func (a *app) rollout(ctx context.Context, files fileFlags, flags rolloutFlags) error {
	return a.concluding(func() error {
		ready, cancel := a.untilSignal(ctx)
		defer cancel()
		p, err := a.prepare(ready, files, flags)
		if err != nil {
			return err
		}
		run, err := a.newRunner(ready, p.session, flags, len(p.set.Changes()))
		if err != nil {
			return err
		}
		defer run.close()
		run.learn(ready, p.set.Changes(), p.lookBack())
		if err := a.comparable(p); err != nil {
			return err
		}
		if flags.dryRun == dryRunServer {
			return run.rehearse(ready, p)
		}
		return run.startAll(ctx, p)
	})
}

// startAll runs one target after the other; the first that does not succeed ends it. The rollout before may have
// changed what the next one is planned from, so that is read again.
func (r *runner) startAll(ctx context.Context, p *planner) error {
	changes := p.set.Changes()
	for i, c := range changes {
		err := r.again(ctx, p, i)
		if err == nil {
			err = r.start(ctx, p, c)
		}
		if err != nil {
			r.session.app.notStarted(p, changes[i+1:])
			return err
		}
	}
	return nil
}

// again reads the cluster and validates once more, where a rollout has gone before.
func (r *runner) again(ctx context.Context, p *planner, done int) error {
	if done == 0 {
		return nil
	}
	ctx, cancel := r.session.app.untilSignal(ctx)
	defer cancel()
	if err := r.session.gather(ctx, p.targets()); err != nil {
		return err
	}
	return r.session.app.mustBeValid(ctx, p, onlyErrors)
}
