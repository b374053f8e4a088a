package policy

import (
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// Set is everything that was read from the given files.
type Set struct {
	// Policies are sorted by key.
	Policies []Policy
	// Rollouts are the Rollout documents, sorted by namespace and name.
	Rollouts []RolloutDoc
}

// RolloutDoc is a decoded Rollout with its place.
type RolloutDoc struct {
	Object *v1alpha1.Rollout
	Source Source
}

// Changes groups policies by target, targets sorted by their text. Rev is left empty: a run gives it.
func (s Set) Changes() []Change {
	byTarget := map[Target][]Policy{}
	for _, p := range s.Policies {
		byTarget[p.Target()] = append(byTarget[p.Target()], p)
	}
	var out []Change
	for t, ps := range byTarget {
		slices.SortFunc(ps, func(a, b Policy) int { return strings.Compare(a.Key.String(), b.Key.String()) })
		out = append(out, Change{Target: t, Policies: ps})
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Target.String(), b.Target.String()) })
	return out
}
