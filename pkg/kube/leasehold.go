package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const (
	// renewAfter is the age of the last write at which a lock is renewed; beatEvery is how often that is looked at.
	renewAfter = 8 * time.Second
	beatEvery  = 2 * time.Second
	// safety is how long before its end a lock that could not be renewed counts as lost: a write that is under way
	// must have ended when another runner may take over.
	safety = 5 * time.Second
)

// Remaining is how long our lock of a target is surely ours; zero where it is not held.
func (s *LeaseStore) Remaining(t policy.Target) time.Duration {
	h := s.ours(t)
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost != nil {
		return 0
	}
	return max(LeaseTTL-time.Since(h.renewed), 0)
}

// Hold renews all locks of this store between saves. Its context ends with the *rollout.LockedError as its cause when
// one of them is lost, or could not be renewed in time; stop ends the renewing and waits for it.
func (s *LeaseStore) Hold(ctx context.Context) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(held, beatEvery) == nil {
			if err := s.renewAll(held); err != nil {
				cancel(err)
			}
		}
	}()
	return held, func() {
		cancel(context.Canceled)
		<-done
	}
}

func (s *LeaseStore) renewAll(ctx context.Context) error {
	for t, h := range s.all() {
		if err := s.renew(ctx, t, h); err != nil {
			return err
		}
	}
	return nil
}

func (s *LeaseStore) all() map[policy.Target]*held {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[policy.Target]*held, len(s.held))
	for t, h := range s.held {
		out[t] = h
	}
	return out
}

// renew renews one lock where it is due. An API server that does not answer is no loss yet, until the lock's time is
// nearly over.
func (s *LeaseStore) renew(ctx context.Context, t policy.Target, h *held) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.ours(t) != h || time.Since(h.renewed) < renewAfter {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, h.renewed.Add(LeaseTTL-safety))
	defer cancel()
	err := s.write(ctx, t, h, func(lease) error { return nil })
	var locked *rollout.LockedError
	switch {
	case err == nil || errors.As(err, &locked):
		return err
	case time.Since(h.renewed) < LeaseTTL-safety:
		return nil
	}
	h.lost = &rollout.LockedError{
		What: t.String(), Holder: h.holder, Renewed: h.renewed,
		Next: fmt.Sprintf("this run could not renew its lock for %s (%v); `meshpol rollout resume` goes on once the API server answers", time.Since(h.renewed).Round(time.Second), err),
	}
	return h.lost
}

// verbs are what a person may ask for.
func verbs() []string {
	return []string{rollout.RequestAbort, rollout.RequestPause, rollout.RequestResume, rollout.RequestPromote}
}

// Ask leaves a person's request for the runner; it needs no lock.
func (s *LeaseStore) Ask(ctx context.Context, t policy.Target, request string) error {
	return s.Request(ctx, t, Request{Verb: request})
}

// Request leaves a person's request with their name and reason.
func (s *LeaseStore) Request(ctx context.Context, t policy.Target, r Request) error {
	if !slices.Contains(verbs(), r.Verb) {
		return fmt.Errorf("asking the rollout of %s: %q is none of %v", t, r.Verb, verbs())
	}
	r.At = time.Now().UTC().Truncate(time.Second)
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annRequest: string(text)}}})
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	_, err = s.client(t.Namespace).Patch(ctx, t.LeaseName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("asking the rollout of %s to %s: there is none; `meshpol status` lists them", t, r.Verb)
	}
	return s.cluster.explain(fmt.Sprintf("asking the rollout of %s to %s", t, r.Verb), err)
}

// Requested is the request that waits for the runner of a target, with name and reason; zero: none.
func (s *LeaseStore) Requested(ctx context.Context, t policy.Target) (Request, error) {
	l, err := s.read(ctx, t)
	if err != nil || l == nil {
		return Request{}, err
	}
	return l.request(), nil
}

// Peek reads the state without any lock; zero Phase: none.
func (s *LeaseStore) Peek(ctx context.Context, t policy.Target) (rollout.State, rollout.Lock, error) {
	l, err := s.read(ctx, t)
	if err != nil || l == nil {
		return rollout.State{}, rollout.Lock{}, err
	}
	state, err := l.state()
	return state, l.lock(), err
}

// List reads all states of a namespace ("" = all). A state that this version cannot read is in the list all the same,
// as Failed with the reason: what runs in a cluster must not vanish from sight.
func (s *LeaseStore) List(ctx context.Context, namespace string) ([]rollout.StoredState, error) {
	a := api{gvr: leaseResource(), kind: "Lease", namespaced: true}
	objects, err := s.cluster.listWith(ctx, a, namespace, labelManaged+"="+FieldManager)
	if err != nil {
		return nil, err
	}
	var out []rollout.StoredState
	for _, o := range objects {
		l := lease{o}
		if l.GetAnnotations()[annState] == "" {
			continue
		}
		state, err := l.state()
		if err != nil {
			state = rollout.State{Name: l.GetAnnotations()[annTarget], Phase: rollout.Failed, Reason: err.Error(), Target: policy.Target{Namespace: o.GetNamespace()}}
		}
		out = append(out, rollout.StoredState{State: state, Lock: l.lock()})
	}
	return out, nil
}
