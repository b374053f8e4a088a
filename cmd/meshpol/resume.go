package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func newResumeCmd(a *app) *cobra.Command {
	var flags rolloutFlags
	var takeOver string
	cmd := &cobra.Command{
		Use: "resume NAME", Args: asUsage(cobra.ExactArgs(1)),
		Short: "Go on with a rollout whose runner is gone, from any machine",
		Example: `  meshpol rollout resume cart-timeout -n shop
  meshpol rollout resume cart-timeout -n shop --take-over "the CI runner hangs"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.resume(cmd.Context(), args[0], takeOver, flags)
		},
	}
	cmd.Flags().StringVar(&takeOver, "take-over", "", "take the Lease from a live runner, for this recorded reason")
	cmd.Flags().StringVar(&flags.onSignal, "on-signal", "", "what Ctrl-C does: rollback or pause (default: pause on a terminal, else rollback)")
	return cmd
}

func newAbortCmd(a *app) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "abort NAME", Args: asUsage(cobra.ExactArgs(1)),
		Short:   "Take a running rollout back: its runner does it, or this command where the runner is gone",
		Example: `  meshpol rollout abort cart-timeout -n shop`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.rollback(cmd.Context(), args[0], rollbackFlags{wait: wait, unfinishedOnly: true})
		},
	}
	cmd.Flags().DurationVar(&wait, "timeout", 2*time.Minute, "how long to wait for the runner")
	return cmd
}

// found is a rollout of the cluster with its record.
type found struct {
	rollout.StoredState
	record rollout.Record
	change policy.Change
}

// find looks a rollout up by name in the session's namespace.
func (s *session) find(ctx context.Context, name string) (found, error) {
	all, err := s.store().List(ctx, s.namespace)
	if err != nil {
		return found{}, err
	}
	var names []string
	for _, st := range all {
		names = append(names, st.State.Name)
		if st.State.Name == name {
			return s.withRecord(ctx, st)
		}
	}
	if len(names) == 0 {
		return found{}, usage("no rollout %q in namespace %s: there is none at all; another namespace? (-n)", name, s.namespace)
	}
	return found{}, usage("no rollout %q in namespace %s; there are: %s", name, s.namespace, strings.Join(names, ", "))
}

func (s *session) withRecord(ctx context.Context, st rollout.StoredState) (found, error) {
	records, err := kube.NewArchive(s.cluster).Records(ctx, st.State.Target)
	if err != nil {
		return found{}, err
	}
	for _, r := range records {
		if r.Revision == st.State.Revision {
			set, err := documentSet(r)
			if err != nil {
				return found{}, err
			}
			return found{StoredState: st, record: r, change: policy.Change{Target: st.State.Target, Policies: set.Policies, Rev: r.Rev}}, nil
		}
	}
	return found{}, fmt.Errorf("looking up rollout %s: its record (revision %d) is gone; bring the objects back by hand, kubectl get vs,dr -n %s shows their marks", st.State.Name, st.State.Revision, st.State.Target.Namespace)
}

// documentSet decodes a record's documents by the same strict rules as files.
func documentSet(r rollout.Record) (policy.Set, error) {
	var docs []string
	for _, d := range r.Documents {
		b, err := json.Marshal(d)
		if err != nil {
			return policy.Set{}, fmt.Errorf("decoding the record of rollout %s: %w", r.Name, err)
		}
		docs = append(docs, string(b))
	}
	set, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(strings.Join(docs, "\n---\n"))})
	if err != nil {
		return policy.Set{}, fmt.Errorf("decoding the record of rollout %s: %w", r.Name, err)
	}
	return set, nil
}

func (a *app) resume(ctx context.Context, name, takeOver string, flags rolloutFlags) error {
	s, err := a.connect()
	if err != nil {
		return err
	}
	f, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if f.State.Phase.Ended() {
		return usage("rollout %s has ended (%s): there is nothing to resume", name, f.State.Phase)
	}
	if err := s.gather(ctx, []policy.Target{f.State.Target}); err != nil {
		return err
	}
	plan, past, err := rollout.Rebuild(s.mesh, f.record, s.snapshot, f.change)
	if err != nil {
		return err
	}
	s.snapshot = past
	if err := s.mayRun(ctx, plan); err != nil {
		return err
	}
	flags.noAnalysis = f.record.Settings.NoAnalysis
	run, err := a.newRunner(ctx, s, flags)
	if err != nil {
		return err
	}
	defer run.close()
	state, err := s.store().Acquire(ctx, f.State.Target, run.holder, takeOver)
	if err != nil {
		return err
	}
	if state.Phase == rollout.Paused {
		state.Request = rollout.RequestResume
	}
	x, err := run.executor(&planner{doc: rolloutDoc(f.record)}, plan)
	if err != nil {
		s.letGo(ctx, f.State)
		return err
	}
	result, err := x.Run(ctx, plan, state)
	return s.finish(ctx, result, err)
}

// rolloutDoc is the Rollout of a record.
func rolloutDoc(r rollout.Record) v1alpha1.Rollout {
	set, err := documentSet(r)
	if err != nil || len(set.Rollouts) == 0 {
		return v1alpha1.Rollout{}
	}
	return *set.Rollouts[0].Object
}
