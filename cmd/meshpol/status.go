package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func newStatusCmd(a *app) *cobra.Command {
	var all, watch bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "status [NAME]", GroupID: "run", Args: asUsage(cobra.MaximumNArgs(1)),
		Short: "Show rollouts: where they are, what is in force, who runs them, what to do next",
		Long: `Show the rollouts of a namespace, or one with everything about it. It only reads. An expired rollout that nobody
runs is shouted about, with the command that ends it.`,
		Example: `  meshpol status -n shop
  meshpol status cart-timeout -n shop
  meshpol status cart-timeout -n shop --watch --timeout 30m   # until it has ended
  meshpol status -A -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.readContext(cmd.Context())
			defer cancel()
			s, err := a.connect()
			if err != nil {
				return err
			}
			if all {
				s.namespace = ""
			}
			if len(args) == 0 {
				return a.statusList(ctx, s)
			}
			if watch {
				return a.watch(ctx, s, args[0], timeout)
			}
			_, err = a.statusOne(ctx, s, args[0])
			return err
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "the rollouts of all namespaces")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow one rollout until it has ended; exits like the rollout itself")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with --watch: how long to wait (default: for ever)")
	return cmd
}

func (a *app) statusList(ctx context.Context, s *session) error {
	stored, err := s.store().List(ctx, s.namespace)
	if err != nil {
		return err
	}
	var views []printer.StatusView
	for _, st := range stored {
		views = append(views, s.view(ctx, st))
	}
	return a.answers().StatusList(views, time.Now())
}

func (a *app) statusOne(ctx context.Context, s *session, name string) (rollout.StoredState, error) {
	f, err := s.find(ctx, name)
	if err != nil {
		return rollout.StoredState{}, err
	}
	return f.StoredState, a.answers().Status(s.view(ctx, f.StoredState), time.Now())
}

// view adds what only the record knows: how much is in force at the step.
func (s *session) view(ctx context.Context, st rollout.StoredState) printer.StatusView {
	v := printer.StatusView{StoredState: st}
	f, err := s.withRecord(ctx, st)
	if err == nil && st.State.Step < len(f.record.Steps) && !st.State.Phase.Ended() {
		v.Exposed = f.record.Steps[st.State.Step].Exposure.String()
	}
	return v
}

// watch prints the status whenever it changes, until the rollout has ended.
func (a *app) watch(ctx context.Context, s *session, name string, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	f, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	var shown time.Time
	for {
		state, lock, err := s.store().Peek(ctx, f.State.Target)
		if err != nil {
			return err
		}
		if state.Updated.After(shown) {
			shown = state.Updated
			if err := a.answers().Status(s.view(ctx, rollout.StoredState{State: state, Lock: lock}), time.Now()); err != nil {
				return err
			}
		}
		if state.Phase.Ended() || state.Phase == rollout.Failed {
			return resultError(rollout.Result{Phase: state.Phase, Cause: state.Cause, Reason: state.Reason})
		}
		select {
		case <-ctx.Done():
			return said(exitTimeout, "not ended yet: %s", state.Phase)
		case <-time.After(time.Second):
		}
	}
}
