package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// rollbackFlags are the choices of rollback and rollout abort.
type rollbackFlags struct {
	wait           time.Duration
	takeOver       string
	unfinishedOnly bool
}

func newRollbackCmd(a *app) *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use: "rollback NAME", Aliases: []string{"undo"}, GroupID: "run", Args: asUsage(cobra.ExactArgs(1)),
		Short: "Take a rollout back: a running one, one whose runner died, or one that succeeded",
		Long: `Take a rollout back. Of a running one its runner is asked to do it; of one whose runner is gone this command does it;
of one that succeeded the fields it set go back to what they were, edits that others made since survive. Everything that
is needed comes from the cluster: no file, no particular machine.`,
		Example: `  meshpol rollback cart-timeout -n shop
  meshpol rollback cart-timeout -n shop --take-over "the CI runner hangs"`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.rollback(cmd.Context(), args[0], f) },
	}
	cmd.Flags().DurationVar(&f.wait, "timeout", 2*time.Minute, "how long to wait for a live runner to take it back")
	cmd.Flags().StringVar(&f.takeOver, "take-over", "", "take the Lease from a live runner, for this recorded reason")
	return cmd
}

func (a *app) rollback(ctx context.Context, name string, flags rollbackFlags) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	f, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case f.State.Phase == rollout.RolledBack:
		return usage("rollout %s was taken back already: %s", name, f.State.Reason)
	case f.State.Phase.Ended() && flags.unfinishedOnly:
		return usage("rollout %s has ended (%s); meshpol rollback %s brings the old policy back", name, f.State.Phase, name)
	}
	holder, err := s.holder(ctx)
	if err != nil {
		return err
	}
	state, err := s.store().Acquire(ctx, f.State.Target, holder, flags.takeOver)
	var locked *rollout.LockedError
	if errors.As(err, &locked) {
		return a.askRunner(ctx, s, f, flags.wait)
	}
	if err != nil {
		return err
	}
	return a.takeBack(ctx, s, f, state)
}

// takeBack does it with our own hands.
func (a *app) takeBack(ctx context.Context, s *session, f found, state rollout.State) error {
	plan, back, err := s.wayBack(ctx, f, state)
	if err != nil {
		s.letGo(ctx, f.State)
		return err
	}
	prover := kube.NewProver(s.cluster)
	defer prover.Close()
	x := s.executor(nil, nil, a.progress().Events(), prover)
	x.Interrupt = nil // half a way back is no place to stop
	result, err := x.Run(ctx, plan, back)
	if err == nil && result.Phase == rollout.RolledBack {
		return nil
	}
	return s.finish(ctx, result, err)
}

// wayBack plans it. What was written last comes from the record, and before the fold from the plan.
func (s *session) wayBack(ctx context.Context, f found, state rollout.State) (*rollout.Plan, rollout.State, error) {
	if err := s.gather(ctx, []policy.Target{f.State.Target}); err != nil {
		return nil, state, err
	}
	plan := rollout.BackPlan(f.record, f.change)
	back := rollout.BackState(state, plan, "taken back by a person")
	if !state.Phase.Ended() {
		if rebuilt, past, err := rollout.Rebuild(s.mesh, f.record, s.snapshot, f.change); err == nil {
			plan, s.snapshot = rebuilt, past
		}
		back = state
		back.Phase, back.Undo, back.Cause, back.Reason, back.Request = rollout.RollingBack, 0, rollout.CausePerson, "taken back by a person", ""
	}
	return plan, back, s.mayRun(ctx, plan)
}

// askRunner leaves the request on the Lease and waits until the live runner has done it.
func (a *app) askRunner(ctx context.Context, s *session, f found, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := s.store().Ask(ctx, f.State.Target, rollout.RequestAbort); err != nil {
		return err
	}
	for {
		state, lock, err := s.store().Peek(ctx, f.State.Target)
		switch {
		case ctx.Err() != nil:
			return said(exitTimeout, "the runner %s has not taken it back in %s; if it is dead: --take-over REASON", lock.Holder, wait)
		case err != nil:
			return err
		case state.Phase.Ended():
			return a.answers().Status(s.view(ctx, rollout.StoredState{State: state, Lock: lock}), time.Now())
		case state.Phase == rollout.Failed:
			return resultError(rollout.Result{Phase: state.Phase, Reason: state.Reason})
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}
