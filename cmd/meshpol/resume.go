package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// resumeFlags are the choices of rollout resume.
type resumeFlags struct {
	pick     pick
	takeOver string
	run      rolloutFlags
}

func newResumeCmd(a *app) *cobra.Command {
	f := resumeFlags{run: rolloutFlags{propagation: time.Minute}} // the record has the real one
	cmd := &cobra.Command{
		Use: "resume NAME", Args: asUsage(cobra.ExactArgs(1)), ValidArgsFunction: a.completeRollouts(unended),
		Short: "Go on with a rollout that is paused or whose runner is gone, from any machine",
		Long: `Go on with a rollout that is paused or whose runner is gone. Everything that is needed comes from the cluster: no
file, no particular machine. One that was being taken back is taken back. A runner that is alive and paused is asked to
go on.

` + allExits(),
		Example: `  meshpol rollout resume cart-timeout -n shop
  meshpol rollout resume cart-timeout -n shop --take-over "the CI runner hangs"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.concluding(func() error { return a.resume(cmd.Context(), f.pick.of(args), f) })
		},
	}
	cmd.Flags().StringVar(&f.takeOver, "take-over", "", "take the Lease from a live runner, for this recorded reason")
	f.pick.add(cmd)
	f.run.addOnSignal(cmd)
	f.run.completeChoices(cmd)
	return cmd
}

func (a *app) resume(ctx context.Context, p pick, flags resumeFlags) error {
	if err := flags.run.check(); err != nil {
		return err
	}
	ready, cancel := a.untilSignal(ctx)
	defer cancel()
	s, err := a.connect()
	if err != nil {
		return err
	}
	st, err := s.find(ready, p)
	switch {
	case err != nil:
		return err
	case st.State.Phase.Ended():
		return usage("rollout %s has ended (%s): there is nothing to resume", p.name, st.State.Phase)
	case st.State.Phase == rollout.Paused && alive(st.Lock, time.Now()) && flags.takeOver == "":
		return a.leaveRequest(ready, s, st, rollout.RequestResume)
	}
	return a.goOn(ctx, ready, s, st, flags)
}

// goOn makes the plan again from the record and goes on with our own hands. ready ends with the first signal, ctx does
// not.
func (a *app) goOn(ctx, ready context.Context, s *session, st rollout.StoredState, flags resumeFlags) error {
	f, plan, err := s.rebuild(ready, st)
	if err != nil {
		return err
	}
	flags.run.noAnalysis = f.record.Settings.NoAnalysis
	run, err := a.newRunner(ready, s, flags.run, 1)
	if err != nil {
		return err
	}
	defer run.close()
	history := f.record.Settings.History
	if st.State.Judge.Version != "" {
		history = 0 // the score has it
	}
	run.learn(ready, []policy.Change{f.change}, history)
	x, err := run.executor(ready, f.doc, plan)
	if err != nil {
		return err
	}
	state, err := s.own(ready, st.State, flags.takeOver)
	if err != nil {
		return err
	}
	if state.Phase.Ended() {
		s.letGo(ctx, state)
		return usage("rollout %s has ended meanwhile (%s): there is nothing to resume", state.Name, state.Phase)
	}
	if state.Phase == rollout.Paused {
		state.Request = rollout.RequestResume
	}
	return run.run(ctx, x, plan, state)
}

// rebuild makes the plan of an unfinished rollout again.
func (s *session) rebuild(ctx context.Context, st rollout.StoredState) (found, *rollout.Plan, error) {
	f, err := s.withRecord(ctx, st)
	if err != nil {
		return f, nil, err
	}
	if err := s.gather(ctx, []policy.Target{st.State.Target}); err != nil {
		return f, nil, err
	}
	plan, past, err := rollout.Rebuild(s.mesh, f.record, s.snapshot, f.change)
	if err != nil {
		return f, nil, fmt.Errorf("going on with rollout %s: %w", st.State.Name, err)
	}
	s.snapshot = past
	return f, plan, s.mayRun(ctx, plan)
}
