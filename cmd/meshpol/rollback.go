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
	pick           pick
	wait           time.Duration
	takeOver       string
	unfinishedOnly bool
}

func newRollbackCmd(a *app) *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use: "rollback NAME", Aliases: []string{"undo"}, GroupID: "run", Args: asUsage(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeRollouts(undoable),
		Short:             "Take a rollout back: a running one, one whose runner died, or one that succeeded",
		Long: `Take a rollout back. Of a running one its runner is asked to do it; of one whose runner is gone this command does it;
of one that succeeded the fields it set go back to what they were, edits that others made since survive. Everything that
is needed comes from the cluster: no file, no particular machine.

` + backExits(),
		Example: `  meshpol rollback cart-timeout -n shop
  meshpol rollback cart-timeout -n shop --take-over "the CI runner hangs"`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.rollback(cmd.Context(), f.pick.of(args), f) },
	}
	f.add(cmd)
	return cmd
}

func newAbortCmd(a *app) *cobra.Command {
	f := rollbackFlags{unfinishedOnly: true}
	cmd := &cobra.Command{
		Use: "abort NAME", Args: asUsage(cobra.ExactArgs(1)), ValidArgsFunction: a.completeRollouts(unended),
		Short: "Take an unfinished rollout back: its runner does it, or this command where the runner is gone",
		Long: `Take a rollout back that is under way, paused or stuck. Its runner is asked to do it; where the runner is gone, this
command does it. One that has ended is left alone: meshpol rollback takes that back.

` + backExits(),
		Example: `  meshpol rollout abort cart-timeout -n shop
  meshpol rollout abort cart-timeout -n shop --take-over "the CI runner hangs"`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.rollback(cmd.Context(), f.pick.of(args), f) },
	}
	f.add(cmd)
	return cmd
}

func (f *rollbackFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.wait, "timeout", 2*time.Minute, "how long to wait for a live runner to take it back")
	cmd.Flags().StringVar(&f.takeOver, "take-over", "", "take the Lease from a live runner, for this recorded reason")
	f.pick.add(cmd)
}

// backExits are how a command ends that takes something back: that it did so is its success.
func backExits() string {
	return exitHelp(exitOK, exitInternal, exitUsage, exitInvalid, exitAborted, exitTimeout, exitLocked, exitFailed)
}

func (a *app) rollback(ctx context.Context, p pick, flags rollbackFlags) error {
	return a.concluding(func() error {
		if flags.wait <= 0 {
			return usage("--timeout %s: a runner needs some time; 2m is the default", flags.wait)
		}
		ready, cancel := a.untilSignal(ctx)
		defer cancel()
		s, err := a.connect()
		if err != nil {
			return err
		}
		st, err := s.find(ready, p)
		if err != nil {
			return err
		}
		if err := goesBack(st.State, flags); err != nil {
			return err
		}
		b := back{app: a, session: s, of: st, flags: flags}
		return b.take(ctx, ready)
	})
}

// goesBack refuses what cannot be taken back any more.
func goesBack(s rollout.State, flags rollbackFlags) error {
	switch {
	case s.Phase == rollout.RolledBack:
		return usage("rollout %s was taken back already: %s", s.Name, s.Reason)
	case s.Phase.Ended() && flags.unfinishedOnly:
		return usage("rollout %s has ended (%s); meshpol rollback %s -n %s brings the old policy back", s.Name, s.Phase, s.Name, s.Target.Namespace)
	}
	return nil
}

// back is one rollout on its way back.
type back struct {
	app     *app
	session *session
	of      rollout.StoredState
	flags   rollbackFlags
	// asked tells that a live runner has the request already.
	asked bool
}

// take has a live runner do it, and does it with our own hands where there is none. ready ends with the first signal,
// ctx does not.
func (b *back) take(ctx, ready context.Context) error {
	live := alive(b.of.Lock, time.Now()) && b.flags.takeOver == ""
	for {
		if live {
			b.asked = true
			if over, err := b.askRunner(ready); over || err != nil {
				return err
			}
		}
		state, err := b.session.own(ready, b.of.State, b.flags.takeOver)
		var locked *rollout.LockedError
		if live = errors.As(err, &locked) && !b.asked; live {
			continue // it is alive, whatever our clock says
		}
		if err != nil {
			return err
		}
		return b.byHand(ctx, ready, state)
	}
}

// byHand does it under our own lock, which goes back where nothing could be done.
func (b *back) byHand(ctx, ready context.Context, state rollout.State) error {
	plan, from, err := b.plan(ready, state)
	if err == nil && plan != nil {
		err = b.session.mayRun(ready, plan)
	}
	if err != nil || plan == nil {
		b.session.letGo(ctx, state)
		return err
	}
	prover := kube.NewProver(b.session.cluster)
	defer prover.Close()
	x := b.session.executor(b.app.progress().Events(), prover)
	x.Interrupt = nil // half a way back is no place to stop
	result, err := x.Run(ctx, plan, from)
	b.app.concluded(result)
	if err == nil && result.Phase == rollout.RolledBack {
		return nil
	}
	return b.session.finish(ctx, result, err)
}

// reasonByPerson is why a rollout goes back that somebody takes back.
const reasonByPerson = "taken back by a person"

// plan is the way back and the state to begin with; nil where the runner was faster. What was written last comes from
// the record, and before the fold from the plan.
func (b *back) plan(ctx context.Context, state rollout.State) (*rollout.Plan, rollout.State, error) {
	if state.Phase == rollout.RolledBack {
		b.app.concluded(rollout.Result{Phase: state.Phase, Cause: state.Cause, Reason: state.Reason, State: state})
		return nil, state, nil
	}
	if err := goesBack(state, b.flags); err != nil {
		return nil, state, err
	}
	s := b.session
	f, err := s.withRecord(ctx, rollout.StoredState{State: state})
	if err != nil {
		return nil, state, err
	}
	if err := s.gather(ctx, []policy.Target{state.Target}); err != nil {
		return nil, state, err
	}
	plan := rollout.BackPlan(f.record, f.change)
	if state.Phase.Ended() {
		return plan, rollout.BackState(state, plan, reasonByPerson), nil
	}
	rebuilt, past, err := rollout.Rebuild(s.mesh, f.record, s.snapshot, f.change)
	if err != nil {
		b.app.warn("the plan of rollout %s cannot be made again, so it is taken back by its record alone: %v", state.Name, err)
		return plan, goingBack(state), nil
	}
	s.snapshot = past
	return rebuilt, goingBack(state), nil
}

// goingBack is the state in which the way back begins. One that has begun already goes on where it was, for the reason
// it was begun.
func goingBack(s rollout.State) rollout.State {
	s.Request = ""
	if s.Phase == rollout.RollingBack {
		return s
	}
	s.Phase, s.Undo, s.Cause, s.Reason = rollout.RollingBack, 0, rollout.CausePerson, reasonByPerson+s.PausedFor()
	return s
}
