package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// completeWithin is how long a person at a shell waits for names from the cluster; without an answer there are none.
const completeWithin = 2 * time.Second

// completeValues completes the words that a flag takes.
func completeValues(cmd *cobra.Command, flag string, values ...string) {
	completeWith(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeWith completes a flag.
func completeWith(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the command has no such flag: a fault of this program
	}
}

// completeRollouts completes the names of rollouts in the cluster that are in a wanted phase. A shell is no place for
// errors: without a cluster there are no names.
func (a *app) completeRollouts(wanted func(rollout.Phase) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || a.configure(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		var names []cobra.Completion
		for _, st := range a.rolloutsFor(ctx) {
			if wanted(st.State.Phase) {
				names = append(names, cobra.CompletionWithDesc(st.State.Name, string(st.State.Phase)+", "+st.State.Target.String()))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) rolloutsFor(ctx context.Context) []rollout.StoredState {
	s, err := a.connect()
	if err != nil {
		return nil
	}
	all, err := s.store().List(ctx, s.namespace)
	if err != nil {
		return nil
	}
	return all
}

func anyPhase(rollout.Phase) bool { return true }

func unended(p rollout.Phase) bool { return !p.Ended() }

// undoable are rollouts of which something is left to take back.
func undoable(p rollout.Phase) bool { return p != rollout.RolledBack }

// completeContexts completes the contexts of the kubeconfig.
func (a *app) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	raw, err := a.kube.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for name := range raw.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeCodes completes the codes of findings.
func completeCodes(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var codes []cobra.Completion
	for _, e := range explanations() {
		codes = append(codes, cobra.CompletionWithDesc(e.Code, e.Title))
	}
	return codes, cobra.ShellCompDirectiveNoFileComp
}
