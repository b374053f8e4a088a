package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// pick says which rollout of the cluster is meant.
type pick struct {
	name string
	// target tells apart rollouts of one name: cart, or service/cart.
	target string
}

func (p *pick) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.target, "target", "", "target of the rollout, where several have the name: cart or service/cart")
}

// of takes the name from the command line.
func (p *pick) of(args []string) pick { return pick{name: args[0], target: p.target} }

func (p *pick) fits(s rollout.State) bool {
	if s.Name != p.name {
		return false
	}
	full := s.Target.Kind + "/" + s.Target.Name
	return p.target == "" || p.target == s.Target.Name || strings.EqualFold(p.target, full)
}

// find looks a rollout up in the session's namespace; it needs no right but to read Leases.
func (s *session) find(ctx context.Context, p pick) (rollout.StoredState, error) {
	all, err := s.store().List(ctx, s.namespace)
	if err != nil {
		return rollout.StoredState{}, err
	}
	var names []string
	var fitting []rollout.StoredState
	for _, st := range all {
		names = append(names, st.State.Name)
		if p.fits(st.State) {
			fitting = append(fitting, st)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(fitting) > 1:
		return rollout.StoredState{}, ambiguous(p, fitting)
	case len(names) == 0:
		return rollout.StoredState{}, usage("no rollout %q in %s: there is none at all; another namespace? (-n)", p.name, s.where())
	}
	slices.Sort(names)
	return rollout.StoredState{}, usage("no rollout %q in %s; there are: %s", p.name, s.where(), strings.Join(slices.Compact(names), ", "))
}

func ambiguous(p pick, fitting []rollout.StoredState) error {
	var targets []string
	for _, st := range fitting {
		targets = append(targets, st.State.Target.String())
	}
	slices.Sort(targets)
	return usage("%d rollouts are called %q: of %s; say which with --target and -n", len(fitting), p.name, strings.Join(targets, ", of "))
}

// where is the namespace in words.
func (s *session) where() string {
	if s.namespace == "" {
		return "any namespace"
	}
	return "namespace " + s.namespace
}

// alive tells whether a lock was renewed within its time, by this machine's clock.
func alive(l rollout.Lock, now time.Time) bool {
	return l.Holder != "" && now.Before(l.Renewed.Add(l.TTL))
}

// found is a rollout of the cluster with its record.
type found struct {
	rollout.StoredState
	record rollout.Record
	doc    v1alpha1.Rollout
	change policy.Change
}

// goneError says that the record of a rollout is not there any more. Callers branch on it, since a live runner needs
// none.
type goneError struct{ state rollout.State }

func (e *goneError) Error() string {
	s := e.state
	return fmt.Sprintf("looking up rollout %s: its record (revision %d) is gone; bring the objects back by hand, kubectl get vs,dr -n %s shows their marks", s.Name, s.Revision, s.Target.Namespace)
}

// withRecord adds what the archive keeps of a rollout.
func (s *session) withRecord(ctx context.Context, st rollout.StoredState) (found, error) {
	records, err := kube.NewArchive(s.cluster).Records(ctx, st.State.Target)
	if err != nil {
		return found{}, err
	}
	i := slices.IndexFunc(records, func(r rollout.Record) bool { return r.Revision == st.State.Revision })
	if i < 0 {
		return found{}, &goneError{state: st.State}
	}
	set, err := documentSet(records[i])
	if err != nil {
		return found{}, err
	}
	f := found{StoredState: st, record: records[i], change: policy.Change{Target: st.State.Target, Policies: set.Policies, Rev: records[i].Rev}}
	if len(set.Rollouts) > 0 {
		f.doc = *set.Rollouts[0].Object
	}
	return f, nil
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
	set, err := policy.Load(policy.LoadOptions{Paths: []string{policy.Stdin}, Stdin: strings.NewReader(strings.Join(docs, "\n---\n"))})
	if err != nil {
		return policy.Set{}, fmt.Errorf("decoding the record of rollout %s: %w", r.Name, err)
	}
	return set, nil
}

// own takes the lock of a rollout that was looked at before, and gives its state as it is now. Where somebody has ended
// it meanwhile and begun another one, nothing is done to that.
func (s *session) own(ctx context.Context, st rollout.State, takeOver string) (rollout.State, error) {
	holder, err := s.holder(ctx)
	if err != nil {
		return rollout.State{}, err
	}
	state, err := s.store().Acquire(ctx, st.Target, holder, takeOver)
	if err != nil {
		return state, err
	}
	if state.Name != st.Name || state.Rev != st.Rev {
		s.letGo(ctx, st)
		return state, usage("rollout %s has ended meanwhile, and rollout %s has begun on %s; look again: meshpol status -n %s", st.Name, state.Name, st.Target, st.Target.Namespace)
	}
	return state, nil
}
