package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// statusFlags are the choices of status.
type statusFlags struct {
	all, watch bool
	timeout    time.Duration
	pick       pick
}

func newStatusCmd(a *app) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use: "status [NAME]", GroupID: "run", Args: asUsage(cobra.MaximumNArgs(1)), ValidArgsFunction: a.completeRollouts(anyPhase),
		Short: "Show rollouts: where they are, what is in force, who runs them, what to do next",
		Long: `Show the rollouts of a namespace, or one with everything about it. It only reads. An expired rollout that nobody
runs is shouted about, with the command that ends it.

With --watch it shows one rollout again whenever something changes (with -o json and -o yaml once, at the end), and ends
when the rollout has ended or is paused with nobody at it, with the rollout's own exit code.

` + allExits(),
		Example: `  meshpol status -n shop
  meshpol status cart-timeout -n shop
  meshpol status cart-timeout -n shop --watch --timeout 30m   # until it has ended
  meshpol status -A -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			ctx, cancel := a.untilSignal(cmd.Context())
			defer cancel()
			return a.status(ctx, args, f)
		},
	}
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "the rollouts of all namespaces")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "follow one rollout until it has ended; exits like the rollout itself")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "with --watch: how long to wait (default: for ever)")
	f.pick.add(cmd)
	return cmd
}

func (f statusFlags) check(args []string) error {
	switch {
	case len(args) == 0 && (f.watch || f.pick.target != ""):
		return usage("--watch and --target are for one rollout: meshpol status NAME --watch")
	case !f.watch && f.timeout != 0:
		return usage("--timeout bounds a wait: it goes with --watch")
	case f.timeout < 0:
		return usage("--timeout %s: a time cannot be negative", f.timeout)
	}
	return nil
}

func (a *app) status(ctx context.Context, args []string, f statusFlags) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	if f.all {
		s.namespace = ""
	}
	if len(args) == 0 {
		return a.statusList(ctx, s)
	}
	st, err := s.find(ctx, f.pick.of(args))
	if err != nil {
		return err
	}
	if f.watch {
		w := watcher{app: a, session: s, of: st}
		return w.watch(ctx, f.timeout)
	}
	return a.answers().Status(printer.StatusView{StoredState: st}, time.Now())
}

func (a *app) statusList(ctx context.Context, s *session) error {
	stored, err := s.store().List(ctx, s.namespace)
	if err != nil {
		return err
	}
	if len(stored) == 0 && a.format() == printer.Text {
		_, err := fmt.Fprintln(a.out, noRollouts(s))
		return err
	}
	slices.SortFunc(stored, func(a, b rollout.StoredState) int { return cmp.Compare(orderOf(a), orderOf(b)) })
	var views []printer.StatusView
	for _, st := range stored {
		views = append(views, printer.StatusView{StoredState: st})
	}
	return a.answers().StatusList(views, time.Now())
}

func orderOf(st rollout.StoredState) string {
	return st.State.Target.Namespace + "\x00" + st.State.Name + "\x00" + st.State.Target.String()
}

func noRollouts(s *session) string {
	if s.namespace == "" {
		return "no rollouts in any namespace"
	}
	return fmt.Sprintf("no rollouts in namespace %s; -A looks into all namespaces, -n NAMESPACE into another one", s.namespace)
}
