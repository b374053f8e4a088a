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
	short := map[string]string{
		rollout.RequestPause:   "Stop a running rollout at the share it has; rollout resume goes on",
		rollout.RequestPromote: "End the current step of a running rollout, or its pause, as if it had passed",
	}[verb]
	return &cobra.Command{
		Use: verb + " NAME", Args: asUsage(cobra.ExactArgs(1)), Short: short,
		Example: fmt.Sprintf("  meshpol rollout %s cart-timeout -n shop", verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.readContext(cmd.Context())
			defer cancel()
			return a.ask(ctx, args[0], verb)
		},
	}
}

func (a *app) ask(ctx context.Context, name, verb string) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	f, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	alive := f.Lock.Holder != "" && time.Now().Before(f.Lock.Renewed.Add(f.Lock.TTL))
	if f.State.Phase.Ended() || !alive {
		return usage("nobody runs rollout %s (%s): there is no one to ask; go on with: meshpol rollout resume %s -n %s", name, f.State.Phase, name, s.namespace)
	}
	if err := s.store().Ask(ctx, f.State.Target, verb); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s was asked to %s rollout %s; see: meshpol status %s -n %s\n", f.Lock.Holder, verb, name, name, s.namespace)
	return err
}
