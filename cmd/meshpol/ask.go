package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// newAskCmd leaves a request for the runner of a rollout: pause or promote.
func newAskCmd(a *app, verb string) *cobra.Command {
	var p pick
	short := map[string]string{
		rollout.RequestPause:   "Stop a running rollout at the share it has; rollout resume goes on",
		rollout.RequestPromote: "End the current step of a running rollout, or its pause, as if it had passed",
	}[verb]
	cmd := &cobra.Command{
		Use: verb + " NAME", Args: asUsage(cobra.ExactArgs(1)), Short: short, ValidArgsFunction: a.completeRollouts(unended),
		Long:    "The runner of the rollout is asked to do it; it answers within seconds.\n\n" + exitHelp(exitOK, exitInternal, exitUsage, exitInvalid),
		Example: fmt.Sprintf("  meshpol rollout %s cart-timeout -n shop", verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.untilSignal(cmd.Context())
			defer cancel()
			return a.ask(ctx, p.of(args), verb)
		},
	}
	p.add(cmd)
	return cmd
}

func (a *app) ask(ctx context.Context, p pick, verb string) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	st, err := s.find(ctx, p)
	switch {
	case err != nil:
		return err
	case st.State.Phase.Ended():
		return usage("rollout %s has ended (%s): there is nothing to %s", p.name, st.State.Phase, verb)
	case !alive(st.Lock, time.Now()):
		return usage("nobody runs rollout %s (%s): there is no one to ask; go on with: meshpol rollout resume %s -n %s", p.name, st.State.Phase, p.name, st.State.Target.Namespace)
	}
	return a.leaveRequest(ctx, s, st, verb)
}

// leaveRequest leaves a request on the Lease for the live runner.
func (a *app) leaveRequest(ctx context.Context, s *session, st rollout.StoredState, verb string) error {
	if err := s.store().Ask(ctx, st.State.Target, verb); err != nil {
		return err
	}
	name := st.State.Name
	a.say("%s was asked to %s rollout %s; see: meshpol status %s -n %s", st.Lock.Holder, verb, name, name, st.State.Target.Namespace)
	return nil
}
